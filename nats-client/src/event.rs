//! What happens to a client without being asked for.

use std::fmt;

use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_proto::{ServerAddr, ServerError};

use crate::options::display_addr;

/// What happens to a client without being asked for. Told to
/// [`ConnectOptions::event_callback`](crate::ConnectOptions::event_callback) and to the streams of
/// [`Client::events`](crate::Client::events).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is up, the first one or a later one.
    Connected,
    /// A connection is lost. [`ClientError::ConnectionLost`] comes right before it and says why, unless this
    /// side wished it.
    Disconnected,
    /// The server is about to shut down and asks its clients to leave.
    LameDuckMode,
    /// Draining has begun.
    Draining,
    /// The client is at its end. Nothing follows.
    Closed,
    /// The subscription with this number has more messages waiting than it may: newer ones are dropped until
    /// [`SlowConsumerRecovered`](Self::SlowConsumerRecovered). Once an episode.
    SlowConsumer(u64),
    /// The subscriber has caught up: at most half of what may wait is waiting.
    SlowConsumerRecovered {
        /// The subscription's number.
        sid: u64,
        /// Messages dropped in this episode.
        dropped: u64,
    },
    /// The server reported an error.
    ServerError(ServerError),
    /// Something went wrong on this side.
    ClientError(ClientError),
    /// The server told of servers that were not known.
    ServersDiscovered(Vec<ServerAddr>),
    /// So many buffered publishes were given up: too large for the server that is connected now, or pushed
    /// out by newer ones.
    Dropped(u64),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected => f.write_str("disconnected"),
            Self::LameDuckMode => f.write_str("the server is going to shut down (lame duck mode)"),
            Self::Draining => f.write_str("draining"),
            Self::Closed => f.write_str("closed"),
            Self::SlowConsumer(sid) => {
                write!(f, "subscription {sid} is too slow and loses messages")
            }
            Self::SlowConsumerRecovered { sid, dropped } => {
                write!(f, "subscription {sid} has caught up after losing {dropped} messages")
            }
            Self::ServerError(error) => write!(f, "server error: {error}"),
            Self::ClientError(error) => write!(f, "client error: {error}"),
            Self::ServersDiscovered(servers) => {
                f.write_str("servers discovered:")?;
                servers.iter().try_for_each(|server| write!(f, " {}", display_addr(server)))
            }
            Self::Dropped(count) => write!(f, "{count} buffered messages dropped"),
        }
    }
}

/// Something that went wrong on the client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// None of the others.
    Other(String),
    /// Every server was tried as often as
    /// [`ConnectOptions::max_reconnects`](crate::ConnectOptions::max_reconnects) allows.
    MaxReconnects,
    /// The server that
    /// [`reconnect_to_server_callback`](crate::ConnectOptions::reconnect_to_server_callback) chose is not in the pool:
    /// the pool has decided.
    ServerNotInPool,
    /// A connection was lost.
    ConnectionLost(DisconnectReason),
    /// An attempt to connect has failed; the next one follows if the settings allow it.
    ConnectFailed {
        /// The server.
        server: ServerAddr,
        /// Why.
        error: ConnectError,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::MaxReconnects => f.write_str("maximum number of reconnects reached"),
            Self::ServerNotInPool => f.write_str("the server chosen is not in the pool"),
            Self::ConnectionLost(reason) => write!(f, "connection lost: {reason}"),
            Self::ConnectFailed { server, error } => {
                write!(f, "could not connect to {}: {error}", display_addr(server))
            }
        }
    }
}

impl std::error::Error for ClientError {}
