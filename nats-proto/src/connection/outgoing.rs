//! What the application wants to send.

use alloc::string::String;

use bytes::Bytes;

use super::drain::{Ending, Stage};
use super::event::{Event, FlushId, RequestId};
use super::fences::Purpose;
use super::gate::Gate;
use super::queued::Queued;
use super::requests;
use super::room::Load;
use super::state::Link;
use super::{Connection, FlushError, PublishError};
use crate::faults::fault;
use crate::wire::{OutBuf, encoder};
use crate::{Instant, InvalidSubject, Outgoing, subject};

/// More than any frame needs beside subjects, headers and payload.
const LINE: usize = 64;

/// Bytes of a subject that is certain to fit into a control line, whose limit is never as low as that.
const SHORT: usize = 256;

/// Whether a subject needs no further look: it can be published to, and is short.
#[inline]
fn is_sendable(subject: &str) -> bool {
    subject::is_plain(subject.as_bytes())
        || (subject.len() <= SHORT && subject::validate_publish(subject).is_ok())
}

/// Whether a subject is refused even where they are not checked. Without one word for it, the next word would be taken for
/// the subject; and with a line end in it, this connection would not find the end of the frame again, nor of any behind it.
fn breaks_frame(subject: &str) -> bool {
    subject.is_empty() || memchr::memchr2(b'\r', b'\n', subject.as_bytes()).is_some()
}

impl Connection {
    /// Queues a message: encodes it into the outgoing buffer, or into the one that is kept for the next
    /// link.
    ///
    /// # Errors
    ///
    /// Nothing was queued or counted.
    #[inline(always)]
    pub fn publish(&mut self, message: Outgoing<'_>) -> Result<(), PublishError> {
        match message {
            Outgoing { subject, reply: None, headers: None, payload }
                if self.publish_again(subject, payload) =>
            {
                Ok(())
            }
            message => self.publish_any(&message),
        }
    }

    /// The short way for a message like the last one that went through [`publish`](Self::publish): false, and
    /// nothing done, if there is anything that only the long way can see to. If it is true, there is no need to
    /// ask [`take_wake`](Self::take_wake): somebody was told before that there is something to write.
    ///
    /// For callers to whom a hundred instructions matter; it is false about every 64 KiB, so that what is to be done
    /// from time to time can be done then.
    #[inline(always)]
    pub fn publish_again(&mut self, subject: &str, payload: &Bytes) -> bool {
        let frame = subject.len().saturating_add(payload.len()).saturating_add(LINE);
        if !is_sendable(subject) || !self.gate.pass(frame, payload.len()) {
            return false;
        }
        encoder::publish(&mut self.outgoing, subject.as_bytes(), None, None, payload);
        self.ledger.accept();
        true
    }

    /// As [`publish_again`](Self::publish_again), for a message that may have a reply subject and headers.
    #[inline]
    pub fn publish_full_again(&mut self, message: &Outgoing<'_>) -> bool {
        let Outgoing { subject, reply, headers, payload } = *message;
        let headers_len = headers.map_or(0, crate::HeaderMap::encoded_len);
        let size = headers_len.saturating_add(payload.len());
        let reply_len = reply.map_or(0, str::len);
        let frame = subject.len().saturating_add(reply_len).saturating_add(size);
        let passes = is_sendable(subject)
            && reply.is_none_or(is_sendable)
            && (headers_len == 0 || self.gate.takes_headers())
            && self.gate.pass(frame.saturating_add(LINE), size);
        if passes {
            let reply = reply.map(str::as_bytes);
            encoder::publish(&mut self.outgoing, subject.as_bytes(), reply, headers, payload);
            self.ledger.accept();
        }
        passes
    }

    /// Lets nothing through by the short way until a message has gone the long way: for callers whose other publishers wait
    /// for room, and must not be overtaken.
    pub fn close_short_way(&mut self) {
        self.gate.close();
    }

    /// Any publish that did not go the short way, with all checks.
    #[inline(never)]
    fn publish_any(&mut self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        let full = message.reply.is_some() || message.headers.is_some();
        if full && self.publish_full_again(message) {
            return Ok(());
        }
        if let Some(reply) = message.reply {
            subject::validate_publish(reply).map_err(PublishError::InvalidReply)?;
        }
        self.admit(message)?;
        self.enqueue(message);
        if self.is_up() && self.ending.is_none() && self.config.max_control_line >= 1024 {
            self.gate = Gate::open(self.room(), self.max_payload(), self.headers_supported());
        }
        Ok(())
    }

    /// Publishes with a reply subject of its own (whatever `message.reply` says): the reply, or
    /// [`Event::RequestFailed`], follows by `deadline`.
    ///
    /// A request waits through a reconnect: replies find the new link as long as the deadline allows. One whose message is
    /// given up before it is sent ends with it.
    ///
    /// A reply is known by its subject, which is the reply subject. A stored message that JetStream answers a pull with has a
    /// subject of its own: it is taken for the reply of a request to `$JS.` that waits alone, and thrown away as soon as
    /// another such request has ended without its reply, until a link begins while no request waits. So a pull should ask
    /// for one message, and say that it expires before `deadline`: the server then answers in time that there is none.
    ///
    /// # Errors
    ///
    /// Nothing was queued or counted.
    pub fn request(
        &mut self,
        message: Outgoing<'_>,
        deadline: Instant,
    ) -> Result<RequestId, PublishError> {
        let (id, reply) = self.requests.reserve();
        let question = Outgoing { reply: Some(&reply), ..message };
        let admitted = self.admit(&question);
        if admitted.is_ok() {
            self.open_inbox();
            self.enqueue(&question);
        }
        self.requests.recycle(reply);
        // It takes room that the gate counts on, or waits for room.
        self.gate.close();
        admitted?;
        if self.requests.start(id, message.subject, deadline) {
            self.wake.attention();
        }
        Ok(id)
    }

    /// Forgets a request. No event follows; a late reply counts as unroutable.
    pub fn cancel_request(&mut self, request: RequestId) {
        if !fault!(CancelledRequestStays) {
            self.requests.cancel(request);
        }
        self.flush_behind_replies();
    }

    fn open_inbox(&mut self) {
        if self.requests.sid().is_none() {
            let sid = self.subscriptions.next_sid();
            self.requests.open(sid);
        } else if !self.requests.is_doubtful() {
            return;
        }
        // A server that has it already takes no notice of the same number.
        if self.is_up() {
            self.requests.restore(&mut self.outgoing);
            self.wake.transmit();
        }
    }

    pub(super) fn accepts_publishes(&self) -> Result<(), PublishError> {
        match &self.ending {
            _ if self.link.is_last() => Err(PublishError::Closed),
            Some(Ending { stage: Stage::Replies | Stage::Flush, .. }) => {
                Err(PublishError::Draining)
            }
            _ => Ok(()),
        }
    }

    /// Makes room for a message, unless there is a reason to refuse it.
    #[inline]
    fn admit(&mut self, message: &Outgoing<'_>) -> Result<(), PublishError> {
        self.accepts_publishes()?;
        if !self.config.skip_subject_validation || breaks_frame(message.subject) {
            subject::validate_publish(message.subject).map_err(PublishError::InvalidSubject)?;
        }
        let headers = message.headers.filter(|headers| !headers.is_empty());
        let headers_len = headers.map_or(0, crate::HeaderMap::encoded_len);
        let size = headers_len.saturating_add(message.payload.len());
        let limit = self.max_payload();
        if size > limit {
            return Err(PublishError::MaxPayloadExceeded { size, limit });
        }
        let connected = self.is_up();
        let subject = message.subject.as_bytes();
        let reply = message.reply.map(str::as_bytes);
        let payload_len = message.payload.len();
        if connected && self.lame_duck.is_leaving() {
            // There is room on the next link, in a moment.
            let size = encoder::publish_len(subject, reply, headers_len, payload_len);
            let (buffered, limit) = (self.outgoing.len(), self.config.send_limit);
            return Err(PublishError::BufferFull { size, buffered, limit, connected });
        }
        if headers.is_some() && connected && !self.headers_supported() {
            return Err(PublishError::HeadersUnsupported);
        }
        let words = (subject.len(), reply.map_or(0, <[u8]>::len));
        self.fits_line(words, PublishError::InvalidSubject, PublishError::InvalidReply)?;
        // The exact length is worth computing only where it decides.
        let parts = subject.len().saturating_add(reply.map_or(0, <[u8]>::len)).saturating_add(size);
        if !self.has_room(Load::of_frame(parts.saturating_add(LINE), payload_len), connected) {
            let frame = encoder::publish_len(subject, reply, headers_len, payload_len);
            self.make_room(Load::of_frame(frame, payload_len), connected)?;
        }
        Ok(())
    }

    /// Queues a message that was [admitted](Self::admit).
    #[inline]
    fn enqueue(&mut self, message: &Outgoing<'_>) {
        let Outgoing { subject, reply, headers, payload } = *message;
        let reply = reply.map(str::as_bytes);
        let headers = headers.filter(|headers| !headers.is_empty());
        encoder::publish(&mut self.outgoing, subject.as_bytes(), reply, headers, payload);
        self.ledger.accept();
        if self.is_up() {
            self.note_queued();
            self.wake.transmit();
        }
    }

    /// Sees that two words of these lengths leave room for the numbers behind them in a control line. If they do not, the
    /// longer one is at fault.
    #[inline]
    pub(super) fn fits_line<E>(
        &self,
        (first, second): (usize, usize),
        first_is_long: fn(InvalidSubject) -> E,
        second_is_long: fn(InvalidSubject) -> E,
    ) -> Result<(), E> {
        // Two lengths, and the spaces.
        const NUMBERS: usize = 32;
        let len = first.saturating_add(second);
        let limit = self.config.max_control_line.saturating_sub(NUMBERS);
        if len <= limit {
            return Ok(());
        }
        let error = InvalidSubject::TooLong { len, limit };
        Err(if second > first { second_is_long(error) } else { first_is_long(error) })
    }

    /// Asks for a fence: [`Event::Flushed`] follows when the server has seen all that was accepted before and is still
    /// pending.
    ///
    /// Without a link it waits for the next one, until `deadline` (`None`: without end). It never succeeds
    /// over a broken link for publishes that may have been lost with it. It says nothing of what has ended before
    /// it is asked for: what a link has lost already is in [`statistics`](Self::statistics), `uncertain`, and of
    /// publishes that were given up on purpose [`Event::Dropped`] tells.
    pub fn flush(&mut self, deadline: Option<Instant>) -> FlushId {
        let connected = self.is_up();
        let shares = self.fences.shareable(self.outgoing.len()).filter(|_| connected);
        let head = self.ledger.head();
        let (id, soonest) = self.fences.add_flush(deadline, head, connected, shares);
        if self.link == Link::Closed {
            self.finish_flush(id, Err(FlushError::Closed));
        } else if connected && fault!(FlushIsAnsweredEarly) {
            self.finish_flush(id, Ok(()));
        } else if connected && shares.is_none() {
            self.ping(Purpose::Flush(id));
            self.fences.share_last(self.outgoing.len());
        }
        if soonest {
            self.wake.attention();
        }
        id
    }

    /// Forgets a flush. No event follows.
    pub fn cancel_flush(&mut self, flush: FlushId) {
        self.fences.finish_flush(flush);
    }

    pub(super) fn finish_flush(&mut self, flush: FlushId, result: Result<(), FlushError>) {
        if self.fences.finish_flush(flush) {
            self.emit(Event::Flushed { flush, result });
        }
    }

    /// Queues a PING behind everything that was accepted so far.
    pub(super) fn ping(&mut self, purpose: Purpose) {
        encoder::ping(&mut self.outgoing);
        self.fences.push(purpose, self.ledger.head());
        self.wake.transmit();
        self.gate.close();
    }

    /// Swaps what is to be written into `out`, which must be empty (everything written). False if there is
    /// nothing, or `out` is not empty.
    ///
    /// It does not give all at once: a handshake, restored subscriptions and PONGs come before publishes. So it is to be asked
    /// until it is false; what is left is told by no deadline, and by no [`take_wake`](Self::take_wake).
    pub fn poll_transmit(&mut self, out: &mut OutBuf) -> bool {
        self.wake.transmit_polled();
        self.gate.close();
        if !out.is_empty() {
            return false;
        }
        self.handed_out = Load::default();
        if fault!(OutboundIsLife) {
            self.keepalive.heard();
        }
        if fault!(WritesAfterTheEnd) && self.link == Link::Closed {
            encoder::ping(out);
            return true;
        }
        self.keepalive.wrote();
        let source = match self.link {
            Link::AwaitPong { .. } | Link::Connected if !self.urgent.is_empty() => {
                self.pongs = 0;
                &mut self.urgent
            }
            Link::HangingUp { .. } if fault!(WritesToTheLeft) && !self.outgoing.is_empty() => {
                &mut self.outgoing
            }
            Link::Connected if !self.outgoing.is_empty() => {
                self.queued = Queued::default();
                self.fences.handed_out();
                &mut self.outgoing
            }
            _ => return false,
        };
        out.clear();
        core::mem::swap(source, out);
        self.handed_out = Load::of(out);
        self.bytes_out = self.bytes_out.saturating_add(out.len() as u64);
        true
    }

    /// A subject that nobody else has, for replies.
    pub fn new_inbox(&mut self) -> String {
        requests::new_inbox(&self.config.inbox_prefix, &mut self.rng)
    }
}
