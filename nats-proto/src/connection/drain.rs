//! The way to a good end: drain and close.

use core::time::Duration;

use super::event::{EndReason, Event, SubscriptionId};
use super::fences::Purpose;
use super::state::{Link, Next};
use super::subscriptions::Phase;
use super::{Connection, DisconnectReason, UnknownSubscription};
use crate::Instant;
use crate::faults::fault;
use crate::wire::encoder;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// UNSUBs are out; the server may still deliver what it had.
    Subscriptions,
    /// Nothing more comes; the application works on what it has got, and may publish.
    Application,
    /// Nothing more is accepted; the requests that wait get their replies, or time out.
    Replies,
    /// What is published is on its way.
    Flush,
}

/// A connection on its way to the end. It outlives links: what is to be flushed waits for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) stage: Stage,
    pub(super) deadline: Instant,
}

impl Connection {
    /// Drains every subscription, then flushes and closes, all within
    /// [`Config::drain_timeout`](super::Config::drain_timeout).
    ///
    /// New subscriptions are refused from now on. When the server has delivered all that it had for those there are,
    /// [`Event::SubscriptionsDrained`] comes, and wants an answer: [`handle_drained`](Self::handle_drained), once the
    /// application is done with what it has got. Without that the connection only ends at the deadline.
    ///
    /// Publishes are refused after that answer; requests that wait then still get their replies. While there is no link,
    /// publishes that are kept wait for one. At the deadline the connection closes with whatever is left; [`Event::Closed`]
    /// tells how much.
    pub fn drain(&mut self, now: Instant) {
        self.drain_within(now, self.config.drain_timeout);
    }

    /// Like [`drain`](Self::drain), within `timeout`. An end that has begun may thereby come earlier, not later.
    pub fn drain_within(&mut self, now: Instant, timeout: Duration) {
        let whole = self.config.drain_timeout;
        let deadline = now + if fault!(DrainTimeIsIgnored) { whole } else { timeout };
        if let Some(ending) = &mut self.ending {
            let first = if fault!(EndIsPutOff) { deadline } else { ending.deadline };
            ending.deadline = first.min(deadline);
            self.wake.attention();
            return;
        }
        if self.link == Link::Closed {
            return;
        }
        self.ending = Some(Ending { stage: Stage::Subscriptions, deadline });
        self.stay_to_the_end();
        self.gate.close();
        self.emit(Event::Draining);
        if self.is_up() {
            for subscription in self.subscriptions.iter_mut().filter(|s| s.phase != Phase::Draining)
            {
                subscription.phase = Phase::Draining;
                encoder::unsubscribe(&mut self.outgoing, subscription.id.sid, None);
            }
            self.ping(Purpose::DrainAll);
            if fault!(DrainIsHasty) {
                self.subscriptions_drained();
            }
        } else {
            self.subscriptions_drained();
        }
    }

    /// The application is done with everything delivered before [`Event::SubscriptionsDrained`]: no more is published, and
    /// the connection goes on to its end. Ignored before that event.
    pub fn handle_drained(&mut self, now: Instant) {
        if let Some(ending) = &mut self.ending
            && ending.stage == Stage::Application
        {
            ending.stage = Stage::Replies;
            self.gate.close();
            if ending.deadline <= now {
                self.wake.attention();
            }
            self.flush_behind_replies();
        }
    }

    /// Goes on to the final flush if it was only waited for replies, and none is missing any more.
    pub(super) fn flush_behind_replies(&mut self) {
        if let Some(ending) = &mut self.ending
            && ending.stage == Stage::Replies
            && self.requests.len() == 0
        {
            ending.stage = Stage::Flush;
            self.start_final_flush();
        }
    }

    /// Flushes what is buffered, within `timeout`, and closes. Without a connection, closes at once.
    ///
    /// Subscriptions end; what the server had on its way to them is lost, unlike with
    /// [`drain`](Self::drain), which this cuts short if it is under way. An end that has begun may thereby come earlier,
    /// not later.
    pub fn close(&mut self, now: Instant, timeout: Duration) {
        let deadline = now + timeout;
        let deadline = self.ending.map_or(deadline, |ending| ending.deadline.min(deadline));
        match &mut self.link {
            Link::Choosing { .. } | Link::Backoff { .. } => self.close_now(None),
            Link::HangingUp { next, .. } => *next = Next::Close(None),
            Link::Connected => {
                let flushes = self.is_flushing_last();
                self.ending = Some(Ending { stage: Stage::Flush, deadline });
                self.wake.attention();
                if flushes {
                    return;
                }
                self.end_all_subscriptions(EndReason::Closed);
                self.stay_to_the_end();
                self.gate.close();
                self.start_final_flush();
            }
            _ => self.hang_up(DisconnectReason::Requested, None, Next::Close(None)),
        }
    }

    /// Whether nothing is left to be done but to flush what was accepted.
    pub(super) fn is_flushing_last(&self) -> bool {
        self.ending.is_some_and(|ending| ending.stage == Stage::Flush)
    }

    /// Ends a subscription once the server has delivered all it had for it:
    /// [`Event::SubscriptionEnded`] follows.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn drain_subscription(&mut self, id: SubscriptionId) -> Result<(), UnknownSubscription> {
        let connected = self.is_up();
        let subscription = self.subscriptions.get_mut(id).ok_or(UnknownSubscription)?;
        if subscription.phase == Phase::Draining {
            return Ok(());
        }
        if connected {
            subscription.phase = Phase::Draining;
            encoder::unsubscribe(&mut self.outgoing, id.sid, None);
            self.ping(Purpose::DrainSubscription(id));
        } else {
            self.end_subscription(id, EndReason::Drained);
        }
        Ok(())
    }

    /// The server has no subscription of ours any more.
    pub(super) fn subscriptions_drained(&mut self) {
        self.end_all_subscriptions(EndReason::Drained);
        if let Some(ending) = &mut self.ending
            && ending.stage == Stage::Subscriptions
        {
            ending.stage = Stage::Application;
            self.emit(Event::SubscriptionsDrained);
        }
    }

    fn start_final_flush(&mut self) {
        if self.is_up() {
            if let Some(sid) = self.requests.close_inbox() {
                encoder::unsubscribe(&mut self.outgoing, sid, None);
            }
            self.ping(Purpose::Close);
        } else if self.ledger.pending() == 0 {
            self.finish_ending();
        }
    }

    /// A new link is up: what the old one was not able to finish goes on.
    pub(super) fn resume_ending(&mut self) {
        match self.ending.map(|ending| ending.stage) {
            Some(Stage::Flush) => self.ping(Purpose::Close),
            Some(Stage::Subscriptions | Stage::Application | Stage::Replies) | None => {}
        }
    }

    /// Everything has arrived.
    pub(super) fn finish_ending(&mut self) {
        match &mut self.link {
            Link::Choosing { .. } | Link::Backoff { .. } => self.close_now(None),
            Link::HangingUp { next, .. } => *next = Next::Close(None),
            _ => self.hang_up(DisconnectReason::Requested, None, Next::Close(None)),
        }
    }

    pub(super) fn end_all_subscriptions(&mut self, reason: EndReason) {
        for subscription in self.subscriptions.take_all() {
            self.emit(Event::SubscriptionEnded { subscription, reason: reason.clone() });
        }
    }
}
