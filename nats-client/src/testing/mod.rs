//! A runtime in memory for the tests of this crate: streams are pipes, tasks are threads, and a test plays the
//! server.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};

use crate::options::ConnectOptions;
use crate::runtime::Runtime;

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A stream that gives `step` bytes at a time.
pub(crate) struct Bytewise<'a> {
    left: &'a [u8],
    step: usize,
}

impl<'a> Bytewise<'a> {
    pub(crate) fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { left: bytes, step }
    }
}

impl AsyncRead for Bytewise<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = self.step.min(self.left.len()).min(buf.len());
        let (now, later) = self.left.split_at(count);
        buf[..count].copy_from_slice(now);
        self.left = later;
        Poll::Ready(Ok(count))
    }
}

/// One direction of a stream.
struct Lane {
    bytes: VecDeque<u8>,
    closed: bool,
    /// Bytes that it takes.
    room: usize,
    /// Bytes that it takes in one write.
    at_once: usize,
    /// Panics when the client reads from it or writes to it.
    rotten: bool,
    waker: Option<Waker>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            bytes: VecDeque::new(),
            closed: false,
            room: usize::MAX,
            at_once: usize::MAX,
            rotten: false,
            waker: None,
        }
    }
}

/// One direction of a stream, for both of its ends.
#[derive(Clone, Default)]
struct Pipe(Arc<(Mutex<Lane>, Condvar)>);

impl Pipe {
    fn change<T>(&self, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lane = self.0.0.lock().unwrap();
        let result = change(&mut lane);
        let waker = lane.waker.take();
        drop(lane);
        self.0.1.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.change(|lane| {
            if lane.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            lane.bytes.extend(bytes);
            Ok(bytes.len())
        })
    }

    fn close(&self) {
        self.change(|lane| lane.closed = true);
    }
}

/// The client's end of a stream.
pub(crate) struct FakeStream {
    input: Pipe,
    output: Pipe,
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.input.close();
        self.output.close();
    }
}

impl AsyncRead for FakeStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut lane = self.input.0.0.lock().unwrap();
        if lane.rotten {
            drop(lane);
            panic!("a stream that panics, as a test wants it");
        }
        let count = lane.bytes.len().min(buf.len());
        if count == 0 && !lane.closed {
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (to, from) in buf.iter_mut().zip(lane.bytes.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for FakeStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lane = self.output.0.0.lock().unwrap();
        if lane.rotten {
            drop(lane);
            panic!("a stream that panics, as a test wants it");
        }
        if lane.room == 0 {
            // The peer only reads this lane, and never with a waker.
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(lane.room).min(lane.at_once);
        if lane.room != usize::MAX {
            lane.room -= count;
        }
        drop(lane);
        Poll::Ready(self.output.write(&buf[..count]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &bufs.iter().flat_map(|buf| &**buf).copied().collect::<Vec<_>>())
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.close();
        Poll::Ready(Ok(()))
    }
}

/// The server's end of a stream, played by the test.
pub(crate) struct Peer {
    input: Pipe,
    output: Pipe,
    seen: String,
}

impl Peer {
    /// Sends bytes to the client.
    pub(crate) fn send(&self, text: &str) {
        self.output.write(text.as_bytes()).expect("the client reads");
    }

    /// Waits until the client has sent `text`, and gives what came before it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.seen, rest);
                before.truncate(at);
                return before;
            }
            let mut lane = self.input.0.0.lock().unwrap();
            while lane.bytes.is_empty() {
                assert!(!lane.closed, "closed without {text:?}: {:?}", self.seen);
                lane = self.input.0.1.wait(lane).unwrap();
            }
            let bytes: Vec<u8> = lane.bytes.drain(..).collect();
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Waits until the client has closed the stream, and gives all that it sent.
    pub(crate) fn expect_close(&mut self) -> String {
        let mut lane = self.input.0.0.lock().unwrap();
        while !lane.closed {
            lane = self.input.0.1.wait(lane).unwrap();
        }
        let bytes: Vec<u8> = lane.bytes.drain(..).collect();
        self.seen.push_str(&String::from_utf8_lossy(&bytes));
        std::mem::take(&mut self.seen)
    }

    /// Takes nothing more from the client, or goes on to do so.
    pub(crate) fn stall(&self, stalled: bool) {
        self.take(if stalled { 0 } else { usize::MAX });
    }

    /// Takes so many bytes more from the client.
    pub(crate) fn take(&self, bytes: usize) {
        self.input.change(|lane| lane.room = bytes);
    }

    /// Takes so many bytes of the client in one write, as TLS and WebSockets do.
    pub(crate) fn take_at_once(&self, bytes: usize) {
        self.input.change(|lane| lane.at_once = bytes);
    }

    /// Takes nothing more from the client, whose writes fail from now on.
    pub(crate) fn refuse(&self) {
        self.input.close();
    }

    /// Bytes for the client that it has not read.
    pub(crate) fn unread(&self) -> usize {
        self.output.0.0.lock().unwrap().bytes.len()
    }

    /// Makes the client's end panic when it is written to.
    pub(crate) fn rot(&self) {
        self.input.0.0.lock().unwrap().rotten = true;
    }

    /// Makes the client's end panic when it is read from.
    pub(crate) fn rot_for_readers(&self) {
        self.output.0.0.lock().unwrap().rotten = true;
    }

    /// Bytes that the client has sent and nobody has looked at.
    pub(crate) fn arrived(&self) -> usize {
        self.input.0.0.lock().unwrap().bytes.len()
    }

    /// Goes through the handshake.
    pub(crate) fn greet(&mut self) {
        self.send("INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n");
        self.expect("CONNECT ");
        self.expect("PING\r\n");
        self.send("PONG\r\n");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input.close();
        self.output.close();
    }
}

fn listeners() -> &'static Mutex<HashMap<u16, Sender<Peer>>> {
    static LISTENERS: OnceLock<Mutex<HashMap<u16, Sender<Peer>>>> = OnceLock::new();
    LISTENERS.get_or_init(Mutex::default)
}

/// A server that a test plays.
pub(crate) struct FakeServer {
    port: u16,
    peers: Mutex<Receiver<Peer>>,
}

impl FakeServer {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        let (sender, peers) = channel();
        listeners().lock().unwrap().insert(port, sender);
        Self { port, peers: Mutex::new(peers) }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The URL of a name whose addresses are those of these servers.
    pub(crate) fn url_of_all(servers: &[&Self]) -> String {
        let ports = servers.iter().map(|server| format!("-{}", server.port));
        format!("nats://ports{}", ports.collect::<String>())
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        self.peers.lock().unwrap().recv().expect("a connection")
    }

    /// Whether nobody has connected since the last that was accepted.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.peers.lock().unwrap().try_recv().is_err()
    }
}

/// The runtime.
pub(crate) struct Fake;

/// Options that reconnect without waiting.
pub(crate) fn options() -> ConnectOptions<Fake> {
    ConnectOptions::new().reconnect_wait(Duration::ZERO).reconnect_jitter(Duration::ZERO)
}

impl Runtime for Fake {
    type Stream = FakeStream;
    type Listener = ();
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        let end = Instant::now() + duration;
        let mut sleeping = false;
        Box::pin(std::future::poll_fn(move |cx| {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut sleeping, true) {
                let waker = cx.waker().clone();
                thread::spawn(move || {
                    thread::sleep(end.saturating_duration_since(Instant::now()));
                    waker.wake();
                });
            }
            Poll::Pending
        }))
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        thread::spawn(|| block_on(future));
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some(ports) = host.strip_prefix("ports-") {
            // Several addresses: ports of this one.
            let ports = ports.split('-').map(|port| port.parse().expect("a port"));
            return Ok(ports.map(|port| SocketAddr::new([127, 0, 0, 1].into(), port)).collect());
        }
        let ip = host.parse().map_err(|_| io::ErrorKind::NotFound)?;
        Ok(vec![SocketAddr::new(ip, port)])
    }

    async fn connect(addr: SocketAddr, _local: Option<SocketAddr>) -> io::Result<FakeStream> {
        let (to_client, to_server) = (Pipe::default(), Pipe::default());
        let peer =
            Peer { input: to_server.clone(), output: to_client.clone(), seen: String::new() };
        let listeners = listeners().lock().unwrap();
        let listener = listeners.get(&addr.port());
        listener
            .and_then(|listener| listener.send(peer).ok())
            .ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(FakeStream { input: to_client, output: to_server })
    }

    async fn bind(_addr: SocketAddr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn local_addr(_listener: &()) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept(_listener: &()) -> io::Result<FakeStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Like [`Fake`], but its sleeps are half a millisecond too short, and shorter ones end at once.
pub(crate) struct Hasty;

impl Runtime for Hasty {
    type Stream = FakeStream;
    type Listener = ();
    type Sleep = <Fake as Runtime>::Sleep;

    fn now() -> Instant {
        Fake::now()
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Fake::sleep(duration.saturating_sub(Duration::from_micros(500)))
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        Fake::spawn(future);
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Fake::resolve(host, port).await
    }

    async fn connect(addr: SocketAddr, local: Option<SocketAddr>) -> io::Result<FakeStream> {
        <Fake as Runtime>::connect(addr, local).await
    }

    async fn bind(addr: SocketAddr) -> io::Result<()> {
        Fake::bind(addr).await
    }

    fn local_addr(listener: &()) -> io::Result<SocketAddr> {
        Fake::local_addr(listener)
    }

    async fn accept(listener: &()) -> io::Result<FakeStream> {
        Fake::accept(listener).await
    }
}
