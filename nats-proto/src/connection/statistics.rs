//! Counters.

/// What a connection object has done since it was made, over all reconnects.
///
/// Of publishes, at any time: `published == confirmed + uncertain + dropped + pending`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Publishes accepted (requests and replies are publishes).
    pub published: u64,
    /// Publishes known to have reached the server: a PONG came after them.
    pub confirmed: u64,
    /// Publishes written whole on a connection that broke before a PONG.
    pub uncertain: u64,
    /// Publishes given up: pushed out of the full buffer, too large for the new server, or left at the end.
    pub dropped: u64,
    /// Publishes not yet any of these: waiting for a PONG, or kept for the next connection.
    pub pending: u64,
    /// Publishes that were kept over a broken link and sent again from their start (a count of events, not
    /// a part of the sum).
    pub replayed: u64,
    /// Bytes handed out for writing.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Messages received for a subscription or a request.
    pub messages_in: u64,
    /// Messages for subscriptions and requests that no longer exist.
    pub unroutable: u64,
    /// Connections that came up.
    pub connects: u64,
}
