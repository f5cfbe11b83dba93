//! How a server is reached.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};

use super::ConnectOptions;
use crate::link::Stream;
use crate::server_addr::ServerAddr;

/// How a server is reached.
impl<R> ConnectOptions<R> {
    /// The address of one's own that connections come from; port 0 lets the system choose one. Default: the system
    /// chooses both.
    ///
    /// Addresses of servers that are of the other family (IPv4, IPv6) are not tried. A [`dialer`](Self::dialer) is
    /// not told of it.
    pub fn local_address(mut self, address: SocketAddr) -> Self {
        self.transport.local_address = Some(address);
        self
    }

    /// Opens connections by a function of one's own, for example through a proxy. Default: the name is resolved,
    /// and the first of its addresses that answers is connected to.
    ///
    /// The function gets the address of the server whose turn it is, and gives a stream of bytes to it; a TCP socket
    /// should have `TCP_NODELAY` set. TLS and WebSocket, if the address asks for them, are put on top of that stream. It
    /// must keep the wakers of who reads and of who writes apart, and take nothing with a write that gives an error: see
    /// [`Runtime::Stream`](crate::Runtime::Stream).
    ///
    /// The future runs as a part of the attempt to connect: when
    /// [`connection_timeout`](Self::connection_timeout) is over, or the client is closed, it is dropped wherever it
    /// waits. It must not block.
    ///
    /// # Errors
    ///
    /// Where the future gives an error, or panics, the attempt has failed with its text, and the next server is tried.
    pub fn dialer<F, Fut, S>(mut self, dialer: F) -> Self
    where
        F: Fn(ServerAddr) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.transport.dialer = Some(Arc::new(move |server| {
            let dialing = dialer(server.into());
            Box::pin(async move { Ok(Box::new(dialing.await?) as Box<dyn Stream>) })
        }));
        self
    }
}

/// How a server behind a `ws://` address is reached.
#[cfg(feature = "websocket")]
impl<R> ConnectOptions<R> {
    /// HTTP headers, as names and values, that go out with the request for a WebSocket, for gateways that ask for some.
    /// Replaces those given before. Default: none but those of the handshake.
    ///
    /// They are checked by [`connect`](Self::connect): a name that is not one, a value with a line end or another
    /// control character, and the headers of the handshake itself (`Host`, `Upgrade`, `Sec-WebSocket-Key` and so on)
    /// make it fail. `Debug` does not show them.
    pub fn websocket_headers<N, V>(mut self, headers: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        self.transport.websocket.headers =
            headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Offers to compress what goes through a WebSocket (permessage-deflate); the server may decline. Default: false.
    ///
    /// It saves traffic, costs at most 384 KiB of memory a connection, and takes time on both sides. Whether offered or
    /// not, a message of more than 128 MiB, as it is on the wire or inflated, ends the connection; what is inflated is
    /// never kept but in the read buffer.
    ///
    /// What is sent is compressed in pieces of up to 64 KiB and of no more than the server's `max_payload`, as servers inflate
    /// no more at once. Not compressed are what comes before the limit is known, and all if it is less than 1 KiB.
    pub fn websocket_compression(mut self, compression: bool) -> Self {
        self.transport.websocket.compression = compression;
        self
    }
}
