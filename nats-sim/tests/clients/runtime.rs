//! The runtime of the simulated clients.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::io::{AsyncRead, AsyncWrite};
use nats_client::Runtime;
use nats_proto::Instant;
use nats_sim::{Read, StreamId};

use super::world::{self, Ends, below, millis, spawn, std_now, try_with, with};

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
            let stream = world.sim.open_stream(last_octet(addr));
            let id = stream.ok_or(io::ErrorKind::ConnectionRefused)?;
            world.streams.insert(id, Ends { client, read: None, write: None });
            world.books.opened(client);
            Ok(Stream(id))
        })
    }

    async fn bind(_: SocketAddr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn local_addr((): &()) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept((): &()) -> io::Result<Stream> {
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

/// A client's end of a stream. It is now and then pending for no reason, as sockets are.
pub(crate) struct Stream(StreamId);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        with(|world| {
            let mut bytes = BytesMut::new();
            let read = world.sim.read_stream(self.0, buf.len(), &mut bytes);
            match read {
                Read::Bytes(count) => {
                    buf[..count].copy_from_slice(&bytes);
                    world.note(self.0.number(), count as u64);
                    Poll::Ready(Ok(count))
                }
                // How the end of a stream shows depends on who is faster.
                Read::Eof if world.rng.below(2) == 0 => {
                    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
                }
                Read::Eof => Poll::Ready(Ok(0)),
                Read::Nothing => {
                    if let Some(ends) = world.streams.get_mut(&self.0) {
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        with(|world| match world.sim.write_stream(self.0, buf) {
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(0) if !buf.is_empty() => {
                if let Some(ends) = world.streams.get_mut(&self.0) {
                    ends.write = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            Some(count) => {
                world.note(self.0.number(), count as u64);
                Poll::Ready(Ok(count))
            }
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &bufs.iter().flat_map(|buf| &**buf).copied().collect::<Vec<_>>())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if below(8) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with(|world| world.sim.close_stream(self.0));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        try_with(|world| {
            world.sim.close_stream(self.0);
            world.streams.remove(&self.0);
        });
    }
}
