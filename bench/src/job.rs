//! What is measured.

use serde::{Deserialize, Serialize};

/// A piece of work that every client does in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// Messages in all; for [`Kind::Subscriptions`], subscriptions.
    pub(crate) messages: u64,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// Whether every message has one header.
    #[serde(default)]
    pub(crate) headers: bool,
    /// Whether the connection is encrypted.
    #[serde(default)]
    pub(crate) tls: bool,
    /// Tasks that publish, or requests in flight.
    #[serde(default = "one")]
    pub(crate) tasks: usize,
    /// Subscriptions that share the messages, each with a task of its own.
    #[serde(default = "one")]
    pub(crate) subscriptions: usize,
    /// Further subscriptions, to which nothing comes.
    #[serde(default)]
    pub(crate) idle_subscriptions: usize,
    /// Whether another process counts the system calls: it is waited for, and told where the work begins and ends.
    #[serde(default)]
    pub(crate) traced: bool,
}

const fn one() -> usize {
    1
}

impl Job {
    /// One task, one subscription, no headers.
    pub(crate) const fn new(kind: Kind, payload: usize, messages: u64) -> Self {
        Self {
            kind,
            messages,
            payload,
            headers: false,
            tls: false,
            tasks: 1,
            subscriptions: 1,
            idle_subscriptions: 0,
            traced: false,
        }
    }
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Publish, then flush.
    Publish,
    /// Receive from the subscriptions.
    Receive,
    /// Publish and receive on one connection.
    PubSub,
    /// Requests, `tasks` in flight at a time.
    Request,
    /// Connect, and do nothing: what that takes in memory.
    Idle,
    /// Subscribe: what that takes in memory.
    Subscriptions,
    /// Receive, and keep one of [`KEEP_ONE_OF`]: what that takes in memory.
    Kept,
}

impl Kind {
    /// Whether it is about memory, and not about time.
    pub(crate) const fn is_memory(self) -> bool {
        matches!(self, Self::Idle | Self::Subscriptions | Self::Kept)
    }
}

/// Of how many messages one is kept in [`Kind::Kept`].
pub(crate) const KEEP_ONE_OF: u64 = 1_000;

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Client {
    /// `nats-tokio`.
    Tokio,
    /// `nats-async-std`.
    AsyncStd,
    /// `async-nats`.
    AsyncNats,
    /// `watermelon`.
    Watermelon,
    /// The same bytes on blocking sockets, with no client: the floor.
    Floor,
}

impl Client {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "nats-tokio",
            Self::AsyncStd => "nats-async-std",
            Self::AsyncNats => "async-nats",
            Self::Watermelon => "watermelon",
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
    /// In runs in which they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allocations: Option<u64>,
    /// Peak resident memory in KiB.
    pub(crate) peak_kib: u64,
    /// Latencies in microseconds: p50, p99, p99.9. For requests.
    pub(crate) latency_us: Option<[f64; 3]>,
    /// What the memory jobs are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Growth>,
}

/// By how much the memory of a process grew, in bytes. It can shrink.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// Clients, subscriptions or kept messages to which it is due.
    pub(crate) units: u64,
    /// What the allocator has handed out.
    pub(crate) heap: i64,
    /// Resident memory of the process's own: heap and stacks.
    pub(crate) private: i64,
    /// Resident memory in all, with code that is mapped from files.
    pub(crate) resident: i64,
}
