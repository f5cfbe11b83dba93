//! What the broker asks its driver to do.

use core::fmt;

/// The broker's name for one client's connection, from 1 upwards, never used twice. INFO shows it as
/// `client_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u64);

impl SessionId {
    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something for the driver to do, from [`Broker::poll_event`](crate::Broker::poll_event).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerEvent {
    /// There are bytes for this client: call [`poll_transmit`](crate::Broker::poll_transmit) and write them.
    ///
    /// Told once, when the session's buffer is no longer empty, and again only after a `poll_transmit`.
    Transmit(SessionId),
    /// This client is done: write what `poll_transmit` still gives, close its stream, and call
    /// [`handle_disconnect`](crate::Broker::handle_disconnect).
    ///
    /// Bound the time that this may take: a client need not read.
    Hangup(SessionId),
    /// This client was cut off because it does not read (a slow consumer): close its stream at once, even
    /// in the middle of a write, and call [`handle_disconnect`](crate::Broker::handle_disconnect).
    Abort(SessionId),
}
