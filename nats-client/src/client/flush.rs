//! Fences: that the server has seen what was published before.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use nats_proto::{FlushId, connection};

use super::{Client, FlushError, FlushErrorKind};
use crate::shared::Shared;

/// Fences.
impl Client {
    /// Waits until the server has seen everything that was published before, for at most
    /// [`flush_timeout`](crate::ConnectOptions::flush_timeout).
    ///
    /// A flush that succeeds proves it: a PING was answered that went out after all of it. If the future is dropped,
    /// nobody waits any more; what is buffered goes out all the same.
    ///
    /// # Errors
    ///
    /// It took too long, the client is closed, or the link broke after something had been written of which it
    /// is not known whether the server has it.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let mut fence = Fence { shared: &self.handle, waiting: None };
        poll_fn(|cx| fence.poll(cx)).await.map_err(|error| match error {
            connection::FlushError::TimedOut => {
                let limit = self.handle.settings.flush_timeout;
                let text = format!("the server did not answer within {limit:?}");
                FlushError::worded(FlushErrorKind::FlushError, text, error)
            }
            error => error.into(),
        })
    }

    /// Measures how long the server takes to answer a PING: a [`flush`](Self::flush), timed. What is buffered goes
    /// out before it, and counts. If the future is dropped, nothing is measured; what is buffered goes out all the
    /// same.
    ///
    /// # Errors
    ///
    /// See [`flush`](Self::flush).
    pub async fn rtt(&self) -> Result<Duration, FlushError> {
        let start = self.handle.now();
        self.flush().await?;
        Ok(self.handle.now().saturating_duration_since(start))
    }
}

/// A flush under way.
struct Fence<'a> {
    shared: &'a Shared,
    waiting: Option<(FlushId, u32)>,
}

impl Fence<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), connection::FlushError>> {
        let Some((_, key)) = self.waiting else {
            return self.start(cx);
        };
        let mut core = self.shared.lock();
        let outcome = core.flushes.waiters.poll(key, cx.waker());
        drop(core);
        match outcome {
            Ok(result) => {
                self.waiting = None;
                Poll::Ready(result)
            }
            Err(old) => {
                drop(old);
                Poll::Pending
            }
        }
    }

    fn start(&mut self, cx: &Context<'_>) -> Poll<Result<(), connection::FlushError>> {
        let deadline = self.shared.now() + self.shared.settings.flush_timeout;
        self.waiting = self.shared.change(|core| {
            if core.ended.is_some() {
                return None;
            }
            let id = core.conn.flush(Some(deadline));
            let key = core.flushes.insert(id, cx.waker().clone());
            Some((id, key))
        });
        match self.waiting {
            Some(_) => Poll::Pending,
            None => Poll::Ready(Err(connection::FlushError::Closed)),
        }
    }
}

impl Drop for Fence<'_> {
    fn drop(&mut self) {
        let Some((id, key)) = self.waiting.take() else {
            return;
        };
        let mut core = self.shared.lock();
        if core.flushes.keys.remove(&id).is_some() {
            core.conn.cancel_flush(id);
        }
        let entry = core.flushes.waiters.remove(key);
        drop(core);
        drop(entry);
    }
}
