//! Sockets, timers and tasks of async-std.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use async_io::Async;
use async_std::net::{TcpListener, TcpStream, ToSocketAddrs};
use async_std::task;
use nats_client::Runtime;
use socket2::{Domain, Protocol, Socket, Type};

/// The global executor of async-std.
#[derive(Clone, Copy, Debug)]
pub struct AsyncStd;

impl Runtime for AsyncStd {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn now() -> Instant {
        Instant::now()
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Box::pin(task::sleep(duration))
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        task::spawn(future);
    }

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs().await?.collect())
    }

    async fn connect(addr: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
        match local {
            None => prompt(TcpStream::connect(addr).await?),
            Some(local) => prompt(connect_from(local, addr).await?),
        }
    }

    async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr).await
    }

    fn local_addr(listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = listener.accept().await?;
        Ok((prompt(stream)?, peer))
    }
}

/// Connects from a given address, for which async-std has no call.
async fn connect_from(local: SocketAddr, addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // The port of a connection that has just ended can be used again.
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())?;
    // A socket that does not connect may never get writable.
    if let Err(error) = socket.connect(&addr.into())
        && !goes_on(&error)
    {
        return Err(error);
    }
    let stream = Async::new(std::net::TcpStream::from(socket))?;
    stream.writable().await?;
    let stream = stream.into_inner()?;
    match (stream.take_error()?, stream.peer_addr()) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(_)) => Ok(TcpStream::from(stream)),
    }
}

/// Whether connecting goes on in the background; systems differ in how they say that.
fn goes_on(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

/// The client gathers its writes by itself: the system must not wait for more.
fn prompt(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_either_end_do_not_wait_for_more_before_they_send() {
        task::block_on(async {
            let listener = AsyncStd::bind(([127, 0, 0, 1], 0).into()).await.expect("a port");
            let addr = AsyncStd::local_addr(&listener).expect("an address");
            for local in [None, Some(([127, 0, 0, 1], 0).into())] {
                let stream = AsyncStd::connect(addr, local).await.expect("somebody listens");
                let (accepted, _) = AsyncStd::accept(&listener).await.expect("a client");
                for stream in [stream, accepted] {
                    assert!(stream.nodelay().expect("an open socket"), "{stream:?}, {local:?}");
                }
            }
        });
    }
}
