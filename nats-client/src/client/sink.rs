//! A client as a sink of messages.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_sink::Sink;
use nats_proto::{OutboundMessage, Outgoing};

use super::{Client, PublishError};
use crate::shared::Handle;

/// The message of a client's sink that waits for room in the buffer.
pub(super) struct Waiting {
    handle: Handle,
    message: OutboundMessage,
    key: Option<u64>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl Waiting {
    /// Tries again; registers `waker` before it says `Pending`.
    fn poll(&mut self, waker: &Waker) -> Poll<Result<(), PublishError>> {
        let message = outgoing(&self.message);
        let mut core = self.handle.lock();
        let result = core.conn.publish(message);
        if let Err(error) = &result
            && self.handle.waits(error)
        {
            let old = core.room.register(&mut self.key, waker);
            drop(core);
            drop(old);
            return Poll::Pending;
        }
        let driver = core.wake_for_output();
        drop(core);
        if let Some(driver) = driver {
            driver.wake();
        }
        Poll::Ready(result.map_err(PublishError::from))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.key.is_some() {
            let old = self.handle.lock().room.remove(&mut self.key);
            drop(old);
        }
    }
}

pub(super) fn outgoing(message: &OutboundMessage) -> Outgoing<'_> {
    Outgoing {
        subject: &message.subject,
        reply: message.reply.as_deref(),
        headers: message.headers.as_ref(),
        payload: &message.payload,
    }
}

/// Every clone of a client is a sink of its own. Flushing a sink means that the connection has accepted its
/// messages, as [`Client::publish`] does; only [`Client::flush`] waits for the server.
impl Sink<OutboundMessage> for Client {
    type Error = PublishError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), PublishError>> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(Ok(()));
        };
        match waiting.poll(cx.waker()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.waiting = None;
                Poll::Ready(result)
            }
        }
    }

    fn start_send(mut self: Pin<&mut Self>, message: OutboundMessage) -> Result<(), PublishError> {
        match self.handle.publish(outgoing(&message)) {
            Ok(()) => Ok(()),
            // Only a caller that skipped `poll_ready` has one waiting already; it must not be overtaken.
            Err(error) if self.handle.waits(&error) && self.waiting.is_none() => {
                self.waiting =
                    Some(Box::new(Waiting { handle: self.handle.clone(), message, key: None }));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        self.poll_ready(cx)
    }
}
