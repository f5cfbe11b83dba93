//! Servers of any kind over any transport that they have.

use std::net::SocketAddr;

use nats_client::{ConnectOptions, Runtime};
use nats_tests::server::{Options, ServerKind, TestServer};
use nats_tests::transport::{Transport, Transports};

/// A kind of server, and how its clients reach it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Over {
    pub(crate) server: ServerKind,
    pub(crate) transport: Transport,
}

/// A running server that is reached in this way, and by TCP alone.
pub(crate) struct Reach {
    pub(crate) server: Box<dyn TestServer>,
    transport: Transport,
    transports: Transports,
}

impl Reach {
    pub(crate) fn new(over: Over) -> Self {
        let transports = Transports::new(&[over.transport]);
        let server = over.server.start(&transports.of_server(Options::new()));
        Self { server, transport: over.transport, transports }
    }

    /// Where the server listens for it.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.transport.addr(&*self.server)
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> String {
        self.url_of(self.addr())
    }

    /// That of a proxy to it.
    pub(crate) fn url_of(&self, addr: SocketAddr) -> String {
        self.transport.url(addr)
    }

    /// What a client needs for it.
    pub(crate) fn of_client<R: Runtime>(&self, options: ConnectOptions<R>) -> ConnectOptions<R> {
        self.transports.of_client(self.transport, options)
    }
}
