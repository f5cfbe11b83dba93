//! Which server a test has, and how its clients reach it.

use std::fmt;

use nats_client::{ConnectOptions, Runtime};
use nats_tests::server::{Options, RealServer, Release};
use nats_tests::transport::{Transport, Transports};

/// A release, and transports to it.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) release: Release,
    transports: Transports,
}

/// How a client reaches servers: their URLs, and its options.
#[derive(Debug)]
pub(crate) struct Way<R> {
    pub(crate) transport: Transport,
    pub(crate) urls: Vec<String>,
    pub(crate) options: ConnectOptions<R>,
}

impl Setting {
    pub(crate) fn new(release: Release, transports: &[Transport]) -> Self {
        Self { release, transports: Transports::new(transports) }
    }

    /// A number of the short form: TLS and compression take a processor, so that it is less with them.
    pub(crate) fn short(&self, over_tcp: u64, over_more: u64) -> u64 {
        if self.transports.all() == [Transport::Tcp] { over_tcp } else { over_more }
    }

    /// The options of a server that listens for every transport.
    pub(crate) fn of_server(&self, options: Options) -> Options {
        self.transports.of_server(options)
    }

    /// A server that listens for every transport.
    pub(crate) fn start(&self) -> RealServer {
        RealServer::start(self.release, &self.of_server(Options::new()))
    }

    /// A way to these servers over each transport.
    pub(crate) fn ways<R: Runtime>(
        &self,
        servers: &[RealServer],
        options: &ConnectOptions<R>,
    ) -> Vec<Way<R>> {
        let way = |transport: &Transport| Way {
            transport: *transport,
            urls: servers.iter().map(|server| transport.url(transport.addr(server))).collect(),
            options: self.transports.of_client(*transport, options.clone()),
        };
        self.transports.all().iter().map(way).collect()
    }
}

impl<R> Way<R> {
    /// The URLs, from another one on.
    pub(crate) fn rotated(&self, by: usize) -> Vec<String> {
        let mut urls = self.urls.clone();
        let by = by % urls.len();
        urls.rotate_left(by);
        urls
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nats-server {} {}", self.release.version(), self.transports)
    }
}
