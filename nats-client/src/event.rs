//! What happens to a client without being asked for.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_proto::{ServerAddr, ServerError};

use crate::options::display_addr;

/// Events that wait for a slow callback. Newer ones are lost when there are more.
const QUEUE_LIMIT: usize = 4096;

/// What happens to a client without being asked for: see
/// [`ConnectOptions::event_callback`](crate::ConnectOptions::event_callback).
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

/// A callback for events, without its types.
pub(crate) type EventCallback =
    Arc<dyn Fn(Event) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The way of events from the driver to the task that runs the callback.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    inner: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    closed: bool,
}

impl EventQueue {
    /// Appends an event. Wakes the task: not to be called under a lock.
    pub(crate) fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.events.len() >= QUEUE_LIMIT && event != Event::Closed {
            return;
        }
        queue.events.push_back(event);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Lets the task end when it has seen all events.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn next(&self) -> Option<Event> {
        poll_fn(|cx| {
            let mut queue = self.lock();
            match queue.events.pop_front() {
                Some(event) => Poll::Ready(Some(event)),
                None if queue.closed => Poll::Ready(None),
                None => {
                    let old = queue.waker.replace(cx.waker().clone());
                    drop(queue);
                    drop(old);
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `callback` for one event after the other, until the client is closed.
pub(crate) async fn run_callbacks(queue: Arc<EventQueue>, callback: EventCallback) {
    while let Some(event) = queue.next().await {
        callback(event).await;
    }
}
