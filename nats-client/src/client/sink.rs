//! A client as a sink of messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;
use nats_proto::{OutboundMessage, Outgoing};

use super::publish::{Place, Reason};
use super::{Client, PublishError, PublishErrorKind};
use crate::faults::fault;
use crate::handle::Handle;
use crate::turns::ROW;

/// A message that waits for room, or behind others that do.
#[derive(Debug)]
struct Waiting {
    message: OutboundMessage,
    place: Place<Handle>,
}

/// What a client is at as a sink.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The message that it has not got rid of.
    waiting: Option<Box<Waiting>>,
    /// Messages taken since it last waited or rested.
    in_a_row: usize,
}

impl Client {
    /// Gets rid of the message that waits.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        let Some(waiting) = &mut self.sending.waiting else {
            return Poll::Ready(Ok(()));
        };
        match waiting.place.poll(Outgoing::from(&waiting.message), cx.waker()) {
            Poll::Pending if fault!(SinkIsFlushedEarly) => Poll::Ready(Ok(())),
            Poll::Pending => {
                self.sending.in_a_row = 0;
                Poll::Pending
            }
            Poll::Ready(result) => {
                self.sending.waiting = None;
                Poll::Ready(result)
            }
        }
    }
}

/// Every clone of a client is a sink of its own. Flushing a sink means that the connection has accepted its
/// messages, as [`Client::publish`] does; only [`Client::flush`] waits for the server.
///
/// With `SinkExt::send` and its like, if the future is dropped before its end, what the sink has taken may wait
/// still: it is published by whatever is done with this sink next, and given up with this clone. What it has not
/// taken is not published.
///
/// A sink that never has to wait lets other tasks run now and then: what is forwarded to it may come from a
/// stream that never ends and always has more.
impl Sink<OutboundMessage> for Client {
    type Error = PublishError;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), PublishError>> {
        if self.sending.in_a_row >= ROW {
            self.sending.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_waiting(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: OutboundMessage) -> Result<(), PublishError> {
        if self.sending.waiting.is_some() {
            // The caller has skipped `poll_ready`, and the one that waits must not be overtaken.
            let source = "the message before this one still waits";
            return Err(PublishError::with_source(PublishErrorKind::Send, source));
        }
        self.sending.in_a_row = self.sending.in_a_row.saturating_add(1);
        let reason = match self.handle.publish_behind_others(Outgoing::from(&message)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) if self.handle.waits(&error) => Reason::Full,
            Some(Err(error)) => return Err(error.into()),
            None => Reason::Turn,
        };
        let place = Place::new(self.handle.clone(), reason);
        self.sending.waiting = Some(Box::new(Waiting { message, place }));
        Ok(())
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), PublishError>> {
        self.poll_waiting(cx)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), PublishError>> {
        self.poll_waiting(cx)
    }
}
