//! What is measured.

use serde::{Deserialize, Serialize};

/// A piece of work that every client does in the same way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// Messages in all.
    pub(crate) messages: u64,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// Whether every message has one header.
    pub(crate) headers: bool,
    /// Tasks that publish, or requests in flight.
    pub(crate) tasks: usize,
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Publish, then flush.
    Publish,
    /// Receive from one subscription.
    Receive,
    /// Publish and receive on one connection.
    PubSub,
    /// Requests, `tasks` in flight at a time.
    Request,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Client {
    /// `nats-tokio`.
    Tokio,
    /// `nats-async-std`.
    AsyncStd,
    /// `async-nats`.
    AsyncNats,
    /// The same bytes on blocking sockets, with no client: the floor.
    Floor,
}

impl Client {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "nats-tokio",
            Self::AsyncStd => "nats-async-std",
            Self::AsyncNats => "async-nats",
            Self::Floor => "floor",
        }
    }
}

/// What one process measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    /// User and system time of the process.
    pub(crate) cpu_seconds: f64,
    pub(crate) allocations: u64,
    /// Peak resident memory in KiB.
    pub(crate) peak_kib: u64,
    /// Latencies in microseconds: p50, p99, p99.9. For requests.
    pub(crate) latency_us: Option<[f64; 3]>,
}
