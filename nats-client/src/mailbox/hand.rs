//! What a subscriber has taken out of its mailbox, and how it becomes messages.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};
use nats_proto::subject::Short;
use nats_proto::wire::{Chunk, MessageFrame};
use nats_proto::{Message, Subject};

use super::Mailbox;
use super::batch::{Batch, Segment};
use crate::frames::{COPIED, PAGE, cost, extent, moved};

/// What a subscriber has taken out of its mailbox.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    pub(super) batch: Batch,
    next: usize,
    segment: usize,
    page: Page,
    /// Messages of the pages begun since the subscriber last waited or rested.
    in_a_row: usize,
}

/// After so many messages in a row, the subscriber lets others run before it begins another page. Some runtimes wake
/// another thread for that, at 4 µs: with 512, each message would take 9 ns more, a tenth.
const ROW: usize = 2048;

/// Messages of a page, however small they are: rests are between pages.
const PAGE_MESSAGES: usize = 256;

/// So few messages get a page of their own size.
const FEW: usize = 8;

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
    frame.headers.is_empty() && frame.subject.len.max(frame.reply.len) as usize <= Subject::INLINE
}

/// What of a message is copied into a page.
#[inline]
fn copied<'a>(chunk: &'a [u8], frame: &MessageFrame) -> &'a [u8] {
    if frame.size() > COPIED {
        return &[];
    }
    if is_plain(frame) {
        return frame.payload.of(chunk);
    }
    // Headers and long subjects are slices as well: copy all of it.
    let (start, end) = extent(frame, frame);
    chunk.get(start..end).unwrap_or_default()
}

/// The first messages that are no more than this in number and bytes, but one in any case.
fn first(frames: &[MessageFrame], (messages, bytes): (usize, usize)) -> &[MessageFrame] {
    let mut size = 0_usize;
    let fits = |frame: &&MessageFrame| {
        size = size.saturating_add(cost(frame));
        size <= bytes
    };
    let count = frames.iter().take(messages.min(PAGE_MESSAGES)).take_while(fits).count();
    frames.get(..count.max(1)).unwrap_or(frames)
}

/// Subject and reply subject.
#[inline(always)]
fn texts(chunk: &mut Chunk, frame: &MessageFrame) -> (Subject, Option<Subject>) {
    let subject = Subject::from_span(chunk, frame.subject);
    (subject, (!frame.reply.is_empty()).then(|| Subject::from_span(chunk, frame.reply)))
}

impl Hand {
    /// Goes on to the next message, if there is one that may be given out before a [rest](Self::rest), and says whether
    /// the driver may be waiting for it to be given out, or for there to be room.
    #[inline]
    pub(crate) fn advance(&mut self, mailbox: &Mailbox) -> Option<bool> {
        let mut eased = false;
        if self.next >= self.page.end {
            eased = self.turn_page(mailbox)?;
        }
        let frame = self.batch.frames.get(self.next)?;
        self.next = self.next.wrapping_add(1);
        self.batch.bytes = self.batch.bytes.saturating_sub(cost(frame));
        let left = self.batch.frames.len().saturating_sub(self.next);
        Some(mailbox.hold(left, self.batch.bytes) | eased)
    }

    /// The message that [`advance`](Self::advance) went on to.
    ///
    /// Part of its caller, which is the subscriber's `poll_next`: nearly every message is put together where the
    /// application wants it, because it is too large to be moved about.
    #[inline(always)]
    pub(crate) fn message(&mut self) -> Option<Message> {
        let frame = self.batch.frames.get(self.next.wrapping_sub(1))?;
        if !frame.headers.is_empty() || frame.payload.len as usize > COPIED {
            let (chunk, frame) = self.whole()?;
            return Some(Message::from_frame(chunk, &frame));
        }
        let chunk = &mut self.batch.segments.get_mut(self.segment)?.chunk;
        if frame.reply.is_empty()
            && let Some(subject) = Short::at(chunk, frame.subject)
        {
            let payload = self.page.next(frame.payload.len as usize);
            return Some(Message::without_headers(subject.into(), None, payload, cost(frame)));
        }
        if is_plain(frame) {
            let payload = self.page.next(frame.payload.len as usize);
            let (subject, reply) = texts(chunk, frame);
            return Some(Message::without_headers(subject, reply, payload, cost(frame)));
        }
        let copy = self.page.next_whole(frame);
        let (subject, reply) = texts(&mut self.page.bytes, &copy);
        let payload = copy.payload.slice(&self.page.bytes);
        Some(Message::without_headers(subject, reply, payload, cost(frame)))
    }

    /// Whether the subscriber has given out so many messages in a row that it must let others run, though there are more
    /// in hand.
    fn must_rest(&self) -> bool {
        self.in_a_row >= ROW && self.has_more()
    }

    /// Whether there is a message that was not given out.
    pub(crate) fn has_more(&self) -> bool {
        self.next < self.batch.frames.len()
    }

    /// Begins a new row if the subscriber must let others run now.
    pub(super) fn rest(&mut self) -> bool {
        let rests = self.must_rest();
        if rests {
            self.in_a_row = 0;
        }
        rests
    }

    /// The subscriber waits for more, so that others run.
    pub(super) fn wait(&mut self) {
        self.in_a_row = 0;
    }

    /// Where all of the message is: one that has headers or is large.
    fn whole(&mut self) -> Option<(&mut Chunk, MessageFrame)> {
        let frame = self.batch.frames.get(self.next.wrapping_sub(1))?;
        if frame.size() > COPIED {
            return Some((&mut self.batch.segments.get_mut(self.segment)?.chunk, *frame));
        }
        let copy = self.page.next_whole(frame);
        Some((&mut self.page.bytes, copy))
    }

    /// Copies the next small messages, all of the same segment, and says whether the driver may be waiting for the first of
    /// them to be given out. `None`, and nothing done, if the subscriber must rest.
    #[cold]
    #[inline(never)]
    fn turn_page(&mut self, mailbox: &Mailbox) -> Option<bool> {
        if self.must_rest() {
            return None;
        }
        while let Some(segment) = self.batch.segments.get_mut(self.segment)
            && self.next >= segment.end
        {
            // The messages alone keep the chunk from here on.
            segment.chunk = Chunk::default();
            self.segment += 1;
        }
        self.page = Page::default();
        let Some(Segment { chunk, end }) = self.batch.segments.get(self.segment) else {
            return Some(false);
        };
        let mut bytes = BytesMut::new();
        let mut count = 0;
        let mut frames = self.batch.frames.get(self.next..*end).unwrap_or_default();
        if let Some(most) = mailbox.bounds.stretch()
            && (frames.len() > most.0 || self.batch.bytes > most.1)
        {
            frames = first(frames, most);
        }
        // A whole page for each message that comes alone would be much to allocate, and to keep.
        let room = match frames.len() <= FEW {
            true => frames.iter().map(|frame| copied(chunk, frame).len()).sum(),
            false => PAGE,
        };
        for frame in frames.iter().take(PAGE_MESSAGES) {
            let copied = copied(chunk, frame);
            if bytes.is_empty() && !copied.is_empty() {
                bytes.reserve(room.min(PAGE).max(copied.len()));
            }
            if bytes.len().saturating_add(copied.len()) > bytes.capacity() {
                break;
            }
            bytes.extend_from_slice(copied);
            count += 1;
        }
        self.in_a_row = self.in_a_row.saturating_add(count);
        self.page =
            Page { bytes: bytes.freeze().into(), at: 0, end: self.next.saturating_add(count) };
        Some(mailbox.may_ease(self.batch.frames.get(self.next)))
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
        let start = mem::replace(&mut self.at, end).min(end);
        if end < self.bytes.len() {
            return self.bytes.slice(start..end);
        }
        // The last, or only, one has the page itself.
        let mut bytes = Bytes::from(mem::take(&mut self.bytes));
        bytes.advance(start);
        bytes
    }
}
