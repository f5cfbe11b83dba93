//! A runtime in memory for the tests of this crate: streams are pipes, tasks are threads, and a test plays the
//! server.

mod server;
mod stream;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_io::AsyncRead;

use crate::options::ConnectOptions;
use crate::runtime::Runtime;
use server::listeners;
pub(crate) use server::{FakeServer, Peer};
pub(crate) use stream::FakeStream;
use stream::Pipe;

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

    async fn accept(_listener: &()) -> io::Result<(FakeStream, SocketAddr)> {
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

    async fn accept(listener: &()) -> io::Result<(FakeStream, SocketAddr)> {
        Fake::accept(listener).await
    }
}
