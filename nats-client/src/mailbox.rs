//! What lies between the driver and one subscriber.
//!
//! The driver leaves descriptors of messages and the chunks of input that they point into; the subscriber takes
//! all that is there under one lock and builds the messages on its own thread, one after the other. So the
//! driver neither allocates nor touches a reference count for each message, and nobody waits for anybody.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use nats_proto::Message;
use nats_proto::connection::{Delivery, EndReason};
use nats_proto::subject::Short;
use nats_proto::wire::{MessageFrame, Span};

/// A mailbox whose subscriber lags behind by so many chunks copies small runs of messages out of their chunk,
/// which would otherwise keep a whole read buffer alive for each of them.
const SHARED_SEGMENTS: usize = 8;

/// What a small run is, in bytes: an eighth of the usual read buffer.
const SMALL_RUN: usize = 8 * 1024;

/// Subjects up to this length are part of a [`Message`] and share nothing.
const INLINE_SUBJECT: u32 = 38;

/// Descriptors for which an idle mailbox keeps its memory.
const KEPT_FRAMES: usize = 16 * 1024;

/// Messages on their way from the driver to one subscriber.
///
/// Lock order: the lock of `Shared` may be held when this one is taken, never the other way round.
#[derive(Debug)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    /// What the subscriber has taken and not yet given out; written by it alone.
    held: Held,
    /// Set once nothing more comes. Outside the lock for `Mailbox::held_is_empty`.
    finished: AtomicBool,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Held {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inbox {
    batch: Batch,
    waker: Option<Waker>,
    /// Messages dropped since the subscriber became slow; zero while it is not.
    missed: u64,
    /// Messages dropped in all.
    dropped: u64,
    reason: Option<Box<EndReason>>,
    /// The subscriber is gone.
    abandoned: bool,
}

/// Messages of one subscription, in order.
#[derive(Debug, Default)]
struct Batch {
    frames: Vec<MessageFrame>,
    segments: Vec<Segment>,
    bytes: usize,
}

#[derive(Debug)]
struct Segment {
    chunk: Bytes,
    /// The first frame that is not of this chunk any more.
    end: usize,
}

/// What a subscriber finds when it looks for more.
#[derive(Debug)]
pub(crate) enum Taken {
    /// There are messages now; the number tells of an episode of slowness that has ended, and what was lost.
    Messages(Option<u64>),
    /// Nothing; the waker is registered. The number is as above.
    Nothing(Option<u64>),
    /// Nothing, and nothing will come.
    End,
}

fn spans(frame: &MessageFrame) -> [Span; 4] {
    [frame.subject, frame.reply, frame.headers, frame.payload]
}

/// What a message counts for in the limit of bytes.
fn cost(frame: &MessageFrame) -> usize {
    spans(frame).iter().fold(0, |sum, span| sum.saturating_add(span.len as usize))
}

impl Mailbox {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            inbox: Mutex::default(),
            held: Held::default(),
            finished: AtomicBool::new(false),
            max_messages,
            max_bytes,
        }
    }

    /// Leaves a run of messages that lie in `chunk`; those that do not fit are dropped. Adds the waker of a
    /// waiting subscriber to `wakers`. True if the subscriber has become slow just now.
    pub(crate) fn push(&self, chunk: &Bytes, run: &[Delivery], wakers: &mut Vec<Waker>) -> bool {
        let mut inbox = self.lock();
        if inbox.abandoned {
            return false;
        }
        let held_messages = self.held.messages.load(Ordering::Relaxed);
        let held_bytes = self.held.bytes.load(Ordering::Relaxed);
        let queued = inbox.batch.frames.len().saturating_add(held_messages);
        let room = self.max_messages.saturating_sub(queued);
        let mut bytes = inbox.batch.bytes.saturating_add(held_bytes);
        let fitting = run
            .iter()
            .take(room)
            .take_while(|delivery| {
                bytes = bytes.saturating_add(cost(&delivery.frame));
                bytes <= self.max_bytes
            })
            .count();
        let (accepted, refused) = run.split_at(fitting);
        inbox.batch.append(chunk, accepted);
        if !accepted.is_empty() {
            wakers.extend(inbox.waker.take());
        }
        let refused = refused.len() as u64;
        let begins = refused > 0 && inbox.missed == 0;
        inbox.missed = inbox.missed.saturating_add(refused);
        inbox.dropped = inbox.dropped.saturating_add(refused);
        begins
    }

    /// Tells the subscriber that nothing more comes. The first reason stands.
    pub(crate) fn finish(&self, reason: Option<EndReason>, wakers: &mut Vec<Waker>) {
        let mut inbox = self.lock();
        if !self.finished.swap(true, Ordering::SeqCst) {
            inbox.reason = reason.map(Box::new);
        }
        wakers.extend(inbox.waker.take());
    }

    /// Whether the subscriber has given out everything that was left here, or is gone.
    pub(crate) fn is_consumed(&self) -> bool {
        let inbox = self.lock();
        inbox.abandoned
            || (inbox.batch.frames.is_empty() && self.held.messages.load(Ordering::SeqCst) == 0)
    }

    /// Moves everything to `hand`, which must be empty.
    pub(crate) fn take(&self, hand: &mut Hand, waker: &Waker) -> Taken {
        hand.reset();
        let mut inbox = self.lock();
        let waiting = inbox.batch.frames.len();
        let caught_up = inbox.missed > 0
            && waiting <= self.max_messages / 2
            && inbox.batch.bytes <= self.max_bytes / 2;
        let missed = caught_up.then(|| mem::take(&mut inbox.missed));
        if waiting > 0 {
            mem::swap(&mut inbox.batch, &mut hand.batch);
            self.held.messages.store(waiting, Ordering::Relaxed);
            self.held.bytes.store(hand.batch.bytes, Ordering::Relaxed);
            return Taken::Messages(missed);
        }
        if self.finished.load(Ordering::SeqCst) {
            return Taken::End;
        }
        let unused = inbox.batch.shrink();
        let old = match &inbox.waker {
            Some(old) if old.will_wake(waker) => None,
            _ => inbox.waker.replace(waker.clone()),
        };
        drop(inbox);
        drop((unused, old, hand.batch.shrink()));
        Taken::Nothing(missed)
    }

    /// Notes that the subscriber is gone and lets go of what waits for it.
    pub(crate) fn abandon(&self) {
        let mut inbox = self.lock();
        inbox.abandoned = true;
        let rest = (mem::take(&mut inbox.batch), inbox.waker.take());
        drop(inbox);
        drop(rest);
    }

    /// Messages that were dropped because too many were waiting.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Why nothing more comes.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.lock().reason.as_deref().cloned()
    }

    /// Notes what the subscriber still has. True if the driver may be waiting for that to be nothing.
    #[inline]
    fn hold(&self, messages: usize, bytes: usize) -> bool {
        self.held.bytes.store(bytes, Ordering::Relaxed);
        if messages > 0 {
            self.held.messages.store(messages, Ordering::Relaxed);
            return false;
        }
        // The driver sets `finished` before it looks at `held`, so at least one of the two sees the other.
        self.held.messages.store(0, Ordering::SeqCst);
        self.finished.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn append(&mut self, chunk: &Bytes, run: &[Delivery]) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let Some((start, end)) = extent(&first.frame, &last.frame) else {
            return;
        };
        let small = end - start < SMALL_RUN && self.segments.len() >= SHARED_SEGMENTS;
        let same = self.segments.last().is_some_and(|last| {
            last.chunk.as_ptr() == chunk.as_ptr() && last.chunk.len() == chunk.len()
        });
        self.bytes =
            run.iter().fold(self.bytes, |sum, delivery| sum.saturating_add(cost(&delivery.frame)));
        if small && !same {
            self.frames.extend(run.iter().map(|delivery| moved(&delivery.frame, start)));
            let copy = Bytes::copy_from_slice(chunk.get(start..end).unwrap_or_default());
            self.segments.push(Segment { chunk: copy, end: self.frames.len() });
            return;
        }
        self.frames.extend(run.iter().map(|delivery| delivery.frame));
        let end = self.frames.len();
        match self.segments.last_mut() {
            Some(last) if same => last.end = end,
            _ => self.segments.push(Segment { chunk: chunk.clone(), end }),
        }
    }

    /// Takes out the memory of an empty batch if it is more than an idle one should have.
    fn shrink(&mut self) -> Option<Self> {
        (self.frames.capacity() > KEPT_FRAMES).then(|| mem::take(self))
    }
}

/// Where the messages from `first` to `last` begin and end in their chunk.
fn extent(first: &MessageFrame, last: &MessageFrame) -> Option<(usize, usize)> {
    let used = |span: &Span| !span.is_empty();
    let start = spans(first).into_iter().filter(used);
    let end = spans(last).into_iter().filter(used);
    let start = start.map(|span| span.start as usize).min()?;
    let end = end.map(|span| (span.start as usize).saturating_add(span.len as usize)).max()?;
    (start <= end).then_some((start, end))
}

/// The same message in a chunk that begins at `start` of the old one.
fn moved(frame: &MessageFrame, start: usize) -> MessageFrame {
    let moved = |span: Span| Span {
        start: (span.start as usize).saturating_sub(start) as u32,
        len: span.len,
    };
    MessageFrame {
        sid: frame.sid,
        subject: moved(frame.subject),
        reply: moved(frame.reply),
        headers: moved(frame.headers),
        payload: moved(frame.payload),
    }
}

/// Messages up to this size are copied out of their chunk before they are given out: whoever keeps one keeps a
/// [page](PAGE) with its neighbours, not a whole read buffer. Larger ones share the chunk, of which they are
/// a part worth keeping it for.
const COPIED: usize = 512;

/// Bytes that copied messages share one allocation for.
const PAGE: usize = 4 * 1024;

/// What a subscriber has taken out of its mailbox.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    batch: Batch,
    next: usize,
    segment: usize,
    page: Page,
}

/// Copies of the small messages that come next.
#[derive(Debug, Default)]
struct Page {
    bytes: Bytes,
    /// Where the next message begins.
    at: usize,
    /// The first message that is not there any more.
    end: usize,
}

/// Whether nothing of a message but its payload needs the chunk.
fn is_plain(frame: &MessageFrame) -> bool {
    frame.headers.is_empty() && frame.subject.len.max(frame.reply.len) <= INLINE_SUBJECT
}

impl Hand {
    /// Goes on to the next message, if there is one, and says whether the driver may be waiting for it to be given
    /// out.
    #[inline]
    pub(crate) fn advance(&mut self, mailbox: &Mailbox) -> Option<bool> {
        if self.next >= self.page.end {
            self.turn_page();
        }
        let frame = self.batch.frames.get(self.next)?;
        self.next = self.next.wrapping_add(1);
        self.batch.bytes = self.batch.bytes.saturating_sub(cost(frame));
        let left = self.batch.frames.len().saturating_sub(self.next);
        Some(mailbox.hold(left, self.batch.bytes))
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

    /// The message that [`advance`](Self::advance) went on to, of any kind.
    #[inline(never)]
    pub(crate) fn message(&mut self) -> Option<Message> {
        let frame = self.batch.frames.get(self.next.wrapping_sub(1))?;
        let chunk = &self.batch.segments.get(self.segment)?.chunk;
        if frame.size() > COPIED {
            return Some(Message::from_frame(chunk, frame));
        }
        if is_plain(frame) {
            let payload = self.page.next(frame.payload.len as usize);
            return Some(Message::from_frame_with(chunk, frame, payload));
        }
        let (start, end) = extent(frame, frame).unwrap_or_default();
        let copy = self.page.next(end.saturating_sub(start));
        Some(Message::from_frame(&copy, &moved(frame, start)))
    }

    /// Copies the next small messages, all of the same segment.
    #[cold]
    #[inline(never)]
    fn turn_page(&mut self) {
        while let Some(segment) = self.batch.segments.get_mut(self.segment)
            && self.next >= segment.end
        {
            // The messages alone keep the chunk from here on.
            segment.chunk = Bytes::new();
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
                        let (start, end) = extent(frame, frame).unwrap_or_default();
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
        self.page = Page { bytes: bytes.freeze(), at: 0, end: self.next.saturating_add(count) };
    }

    fn reset(&mut self) {
        self.batch.frames.clear();
        self.batch.segments.clear();
        self.batch.bytes = 0;
        self.next = 0;
        self.segment = 0;
        self.page = Page::default();
    }
}

impl Page {
    /// The next `len` bytes.
    #[inline(always)]
    fn next(&mut self, len: usize) -> Bytes {
        let end = self.at.saturating_add(len).min(self.bytes.len());
        let bytes = self.bytes.slice(self.at.min(end)..end);
        self.at = end;
        bytes
    }
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
