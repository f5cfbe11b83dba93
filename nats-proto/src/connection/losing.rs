//! The end of a link, whoever ends it, and of the connection: what becomes of all that was under way.

use super::event::{EndReason, Event, Unfinished};
use super::fences::Purpose;
use super::queued::Queued;
use super::room::Load;
use super::state::{Link, Next};
use super::{ConnectError, Connection, DisconnectReason, FlushError, RequestError};
use crate::Instant;
use crate::faults::fault;
use crate::wire::OutBuf;
use core::time::Duration;

impl Connection {
    /// What was asked and nobody has heard is not needed any more.
    pub(super) fn take_back_asks(&mut self) {
        use Event::{Authenticate, ChooseServer, StartTls};
        let asks = |event: &Event| {
            matches!(event, StartTls { .. } | Authenticate { .. } | ChooseServer { .. })
        };
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
    /// not written of it. What a stream on the way, such as an encrypted one, has taken and not passed on counts as written:
    /// nobody knows how much of it the server has.
    ///
    /// To be called once for every stream that was opened, and after every [`Event::Hangup`]. The `reason`
    /// counts unless the connection hung up for one of its own.
    ///
    /// What was read of the stream and not handled is of no use any more: the input of the next one begins empty.
    pub fn handle_disconnect(&mut self, now: Instant, reason: DisconnectReason, unsent: OutBuf) {
        self.garbage.outlive(&unsent);
        let link = core::mem::replace(&mut self.link, Link::Closed);
        let came_back = matches!(link, Link::HangingUp { .. }).then(|| unsent.len());
        let (reason, error, next) = match link {
            // There is no stream to lose: reading and writing may each have told of the end of the last one.
            Link::Choosing { .. } | Link::Backoff { .. } | Link::Dialing { .. } | Link::Closed => {
                self.link = link;
                return;
            }
            Link::HangingUp { reason, error, next } => (reason, error, next),
            Link::Connected => (reason, None, Next::Reconnect),
            Link::AwaitInfo { .. }
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
        if error.is_none() {
            // What was handed out before the server named its limit is back, and might cost the next link as well.
            self.recheck_queued();
        }
        if let Some(came_back) = came_back {
            self.make_room_afterwards(came_back);
        }
        self.lost_last = self.lost_last.saturating_add(lost);
        match error {
            Some(error) => self.connect_failed(now, error, next),
            None => {
                self.ledger.replay_pending();
                self.connection_lost(now, reason, next);
            }
        }
        // Requests may have ended with what was given up.
        self.flush_behind_replies();
    }

    /// An attempt did not come to a connection.
    pub(super) fn connect_failed(&mut self, now: Instant, error: ConnectError, next: Next) {
        // That the application does so says nothing of the server, and takes no other one its chance.
        let broken_off = error == ConnectError::Lost(DisconnectReason::Requested);
        match next {
            Next::ReconnectNow if broken_off => self.attempts = self.attempts.saturating_sub(1),
            Next::Close(_) if broken_off => {}
            _ => self.pool.failed(now, Some(&error), &self.config, &mut self.rng),
        }
        let refused_again = match &error {
            ConnectError::Authorization(refusal) => {
                self.pool.refused(refusal) && !self.config.ignore_repeated_auth_errors
            }
            _ => false,
        };
        if !broken_off && let Some(server) = self.pool.current().cloned() {
            self.emit(Event::ConnectFailed { server, error: error.clone() });
        }
        match next {
            Next::Close(error) => self.close_now(error),
            _ if refused_again => self.close_now(Some(error)),
            // Without retries, every server gets one chance. Credentials that one refuses are what somebody has to mend;
            // that another is not there may be so for good reason.
            _ if self.has_one_round() && self.attempts >= self.pool.len() => {
                let refusal = self.pool.refusal().cloned().map(ConnectError::Authorization);
                self.close_now(Some(refusal.unwrap_or(error)));
            }
            Next::ReconnectNow => self.reconnect_now(now),
            Next::Reconnect => self.next_server(now),
        }
    }

    /// A connection that was up is gone.
    fn connection_lost(&mut self, now: Instant, reason: DisconnectReason, next: Next) {
        self.pool.failed(now, None, &self.config, &mut self.rng);
        self.emit(Event::Disconnected { reason: reason.clone() });
        match next {
            Next::Close(error) => self.close_now(error),
            // All that there was to flush is known to have arrived, or not to.
            _ if self.is_flushing_last() && self.ledger.pending() == 0 => self.close_now(None),
            _ if !self.config.reconnect => self.close_now(Some(ConnectError::Lost(reason))),
            Next::ReconnectNow => self.reconnect_now(now),
            Next::Reconnect => self.next_server(now),
        }
    }

    /// Gives up the connection there is, or the wait for one, and dials anew at once.
    ///
    /// Publishes that are not written are kept; those that are written and not confirmed become uncertain.
    ///
    /// Without [`Config::reconnect`](crate::Config::reconnect) nothing is dialled after a connection that was up: giving
    /// it up is the end.
    pub fn force_reconnect(&mut self, now: Instant) {
        match &mut self.link {
            Link::Backoff { .. } => self.dial(now),
            // Whatever is waited for besides, nothing is once it has come.
            Link::Choosing { delay, .. } => *delay = Some(Duration::ZERO),
            Link::HangingUp { next, .. } if *next == Next::Reconnect => *next = Next::ReconnectNow,
            Link::HangingUp { .. } | Link::Closed => {}
            _ => self.hang_up(DisconnectReason::Requested, None, Next::ReconnectNow),
        }
    }

    /// Settles the books of a link that is gone. Says how many publishes became uncertain.
    fn break_link(&mut self, unsent: OutBuf) -> u64 {
        if !fault!(GateStaysOpen) {
            self.gate.close();
        }
        self.keepalive.stop();
        self.handed_out = Load::default();
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
        self.queued = Queued::default();

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
        self.take_back_asks();
        let uncertain = core::mem::take(&mut self.lost_last);
        let unsent = self.ledger.pending();
        self.link = Link::Closed;
        self.ending = None;
        self.gate.close();
        self.ledger.drop_pending(unsent);
        self.garbage.outlive(&self.outgoing);
        self.outgoing = OutBuf::new();
        self.urgent = OutBuf::new();
        for request in self.requests.take_all() {
            self.emit(Event::RequestFailed { request, error: RequestError::Closed });
        }
        for flush in self.fences.take_flushes() {
            self.emit(Event::Flushed { flush, result: Err(FlushError::Closed) });
        }
        for subscription in self.subscriptions.take_all() {
            self.emit(Event::SubscriptionEnded { subscription, reason: EndReason::Closed });
        }
        self.emit(Event::Closed { error, unfinished: Unfinished { unsent, uncertain } });
    }
}
