//! What there is between a client and its server: TCP alone, or TLS and WebSockets on top of it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use nats_client::{ConnectOptions, Runtime};

use crate::certificates::{Authority, Files};
use crate::server::{Options, TestServer};

/// One way to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing but TCP.
    Tcp,
    /// TLS behind the server's INFO.
    Tls,
    /// A WebSocket.
    WebSocket,
    /// A WebSocket with compression.
    CompressedWebSocket,
    /// A WebSocket with compression over TLS.
    SecureWebSocket,
}

impl Transport {
    fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "nats",
            Self::Tls => "tls",
            Self::WebSocket | Self::CompressedWebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    /// Whether TLS is what goes over the network.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Whether frames of WebSockets are what goes over the network, encrypted or not.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::CompressedWebSocket | Self::SecureWebSocket)
    }

    /// Whether what goes over the network is compressed.
    pub fn compresses(self) -> bool {
        matches!(self, Self::CompressedWebSocket | Self::SecureWebSocket)
    }

    /// Where a server listens for it.
    ///
    /// # Panics
    /// It is a WebSocket, for which this kind of server does not listen.
    pub fn addr(self, server: &dyn TestServer) -> SocketAddr {
        if self.is_websocket() { server.websocket_addr() } else { server.addr() }
    }

    /// The URL for clients of `addr`, where a server listens, or a proxy to it.
    pub fn url(self, addr: SocketAddr) -> String {
        format!("{}://{addr}", self.scheme())
    }
}

/// What servers and clients need for some transports: options, and a certificate for 127.0.0.1.
///
/// A server has one port for TCP and TLS, and one for WebSockets.
#[derive(Debug)]
pub struct Transports {
    all: Vec<Transport>,
    /// Whom clients trust, in PEM format.
    roots: String,
    files: Files,
}

impl Transports {
    /// # Panics
    /// There is none, or one server cannot have all of them: its WebSockets are all encrypted, or none is.
    pub fn new(all: &[Transport]) -> Self {
        let websockets = || all.iter().filter(|transport| transport.is_websocket());
        let encrypted = websockets().filter(|transport| transport.is_encrypted()).count();
        assert!(encrypted == 0 || encrypted == websockets().count(), "{all:?} on one port");
        assert!(!all.is_empty(), "clients need a transport");
        let (authority, files) = (Authority::new("the server's"), Files::new());
        files.write_certificate("server", &authority.issue(&["127.0.0.1"]));
        Self { all: all.to_vec(), roots: authority.pem, files }
    }

    /// All of them.
    pub fn all(&self) -> &[Transport] {
        &self.all
    }

    /// Has a server listen for them, and for TCP in any case.
    pub fn of_server(&self, options: Options) -> Options {
        let has = |transport| self.all.contains(&transport);
        let (certificate, key) = self.certificate();
        let options = match has(Transport::Tls) {
            true => options.tls(&certificate, &key, "").extra("allow_non_tls: true"),
            false => options,
        };
        match has(Transport::SecureWebSocket) {
            true => options.secure_websocket(&certificate, &key),
            false if has(Transport::CompressedWebSocket) => options.websocket(true),
            false if has(Transport::WebSocket) => options.websocket(false),
            false => options,
        }
    }

    /// Has a client connect over one of them.
    pub fn of_client<R: Runtime>(
        &self,
        transport: Transport,
        options: ConnectOptions<R>,
    ) -> ConnectOptions<R> {
        let options = options.websocket_compression(transport.compresses());
        if transport.is_encrypted() {
            options.add_root_certificates_pem(&self.roots)
        } else {
            options
        }
    }

    fn certificate(&self) -> (PathBuf, PathBuf) {
        (self.files.path("server.pem"), self.files.path("server.key"))
    }
}

impl fmt::Display for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "over {:?}", self.all)
    }
}
