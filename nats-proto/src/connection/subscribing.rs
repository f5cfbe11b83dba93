//! The verbs of subscriptions.

use super::event::{EndReason, FlushId, SubscriptionId};
use super::fences::Purpose;
use super::subscriptions::{LARGEST_MAX, Phase};
use super::{Connection, SubscribeError, UnknownSubscription};
use crate::faults::fault;
use crate::wire::encoder;
use crate::{Instant, subject};

impl Connection {
    /// Subscribes, in a queue group if one is given. Without a link, with the next one.
    ///
    /// # Errors
    ///
    /// Nothing was changed.
    pub fn subscribe(
        &mut self,
        subject: &str,
        queue: Option<&str>,
    ) -> Result<SubscriptionId, SubscribeError> {
        let id = self.add_subscription(subject, queue)?;
        if self.is_up() {
            self.announce(id);
        }
        Ok(id)
    }

    /// Subscribes like [`subscribe`](Self::subscribe), and asks the server whether it has the subscription:
    /// [`Event::SubscriptionConfirmed`](crate::Event::SubscriptionConfirmed) follows when it has, and
    /// [`Event::SubscriptionEnded`](crate::Event::SubscriptionEnded) with [`EndReason::Refused`] if it refuses, or with
    /// [`EndReason::Unconfirmed`] at `deadline` (`None`: never).
    ///
    /// If the link breaks meanwhile, or there is none, the server of the next one is asked.
    ///
    /// # Errors
    ///
    /// Nothing was changed.
    pub fn subscribe_confirmed(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        deadline: Option<Instant>,
    ) -> Result<SubscriptionId, SubscribeError> {
        let id = self.add_subscription(subject, queue)?;
        let connected = self.is_up();
        let (flush, soonest) = self.fences.add_confirm(deadline, id, connected);
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.phase = Phase::Confirming(flush);
        }
        if connected {
            self.ping(Purpose::Subscribe);
            self.announce(id);
            self.ping(Purpose::Confirm(flush, id));
        }
        if fault!(ConfirmsUnasked) {
            self.confirmed(flush, id);
        }
        if soonest {
            self.wake.attention();
        }
        Ok(id)
    }

    /// Tells the server of a subscription.
    fn announce(&mut self, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.restore(&mut self.outgoing);
            self.wake.transmit();
            // It takes room that the gate counts on.
            self.gate.close();
        }
    }

    /// A new server is asked for a subscription before anything else goes out that an error could be about.
    pub(super) fn confirm_urgently(&mut self, flush: FlushId, id: SubscriptionId) {
        if fault!(ConfirmingIsForgotten) {
            return;
        }
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            // It has ended meanwhile.
            self.fences.finish_flush(flush);
            return;
        };
        // These stand before all publishes, so they confirm none.
        encoder::ping(&mut self.urgent);
        self.fences.push(Purpose::Subscribe, 0);
        subscription.restore(&mut self.urgent);
        encoder::ping(&mut self.urgent);
        self.fences.push(Purpose::Confirm(flush, id), 0);
    }

    fn add_subscription(
        &mut self,
        subject: &str,
        queue: Option<&str>,
    ) -> Result<SubscriptionId, SubscribeError> {
        match &self.ending {
            _ if self.link.is_last() => return Err(SubscribeError::Closed),
            Some(_) => return Err(SubscribeError::Draining),
            None => {}
        }
        subject::validate_subscribe(subject).map_err(SubscribeError::InvalidSubject)?;
        if let Some(queue) = queue {
            subject::validate_queue_group(queue).map_err(SubscribeError::InvalidQueueGroup)?;
        }
        let words = (subject.len(), queue.map_or(0, str::len));
        let (first, second) = (SubscribeError::InvalidSubject, SubscribeError::InvalidQueueGroup);
        self.fits_line(words, first, second)?;
        Ok(self.subscriptions.insert(subject, queue))
    }

    /// Ends a subscription at once. No event follows; messages on their way count as unroutable. Messages that
    /// [`receive`](Self::receive) has already turned into events still come.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn unsubscribe(&mut self, id: SubscriptionId) -> Result<(), UnknownSubscription> {
        let subscription = self.subscriptions.remove(id).ok_or(UnknownSubscription)?;
        self.forget_confirming(subscription.phase);
        if self.is_up() && subscription.phase != Phase::Draining && !fault!(UnsubscribeIsNotSent) {
            self.announce_end(id.sid, None);
        }
        Ok(())
    }

    /// Tells the server that a subscription ends, at once or after so many messages.
    fn announce_end(&mut self, sid: u64, max: Option<u64>) {
        encoder::unsubscribe(&mut self.outgoing, sid, max);
        self.wake.transmit();
        self.gate.close();
    }

    /// Ends a subscription after it has got `max` messages in all, over all links: at once if it has.
    /// [`Event::SubscriptionEnded`](crate::Event::SubscriptionEnded) follows.
    ///
    /// A maximum can be changed as long as it is not reached. But a server that has sent the last message of a smaller one
    /// has ended the subscription, and says nothing of it: learns it too late of a larger one, messages come again only with
    /// the next link. So it does at 999,999,999 messages of a link, the most that it can be told, where a smaller maximum was
    /// told before on this link.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn unsubscribe_after(
        &mut self,
        id: SubscriptionId,
        max: u64,
    ) -> Result<(), UnknownSubscription> {
        let connected = self.is_up();
        let subscription = self.subscriptions.get_mut(id).ok_or(UnknownSubscription)?;
        // The server would end it at a maximum that it was told.
        let told = subscription.max_on_wire();
        subscription.max = Some(max);
        let done = subscription.delivered >= max;
        let on_wire = subscription.max_on_wire().or(told.map(|_| LARGEST_MAX));
        let is_news = done || on_wire != told;
        if connected && subscription.phase != Phase::Draining && is_news {
            let max = on_wire.filter(|_| !done);
            self.announce_end(id.sid, max);
        }
        if done {
            self.end_subscription(id, EndReason::MaxReached);
        }
        Ok(())
    }
}
