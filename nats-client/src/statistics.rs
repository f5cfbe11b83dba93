//! Counters that can be read at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use nats_proto::Connection;

/// What a client has done since it was made, over all reconnects.
///
/// The counters are brought up to date whenever something was sent or received, and by
/// [`Client::statistics`](crate::Client::statistics).
#[derive(Debug, Default)]
pub struct Statistics {
    /// Bytes received.
    pub in_bytes: AtomicU64,
    /// Bytes handed out for writing.
    pub out_bytes: AtomicU64,
    /// Messages received, also those that came too late for their subscription or request.
    pub in_messages: AtomicU64,
    /// Messages accepted for publishing, requests and replies among them.
    pub out_messages: AtomicU64,
    /// Connections that came up.
    pub connects: AtomicU64,
}

impl Statistics {
    /// Takes over what `conn` has counted: under its lock, so that nobody stores older numbers after newer ones.
    pub(crate) fn store(&self, conn: &Connection) {
        let counted = conn.statistics();
        self.in_bytes.store(counted.bytes_in, Ordering::Relaxed);
        self.out_bytes.store(counted.bytes_out, Ordering::Relaxed);
        let messages = counted.messages_in.saturating_add(counted.unroutable);
        self.in_messages.store(messages, Ordering::Relaxed);
        self.out_messages.store(counted.published, Ordering::Relaxed);
        self.connects.store(counted.connects, Ordering::Relaxed);
    }
}
