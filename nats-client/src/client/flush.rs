//! Fences: that the server has seen what was published before.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use nats_proto::{FlushId, connection};

use super::{Client, FlushError, FlushErrorKind};
use crate::faults::fault;
use crate::handle::Handle;

/// Publishes that were uncertain when a client was made, or of which a flush through it has told since. What was lost before
/// is not the business of who comes later.
#[derive(Debug)]
pub(super) struct Told(AtomicU64);

impl Told {
    /// What was lost before a client is made of this handle.
    pub(super) fn before(handle: &Handle) -> Self {
        Self(AtomicU64::new(handle.uncertain.load(Ordering::Relaxed)))
    }

    /// Of so many uncertain publishes, how many are still to be told.
    fn untold(&self, uncertain: u64) -> u64 {
        uncertain.saturating_sub(self.0.load(Ordering::Relaxed))
    }

    /// A flush tells of uncertain publishes, up to so many in all.
    fn tell(&self, uncertain: u64) {
        self.0.fetch_max(uncertain, Ordering::Relaxed);
    }
}

/// Fences.
impl Client {
    /// Waits until the server has seen everything that was published before, for at most
    /// [`flush_timeout`](crate::ConnectOptions::flush_timeout).
    ///
    /// A flush that succeeds proves it: a PING was answered that went out after all of it, and no link broke with
    /// any of it. What was dropped, which [`Notice::Dropped`](crate::Notice::Dropped) tells, is no part of that. If a
    /// link broke before this is called, the next flush through this handle tells of what was lost with it, once, and
    /// without waiting; a handle that is cloned later has nothing to tell of it.
    ///
    /// If the future is dropped, nobody waits any more; what is buffered goes out all the same.
    ///
    /// # Errors
    ///
    /// It took too long, the client is closed, or a link broke after something had been written of which it
    /// is not known whether the server has it.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.fence(false).await
    }

    /// Measures how long the server takes to answer a PING. What is buffered goes out before it, and counts. If the
    /// future is dropped, nothing is measured; what is buffered goes out all the same.
    ///
    /// # Errors
    ///
    /// See [`flush`](Self::flush); but what was lost before this is called is left for that to tell. If there is no
    /// connection, or another one when the answer comes, the source is an [`io::Error`] of the kind
    /// [`NotConnected`](io::ErrorKind::NotConnected): how long an outage takes says nothing about the server.
    pub async fn rtt(&self) -> Result<Duration, FlushError> {
        let (start, link) = (self.handle.now(), self.link()?);
        self.fence(true).await?;
        let took = self.handle.now().saturating_duration_since(start);
        if self.link()? == link { Ok(took) } else { Err(not_connected()) }
    }

    /// Which connection there is, by its number.
    fn link(&self) -> Result<u64, FlushError> {
        let core = self.handle.lock();
        match core.ended {
            Some(_) => Err(connection::FlushError::Closed.into()),
            None if core.is_up() => Ok(core.conn.statistics().connects),
            None => Err(not_connected()),
        }
    }

    async fn fence(&self, forgives: bool) -> Result<(), FlushError> {
        let mut fence = Fence { client: self, forgives, before: 0, waiting: None };
        poll_fn(|cx| fence.poll(cx)).await.map_err(|error| match error {
            connection::FlushError::TimedOut => {
                let limit = self.handle.settings.flush_timeout;
                let text = format!("the server did not answer within {limit:?}");
                FlushError::worded(FlushErrorKind::FlushError, text, error)
            }
            error => error.into(),
        })
    }
}

fn not_connected() -> FlushError {
    let source = io::Error::from(io::ErrorKind::NotConnected);
    FlushError::worded(FlushErrorKind::FlushError, "there is no connection".to_owned(), source)
}

/// A flush under way.
struct Fence<'a> {
    client: &'a Client,
    /// Whether nothing is told of what was lost before it.
    forgives: bool,
    /// Publishes that were uncertain when it began.
    before: u64,
    waiting: Option<(FlushId, u32)>,
}

impl Fence<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), connection::FlushError>> {
        let Some((_, key)) = self.waiting else {
            return self.start(cx);
        };
        let mut core = self.client.handle.lock();
        let outcome = core.flushes.waiters.poll(key, cx.waker());
        drop(core);
        match outcome {
            Ok(result) => {
                self.waiting = None;
                if let (Err(connection::FlushError::Uncertain { count }), false) =
                    (&result, self.forgives)
                {
                    self.client.told.tell(self.before.saturating_add(*count));
                }
                Poll::Ready(result)
            }
            Err(old) => {
                drop(old);
                Poll::Pending
            }
        }
    }

    fn start(&mut self, cx: &Context<'_>) -> Poll<Result<(), connection::FlushError>> {
        let deadline = self.client.handle.now() + self.client.handle.settings.flush_timeout;
        let begun = self.client.handle.change(|core| {
            let uncertain = core.conn.statistics().uncertain;
            let untold = if self.forgives { 0 } else { self.client.told.untold(uncertain) };
            if core.ended.is_some() {
                return Err(connection::FlushError::Closed);
            }
            if untold > 0 && !fault!(FlushForgetsTheLast) {
                self.client.told.tell(uncertain);
                return Err(connection::FlushError::Uncertain { count: untold });
            }
            let id = core.conn.flush(Some(deadline));
            let key = core.flushes.insert(id, cx.waker().clone());
            Ok((uncertain, (id, key)))
        });
        match begun {
            Ok((before, waiting)) => {
                (self.before, self.waiting) = (before, Some(waiting));
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Fence<'_> {
    fn drop(&mut self) {
        let Some((id, key)) = self.waiting.take() else {
            return;
        };
        let mut core = self.client.handle.lock();
        if core.flushes.keys.remove(&id).is_some() {
            core.conn.cancel_flush(id);
        }
        let entry = core.flushes.waiters.remove(key);
        drop(core);
        drop(entry);
    }
}
