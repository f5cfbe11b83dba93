//! Every state of the link, and every transition between them.
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

use alloc::vec::Vec;
use core::time::Duration;

use super::drain::{Ending, Stage};
use super::event::{DialId, EndReason, Event, SubscriptionId, Unfinished};
use super::fences::Purpose;
use super::handshake::LameDuck;
use super::subscriptions::Phase;
use super::{
    ConnectError, Connection, DialError, DisconnectReason, FlushError, ReconnectToServer,
    RequestError, SetServerPoolError, State,
};
use crate::faults::fault;
use crate::servers::Turn;
use crate::wire::OutBuf;
use crate::{Instant, ServerAddr};

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
    /// Waiting for the turn of `server`.
    Backoff { server: ServerAddr, until: Instant },
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
    fn is_pending(&self) -> bool {
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
            Self::Backoff { until, .. } => Some(*until),
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

    /// Goes on to the next server: at once, or after a wait.
    pub(super) fn next_server(&mut self, now: Instant) {
        self.leave_server(now, None);
    }

    /// Goes on to the next server without waiting.
    fn reconnect_now(&mut self, now: Instant) {
        self.pool.forget_waits();
        self.leave_server(now, Some(Duration::ZERO));
    }

    /// Goes on to the next server, which the caller chooses if it wants to. `delay` replaces the wait.
    fn leave_server(&mut self, now: Instant, delay: Option<Duration>) {
        self.pool.rotate(self.config.max_reconnects);
        if self.config.choose_server && self.pool.has_other() {
            let deadline = now + self.config.connect_timeout;
            self.link = Link::Choosing { deadline, delay };
            let (servers, info) = (self.pool.servers(), self.info.clone());
            self.emit(Event::ChooseServer { servers, info });
        } else {
            self.take_turn(now, delay);
        }
    }

    /// The answer to [`Event::ChooseServer`]. With `None`, or a server that is not in the pool, the pool decides.
    /// Ignored if nobody asked, or no longer.
    pub fn handle_choice(&mut self, now: Instant, choice: Option<ReconnectToServer>) {
        let Link::Choosing { delay, .. } = self.link else {
            return;
        };
        match choice {
            Some(choice) if self.pool.choose(&choice.addr) => self.take_turn(now, choice.delay),
            _ => self.take_turn(now, delay),
        }
    }

    /// Dials the server whose turn it is, after `delay` or when its time has come.
    fn take_turn(&mut self, now: Instant, delay: Option<Duration>) {
        match self.pool.next() {
            Turn::Dial(server, not_before) => {
                let until = match delay {
                    Some(delay) => now + delay,
                    None => self.backoff(now, not_before),
                };
                if until <= now {
                    self.dial(now, server);
                } else {
                    self.link = Link::Backoff { server, until };
                    self.wake.attention();
                }
            }
            Turn::Exhausted => self.close_now(Some(ConnectError::MaxReconnects)),
        }
    }

    /// Replaces the servers of the pool. What is known of those that stay is kept, and attempts are counted anew. A
    /// connection that is up stays, wherever it is to; [`force_reconnect`](Self::force_reconnect) moves it.
    ///
    /// # Errors
    ///
    /// Nothing has changed.
    pub fn set_server_pool(
        &mut self,
        now: Instant,
        servers: Vec<ServerAddr>,
    ) -> Result<(), SetServerPoolError> {
        if self.link.is_last() {
            return Err(SetServerPoolError::Closed);
        }
        self.pool.replace(servers, self.config.retain_servers_order, &mut self.rng)?;
        self.attempts = 0;
        // Nobody waits for a server that is not to be tried.
        if matches!(self.link, Link::Backoff { .. }) && self.pool.is_leaving() {
            self.next_server(now);
        }
        Ok(())
    }

    /// When the next attempt may begin.
    fn backoff(&self, now: Instant, not_before: Option<Instant>) -> Instant {
        let first_round = self.connects == 0 && self.attempts < self.pool.len();
        match &self.config.reconnect_delay {
            Some(delay) if !first_round => now + delay(self.attempts.saturating_add(1)),
            _ if fault!(NoBackoff) => now,
            _ => not_before.unwrap_or(now),
        }
    }

    fn dial(&mut self, now: Instant, server: ServerAddr) {
        self.attempts = self.attempts.saturating_add(1);
        self.dials = self.dials.saturating_add(1);
        self.pool.dialled(now);
        let id = DialId(self.dials);
        self.link = Link::Dialing { id, deadline: now + self.config.connect_timeout };
        self.emit(Event::Dial { id, server });
    }

    /// The attempt `id` has ended. An answer for an attempt that is not the latest is ignored.
    pub fn handle_dial(&mut self, now: Instant, id: DialId, result: Result<(), DialError>) {
        let Link::Dialing { id: current, deadline } = self.link else {
            return;
        };
        if id != current {
            return;
        }
        match result {
            Ok(()) => {
                if !fault!(DecoderIsNotReset) {
                    self.input.reset(self.config.limits);
                }
                self.pongs = 0;
                self.lame_duck = LameDuck::No;
                self.link = Link::AwaitInfo { deadline };
            }
            Err(error) => self.connect_failed(now, ConnectError::Dial(error), Next::Reconnect),
        }
    }

    /// The server has answered our first PING: restores what it must know, then lets publishes flow
    /// (ADR-40: CONNECT, PING, subscriptions, pending publishes).
    pub(super) fn connected(&mut self, now: Instant) {
        let first = self.connects == 0;
        self.link = Link::Connected;
        self.connects = self.connects.saturating_add(1);
        self.attempts = 0;
        self.pool.succeeded();
        self.keepalive.start(now);
        if !fault!(InboxIsNotRestored) {
            self.requests.restore(&mut self.urgent);
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
        self.wake.transmit();
    }

    /// What was asked for this link is not needed any more.
    fn take_back_asks(&mut self) {
        let asks =
            |event: &Event| matches!(event, Event::StartTls { .. } | Event::Authenticate { .. });
        self.events.retain(|event| !asks(event));
    }

    /// Asks the caller to close the stream, for a reason of ours.
    pub(super) fn hang_up(
        &mut self,
        reason: DisconnectReason,
        error: Option<ConnectError>,
        next: Next,
    ) {
        if matches!(self.link, Link::HangingUp { .. } | Link::Closed) {
            return;
        }
        self.take_back_asks();
        let error = if self.link.is_pending() {
            error.or_else(|| Some(ConnectError::Lost(reason.clone())))
        } else {
            None
        };
        self.link = Link::HangingUp { reason, error, next };
        if !fault!(GateStaysOpen) {
            self.gate.close();
        }
        self.keepalive.stop();
        self.emit(Event::Hangup);
    }

    /// The byte stream is closed, for whatever reason; `unsent` is the buffer handed out last, with what is
    /// not written of it.
    ///
    /// To be called once for every stream that was opened, and after every [`Event::Hangup`]. The `reason`
    /// counts unless the connection hung up for one of its own.
    pub fn handle_disconnect(&mut self, now: Instant, reason: DisconnectReason, unsent: OutBuf) {
        let link = core::mem::replace(&mut self.link, Link::Closed);
        let (reason, error, next) = match link {
            // There is no stream to lose.
            Link::Choosing { .. } | Link::Backoff { .. } | Link::Closed => {
                self.link = link;
                return;
            }
            Link::HangingUp { reason, error, next } => (reason, error, next),
            Link::Connected => (reason, None, Next::Reconnect),
            Link::Dialing { .. }
            | Link::AwaitInfo { .. }
            | Link::AwaitTls { .. }
            | Link::AwaitAuth { .. }
            | Link::AwaitPong { .. } => {
                let error = ConnectError::Lost(reason.clone());
                (reason, Some(error), Next::Reconnect)
            }
        };
        // The stream is closed: who did not hear of the wish yet need not hear of it.
        self.events.retain(|event| !matches!(event, Event::Hangup));
        self.take_back_asks();
        let lost = self.break_link(unsent);
        match error {
            Some(error) => self.connect_failed(now, error, next),
            None => {
                let before = if self.ending.is_some() { self.lost_last } else { 0 };
                self.lost_last = before.saturating_add(lost);
                self.connection_lost(now, reason, next);
            }
        }
    }

    /// An attempt did not come to a connection.
    fn connect_failed(&mut self, now: Instant, error: ConnectError, next: Next) {
        self.pool.failed(now, Some(&error), &self.config, &mut self.rng);
        let refused_again = match &error {
            ConnectError::Authorization(refusal) => {
                self.pool.refused(refusal) && !self.config.ignore_repeated_auth_errors
            }
            _ => false,
        };
        if let Some(server) = self.pool.current().cloned() {
            self.emit(Event::ConnectFailed { server, error: error.clone() });
        }
        let first_connect = self.connects == 0 && !self.config.retry_on_initial_connect;
        match next {
            Next::Close(error) => self.close_now(error),
            _ if refused_again => self.close_now(Some(error)),
            Next::ReconnectNow => self.reconnect_now(now),
            // Without retries, every server gets one chance.
            _ if first_connect && self.attempts >= self.pool.len() => self.close_now(Some(error)),
            Next::Reconnect => self.next_server(now),
        }
    }

    /// A connection that was up is gone.
    fn connection_lost(&mut self, now: Instant, reason: DisconnectReason, next: Next) {
        self.pool.failed(now, None, &self.config, &mut self.rng);
        self.emit(Event::Disconnected { reason: reason.clone() });
        match next {
            Next::Close(error) => self.close_now(error),
            _ if !self.config.reconnect => self.close_now(Some(ConnectError::Lost(reason))),
            Next::ReconnectNow => self.reconnect_now(now),
            Next::Reconnect => self.next_server(now),
        }
    }

    /// Gives up the connection there is, or the wait for one, and dials anew at once.
    ///
    /// Publishes that are not written are kept; those that are written and not confirmed become uncertain.
    pub fn force_reconnect(&mut self, now: Instant) {
        match &self.link {
            Link::Backoff { server, .. } => {
                let server = server.clone();
                self.dial(now, server);
            }
            Link::Choosing { .. } | Link::HangingUp { .. } | Link::Closed => {}
            _ => self.hang_up(DisconnectReason::Requested, None, Next::ReconnectNow),
        }
    }

    /// Settles the books of a link that is gone. Says how many publishes became uncertain.
    fn break_link(&mut self, unsent: OutBuf) -> u64 {
        if !fault!(GateStaysOpen) {
            self.gate.close();
        }
        self.keepalive.stop();
        self.handed_out = 0;
        self.urgent.clear();
        let mut kept = match fault!(FrameResumesInTheMiddle) {
            true => unsent,
            false => unsent.into_unsent_publishes(|_, _| true),
        };
        let mut queued = core::mem::take(&mut self.outgoing).into_unsent_publishes(|_, _| true);
        kept.append(&mut queued);
        let before = self.ledger.clone();
        let lost = self.ledger.break_link(kept.unsent_publishes());
        self.outgoing = if fault!(KeptIsLost) { OutBuf::new() } else { kept };

        // What is lost comes before what is kept.
        let lost_of = |position| lost.min(before.pending_before(position));
        for (flush, count) in self.fences.postpone_flushes(lost_of) {
            if fault!(FlushForgetsLosses) {
                continue;
            }
            self.finish_flush(flush, Err(FlushError::Uncertain { count }));
        }
        for fence in self.fences.take_under_way() {
            match fence.purpose {
                Purpose::Keepalive | Purpose::Leave | Purpose::Close | Purpose::Flush(_) => {}
                // They are asked for again.
                Purpose::Subscribe | Purpose::Confirm(..) => {}
                // Nothing more can come: the next server is not told of it.
                Purpose::DrainSubscription(id) => self.end_subscription(id, EndReason::Drained),
                Purpose::DrainAll => self.subscriptions_drained(),
            }
        }
        lost
    }

    /// The end, without a link.
    pub(super) fn close_now(&mut self, error: Option<ConnectError>) {
        let uncertain = core::mem::take(&mut self.lost_last);
        let unsent = self.ledger.pending();
        self.link = Link::Closed;
        self.ending = None;
        self.gate.close();
        self.ledger.drop_pending(unsent);
        self.outgoing = OutBuf::new();
        self.urgent = OutBuf::new();
        for request in self.requests.take_all() {
            self.emit(Event::RequestFailed { request, error: RequestError::Closed });
        }
        for flush in self.fences.take_flushes() {
            self.emit(Event::Flushed { flush, result: Err(FlushError::Closed) });
        }
        for subscription in self.subscriptions.remove_if(|_| true) {
            self.emit(Event::SubscriptionEnded { subscription, reason: EndReason::Closed });
        }
        self.emit(Event::Closed { error, unfinished: Unfinished { unsent, uncertain } });
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
                Link::Backoff { server, .. } => {
                    let server = server.clone();
                    self.dial(now, server);
                }
                Link::Choosing { delay, .. } => self.take_turn(now, *delay),
                _ => self.hang_up(
                    DisconnectReason::TimedOut,
                    Some(ConnectError::TimedOut),
                    Next::Reconnect,
                ),
            }
        }
        if self.is_up() && self.lame_duck.deadline().is_some_and(|deadline| deadline <= now) {
            self.leave();
        }
        if self.is_up() {
            self.probe(now);
        }
    }

    /// The server has not said in time whether it has a subscription.
    fn give_up_confirming(&mut self, id: SubscriptionId) {
        let known = self.subscriptions.get_mut(id);
        if known.is_some_and(|subscription| subscription.phase == Phase::Confirming)
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
            self.lame_duck.deadline().filter(|_| self.is_up()),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
