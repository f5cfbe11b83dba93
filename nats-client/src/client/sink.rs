//! A client as a sink of messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;
use nats_proto::{OutboundMessage, Outgoing};

use super::publish::{Place, Reason};
use super::{Client, PublishError};
use crate::handle::Handle;

/// A message that waits for room.
#[derive(Debug)]
pub(super) struct Waiting {
    message: OutboundMessage,
    place: Place<Handle>,
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
        match waiting.place.poll(Outgoing::from(&waiting.message), cx.waker()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.waiting = None;
                Poll::Ready(result)
            }
        }
    }

    fn start_send(mut self: Pin<&mut Self>, message: OutboundMessage) -> Result<(), PublishError> {
        match self.handle.publish(Outgoing::from(&message)) {
            Ok(()) => Ok(()),
            // Only a caller that skipped `poll_ready` has one waiting already; it must not be overtaken.
            Err(error) if self.handle.waits(&error) && self.waiting.is_none() => {
                let place = Place::new(self.handle.clone(), Reason::Full);
                self.waiting = Some(Box::new(Waiting { message, place }));
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
