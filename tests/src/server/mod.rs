//! Servers to test against, started and ended by the test that uses them.
//!
//! Everything here is blocking and needs std alone, so that it serves tests on any runtime. What cannot be
//! set up is a panic: a test that has no server fails, it is never skipped.

mod cluster;
mod embedded;
pub mod jwt;
mod options;
mod port;
mod raw;
mod real;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

pub use cluster::Cluster;
pub use embedded::{EmbeddedServer, Host};
pub use options::{Auth, Options, WebSocketListener, nkey_user, user};
pub use port::ReservedPort;
pub use raw::RawConnection;
pub use real::{RealServer, Release};

/// A kind of server: the scenarios run on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerKind {
    /// A release of `nats-server`.
    Real(Release),
    /// `nats-broker`, on one of the runtimes.
    Broker(Host),
}

impl ServerKind {
    /// Starts a server of this kind on a port of its own.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(self, options: &Options) -> Box<dyn TestServer> {
        match self {
            Self::Real(release) => Box::new(RealServer::start(release, options)),
            Self::Broker(host) => Box::new(EmbeddedServer::start(host, options)),
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(release) => write!(f, "nats-server {}", release.version()),
            Self::Broker(host) => write!(f, "nats-broker on {host:?}"),
        }
    }
}

/// A running server, of whatever kind. Dropping it ends it at once.
pub trait TestServer: Send {
    /// Where clients connect. It stays the same over restarts.
    fn addr(&self) -> SocketAddr;

    /// Where WebSocket clients connect, with [`Options::websocket`]. It stays the same over restarts.
    ///
    /// # Panics
    /// No server of this kind listens for them.
    fn websocket_addr(&self) -> SocketAddr {
        panic!("only real servers listen for WebSockets");
    }

    /// The address as a URL, without credentials.
    fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    /// Ends the server without any warning to its clients, as a crash would. Harmless if it has ended.
    fn kill(&mut self);

    /// Asks the server to end, and waits until it has. Harmless if it has ended.
    fn stop(&mut self);

    /// Starts the server again on the same port and with the same settings, after killing it if it runs.
    /// Clients can connect when this returns.
    fn restart(&mut self);

    /// Tells the server to send its clients away and to end when they have left.
    fn lame_duck(&mut self);
}
