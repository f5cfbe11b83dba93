//! Outgoing bytes.

use alloc::vec::Vec;
use core::fmt;
use core::mem;

use bytes::Bytes;

use super::flat::Flat;
use super::frames::{Frame, Frames, Mark};
use crate::faults::fault;

/// Encoded operations on their way to the peer.
///
/// Control lines and small payloads lie flat, one after the other; a payload of at least
/// [`SEGMENT_THRESHOLD`](Self::SEGMENT_THRESHOLD) bytes that the caller owns as [`Bytes`] is kept as a
/// segment of its own and never copied. A buffer keeps its bytes until all of them are written (or it is
/// cleared), so that after a broken link it can still be told which publishes went out whole. That goes for
/// large payloads too: they are let go of together with the rest.
///
/// Invariant: the start of the flat bytes is the start of a frame.
#[derive(Default)]
pub struct OutBuf {
    flat: Flat,
    segments: Vec<Segment>,
    /// Bytes of all segments.
    segment_bytes: usize,
    /// Where the unwritten bytes begin.
    cursor: Cursor,
    /// Bytes before the cursor, with those of segments.
    written: usize,
    /// The start of a frame, at or before the cursor, before which nothing is needed any more.
    kept_from: Mark,
}

/// A payload that lies between the flat bytes before `at` and those after.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) at: usize,
    pub(super) bytes: Bytes,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    flat: usize,
    /// The next segment.
    segment: usize,
    /// Bytes of it that are done.
    within: usize,
}

impl OutBuf {
    /// The size from which a payload is queued as its own segment instead of being copied.
    pub const SEGMENT_THRESHOLD: usize = 4096;

    /// Bytes of memory for flat bytes that an empty buffer may keep.
    pub const RETAINED: usize = 256 * 1024;

    /// The same, for as long as every filling needs more than [`RETAINED`](Self::RETAINED): giving memory
    /// back only to ask for it again would cost more than the copying that the buffer saves.
    pub const RETAINED_UNDER_LOAD: usize = 2 * 1024 * 1024;

    /// Segments for which an empty buffer may keep room.
    const RETAINED_SEGMENTS: usize = 1024;

    /// An empty buffer. Does not allocate.
    pub const fn new() -> Self {
        Self {
            flat: Flat::new(),
            segments: Vec::new(),
            segment_bytes: 0,
            cursor: Cursor { flat: 0, segment: 0, within: 0 },
            written: 0,
            kept_from: Mark { flat: 0, segment: 0, logical: 0 },
        }
    }

    /// Bytes that are not written yet.
    #[inline]
    pub fn len(&self) -> usize {
        let all = self.flat.len().saturating_add(self.segment_bytes);
        all.saturating_sub(self.written)
    }

    /// Bytes that are not written yet and lie in memory of the buffer's own: all but payloads that are segments.
    #[inline]
    pub fn copied_len(&self) -> usize {
        self.flat.len().saturating_sub(self.cursor.flat)
    }

    /// Whether everything is written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes that are (part of) a frame, copying them.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.flat.put(bytes);
    }

    /// Appends a payload: a segment of its own if it is large, a copy otherwise.
    #[inline]
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < Self::SEGMENT_THRESHOLD {
            self.flat.put(bytes);
        } else {
            self.put_segment(bytes.clone());
        }
    }

    fn put_segment(&mut self, bytes: Bytes) {
        self.segment_bytes = self.segment_bytes.saturating_add(bytes.len());
        self.segments.push(Segment { at: self.flat.len(), bytes });
    }

    /// The flat bytes, to append to.
    #[inline]
    pub(super) fn flat_mut(&mut self) -> &mut Flat {
        &mut self.flat
    }

    /// The unwritten bytes as slices, in order: what a vectored write takes. Does not allocate; none of the
    /// slices is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> + '_ {
        Chunks { buf: self, at: self.cursor }
    }

    /// Notes that the first `count` unwritten bytes are written; all of them, if there are fewer. When nothing
    /// is left, the memory is free to be used again.
    pub fn advance(&mut self, count: usize) {
        if count >= self.len() {
            self.clear();
            return;
        }
        self.written = self.written.saturating_add(count);
        let mut left = count;
        while left > 0 {
            let mut after = self.cursor;
            let Some(chunk) = self.chunk_at(&mut after) else {
                return;
            };
            if let Some(rest) = left.checked_sub(chunk.len()) {
                self.cursor = after;
                left = rest;
            } else {
                let in_segment = after.segment != self.cursor.segment;
                let moved = match in_segment {
                    true => &mut self.cursor.within,
                    false => &mut self.cursor.flat,
                };
                *moved = moved.saturating_add(left);
                return;
            }
        }
    }

    /// Empties the buffer, keeping a bounded part of its memory: see [`RETAINED`](Self::RETAINED).
    pub fn clear(&mut self) {
        let retained = if self.flat.len() > Self::RETAINED {
            Self::RETAINED_UNDER_LOAD
        } else {
            Self::RETAINED
        };
        self.flat.clear(retained);
        self.segment_bytes = 0;
        self.cursor = Cursor::default();
        self.written = 0;
        self.kept_from = Mark::default();
        // At last: what somebody else owns may panic when it is dropped, and the buffer is empty by then.
        self.segments.clear();
        self.segments.shrink_to(Self::RETAINED_SEGMENTS);
    }

    /// Takes out every publish (PUB, HPUB) of a client's buffer that is not written whole, in order,
    /// calling `keep(size, has_headers)` for each and leaving out those for which it says no.
    ///
    /// `size` is headers and payload in bytes. A frame that was cut in the middle is taken from its start.
    /// All other operations are dropped. Large payloads are moved, not copied. The buffer must hold what
    /// [`encoder`](crate::wire::encoder) wrote; at bytes that are no whole frame the walk ends.
    pub fn into_unsent_publishes(self, mut keep: impl FnMut(usize, bool) -> bool) -> OutBuf {
        let written = self.written;
        self.filtered(|frame, _| match &frame.publish {
            Some(publish) => {
                let unsent = frame.end.logical > written || fault!(WrittenIsSentAgain);
                unsent && keep(publish.size, publish.has_headers)
            }
            None => false,
        })
    }

    /// Takes out the publishes for which `keep(size, has_headers)` says no; everything else stays, in order. `gone` is told
    /// the reply subjects of those that go, as far as they have one.
    ///
    /// For a buffer of which nothing is written yet.
    pub fn retain_publishes(
        &mut self,
        mut keep: impl FnMut(usize, bool) -> bool,
        mut gone: impl FnMut(&[u8]),
    ) {
        *self = mem::take(self).filtered(|frame, flat| match &frame.publish {
            Some(publish) if keep(publish.size, publish.has_headers) => true,
            Some(publish) => {
                publish.reply(flat).into_iter().for_each(&mut gone);
                false
            }
            None => true,
        });
    }

    /// The whole frames for which `keep` says yes, in a new buffer. It is also given the flat bytes.
    fn filtered(mut self, mut keep: impl FnMut(&Frame, &[u8]) -> bool) -> OutBuf {
        let mut kept = OutBuf::new();
        let segments = mem::take(&mut self.segments);
        for frame in Frames::new(&self.flat, &segments, self.kept_from) {
            if !keep(&frame, &self.flat) {
                continue;
            }
            let flat = |from, to| self.flat.get(from..to).unwrap_or_default();
            let head = frame.publish.as_ref().map_or(frame.end.flat, |publish| publish.head.end);
            let mut named = flat(frame.start.flat, head);
            if fault!(KeptHasOtherHeaders)
                && frame.publish.as_ref().is_some_and(|publish| publish.has_headers)
            {
                // The last byte of the last value.
                kept.put_slice(named.get(..named.len().saturating_sub(5)).unwrap_or_default());
                kept.put_slice(b"!");
                named = b"\r\n\r\n";
            }
            kept.put_slice(named);
            if frame.publish.as_ref().is_some_and(|publish| publish.segmented) {
                // Costs a reference count, and no copy: the old one goes with `segments`.
                if let Some(segment) = segments.get(frame.start.segment) {
                    if fault!(SegmentIsDoubled) {
                        kept.put_segment(segment.bytes.clone());
                    }
                    kept.put_segment(segment.bytes.clone());
                }
            }
            kept.put_slice(flat(head, frame.end.flat));
        }
        kept
    }

    /// Number of whole or partly unwritten publishes in the buffer. Linear in the number of frames.
    pub fn unsent_publishes(&self) -> u64 {
        Frames::new(&self.flat, &self.segments, self.kept_from)
            .filter(|frame| frame.publish.is_some() && frame.end.logical > self.written)
            .fold(0, |count, _| count.saturating_add(1))
    }

    /// Drops the first publish of which nothing is written, and says how many bytes its frame had; `None` if
    /// there is none. `gone` is told its reply subject, if it has one.
    ///
    /// Constant time, taken over many calls, if the buffer holds nothing but publishes, which is what it is
    /// for; linear otherwise. The memory is given back: that of a large payload at once, the rest when as
    /// much is dropped as is left.
    pub fn drop_front_publish(&mut self, gone: impl FnOnce(&[u8])) -> Option<usize> {
        self.take_front_publish(gone).map(|(size, _)| size)
    }

    /// The same, and gives the payload if it is a segment.
    pub(crate) fn take_front_publish(
        &mut self,
        gone: impl FnOnce(&[u8]),
    ) -> Option<(usize, Option<Bytes>)> {
        let mut frames = Frames::new(&self.flat, &self.segments, self.kept_from)
            .filter(|frame| frame.publish.is_some() && frame.start.logical >= self.written);
        let frame = if fault!(DropsTheNewest) { frames.last()? } else { frames.next()? };
        frame.publish.as_ref().and_then(|publish| publish.reply(&self.flat)).map(gone);
        let payload = frame.len().saturating_sub(frame.end.flat.saturating_sub(frame.start.flat));
        // One at most.
        let segments = frame.start.segment..frame.end.segment;
        let taken;
        if frame.start.logical == self.written {
            // Count it as written.
            let segment = self.segments.get_mut(segments).and_then(<[Segment]>::first_mut);
            taken = segment.map(|segment| mem::take(&mut segment.bytes));
            self.segment_bytes = self.segment_bytes.saturating_sub(payload);
            self.kept_from =
                Mark { logical: frame.end.logical.saturating_sub(payload), ..frame.end };
            self.written = self.kept_from.logical;
            self.cursor = Cursor { flat: frame.end.flat, segment: frame.end.segment, within: 0 };
            if self.is_empty() {
                self.clear();
            } else if self.kept_from.flat > self.flat.len() / 2 {
                self.forget_front();
            }
        } else {
            // Something unwritten stands before it and stays: take the frame out of the middle.
            let flat = frame.end.flat.saturating_sub(frame.start.flat);
            self.flat.remove(frame.start.flat..frame.end.flat);
            taken = self.segments.drain(segments).next().map(|segment| segment.bytes);
            for segment in self.segments.iter_mut().skip(frame.start.segment) {
                segment.at = segment.at.saturating_sub(flat);
            }
            self.segment_bytes = self.segment_bytes.saturating_sub(payload);
        }
        Some((frame.len(), taken))
    }

    /// The payloads that are segments, with those that are written.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &Bytes> {
        self.segments.iter().map(|segment| &segment.bytes)
    }

    /// Moves what is left to the start of the memory.
    fn forget_front(&mut self) {
        let Mark { flat, segment, logical } = mem::take(&mut self.kept_from);
        self.flat.remove(0..flat);
        self.segments.drain(..segment);
        for segment in &mut self.segments {
            segment.at = segment.at.saturating_sub(flat);
        }
        self.segment_bytes = self.segment_bytes.saturating_sub(logical.saturating_sub(flat));
        self.cursor.flat = self.cursor.flat.saturating_sub(flat);
        self.cursor.segment = self.cursor.segment.saturating_sub(segment);
        self.written = self.written.saturating_sub(logical);
    }

    /// Appends all unwritten bytes of `other`, leaving it empty. Large payloads are moved, not copied.
    ///
    /// If a frame of `other` is written in part, the rest of it is not a frame: take the
    /// [unsent publishes](Self::into_unsent_publishes) of such a buffer instead.
    pub fn append(&mut self, other: &mut OutBuf) {
        if self.is_empty() {
            mem::swap(self, other);
        } else {
            let Cursor { flat, segment, within } = other.cursor;
            let shift = self.flat.len();
            self.put_slice(other.flat.get(flat..).unwrap_or_default());
            for (index, mut moved) in other.segments.drain(..).enumerate().skip(segment) {
                if index == segment {
                    moved.bytes = moved.bytes.slice(within.min(moved.bytes.len())..);
                }
                moved.at = moved.at.saturating_sub(flat).saturating_add(shift);
                self.segment_bytes = self.segment_bytes.saturating_add(moved.bytes.len());
                self.segments.push(moved);
            }
        }
        other.clear();
    }

    /// The bytes at `at` that lie in one piece; moves `at` behind them.
    fn chunk_at(&self, at: &mut Cursor) -> Option<&[u8]> {
        loop {
            let segment = self.segments.get(at.segment);
            let stop = segment.map_or(self.flat.len(), |segment| segment.at);
            if let Some(chunk @ [_, ..]) = self.flat.get(at.flat..stop) {
                at.flat = stop;
                return Some(chunk);
            }
            let bytes = segment?.bytes.get(at.within..).unwrap_or_default();
            at.segment = at.segment.saturating_add(1);
            at.within = 0;
            if !bytes.is_empty() {
                return Some(bytes);
            }
        }
    }
}

/// Says how much there is, and not what: CONNECT has secrets.
impl fmt::Debug for OutBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutBuf")
            .field("len", &self.len())
            .field("written", &self.written)
            .field("segments", &self.segments.len())
            .finish_non_exhaustive()
    }
}

struct Chunks<'a> {
    buf: &'a OutBuf,
    at: Cursor,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.buf.chunk_at(&mut self.at)
    }
}
