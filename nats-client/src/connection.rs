//! The state of a connection.

use std::fmt;

use nats_proto::connection::State as CoreState;

use crate::shared::Core;

/// Whether a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been connected yet.
    Pending,
    /// It is connected.
    Connected,
    /// It has been connected and is not now.
    Disconnected,
}

/// What an outgoing stream may still have to be flushed of. Only a name that programs may know: no method here takes or
/// gives it, since the client flushes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShouldFlush {
    /// Everything is written, and not flushed.
    Yes,
    /// Not everything is written.
    May,
    /// There is nothing to flush.
    No,
}

impl State {
    pub(crate) fn of(core: &Core) -> Self {
        match core.conn.state() {
            // The connection may not know that nobody drives it any more.
            _ if core.ended.is_some() => Self::Disconnected,
            CoreState::Connected | CoreState::Draining => Self::Connected,
            CoreState::Closed => Self::Disconnected,
            _ if core.conn.statistics().connects == 0 => Self::Pending,
            _ => Self::Disconnected,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        })
    }
}
