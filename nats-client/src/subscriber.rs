//! Subscriptions.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use nats_proto::Message;
use nats_proto::connection::{EndReason, SubscriptionId};

use crate::client::Room;
use crate::faults::fault;
use crate::handle::Handle;
use crate::mailbox::{Hand, Mailbox, SubscriberStatistics, Taken};
use crate::shared::{Change, Core, wake_all};

/// A subscription: a stream of the messages that come for it.
///
/// The stream ends after [`unsubscribe`](Self::unsubscribe), after as many messages as
/// [`unsubscribe_after`](Self::unsubscribe_after) says, after a drain, when the server refuses the subscription, and
/// when the client closes; [`end_reason`](Self::end_reason) tells which. It survives reconnects. Messages that came
/// before the end are given out first. If the stream is dropped, the subscription ends, and what waits for it is
/// gone. A message is never lost with the future of `StreamExt::next` that waited for it.
///
/// If the subscriber does not keep up, messages beyond
/// [`subscription_capacity`](crate::ConnectOptions::subscription_capacity) are dropped, counted and told of by
/// a [`Notice`](crate::Notice), and other subscriptions go on; unless another [`WhenFull`](crate::WhenFull) is chosen.
///
/// A subscriber for which there is always a next message lets other tasks run, and timeouts pass, after 2,048 to about
/// 2,300 messages in a row: it is then [`Pending`](Poll::Pending) once, and wakes its task itself. So who polls it once only
/// must not take that for a sign that nothing waits; [`statistics`](Self::statistics) tells.
pub struct Subscriber {
    handle: Handle,
    id: SubscriptionId,
    mailbox: Arc<Mailbox>,
    /// What is taken out of the mailbox, from the first message on: many subscriptions never have one.
    hand: Option<Box<Hand>>,
}

/// The subscription could not be changed because the client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubscribeError;

impl fmt::Display for UnsubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to unsubscribe: the client is closed")
    }
}

impl std::error::Error for UnsubscribeError {}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("sid", &self.id.sid()).finish_non_exhaustive()
    }
}

impl Subscriber {
    pub(crate) fn new(handle: Handle, id: SubscriptionId, mailbox: Arc<Mailbox>) -> Self {
        Self { handle, id, mailbox, hand: None }
    }

    pub(crate) fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Ends the subscription at once. What has already come is still given out. If the future is dropped before its
    /// only poll, the subscription goes on.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn unsubscribe(&mut self) -> Result<(), UnsubscribeError> {
        self.end()
    }

    /// What [`unsubscribe`](Self::unsubscribe) does, which waits for nothing.
    pub(crate) fn end(&mut self) -> Result<(), UnsubscribeError> {
        let id = self.id;
        self.change(|core| {
            if core.conn.unsubscribe(id).is_ok() && !fault!(UnsubscribedStays) {
                core.changes.push(Change::Removed(id));
            }
        })?;
        // A stream that holds this one, or another task that shares it, may be waiting for the next message.
        let mut readers = Vec::new();
        let missed = self.mailbox.finish(None, &mut readers);
        wake_all(&mut readers);
        self.recovered(missed);
        Ok(())
    }

    /// Ends the subscription and gives nothing more out, not even what has come: what waits for it is gone.
    pub(crate) fn leave(&mut self) {
        self.hand = None;
        let missed = self.mailbox.abandon();
        self.recovered(missed);
        let id = self.id;
        self.handle.change(|core| {
            if core.ended.is_none()
                && !fault!(DroppedSubscriberStays)
                && core.conn.unsubscribe(id).is_ok()
            {
                core.changes.push(Change::Removed(id));
            }
        });
    }

    /// Ends the subscription when it has got `count` messages in all, those before this call among them; at
    /// once if it has got as many already.
    ///
    /// To raise a count that was set before is safe only while the subscription is far from that: a server that has sent the
    /// last message has ended the subscription. If it learns too late of a greater count, messages come again only with the
    /// next connection.
    ///
    /// The count holds from the first poll on; behind that it waits while the buffer is full, as a publish does. If the future is
    /// dropped before its first poll, the subscription goes on as before; later nothing is undone.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn unsubscribe_after(&mut self, count: u64) -> Result<(), UnsubscribeError> {
        let id = self.id;
        self.change(|core| {
            // A subscription that has ended cannot get more than it may.
            let _ = core.conn.unsubscribe_after(id, count);
        })?;
        // Not before: what comes meanwhile counts.
        Room::new(&self.handle).await;
        Ok(())
    }

    /// Ends the subscription once the server has delivered all that it had for it. The stream goes on until then, and
    /// ends after the last message. If the future is dropped before its only poll, the subscription goes on.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn drain(&mut self) -> Result<(), UnsubscribeError> {
        let id = self.id;
        self.change(|core| {
            // A subscription that has ended has nothing to drain.
            let _ = core.conn.drain_subscription(id);
        })
    }

    /// The subscription's number, as in [`Notice::SlowConsumer`](crate::Notice::SlowConsumer).
    pub fn sid(&self) -> u64 {
        self.id.sid()
    }

    /// Messages that were dropped because too many were waiting.
    pub fn dropped(&self) -> u64 {
        self.statistics().dropped
    }

    /// How many messages wait, were given out, and were dropped: exactly, and at one instant.
    pub fn statistics(&self) -> SubscriberStatistics {
        self.mailbox.statistics()
    }

    /// Why nothing more comes; `None` before the end and after [`unsubscribe`](Self::unsubscribe).
    ///
    /// A violation of permissions is [`EndReason::Refused`]. Messages may still be waiting.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.mailbox.end_reason()
    }

    /// Whether a message is there that the stream is going to give out without waiting for anything: it has let others
    /// run if it was [`Pending`](Poll::Pending).
    pub(crate) fn rests(&self) -> bool {
        self.hand.as_ref().is_some_and(|hand| hand.has_more())
    }

    fn change(&self, change: impl FnOnce(&mut Core)) -> Result<(), UnsubscribeError> {
        self.handle.change(|core| {
            if core.ended.is_some() {
                return Err(UnsubscribeError);
            }
            change(core);
            Ok(())
        })
    }

    /// Takes everything out of the mailbox, and tells of an episode that ends with that. Wakes the task if it is to rest
    /// instead. Cold, so that it is out of the way of all the messages that are taken with one call.
    #[cold]
    #[inline(never)]
    fn take(&mut self, waker: &Waker) -> Taken {
        let mut first = None;
        let hand = self.hand.as_deref_mut().unwrap_or_else(|| first.insert(Hand::default()));
        let taken = self.mailbox.take(hand, waker);
        if let (Some(hand), Taken::Messages(_)) = (first, &taken) {
            self.hand = Some(Box::new(hand));
        }
        match taken {
            Taken::Messages(missed) | Taken::Nothing(missed) => self.recovered(missed),
            Taken::Rest => waker.wake_by_ref(),
            Taken::End => {}
        }
        taken
    }

    fn recovered(&self, missed: Option<u64>) {
        self.mailbox.tell_recovered(self.id.sid(), missed, |notice| self.handle.emit(notice));
    }
}

impl Stream for Subscriber {
    type Item = Message;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = &mut *self;
        loop {
            if let Some(hand) = &mut this.hand
                && let Some(last) = hand.advance(&this.mailbox)
            {
                if last {
                    this.handle.change(|_| ());
                }
                return Poll::Ready(hand.message());
            }
            match this.take(cx.waker()) {
                Taken::Messages(_) => {}
                Taken::Nothing(_) | Taken::Rest => return Poll::Pending,
                Taken::End => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.leave();
    }
}
