//! Counters.

/// What a broker has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Clients that are connected now.
    pub connections: usize,
    /// Clients that ever connected.
    pub total_connections: u64,
    /// Subscriptions that exist now.
    pub subscriptions: usize,
    /// Messages received from clients.
    pub in_messages: u64,
    /// Bytes of headers and payloads received from clients.
    pub in_bytes: u64,
    /// Messages queued to be written to clients.
    pub out_messages: u64,
    /// Bytes of headers and payloads queued to be written to clients.
    pub out_bytes: u64,
    /// Clients that were cut off because too much waited to be written to them, or, in `serve`, for too long.
    pub slow_consumers: u64,
}
