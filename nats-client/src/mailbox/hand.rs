//! What a subscriber has taken out of its mailbox, and how it becomes messages.

use bytes::{Bytes, BytesMut};
use nats_proto::subject::Short;
use nats_proto::wire::{Chunk, MessageFrame};
use nats_proto::{Message, Subject};

use super::Mailbox;
use super::batch::{Batch, Segment};
use crate::frames::{COPIED, PAGE, cost, extent, moved};

/// Subjects up to this length are part of a [`Message`] and share nothing.
const INLINE_SUBJECT: u32 = 22;

/// What a subscriber has taken out of its mailbox.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    pub(super) batch: Batch,
    next: usize,
    segment: usize,
    page: Page,
}

/// Copies of the small messages that come next.
#[derive(Debug, Default)]
struct Page {
    bytes: Chunk,
    /// Where the next message begins.
    at: usize,
    /// The first message that is not there any more.
    end: usize,
}

/// Whether nothing of a message but its payload needs the chunk.
fn is_plain(frame: &MessageFrame) -> bool {
    frame.headers.is_empty() && frame.subject.len.max(frame.reply.len) <= INLINE_SUBJECT
}

/// Subject and reply subject.
#[inline(always)]
fn texts(chunk: &mut Chunk, frame: &MessageFrame) -> (Subject, Option<Subject>) {
    let subject = Subject::from_span(chunk, frame.subject);
    (subject, (!frame.reply.is_empty()).then(|| Subject::from_span(chunk, frame.reply)))
}

impl Hand {
    /// Goes on to the next message, if there is one, and says whether the driver may be waiting for it to be given
    /// out, or for there to be room.
    #[inline]
    pub(crate) fn advance(&mut self, mailbox: &Mailbox) -> Option<bool> {
        let mut eased = false;
        if self.next >= self.page.end {
            self.turn_page();
            eased = mailbox
                .may_ease(self.batch.frames.len().saturating_sub(self.next), self.batch.bytes);
        }
        let frame = self.batch.frames.get(self.next)?;
        self.next = self.next.wrapping_add(1);
        self.batch.bytes = self.batch.bytes.saturating_sub(cost(frame));
        let left = self.batch.frames.len().saturating_sub(self.next);
        Some(mailbox.hold(left, self.batch.bytes) | eased)
    }

    /// The parts of the message that [`advance`](Self::advance) went on to, if it is small and has only a subject and
    /// a payload; `None` if it is to be had as a [`message`](Self::message).
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> Option<(Short<'_>, Bytes, usize)> {
        let frame = self.batch.frames.get(self.next.wrapping_sub(1))?;
        let chunk = &self.batch.segments.get(self.segment)?.chunk;
        let rest = frame.reply.len.saturating_add(frame.headers.len);
        if rest > 0 || frame.payload.len as usize > COPIED {
            return None;
        }
        let subject = Short::at(chunk, frame.subject)?;
        Some((subject, self.page.next(frame.payload.len as usize), cost(frame)))
    }

    /// The same of a small message without headers, whatever its texts: subject, reply subject, payload and length.
    #[inline(always)]
    pub(crate) fn long_parts(&mut self) -> Option<(Subject, Option<Subject>, Bytes, usize)> {
        let frame = self.batch.frames.get(self.next.wrapping_sub(1))?;
        if !frame.headers.is_empty() || frame.payload.len as usize > COPIED {
            return None;
        }
        if is_plain(frame) {
            let chunk = &mut self.batch.segments.get_mut(self.segment)?.chunk;
            let payload = self.page.next(frame.payload.len as usize);
            let (subject, reply) = texts(chunk, frame);
            return Some((subject, reply, payload, cost(frame)));
        }
        let copy = self.page.next_whole(frame);
        let (subject, reply) = texts(&mut self.page.bytes, &copy);
        Some((subject, reply, copy.payload.slice(&self.page.bytes), cost(frame)))
    }

    /// The message that [`advance`](Self::advance) went on to, of any kind.
    #[inline(never)]
    pub(crate) fn message(&mut self) -> Option<Message> {
        let frame = self.batch.frames.get(self.next.wrapping_sub(1))?;
        let chunk = &mut self.batch.segments.get_mut(self.segment)?.chunk;
        if frame.size() > COPIED {
            return Some(Message::from_frame(chunk, frame));
        }
        if is_plain(frame) {
            let payload = self.page.next(frame.payload.len as usize);
            return Some(Message::from_frame_with(chunk, frame, payload));
        }
        let copy = self.page.next_whole(frame);
        Some(Message::from_frame(&mut self.page.bytes, &copy))
    }

    /// Copies the next small messages, all of the same segment.
    #[cold]
    #[inline(never)]
    fn turn_page(&mut self) {
        while let Some(segment) = self.batch.segments.get_mut(self.segment)
            && self.next >= segment.end
        {
            // The messages alone keep the chunk from here on.
            segment.chunk = Chunk::default();
            self.segment += 1;
        }
        self.page = Page::default();
        let Some(Segment { chunk, end }) = self.batch.segments.get(self.segment) else {
            return;
        };
        let mut bytes = BytesMut::new();
        let mut count = 0;
        for frame in self.batch.frames.get(self.next..*end).unwrap_or_default() {
            if frame.size() <= COPIED {
                let copied = match is_plain(frame) {
                    true => frame.payload.of(chunk),
                    // Headers and long subjects are slices as well: copy all of it.
                    false => {
                        let (start, end) = extent(frame, frame);
                        chunk.get(start..end).unwrap_or_default()
                    }
                };
                if bytes.is_empty() {
                    bytes.reserve(PAGE.max(copied.len()));
                }
                if bytes.len().saturating_add(copied.len()) > bytes.capacity() {
                    break;
                }
                bytes.extend_from_slice(copied);
            }
            count += 1;
        }
        self.page =
            Page { bytes: bytes.freeze().into(), at: 0, end: self.next.saturating_add(count) };
    }

    pub(super) fn reset(&mut self) {
        self.batch.clear();
        self.next = 0;
        self.segment = 0;
        self.page = Page::default();
    }
}

impl Page {
    /// Where the next message is, of which everything is here.
    #[inline(always)]
    fn next_whole(&mut self, frame: &MessageFrame) -> MessageFrame {
        let (start, end) = extent(frame, frame);
        let copy = moved(frame, start, self.at);
        self.at = self.at.saturating_add(end.saturating_sub(start));
        copy
    }

    /// The next `len` bytes.
    #[inline(always)]
    fn next(&mut self, len: usize) -> Bytes {
        let end = self.at.saturating_add(len).min(self.bytes.len());
        let bytes = self.bytes.slice(self.at.min(end)..end);
        self.at = end;
        bytes
    }
}
