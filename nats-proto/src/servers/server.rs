//! What the application sees of the server pool.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::ServerAddr;

/// A server of the pool, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub addr: ServerAddr,
    /// Attempts in a row that have failed; a connection sets it to zero.
    pub failed_attempts: usize,
    /// Whether an attempt at it has ever ended in a connection.
    pub did_connect: bool,
    /// Whether another server told of it, as opposed to the application.
    pub is_discovered: bool,
    /// Why the last attempt failed; `None` after a connection.
    pub last_error: Option<String>,
}

/// Without credentials.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
    }
}

/// Where to connect next: the application's answer to
/// [`Event::ChooseServer`](crate::Event::ChooseServer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconnectToServer {
    /// A server of the pool. For one that is not in it, the pool decides.
    pub addr: ServerAddr,
    /// The time to wait before dialling; `None` for what the settings say.
    pub delay: Option<Duration>,
}

/// Why the pool was not replaced. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetServerPoolError {
    /// There is no server in it.
    Empty,
    /// Some addresses are of WebSocket listeners and others are not: what a server tells of its cluster fits one
    /// of the two only.
    MixedSchemes {
        /// The first address, without credentials.
        first: String,
        /// The first one that does not go with it.
        other: String,
    },
    /// The connection is closed.
    Closed,
}

impl fmt::Display for SetServerPoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no server address is given"),
            Self::MixedSchemes { first, other } => write!(
                f,
                "{first} and {other} cannot be in one pool: either all servers are WebSocket or none"
            ),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl core::error::Error for SetServerPoolError {}
