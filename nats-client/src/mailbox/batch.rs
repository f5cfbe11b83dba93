//! Messages that wait, and the chunks they lie in.

use std::mem;
use std::ops::Range;

use bytes::Bytes;
use nats_proto::wire::{Chunk, MessageFrame, ServerOp};

use crate::faults::fault;
use crate::frames::{copied, cost, extent, frame, moved};

/// A mailbox whose subscriber lags behind by so many chunks copies small runs of messages out of their chunk,
/// which would otherwise keep a whole read buffer alive for each of them.
pub(super) const SHARED_SEGMENTS: usize = 8;

/// What a small run is then, in bytes: a quarter of the largest chunk that is not large.
const SMALL_RUN: usize = LARGE_CHUNK / 4;

/// Chunks of so many bytes are larger than usual: for the sake of one large message, or of a long line. Runs of less than a
/// quarter of them are copied whoever lags behind.
const LARGE_CHUNK: usize = 128 * 1024;

/// What the line of a message may take beside its texts, in bytes. What it takes beyond that is not worth keeping: a server
/// may put spaces between the texts, as many as a line may have.
const LINE: usize = 64;

/// Descriptors for which an idle mailbox keeps its memory, and the subscriber's hand as well: 40 KiB in all, for each of
/// perhaps many subscriptions. Larger batches need new memory, once for hundreds of messages.
const KEPT: usize = 512;

/// Messages given up at the front before their descriptors are, at least.
const GAP: usize = 64;

/// Messages of one subscription, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<MessageFrame>,
    pub(super) segments: Vec<Segment>,
    /// What its messages count for.
    pub(super) bytes: usize,
    /// The first frame that was not given up, and its segment. Both are zero but where the oldest are dropped.
    first: u32,
    first_segment: u32,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) chunk: Chunk,
    /// The first frame that is not of this chunk any more.
    pub(super) end: usize,
}

impl Batch {
    /// Appends a run of messages that lie in `chunk` and count for so many bytes.
    pub(super) fn append(&mut self, chunk: &Bytes, run: &[ServerOp], bytes: usize) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let (start, end) = extent(frame(first), frame(last));
        let segments = self.segments.len().saturating_sub(self.first_segment as usize);
        let length = end - start;
        let worth = length.min(bytes.saturating_add(run.len().saturating_mul(LINE)));
        let small = match chunk.len() >= LARGE_CHUNK {
            true => worth < chunk.len() / 4,
            false => worth < SMALL_RUN && segments >= SHARED_SEGMENTS,
        };
        let same = self.segments.last().is_some_and(|last| {
            (last.chunk.as_ptr() == chunk.as_ptr() && last.chunk.len() == chunk.len())
                || fault!(ChunksAreTakenForOne)
        });
        self.bytes = self.bytes.saturating_add(bytes);
        if small && !same {
            let copy = match worth < length {
                true => self.append_texts(chunk, run, bytes),
                false => self.append_copy(chunk, run, start..end),
            };
            self.segments.push(Segment { chunk: copy.into(), end: self.frames.len() });
            return;
        }
        self.frames.extend(run.iter().map(|op| *frame(op)));
        let end = self.frames.len();
        match self.segments.last_mut() {
            Some(last) if same => last.end = end,
            _ => self.segments.push(Segment { chunk: chunk.clone().into(), end }),
        }
    }

    /// Appends a run, and gives a copy of the part of its chunk that it takes.
    fn append_copy(&mut self, chunk: &Bytes, run: &[ServerOp], part: Range<usize>) -> Bytes {
        let from = if fault!(CopyIsMisplaced) { 0 } else { part.start };
        self.frames.extend(run.iter().map(|op| moved(frame(op), from, 0)));
        Bytes::copy_from_slice(chunk.get(part).unwrap_or_default())
    }

    /// Appends a run, and gives a copy of its texts, of so many bytes: what its lines have beside them may be far more.
    fn append_texts(&mut self, chunk: &Bytes, run: &[ServerOp], bytes: usize) -> Bytes {
        let mut copy = Vec::with_capacity(bytes);
        self.frames.extend(run.iter().map(|op| copied(frame(op), chunk, &mut copy)));
        copy.into()
    }

    /// Messages.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.frames.len().saturating_sub(self.first as usize)
    }

    /// Gives up the oldest message.
    pub(super) fn drop_first(&mut self) {
        let Some(frame) = self.frames.get(self.first as usize) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(cost(frame));
        self.first += 1;
        self.let_go();
    }

    /// Moves the oldest messages to `to`, which must be empty: one at least, and no more than either limit says.
    pub(super) fn move_first(&mut self, (messages, bytes): (usize, usize), to: &mut Self) {
        let start = self.first as usize;
        for frame in self.frames.get(start..).unwrap_or_default().iter().take(messages) {
            let sum = to.bytes.saturating_add(cost(frame));
            if sum > bytes && !to.frames.is_empty() {
                break;
            }
            to.frames.push(*frame);
            to.bytes = sum;
        }
        let end = start.saturating_add(to.frames.len());
        for segment in self.segments.iter().skip(self.first_segment as usize) {
            let chunk = segment.chunk.clone();
            to.segments.push(Segment { chunk, end: segment.end.min(end).saturating_sub(start) });
            if segment.end >= end {
                break;
            }
        }
        self.bytes = self.bytes.saturating_sub(to.bytes);
        self.first = end as u32;
        self.let_go();
    }

    /// Gives up everything.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.segments.clear();
        if !fault!(ClearedBytesStay) {
            self.bytes = 0;
        }
        self.first = 0;
        self.first_segment = 0;
    }

    /// Lets go of the chunks, and from time to time of the descriptors, of what was given up.
    fn let_go(&mut self) {
        let first = self.first as usize;
        if first >= self.frames.len() {
            return self.clear();
        }
        while let Some(segment) = self.segments.get_mut(self.first_segment as usize)
            && segment.end <= first
        {
            segment.chunk = Chunk::default();
            self.first_segment += 1;
        }
        // Half of them at least: so it costs little for each.
        if first >= GAP && first >= self.frames.len() / 2 {
            self.frames.drain(..first);
            self.segments.drain(..self.first_segment as usize);
            if !fault!(EndsAreNotMoved) {
                self.segments.iter_mut().for_each(|segment| segment.end -= first);
            }
            self.first = 0;
            self.first_segment = 0;
        }
    }

    /// Takes out the memory of an empty batch that is more than an idle one should have.
    pub(super) fn shrink(&mut self) -> (Option<Vec<MessageFrame>>, Option<Vec<Segment>>) {
        (take_large(&mut self.frames), take_large(&mut self.segments))
    }
}

fn take_large<T>(memory: &mut Vec<T>) -> Option<Vec<T>> {
    (memory.capacity() > KEPT).then(|| mem::take(memory))
}
