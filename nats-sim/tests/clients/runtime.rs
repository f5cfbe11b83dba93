//! The runtime of the simulated clients.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::io::{AsyncRead, AsyncWrite};
use nats_client::Runtime;
use nats_proto::Instant;
use nats_sim::{Read, StreamId};

use super::world::{self, Ends, World, below, interrupt, millis, spawn, std_now, try_with, with};

/// Virtual sockets, timers and tasks.
pub(crate) struct Virtual;

/// Names of brokers are `broker-N`, and `any` is the name of the first two.
fn ip(broker: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, broker as u8))
}

/// The address that a client connects from tells which one it is.
pub(crate) fn local(client: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, client as u8)), 0)
}

fn last_octet(addr: SocketAddr) -> usize {
    match addr.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]),
        IpAddr::V6(_) => usize::MAX,
    }
}

impl Runtime for Virtual {
    type Stream = Stream;
    type Listener = ();
    type Sleep = Sleep;

    fn now() -> std::time::Instant {
        std_now()
    }

    fn sleep(duration: Duration) -> Sleep {
        Sleep::new(duration)
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        spawn(Box::pin(future), true);
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if below(4) == 0 {
            Sleep::new(millis(0, 20)).await;
        }
        let brokers = match host.strip_prefix("broker-").and_then(|number| number.parse().ok()) {
            Some(broker) => vec![broker],
            None if host == "any" => vec![0, 1],
            None => return Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
        };
        Ok(brokers.into_iter().map(|broker| SocketAddr::new(ip(broker), port)).collect())
    }

    async fn connect(addr: SocketAddr, local: Option<SocketAddr>) -> io::Result<Stream> {
        let Some(delay) = with(|world| world.sim.dial_delay()) else {
            return std::future::pending().await;
        };
        Sleep::new(delay).await;
        let client = local.map_or(usize::MAX, last_octet);
        with(|world| {
            let stream = world.open(client, last_octet(addr));
            let id = stream.ok_or(io::ErrorKind::ConnectionRefused)?;
            let clogged = world.sim.now();
            world.streams.insert(id, Ends { client, read: None, write: None, clogged });
            world.books.opened(client);
            Ok(Stream { id, collected: world.collects.then(Vec::new) })
        })
    }

    async fn bind(_: SocketAddr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn local_addr((): &()) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept((): &()) -> io::Result<(Stream, SocketAddr)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A timer. It wakes whoever has polled it last, once.
pub(crate) struct Sleep {
    at: Instant,
    key: Option<(Instant, u64)>,
}

impl Sleep {
    pub(crate) fn new(duration: Duration) -> Self {
        Self { at: world::now() + duration, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        with(|world| {
            if let Some(key) = self.key.take() {
                world.timers.remove(&key);
            }
            if world.sim.now() >= self.at {
                return Poll::Ready(());
            }
            self.key = Some(world.set_timer(self.at, cx.waker().clone()));
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            try_with(|world| world.timers.remove(&key));
        }
    }
}

/// Waits for so long.
pub(crate) async fn sleep(duration: Duration) {
    Sleep::new(duration).await;
}

/// Lets others run, some of them several times.
pub(crate) async fn rest() {
    let mut left = below(3);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A client's end of a stream. It is now and then pending for no reason, as sockets are. While it is worked with, other
/// tasks may run, as on other threads.
pub(crate) struct Stream {
    id: StreamId,
    /// What is written and not flushed, of one that collects it.
    collected: Option<Vec<u8>>,
}

/// Bytes that are taken at most from several pieces.
const MOST: usize = 16 * 1024;

/// So much is collected at most.
const COLLECTED: usize = 4_096;

impl Stream {
    fn write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = |world: &mut World| match world.is_clogged(self.id) {
            true => Some(0),
            false => world.sim.write_stream(self.id, bytes),
        };
        with(|world| match write(world) {
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(0) if !bytes.is_empty() => {
                if let Some(ends) = world.streams.get_mut(&self.id) {
                    ends.write = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            Some(count) => {
                world.note(self.id.number(), count as u64);
                Poll::Ready(Ok(count))
            }
        })
    }

    /// Writes what is collected.
    fn pour(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.collected.as_deref().filter(|bytes| !bytes.is_empty()) {
            let count = ready!(self.write(cx, bytes))?;
            self.collected.iter_mut().for_each(|bytes| drop(bytes.drain(..count)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        interrupt();
        with(|world| {
            let mut bytes = BytesMut::new();
            let read = world.sim.read_stream(self.id, buf.len(), &mut bytes);
            match read {
                Read::Bytes(count) => {
                    buf[..count].copy_from_slice(&bytes);
                    world.note(self.id.number(), count as u64);
                    Poll::Ready(Ok(count))
                }
                // How the end of a stream shows depends on who is faster.
                Read::Eof if world.rng.below(2) == 0 => {
                    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
                }
                Read::Eof => Poll::Ready(Ok(0)),
                Read::Nothing => {
                    if let Some(ends) = world.streams.get_mut(&self.id) {
                        ends.read = Some(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        interrupt();
        match &mut self.collected {
            None => return self.write(cx, buf),
            Some(bytes) if bytes.len() >= COLLECTED => ready!(self.pour(cx))?,
            Some(_) => {}
        }
        let count = buf.len().min(COLLECTED);
        self.collected.iter_mut().for_each(|bytes| bytes.extend_from_slice(&buf[..count]));
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = Vec::new();
        for buf in bufs {
            let room = MOST - bytes.len();
            bytes.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        self.poll_write(cx, &bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        interrupt();
        if below(8) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.pour(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pour(cx))?;
        with(|world| world.sim.close_stream(self.id));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        try_with(|world| {
            world.sim.close_stream(self.id);
            world.streams.remove(&self.id);
        });
    }
}
