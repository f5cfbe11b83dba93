//! Sockets, timers and tasks of tokio.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use nats_client::Runtime;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The tokio runtime in whose context the client is made.
#[derive(Clone, Copy, Debug)]
pub struct Tokio;

impl Runtime for Tokio {
    type Stream = Stream;
    type Listener = TcpListener;
    type Sleep = tokio::time::Sleep;

    fn now() -> Instant {
        // Tokio's clock can be paused in tests.
        tokio::time::Instant::now().into_std()
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(future);
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(addr: SocketAddr, local: Option<SocketAddr>) -> io::Result<Stream> {
        let Some(local) = local else {
            return Stream::new(TcpStream::connect(addr).await?);
        };
        let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // The port of a connection that has just ended can be used again.
        socket.set_reuseaddr(true)?;
        socket.bind(local)?;
        Stream::new(socket.connect(addr).await?)
    }

    async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr).await
    }

    fn local_addr(listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &TcpListener) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = listener.accept().await?;
        Ok((Stream::new(stream)?, peer))
    }
}

/// A TCP stream of tokio with the traits of `futures-io`.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    /// Wraps a connected socket, for example one that a [dialler](crate::ConnectOptions::dialer) has opened, and sets
    /// `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// The socket is broken.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_still_where_a_test_has_paused_it_and_goes_on_with_sleeps() {
        let (before, hour) = (Tokio::now(), Duration::from_secs(3600));
        assert_eq!(Tokio::now(), before);
        Tokio::sleep(hour).await;
        assert_eq!(Tokio::now() - before, hour);
    }

    #[tokio::test]
    async fn streams_of_either_end_do_not_wait_for_more_before_they_send() {
        let listener = Tokio::bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let addr = Tokio::local_addr(&listener).expect("an address");
        for local in [None, Some(([127, 0, 0, 1], 0).into())] {
            let stream = Tokio::connect(addr, local).await.expect("somebody listens");
            let (accepted, _) = Tokio::accept(&listener).await.expect("a client");
            for Stream(stream) in [stream, accepted] {
                assert!(stream.nodelay().expect("an open socket"), "{stream:?}, {local:?}");
            }
        }
    }
}
