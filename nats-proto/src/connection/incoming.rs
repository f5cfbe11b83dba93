//! What the server sends, once decoded.

use alloc::vec::Vec;
use core::mem;

use bytes::BytesMut;

use super::event::{EndReason, Event, FlushId, RequestId, Route, SubscriptionId};
use super::fences::Purpose;
use super::keepalive::Probe;
use super::state::{Link, Next};
use super::subscriptions::Phase;
use super::{ConnectError, Connection, Delivery, DisconnectReason, RequestError, TlsError};
use crate::faults::fault;
use crate::wire::{Chunk, Limits, MessageFrame, ServerDecoder, ServerOp, ServerOps, encoder};
use crate::{DecodeError, Instant, Message, PermissionTarget, ServerError, StatusCode, header};

/// Characters of an -ERR before the TLS handshake that are shown: what servers say, and not all that anybody may.
const SHOWN: usize = 128;

/// The decoder of [`Connection::receive`], made when it is first used.
#[derive(Debug, Default)]
pub(super) struct Input {
    decoder: Option<(ServerDecoder, ServerOps)>,
    /// Bytes of the caller's buffer that were there already at the last call.
    left: usize,
}

impl Input {
    /// A new link begins.
    pub(super) fn reset(&mut self, limits: Limits) {
        self.left = 0;
        if let Some((decoder, _)) = &mut self.decoder {
            *decoder = ServerDecoder::new(limits);
        }
    }
}

impl Connection {
    /// `count` bytes came in (also if they complete no operation): the peer is alive.
    ///
    /// For callers that decode by themselves, for whom [`Statistics::bytes_in`](super::Statistics::bytes_in) counts what is
    /// told here; [`receive`](Self::receive) does it for you.
    pub fn handle_inbound(&mut self, count: usize) {
        if count > 0 {
            self.bytes_in = self.bytes_in.saturating_add(count as u64);
            self.keepalive.heard();
        }
    }

    /// The caller reads nothing for now, because somebody must catch up first. So nothing can come in, and no
    /// more is asked of the peer than to take what is written. Ends with
    /// [`handle_resume`](Self::handle_resume), or with the link. Calling it again is harmless.
    pub fn handle_pause(&mut self) {
        self.keepalive.pause();
    }

    /// The caller reads again. Harmless if it did all the time.
    pub fn handle_resume(&mut self, now: Instant) {
        if self.keepalive.resume(now) {
            self.wake.attention();
        }
    }

    /// Handles a decoded batch, once. What it brings for somebody is appended to `deliveries`, in order, and stays in
    /// `ops`; everything else turns into events, and [`ServerOp::Ok`] stands in its place.
    ///
    /// Events of the same batch come after its messages.
    ///
    /// Who uses this instead of [`receive`](Self::receive) decodes with a [`ServerDecoder`], and
    /// - makes a new one, with an empty input, for each byte stream: what one link left behind is garbage to the next;
    /// - tells [`handle_inbound`](Self::handle_inbound) of all bytes that come in. That a batch holds an operation is a sign
    ///   of life of the server, but a large message may be on its way for longer than
    ///   [`Config::ping_interval`](super::Config::ping_interval) before it is one;
    /// - tells [`handle_decode_error`](Self::handle_decode_error) of an error of the decoder, behind the operations that it
    ///   came to before;
    /// - looks at what is left of its input when it is to encrypt the stream: see [`Event::StartTls`].
    pub fn handle_ops(
        &mut self,
        now: Instant,
        ops: &mut ServerOps,
        deliveries: &mut Vec<Delivery>,
    ) {
        let ServerOps { chunk, items } = ops;
        if !items.is_empty() {
            self.keepalive.heard();
        }
        self.handle_each(now, items, chunk, |_, _, route, index, _| match deliveries.last_mut() {
            // Messages come in runs for the same subscription.
            Some(last) if last.route == route && last.messages.end == index => {
                last.messages.end = index.saturating_add(1);
            }
            _ => {
                let messages = index..index.saturating_add(1);
                deliveries.push(Delivery { route, messages });
            }
        });
    }

    /// The input cannot be decoded any further: the connection will hang up. Without a stream nothing happens.
    pub fn handle_decode_error(&mut self, error: DecodeError) {
        match self.link {
            Link::AwaitTls { .. } => self.refuse(ConnectError::Tls(TlsError::EarlyData)),
            Link::AwaitInfo { .. }
            | Link::AwaitAuth { .. }
            | Link::AwaitPong { .. }
            | Link::Connected => {
                self.hang_up(DisconnectReason::Protocol(error), None, Next::Reconnect);
            }
            // It came from a stream that is gone.
            _ => {}
        }
    }

    /// The one-call form for simple loops: decodes `input` and handles what it holds. Messages come as
    /// events, in order with the others. An incomplete operation stays in `input`, to be completed by the
    /// next read; nothing does once the connection hangs up.
    pub fn receive(&mut self, now: Instant, input: &mut BytesMut) {
        let limits = self.config.limits;
        let (mut decoder, mut ops) = self
            .input
            .decoder
            .take()
            .unwrap_or_else(|| (ServerDecoder::new(limits), ServerOps::new()));
        let before = input.len();
        let result = decoder.decode(input, &mut ops);
        // What is left over was counted when it came; counting it again would call it life.
        let fresh = before.saturating_sub(self.input.left);
        self.input.left = input.len();
        self.handle_inbound(fresh);
        let mut chunk = Chunk::from(mem::take(&mut ops.chunk));
        self.handle_each(now, &mut ops.items, &mut chunk, |connection, chunk, route, _, frame| {
            let message = Message::from_frame(chunk, frame);
            connection.emit(match route {
                Route::Subscription(subscription) => Event::Message { subscription, message },
                Route::Request(request) => Event::Reply { request, message },
            });
        });
        ops.clear();
        self.input.decoder = Some((decoder, ops));
        if let Err(error) = result {
            self.handle_decode_error(error);
        } else if matches!(self.link, Link::AwaitTls { .. }) && !input.is_empty() {
            self.refuse(ConnectError::Tls(TlsError::EarlyData));
        }
        if !input.is_empty() {
            self.discard_rest(input);
        }
    }

    /// Lets go of what is left once no more of it can be of use: before the first bytes of the next link it would be
    /// garbage, to every server in turn.
    #[inline(never)]
    fn discard_rest(&mut self, input: &mut BytesMut) {
        if matches!(self.link, Link::HangingUp { .. } | Link::Closed) {
            input.clear();
            self.input.left = 0;
        }
    }

    /// Handles all operations, of which only messages stay. Those for somebody go to `deliver`, with their place.
    #[inline(always)]
    fn handle_each<C: AsRef<[u8]>>(
        &mut self,
        now: Instant,
        items: &mut [ServerOp],
        chunk: &mut C,
        mut deliver: impl FnMut(&mut Self, &mut C, Route, usize, &MessageFrame),
    ) {
        for (index, op) in items.iter_mut().enumerate() {
            match op {
                // Nearly every operation is this one.
                ServerOp::Message(frame) if self.is_up() => {
                    self.route(frame, chunk, |connection, chunk, route| {
                        deliver(connection, chunk, route, index, frame);
                    });
                }
                op => self.handle_other(now, mem::replace(op, ServerOp::Ok)),
            }
        }
        self.recheck_if_stricter();
        self.flush_behind_replies();
    }

    /// Handles what is not a message on a connection that is up.
    #[inline(never)]
    fn handle_other(&mut self, now: Instant, op: ServerOp) {
        match &self.link {
            // What comes now was not encrypted.
            Link::AwaitTls { .. } if !fault!(PlainBytesAreTaken) => {
                self.refuse(ConnectError::Tls(match op {
                    ServerOp::Err(error) => {
                        TlsError::EarlyError(error.text().chars().take(SHOWN).collect())
                    }
                    _ => TlsError::EarlyData,
                }));
            }
            Link::AwaitInfo { .. }
            | Link::AwaitAuth { .. }
            | Link::AwaitPong { .. }
            | Link::Connected => match op {
                ServerOp::Info(info) => self.handle_info(now, info),
                ServerOp::Err(error) => self.handle_server_error(*error),
                ServerOp::Ping => self.answer_ping(),
                ServerOp::Pong => self.handle_pong(now),
                // In verbose mode it follows everything, from CONNECT on.
                ServerOp::Ok => {}
                // Before the handshake is over nobody has subscribed to anything.
                ServerOp::Message(_) => self.unroutable = self.unroutable.saturating_add(1),
            },
            // After a hang-up nothing counts.
            _ => {}
        }
    }

    /// A server that probes without ever reading must not fill our memory with answers.
    fn answer_ping(&mut self) {
        const MAX_QUEUED: u32 = 1024;
        if self.pongs < MAX_QUEUED {
            self.pongs = self.pongs.saturating_add(1);
            // The server takes nothing before CONNECT, which will bring those along that are asked for before.
            if matches!(self.link, Link::AwaitPong { .. } | Link::Connected) {
                encoder::pong(&mut self.urgent);
                self.wake.transmit();
            }
        }
    }

    fn handle_pong(&mut self, now: Instant) {
        match self.link {
            Link::AwaitPong { .. } => return self.connected(now),
            Link::Connected => {}
            _ => return,
        }
        // A PONG that nobody asked for proves nothing and does no harm.
        let Some(fence) = self.fences.pop() else {
            return;
        };
        self.ledger.confirm(fence.position);
        match fence.purpose {
            Purpose::Keepalive => {}
            Purpose::Leave if self.lame_duck.is_leaving() && self.ledger.pending() == 0 => {
                self.leave();
            }
            // An end has begun since, or the move was called off, and begun again behind other publishes.
            Purpose::Leave => {}
            Purpose::Flush(flush) => {
                while let Some(flush) = self.fences.next_sharing(flush) {
                    self.finish_flush(flush, Ok(()));
                }
            }
            Purpose::Subscribe => {}
            Purpose::Confirm(flush, id) => self.confirmed(flush, id),
            Purpose::DrainSubscription(id) => self.end_subscription(id, EndReason::Drained),
            Purpose::DrainAll => self.subscriptions_drained(),
            Purpose::Close => self.finish_ending(),
        }
    }

    /// Finds out whom a message is for. A subscription that gets the last message it asked for ends after the
    /// message, so that the two are told in this order.
    #[inline(always)]
    fn route<C: AsRef<[u8]>>(
        &mut self,
        frame: &MessageFrame,
        chunk: &mut C,
        deliver: impl FnOnce(&mut Self, &mut C, Route),
    ) {
        let Some(subscription) = self.subscriptions.by_sid_mut(frame.sid) else {
            if let Some(request) = self.route_reply(frame, chunk.as_ref()) {
                deliver(self, chunk, Route::Request(request));
            }
            return;
        };
        subscription.delivered = subscription.delivered.saturating_add(1);
        let early = u64::from(fault!(EndsOneTooEarly));
        let is_full =
            subscription.max.is_some_and(|max| subscription.delivered.saturating_add(early) >= max);
        let id = subscription.id;
        // Nearly every message has a payload, and costs no more than a look at that.
        if frame.payload.is_empty() && is_no_responders(frame, chunk.as_ref()) {
            self.fail_unheard(frame.subject.of(chunk.as_ref()));
        }
        self.messages_in = self.messages_in.saturating_add(1);
        deliver(self, chunk, Route::Subscription(id));
        if is_full {
            self.reached_max(id);
        }
    }

    /// A subscription has got all that it asked for.
    ///
    /// The server may have counted less, and so would keep it: it counts neither what it says by itself, such as that nobody
    /// listens, nor, towards the maximum, what comes by an import of a stream from another account.
    #[inline(never)]
    fn reached_max(&mut self, id: SubscriptionId) {
        let known = self.subscriptions.get_mut(id);
        // Of one that is drained it has been told.
        if known.is_some_and(|subscription| subscription.phase != Phase::Draining) {
            encoder::unsubscribe(&mut self.outgoing, id.sid, None);
            self.wake.transmit();
        }
        self.end_subscription(id, EndReason::MaxReached);
    }

    /// A subscription is told that nobody listens, perhaps to a request: a server says so once for each client, and where
    /// subscriptions of the application's own match the inbox as well, to whichever it finds first.
    #[inline(never)]
    fn fail_unheard(&mut self, subject: &[u8]) {
        if let Some(request) = self.requests.find(subject)
            && self.requests.finish(request)
        {
            self.emit(Event::RequestFailed { request, error: RequestError::NoResponders });
        }
    }

    #[inline(never)]
    fn route_reply(&mut self, frame: &MessageFrame, chunk: &[u8]) -> Option<RequestId> {
        let mut request = None;
        if self.requests.sid() == Some(frame.sid) {
            self.requests.heard();
            request = self.requests.find_in_inbox(frame.subject.of(chunk));
        }
        let Some(request) = request else {
            self.unroutable = self.unroutable.saturating_add(1);
            return None;
        };
        if !fault!(RequestEndsTwice) {
            self.requests.finish(request);
        }
        self.messages_in = self.messages_in.saturating_add(1);
        if is_no_responders(frame, chunk) {
            self.emit(Event::RequestFailed { request, error: RequestError::NoResponders });
            return None;
        }
        Some(request)
    }

    pub(super) fn end_subscription(&mut self, subscription: SubscriptionId, reason: EndReason) {
        if let Some(known) = self.subscriptions.remove(subscription) {
            self.forget_confirming(known.phase);
            self.emit(Event::SubscriptionEnded { subscription, reason });
        }
    }

    /// A subscription in this phase has ended: no server need be asked for it.
    pub(super) fn forget_confirming(&mut self, phase: Phase) {
        if let Phase::Confirming(flush) = phase {
            self.fences.finish_flush(flush);
        }
    }

    /// The server has answered what stands behind a SUB.
    pub(super) fn confirmed(&mut self, flush: FlushId, id: SubscriptionId) {
        self.fences.finish_flush(flush);
        // It may have ended by now.
        let Some(subscription) = self.subscriptions.get_mut(id) else {
            return;
        };
        match subscription.phase {
            Phase::Confirming(_) => {
                if !fault!(ConfirmedIsNotRestored) {
                    subscription.phase = Phase::Open;
                }
            }
            // Whoever waits for it is not to wait for the end of that.
            Phase::Draining => {}
            Phase::Open => return,
        }
        self.emit(Event::SubscriptionConfirmed { subscription: id });
    }

    /// Ends the subscriptions that an error is about: the server does not have them.
    pub(super) fn refuse_subscriptions(&mut self, error: &ServerError) {
        use PermissionTarget::Subscription as Target;
        let refused = match error {
            ServerError::PermissionsViolation(Target { subject, queue: None, sid })
                if self.requests.is_inbox(subject, *sid) =>
            {
                return self.refuse_inbox();
            }
            ServerError::PermissionsViolation(Target { sid: Some(sid), subject, .. }) => {
                let known = self.subscriptions.by_sid_mut(*sid);
                let known = known.filter(|known| *known.subject == *subject).map(|known| known.id);
                known.into_iter().filter(|id| self.subscriptions.remove(*id).is_some()).collect()
            }
            ServerError::PermissionsViolation(Target { subject, queue, .. }) => {
                self.subscriptions.remove_named(subject, queue.as_deref())
            }
            ServerError::TooManyTokens { subject } if self.requests.is_inbox(subject, None) => {
                return self.refuse_inbox();
            }
            ServerError::TooManyTokens { subject } => self.subscriptions.remove_subject(subject),
            // These name no subscription. Only of one that is to be confirmed it is known that they are about it.
            ServerError::MaximumSubscriptionsExceeded | ServerError::InvalidSubject => {
                let Some(Purpose::Confirm(_, id)) = self.fences.front() else {
                    return self.requests.doubt();
                };
                self.subscriptions.remove(id).map(|removed| removed.id).into_iter().collect()
            }
            _ => return,
        };
        for subscription in refused {
            let reason = EndReason::Refused(error.clone());
            self.emit(Event::SubscriptionEnded { subscription, reason });
        }
    }

    /// The server does not have the inbox: no reply can come, to any request that waits. The next one tries again.
    fn refuse_inbox(&mut self) {
        self.requests.close_inbox();
        for request in self.requests.take_all() {
            self.emit(Event::RequestFailed { request, error: RequestError::InboxRefused });
        }
    }

    /// Ends the requests to a subject that the client may not publish to: nobody has got them.
    pub(super) fn refuse_requests(&mut self, error: &ServerError) {
        let ServerError::PermissionsViolation(PermissionTarget::Publish { subject }) = error else {
            return;
        };
        for request in self.requests.take_to(subject) {
            self.emit(Event::RequestFailed { request, error: RequestError::PublishRefused });
        }
    }

    /// Sends a probe if it is time for one.
    pub(super) fn probe(&mut self, now: Instant) {
        match self.keepalive.handle_timeout(now) {
            Probe::Wait => {}
            Probe::Ping => self.ping(Purpose::Keepalive),
            Probe::Stale => self.hang_up(DisconnectReason::Stale, None, Next::Reconnect),
        }
    }
}

/// Whether the server says that nobody listens, as [`Message::is_no_responders`] reads it.
#[inline(never)]
fn is_no_responders(frame: &MessageFrame, chunk: &[u8]) -> bool {
    if fault!(HeadersMeanNobody) {
        return !frame.headers.is_empty();
    }
    let status = || header::status(frame.headers.of(chunk));
    frame.payload.is_empty() && status() == Some(StatusCode::NO_RESPONDERS)
}
