//! The memory of an [`OutBuf`](super::OutBuf) for bytes that lie one after the other.

use alloc::vec::Vec;
use core::mem;
use core::ops::{Deref, Range};

/// Bytes that are written again before new ones are appended to them: see [`Flat::prepare`].
///
/// Few enough for a loop of plain stores, which begins faster than what is used for more.
const STRIDE: usize = 1024;

/// Bytes one after the other, appended in small pieces.
///
/// Unlike a `Vec<u8>` it keeps its memory initialised, so that a frame can be put together in place, from
/// stores of a fixed length that overlap, where appending piece by piece would be a call for each piece.
#[derive(Default)]
pub(super) struct Flat {
    /// All initialised; what counts ends at `len`.
    memory: Vec<u8>,
    len: usize,
    /// How far the memory is ready to be appended to: never less than `len`.
    ready: usize,
}

impl Flat {
    pub(super) const fn new() -> Self {
        Self { memory: Vec::new(), len: 0, ready: 0 }
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let room = self.room(bytes.len());
        if let Some(to) = room.get_mut(..bytes.len()) {
            copy(to, bytes);
            self.commit(bytes.len());
        }
    }

    /// At least `count` bytes to write to, of which those that count are told to [`commit`](Self::commit).
    #[inline]
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.ready.wrapping_sub(self.len) < count {
            self.prepare(count);
        }
        self.memory.get_mut(self.len..self.ready).unwrap_or_default()
    }

    /// Takes the first `count` bytes of the [`room`](Self::room) as appended.
    #[inline]
    pub(super) fn commit(&mut self, count: usize) {
        self.len = self.len.wrapping_add(count).min(self.ready);
    }

    /// Gets at least `count` bytes ready.
    ///
    /// They are overwritten with zeros although they are initialised already. The buffer was read last by whoever
    /// wrote it to the socket, often on another core, whose cache has the lines. Taking them back in one
    /// sweep costs a fraction of what it costs message by message, where the next lock waits for each.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self, count: usize) {
        let ready = self.len.saturating_add(count.max(STRIDE));
        if self.memory.len() < ready {
            // Grows by doubling, and to all that was allocated.
            self.memory.reserve(ready.saturating_sub(self.memory.len()));
            self.memory.resize(self.memory.capacity(), 0);
        }
        if let Some(stride) = self.memory.get_mut(self.ready.max(self.len)..ready) {
            stride.fill(0);
        }
        self.ready = ready;
    }

    /// Forgets the bytes, and keeps at most `retained` bytes of memory.
    pub(super) fn clear(&mut self, retained: usize) {
        self.len = 0;
        self.ready = 0;
        if self.memory.len() > retained {
            self.memory.truncate(retained);
            self.memory.shrink_to(retained);
        }
    }

    /// Takes out a range of bytes; what is behind it moves forward.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let (start, end) = (range.start.min(self.len), range.end.min(self.len));
        if start < end {
            self.memory.copy_within(end..self.len, start);
            self.len = self.len.saturating_sub(end.saturating_sub(start));
        }
    }
}

impl Deref for Flat {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl Extend<u8> for Flat {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        bytes.into_iter().for_each(|byte| self.put(&[byte]));
    }
}

/// A frame being put together in the [room](Flat::room) of a buffer.
pub(super) struct Line<'a> {
    rest: &'a mut [u8],
    room: usize,
}

impl<'a> Line<'a> {
    #[inline(always)]
    pub(super) fn new(room: &'a mut [u8]) -> Self {
        Self { room: room.len(), rest: room }
    }

    /// Appends bytes; `None` if the room was too small.
    #[inline(always)]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let (to, rest) = mem::take(&mut self.rest).split_at_mut_checked(bytes.len())?;
        copy(to, bytes);
        self.rest = rest;
        Some(())
    }

    /// Appends the first `count` bytes of `eight`; `None` if there is no room for all of them.
    #[inline(always)]
    pub(super) fn put_some(&mut self, eight: [u8; 8], count: usize) -> Option<()> {
        *self.rest.first_chunk_mut()? = eight;
        self.rest = mem::take(&mut self.rest).get_mut(count..)?;
        Some(())
    }

    /// Bytes appended.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.room.wrapping_sub(self.rest.len())
    }
}

/// Copies `from` to `to`, which has the same length. Short ones without a call: as two words that overlap.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    fn overlapping<const N: usize>(to: &mut [u8], from: &[u8]) -> Option<()> {
        *to.first_chunk_mut::<N>()? = *from.first_chunk()?;
        *to.last_chunk_mut::<N>()? = *from.last_chunk()?;
        Some(())
    }
    let copied = match from.len() {
        4..=8 => overlapping::<4>(to, from),
        9..=16 => overlapping::<8>(to, from),
        17..=32 => overlapping::<16>(to, from),
        _ => None,
    };
    if copied.is_none() && to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length_follow_each_other() {
        let mut flat = Flat::new();
        let mut model = Vec::new();
        for round in 0..3_usize {
            for len in (0..70).chain([4_095, 4_096, 4_097, 70_000]) {
                let piece: Vec<u8> = (0..len).map(|at| (at * 7 + round) as u8).collect();
                flat.put(&piece);
                model.extend_from_slice(&piece);
                assert_eq!(*flat, *model);
            }
            flat.remove(10..model.len() / 2);
            model.drain(10..model.len() / 2);
            assert_eq!(*flat, *model);
            flat.clear(1_000);
            model.clear();
            assert!(flat.is_empty() && flat.memory.capacity() <= 1_000);
        }
    }

    #[test]
    fn a_line_counts_what_is_put_and_refuses_what_does_not_fit() {
        let mut room = [0; 12];
        let mut line = Line::new(&mut room);
        assert_eq!(line.put(b"PUB "), Some(()));
        assert_eq!(line.put_some(*b"12345678", 2), Some(()));
        assert_eq!(line.len(), 6);
        assert_eq!(line.put_some(*b"12345678", 2), None);
        let mut line = Line::new(&mut room);
        assert_eq!(line.put(&[b'x'; 13]), None);
        assert!(room.starts_with(b"PUB 12"));
    }
}
