//! What the client needs from an async runtime.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};

/// Sockets, timers and tasks of an async runtime: all that differs between tokio, async-std and others.
///
/// Implemented by a type without values. Every method but [`now`](Self::now), which any thread may call, is called from
/// inside the runtime. Everything above (protocol, buffering, retries, timeouts) is shared.
pub trait Runtime: Send + Sync + 'static {
    /// A connected TCP stream, with `TCP_NODELAY` set. Vectored writes should reach the socket as such.
    ///
    /// It is read by one task, and written to by whoever publishes, on any thread and with a waker that does nothing. So
    /// reading and writing must each have a waker of their own, as with sockets: a stream that keeps one for both loses
    /// that of its reader.
    ///
    /// A write that gives an error has taken nothing: what it was given is sent again over the next connection. So a stream
    /// that takes more than it can pass on at once, as encryption does, must say how much, and give the error to the next call.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// A listening TCP socket.
    type Listener: Send + Sync + 'static;
    /// A timer.
    type Sleep: Future<Output = ()> + Send + 'static;

    /// The time of the clock that `sleep` goes by.
    fn now() -> Instant;

    /// A timer that ends after `duration`. If the future is dropped, nothing is left of it.
    fn sleep(duration: Duration) -> Self::Sleep;

    /// Runs `future` in the background.
    fn spawn(future: impl Future<Output = ()> + Send + 'static);

    /// The addresses of a host name (or of a literal address), in the resolver's order.
    ///
    /// If the future is dropped, what has begun may go on to its end on a thread of the runtime, and its result is
    /// ignored.
    fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Opens a connection, from the address `local` if there is one (of the same family; its port may be zero).
    ///
    /// If the future is dropped before its end, the attempt is given up and its socket closed.
    fn connect(
        addr: SocketAddr,
        local: Option<SocketAddr>,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Listens on `addr`. If the future is dropped before its end, nobody listens there.
    fn bind(addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Where a listener listens.
    fn local_addr(listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// The next connection of a listener, and where it comes from. If the future is dropped before its end, no connection
    /// is lost: it comes with the next call.
    fn accept(
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}
