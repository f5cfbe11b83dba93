//! Every state of the link: which one follows, beside those that [`dialling`](super::dialling) and
//! [`losing`](super::losing) lead to.
//!
//! ```text
//!              ┌──────────────────────────── handle_disconnect ◄─────────────────┐
//!              ▼                                                                 │
//!   new ─► Backoff ─► Dialing ─► AwaitInfo ─► AwaitPong ─► Connected             │
//!                        │           │            │            │                 │
//!                        └───────────┴────────────┴────────────┴──► HangingUp ───┤
//!                                                                                ▼
//!                                                                             Closed
//! ```
//!
//! Three states are only passed through if the settings want them: `Choosing` before `Backoff`, and `AwaitTls` and
//! `AwaitAuth` between `AwaitInfo` and `AwaitPong`.
//!
//! Draining is not a state of the link: a connection that drains may lose its link and get another one to
//! flush on. It is an [`Ending`], beside the link.

use super::drain::{Ending, Stage};
use super::event::{DialId, EndReason, Event, SubscriptionId};
use super::fences::Purpose;
use super::subscriptions::Phase;
use super::{ConnectError, Connection, DisconnectReason, FlushError, RequestError, State};
use crate::Instant;
use crate::faults::fault;
use core::time::Duration;

/// What comes after a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one, if the settings allow it.
    Reconnect,
    /// Another one, without waiting.
    ReconnectNow,
    /// Nothing.
    Close(Option<ConnectError>),
}

/// The state of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The caller chooses the next server. If it does not, the pool does, and `delay` goes before the dial.
    Choosing { deadline: Instant, delay: Option<Duration> },
    /// Waiting until the server whose turn it is may be dialled.
    Backoff { until: Instant },
    /// The caller opens a byte stream.
    Dialing { id: DialId, deadline: Instant },
    /// The stream is open, the server has not spoken.
    AwaitInfo { deadline: Instant },
    /// The server has spoken, the caller encrypts the stream.
    AwaitTls { deadline: Instant },
    /// The caller looks for credentials.
    AwaitAuth { deadline: Instant },
    /// CONNECT and PING are queued, the server has not accepted.
    AwaitPong { deadline: Instant },
    /// Up.
    Connected,
    /// The caller is to close the stream. `error` is why a link that was never up failed.
    HangingUp { reason: DisconnectReason, error: Option<ConnectError>, next: Next },
    /// The end.
    Closed,
}

impl Link {
    /// Whether a link is being brought up: before it is [`Connected`](Self::Connected).
    pub(super) fn is_pending(&self) -> bool {
        matches!(
            self,
            Self::Dialing { .. }
                | Self::AwaitInfo { .. }
                | Self::AwaitTls { .. }
                | Self::AwaitAuth { .. }
                | Self::AwaitPong { .. }
        )
    }

    /// Whether no other link comes after this one.
    pub(super) fn is_last(&self) -> bool {
        matches!(self, Self::Closed | Self::HangingUp { next: Next::Close(_), .. })
    }

    /// By when this state must be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Backoff { until } => Some(*until),
            Self::AwaitInfo { .. } | Self::AwaitPong { .. } if fault!(HandshakeHasNoDeadline) => {
                None
            }
            Self::Choosing { deadline, .. }
            | Self::Dialing { deadline, .. }
            | Self::AwaitInfo { deadline }
            | Self::AwaitTls { deadline }
            | Self::AwaitAuth { deadline }
            | Self::AwaitPong { deadline } => Some(*deadline),
            Self::Connected | Self::HangingUp { .. } | Self::Closed => None,
        }
    }
}

impl Connection {
    /// Where the connection stands.
    pub fn state(&self) -> State {
        match &self.link {
            Link::Choosing { .. } => State::Choosing,
            Link::Backoff { .. } => State::Backoff,
            Link::Dialing { .. } => State::Dialing,
            Link::AwaitInfo { .. } => State::AwaitInfo,
            Link::AwaitTls { .. } => State::AwaitTls,
            Link::AwaitAuth { .. } => State::AwaitAuth,
            Link::AwaitPong { .. } => State::AwaitPong,
            Link::Connected if self.ending.is_some() => State::Draining,
            Link::Connected => State::Connected,
            Link::HangingUp { .. } => State::HangingUp,
            Link::Closed => State::Closed,
        }
    }

    /// Whether there is a link that publishes flow on.
    #[inline]
    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Connected)
    }

    /// The server has answered our first PING: restores what it must know, then lets publishes flow
    /// (ADR-40: CONNECT, PING, subscriptions, pending publishes).
    pub(super) fn connected(&mut self, now: Instant) {
        let first = self.connects == 0;
        self.link = Link::Connected;
        self.connects = self.connects.saturating_add(1);
        self.attempts = 0;
        // Only now it is the server that counts: what it accepts decides about what was kept for it.
        self.info = self.greeting.take().or_else(|| self.info.take());
        if self.ending.is_none() {
            // The application goes on with another link: what it lost with the last one is no news at the end.
            self.lost_last = 0;
        }
        self.pool.succeeded();
        self.keepalive.start(now);
        if !fault!(InboxIsNotRestored) {
            let prefix = &self.config.inbox_prefix;
            self.requests.begin_link(prefix, &mut self.rng, &mut self.urgent);
        }
        self.subscriptions.restore(&mut self.urgent);
        if fault!(RestoresTwice) {
            self.subscriptions.restore(&mut self.urgent);
        }
        let postponed = self.fences.take_postponed();
        for (flush, subscription) in &postponed {
            if let Some(id) = subscription {
                self.confirm_urgently(*flush, *id);
            }
        }
        self.recheck_queued();
        if let Some(info) = self.info.clone() {
            self.emit(Event::Connected { info, first });
        }
        for (flush, _) in postponed.into_iter().filter(|(_, id)| id.is_none()) {
            self.ping(Purpose::Flush(flush));
        }
        self.resume_ending();
        // It may have said so before we were its client.
        self.leave_lame_duck(now);
        self.wake.transmit();
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) gave has come. Calling too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(request) = self.requests.pop_due(now) {
            if fault!(RequestNeverEnds) {
                continue;
            }
            self.emit(Event::RequestFailed { request, error: RequestError::TimedOut });
        }
        self.flush_behind_replies();
        while let Some((flush, subscription)) = self.fences.pop_due(now) {
            match subscription {
                None => self.emit(Event::Flushed { flush, result: Err(FlushError::TimedOut) }),
                Some(id) => self.give_up_confirming(id),
            }
        }
        if self.ending.as_ref().is_some_and(|ending| ending.deadline <= now)
            && !fault!(EndingHasNoDeadline)
        {
            self.give_up_ending();
        }
        if self.link.deadline().is_some_and(|deadline| deadline <= now) {
            match &self.link {
                Link::Backoff { .. } if fault!(BackoffNeverEnds) => {}
                Link::Backoff { .. } => self.dial(now),
                Link::Choosing { delay, .. } => {
                    let delay = *delay;
                    self.take_back_asks();
                    self.take_turn(now, delay);
                }
                link => {
                    let error = match link {
                        Link::AwaitAuth { .. } => ConnectError::AuthTimedOut,
                        _ => ConnectError::TimedOut,
                    };
                    self.hang_up(DisconnectReason::TimedOut, Some(error), Next::Reconnect);
                }
            }
        }
        if self.is_up() && self.lame_duck.due().is_some_and(|due| due <= now) {
            self.act_on_lame_duck(now);
        }
        if self.is_up() {
            self.probe(now);
        }
    }

    /// The server has not said in time whether it has a subscription. That it is to be drained by now puts nothing off.
    fn give_up_confirming(&mut self, id: SubscriptionId) {
        let known = self.subscriptions.get_mut(id);
        if known.is_some_and(|subscription| subscription.phase != Phase::Open)
            && self.unsubscribe(id).is_ok()
        {
            let reason = EndReason::Unconfirmed;
            self.emit(Event::SubscriptionEnded { subscription: id, reason });
        }
    }

    /// The deadline of draining or closing has passed.
    fn give_up_ending(&mut self) {
        if matches!(self.ending, Some(Ending { stage: Stage::Subscriptions, .. })) {
            self.end_all_subscriptions(EndReason::Closed);
        }
        self.ending = None;
        match &mut self.link {
            Link::Choosing { .. } | Link::Backoff { .. } => self.close_now(None),
            Link::HangingUp { next, .. } => *next = Next::Close(None),
            _ => self.hang_up(DisconnectReason::Requested, None, Next::Close(None)),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next. O(1).
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.link.deadline(),
            self.keepalive.deadline(),
            self.requests.next_deadline(),
            self.fences.next_deadline(),
            self.ending
                .as_ref()
                .filter(|_| !fault!(EndingHasNoDeadline))
                .map(|ending| ending.deadline),
            self.lame_duck.due().filter(|_| self.is_up()),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
