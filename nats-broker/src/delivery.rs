//! The way of a message from its publisher to its subscribers.

use alloc::format;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;
use nats_proto::Instant;
use nats_proto::wire::{OutBuf, PublishFrame, Quoted, encoder};

use crate::Broker;
use crate::event::SessionId;
use crate::operations::error_text;
use crate::routing::{Matches, SubscriptionKey, is_literal};
use crate::trace::Trace;

/// Reply subjects that are no longer are none that a real server would measure a service by.
const LONGEST_SHORT_REPLY: usize = 15;

/// What the latest subject was routed to, kept for the next message: publishers mostly repeat themselves.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    subject: Vec<u8>,
    generation: Option<u64>,
    /// The client whose plain subscriptions are left out, since it does not want its own messages.
    without: Option<SessionId>,
    matches: Matches,
}

/// A message on its way.
#[derive(Clone, Copy)]
struct Message<'a> {
    now: Instant,
    from: SessionId,
    /// The publisher, if it does not want its own messages.
    without: Option<SessionId>,
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    headers: &'a [u8],
    payload: &'a Bytes,
    /// How many bytes stay in memory as long as the payload does.
    held: usize,
    trace: Trace,
}

impl Message<'_> {
    /// Whether its payload, were it not copied, would keep more than itself in memory, for as long as the slowest of
    /// its subscribers does not take it. Small ones are copied for each of them.
    fn keeps_too_much(&self) -> bool {
        let len = self.payload.len();
        len >= OutBuf::SEGMENT_THRESHOLD && len < self.held / 2
    }
}

impl Broker {
    pub(crate) fn handle_publish(
        &mut self,
        now: Instant,
        id: SessionId,
        chunk: &Bytes,
        held: usize,
        frame: &PublishFrame,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let wishes = session.wishes;
        session.last_in = Some(now);
        let payload = frame.payload.slice(chunk);
        let headers = frame.headers.of(chunk);
        let message = Message {
            now,
            from: id,
            without: (!wishes.echo).then_some(id),
            subject: frame.subject.of(chunk),
            reply: (!frame.reply.is_empty()).then(|| frame.reply.of(chunk)),
            headers,
            payload: &payload,
            held,
            trace: if headers.is_empty() { Trace::Off } else { Trace::of(headers) },
        };
        if !frame.headers.is_empty() && !wishes.headers {
            self.hang_up(id);
            return;
        }
        self.statistics.in_messages = self.statistics.in_messages.saturating_add(1);
        self.statistics.in_bytes = self.statistics.in_bytes.saturating_add(frame.size() as u64);
        if wishes.pedantic && !is_literal(message.subject) {
            // Told, and routed all the same.
            self.send(id, |out| encoder::err(out, error_text::INVALID_PUBLISH_SUBJECT));
        }
        if message.trace == Trace::Lost {
            return;
        }
        if let Some(reply) = message.reply.filter(|reply| is_acknowledgement(reply)) {
            let text = format!("Permissions Violation for Publish with Reply of {}", Quoted(reply));
            self.send(id, |out| encoder::err(out, &text));
            return;
        }
        self.acknowledge(id);
        let was_delivered = self.fan_out(&message);
        if let (false, true, Some(reply)) = (was_delivered, wishes.no_responders, message.reply) {
            self.report_no_responders(id, message.subject, reply);
        }
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, key: SubscriptionKey) {
        if let Some(gone) = self.subscriptions.remove(key) {
            self.routes.remove(&gone.subject, gone.queue.as_ref(), key);
            if let Some(session) = self.sessions.get_mut(&gone.session) {
                session.subscriptions.remove(&gone.sid);
            }
            if self.subscriptions.len() == 0 {
                self.fan_out = FanOut::default();
            }
        }
    }

    /// Ends all subscriptions of a client.
    pub(crate) fn unsubscribe_all(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        for key in mem::take(&mut session.subscriptions).into_values() {
            self.unsubscribe(key);
        }
    }

    /// Delivers to every plain subscription and to one member of every queue group; whether anybody got it.
    fn fan_out(&mut self, message: &Message<'_>) -> bool {
        let mut fan_out = mem::take(&mut self.fan_out);
        if fan_out.generation != Some(self.routes.generation())
            || fan_out.subject != message.subject
            || fan_out.without != message.without
        {
            fan_out.generation = Some(self.routes.generation());
            fan_out.subject.clear();
            fan_out.subject.extend_from_slice(message.subject);
            let steps = self.routes.find(message.subject, &mut fan_out.matches);
            self.steps = self.steps.saturating_add(steps);
            fan_out.without = message.without;
            if let Some(without) = message.without {
                // There may be a million, which cannot be looked at again for each message.
                let plain = &mut fan_out.matches.plain;
                self.steps = self.steps.saturating_add(plain.len() as u64);
                plain.retain(|key| {
                    self.subscriptions.get(*key).is_some_and(|found| found.session != without)
                });
            }
        }
        let copy;
        let message = match message.keeps_too_much() && !fan_out.matches.is_empty() {
            true => {
                copy = Bytes::copy_from_slice(message.payload);
                &Message { payload: &copy, ..*message }
            }
            false => message,
        };
        let mut was_delivered = false;
        for key in &fan_out.matches.plain {
            was_delivered |= self.deliver(*key, message);
        }
        for (_, members) in &fan_out.matches.queues {
            let start = self.rng.below(members.len() as u64) as usize;
            let (before, after) = members.split_at_checked(start).unwrap_or_default();
            // Whoever cannot take it (echo off, just cut off) leaves it to the next one.
            was_delivered |= after.iter().chain(before).any(|key| self.deliver(*key, message));
        }
        self.fan_out = fan_out;
        was_delivered
    }

    /// Delivers to one subscription, unless that is only asked for; whether it could take the message.
    fn deliver(&mut self, key: SubscriptionKey, message: &Message<'_>) -> bool {
        self.steps = self.steps.saturating_add(1);
        // The matches may be older than the end of a subscription by some deliveries.
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return false;
        };
        let to = subscription.session;
        let Some(session) = self.sessions.get_mut(&to).filter(|session| !session.is_closing())
        else {
            return false;
        };
        if Some(to) == message.without {
            return false;
        }
        if message.trace == Trace::Only {
            return true;
        }
        subscription.delivered = subscription.delivered.saturating_add(1);
        let is_last = subscription.max.is_some_and(|max| subscription.delivered >= max);
        let headers = if session.wishes.headers { message.headers } else { &[] };
        let is_request = message.reply.is_some_and(|reply| reply.len() > LONGEST_SHORT_REPLY);
        let is_measured = is_request && session.measure(message.now);
        let queued = session.queue(self.config.max_pending, &mut self.events, |out| {
            if is_measured {
                encoder::ping(out);
            }
            encoder::message(
                out,
                message.subject,
                &subscription.sid,
                message.reply,
                headers,
                message.payload,
            );
        });
        let pending = session.pending();
        if queued.is_err() {
            self.cut_off(to);
            return true;
        }
        let size = headers.len().saturating_add(message.payload.len());
        self.statistics.out_messages = self.statistics.out_messages.saturating_add(1);
        self.statistics.out_bytes = self.statistics.out_bytes.saturating_add(size as u64);
        if pending > self.config.max_pending / 2
            && let Some(from) = self.sessions.get_mut(&message.from)
        {
            from.stalled = Some((to, pending));
        }
        if is_last {
            self.unsubscribe(key);
        }
        true
    }

    /// Tells a client that nobody listens: status 503, to a plain subscription of its own that matches the
    /// reply subject. It does not count as a delivery.
    fn report_no_responders(&mut self, id: SessionId, subject: &[u8], reply: &[u8]) {
        let mut matches = Matches::default();
        let steps = self.routes.find(reply, &mut matches);
        self.steps = self.steps.saturating_add(steps).saturating_add(matches.plain.len() as u64);
        let sid = matches
            .plain
            .into_iter()
            .filter_map(|key| self.subscriptions.get(key))
            .find(|subscription| subscription.session == id)
            .map(|subscription| subscription.sid.clone());
        if let Some(sid) = sid {
            let headers = [b"NATS/1.0 503\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat();
            self.send(id, |out| encoder::message(out, reply, &sid, None, &headers, &Bytes::new()));
        }
    }
}

/// Whether a reply subject is one that the real server acknowledges stored messages with. Who publishes is not to use
/// it, on any server: the answer to such a message would acknowledge another one.
fn is_acknowledgement(reply: &[u8]) -> bool {
    reply.strip_prefix(b"$JS.ACK.").is_some_and(|rest| !rest.is_empty())
}
