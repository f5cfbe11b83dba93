//! What each operation of a client does.

use alloc::format;

use bytes::Bytes;
use nats_proto::wire::{ClientOp, Quoted, Span, encoder};
use nats_proto::{ConnectInfo, DecodeError, Instant, Protocol};

use crate::Broker;
use crate::broker::Occasion;
use crate::event::SessionId;
use crate::routing::tokens;
use crate::session::{Phase, RoundTrip, Wishes};
use crate::subscriptions::Subscription;

/// The texts of -ERR, as `nats-server` spells them.
pub(crate) mod error_text {
    pub(crate) const AUTHENTICATION_TIMEOUT: &str = "Authentication Timeout";
    pub(crate) const AUTHORIZATION_VIOLATION: &str = "Authorization Violation";
    pub(crate) const INVALID_CLIENT_PROTOCOL: &str = "invalid client protocol";
    pub(crate) const INVALID_PUBLISH_SUBJECT: &str = "Invalid Publish Subject";
    pub(crate) const INVALID_SUBJECT: &str = "Invalid Subject";
    pub(crate) const MAXIMUM_CONNECTIONS: &str = "maximum connections exceeded";
    pub(crate) const MAXIMUM_CONTROL_LINE: &str = "maximum control line exceeded";
    pub(crate) const MAXIMUM_PAYLOAD: &str = "Maximum Payload Violation";
    pub(crate) const MAXIMUM_SUBSCRIPTIONS: &str = "maximum subscriptions exceeded";
    pub(crate) const NO_RESPONDERS_NEEDS_HEADERS: &str = "no responders requires headers support";
    pub(crate) const STALE_CONNECTION: &str = "Stale Connection";
    pub(crate) const UNKNOWN_OPERATION: &str = "Unknown Protocol Operation";
}

/// The queue group that `nats-server` keeps for itself.
const RESERVED_QUEUE: &[u8] = b"_sys_";

impl Broker {
    /// `held` bytes stay in memory as long as a slice of `chunk` does.
    pub(crate) fn handle_operation(
        &mut self,
        now: Instant,
        id: SessionId,
        chunk: &Bytes,
        held: usize,
        op: ClientOp,
    ) {
        match op {
            ClientOp::Connect(connect) => self.handle_introduction(now, id, &connect),
            ClientOp::Publish(frame) => self.handle_publish(now, id, chunk, held, &frame),
            ClientOp::Subscribe { subject, queue, sid } => {
                self.touch(now, id);
                self.handle_subscribe(id, chunk, subject, queue, sid);
            }
            ClientOp::Unsubscribe { sid, max } => {
                self.touch(now, id);
                self.handle_unsubscribe(id, sid.of(chunk), max);
            }
            ClientOp::Ping => self.handle_ping(now, id),
            // An answer to our probe is no sign of activity: the next probe is not put off by it.
            ClientOp::Pong => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.pings_out = 0;
                    session.round_trip = RoundTrip::Known;
                }
            }
            // `ClientOp` may grow.
            _ => {}
        }
    }

    /// The client's bytes are not the protocol, or beyond a limit.
    ///
    /// `rest` begins with the operation that is wrong.
    pub(crate) fn handle_violation(&mut self, id: SessionId, error: &DecodeError, rest: &[u8]) {
        let has_headers =
            rest.first_chunk().is_some_and(|name: &[u8; 4]| name.eq_ignore_ascii_case(b"HPUB"));
        let may_not =
            has_headers && self.sessions.get(&id).is_some_and(|from| !from.wishes.headers);
        match error {
            DecodeError::ControlLineTooLong { .. } | DecodeError::InfoTooLong { .. } => {
                self.refuse(id, error_text::MAXIMUM_CONTROL_LINE);
            }
            // Its line alone was wrong enough, and that gets no answer.
            DecodeError::PayloadTooLong { .. }
            | DecodeError::HeaderBlockTooLong { .. }
            | DecodeError::MissingPayloadEnd
                if may_not =>
            {
                self.hang_up(id);
            }
            DecodeError::PayloadTooLong { .. } | DecodeError::HeaderBlockTooLong { .. } => {
                self.refuse(id, error_text::MAXIMUM_PAYLOAD);
            }
            DecodeError::UnknownOperation(_) | DecodeError::MissingPayloadEnd => {
                self.refuse(id, error_text::UNKNOWN_OPERATION);
            }
            // Arguments that are wrong get no answer at all.
            _ => self.hang_up(id),
        }
    }

    /// Notes that the client did something.
    pub(crate) fn touch(&mut self, now: Instant, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.last_in = Some(now);
        }
    }

    /// Acknowledges, if the client wants that.
    pub(crate) fn acknowledge(&mut self, id: SessionId) {
        if self.sessions.get(&id).is_some_and(|session| session.wishes.verbose) {
            self.send(id, encoder::ok);
        }
    }

    fn handle_introduction(&mut self, now: Instant, id: SessionId, connect: &ConnectInfo) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let is_first = session.phase == Phase::Introducing;
        let is_admitted = self.config.auth.admits(connect, session.user.as_deref());
        if !is_first {
            self.unsubscribe_all(id);
        }
        if !is_admitted {
            self.refuse(id, error_text::AUTHORIZATION_VIOLATION);
            return;
        }
        if matches!(connect.protocol, Protocol::Unknown(_)) {
            self.refuse(id, error_text::INVALID_CLIENT_PROTOCOL);
            return;
        }
        if connect.no_responders && !connect.headers {
            self.refuse(id, error_text::NO_RESPONDERS_NEEDS_HEADERS);
            return;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.wishes = Wishes::of(connect);
            session.round_trip = RoundTrip::Known;
            if is_first {
                session.phase = Phase::Connected;
            }
            if self.config.auth.is_required() && (is_first || connect.user.is_some()) {
                session.user = Some(connect.user.clone().unwrap_or_default());
            }
        }
        self.clear_deadlines(id);
        self.schedule_first_probe(id, now);
        self.acknowledge(id);
    }

    fn handle_ping(&mut self, now: Instant, id: SessionId) {
        self.touch(now, id);
        self.send(id, encoder::pong);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.phase == Phase::Connected {
            session.phase = Phase::Settled;
            if session.wishes.async_info {
                self.send_info(id, Occasion::Introduced);
            }
        }
    }

    fn handle_subscribe(
        &mut self,
        id: SessionId,
        chunk: &Bytes,
        subject: Span,
        queue: Span,
        sid: Span,
    ) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if queue.of(chunk) == RESERVED_QUEUE {
            let text = format!(
                "Permissions Violation for Subscription to {} using queue {}",
                Quoted(subject.of(chunk)),
                Quoted(RESERVED_QUEUE)
            );
            self.send(id, |out| encoder::err(out, &text));
            return;
        }
        let most = self.config.max_subscription_tokens;
        if most > 0 && tokens(subject.of(chunk)).nth(most).is_some() {
            let subject = Quoted(subject.of(chunk));
            let text =
                format!("Permissions Violation for Subscription to {subject}, too many tokens");
            self.send(id, |out| encoder::err(out, &text));
            return;
        }
        if session.subscriptions.len() >= self.config.max_subscriptions {
            self.send(id, |out| encoder::err(out, error_text::MAXIMUM_SUBSCRIPTIONS));
            return;
        }
        if !session.subscriptions.contains_key(sid.of(chunk)) {
            // What lives as long as a subscription must not keep the whole chunk alive.
            let sid = Bytes::copy_from_slice(sid.of(chunk));
            let subject = Bytes::copy_from_slice(subject.of(chunk));
            let queue = (!queue.is_empty()).then(|| Bytes::copy_from_slice(queue.of(chunk)));
            let key = self.subscriptions.insert(Subscription {
                session: id,
                sid: sid.clone(),
                subject: subject.clone(),
                queue: queue.clone(),
                delivered: 0,
                max: None,
            });
            if self.routes.insert(&subject, queue.as_ref(), key).is_err() {
                self.subscriptions.remove(key);
                self.send(id, |out| encoder::err(out, error_text::INVALID_SUBJECT));
                return;
            }
            if let Some(session) = self.sessions.get_mut(&id) {
                session.subscriptions.insert(sid, key);
            }
        }
        // A name that is in use already keeps its subject, and the client is not told.
        self.acknowledge(id);
    }

    fn handle_unsubscribe(&mut self, id: SessionId, sid: &[u8], max: Option<u64>) {
        let key =
            self.sessions.get(&id).and_then(|session| session.subscriptions.get(sid).copied());
        self.acknowledge(id);
        let Some(key) = key else {
            return;
        };
        match (self.subscriptions.get_mut(key), max) {
            (Some(subscription), Some(max)) if max > subscription.delivered => {
                subscription.max = Some(max);
            }
            _ => self.unsubscribe(key),
        }
    }
}
