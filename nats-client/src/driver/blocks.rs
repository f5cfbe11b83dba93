//! Blocks of memory that are read into, used again when there are no messages in them any more.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Blocks that are kept: as many as are filled while a subscriber works on one of them.
const MOST: usize = 8;

/// Bytes of all of them, at most.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// After so many rounds the block that was used least recently is let go.
const PATIENCE: u32 = 16;

/// Blocks that were read into.
///
/// `AsyncRead` wants initialised memory, and a `BytesMut` knows only its length to be initialised. So what is kept
/// of a block is its first chunk: as a rule that is most of it, and need not be zeroed again.
#[derive(Default)]
pub(super) struct Blocks {
    /// The one that was used last is the last.
    used: VecDeque<Used>,
    bytes: usize,
    rounds: u32,
}

struct Used {
    /// Bytes of the whole block.
    size: usize,
    first: Bytes,
}

impl Blocks {
    /// A block of `size` initialised bytes, and how large it really is: at most a quarter more.
    pub(super) fn take(&mut self, size: usize) -> (BytesMut, usize) {
        self.age();
        let most = size.saturating_add(size / 4);
        let free = |used: &Used| (size..=most).contains(&used.size) && used.first.is_unique();
        // What was used last is still in the processor's cache.
        let found = self.used.iter().rposition(free).and_then(|index| self.remove(index));
        if let Some(Used { size: whole, first }) = found
            && let Ok(mut block) = first.try_into_mut()
        {
            block.resize(size, 0);
            return (block, whole);
        }
        let block = BytesMut::zeroed(size);
        let whole = block.capacity();
        (block, whole)
    }

    /// Keeps a block of `size` bytes in all, of which `first` is the beginning, until it is free.
    pub(super) fn keep(&mut self, size: usize, first: Bytes) {
        self.bytes = self.bytes.saturating_add(size);
        self.used.push_back(Used { size, first });
        while self.used.len() > MOST || self.bytes > MOST_BYTES {
            self.remove(0);
        }
    }

    /// Counts a round, so that blocks which are not needed any more go in the end.
    pub(super) fn age(&mut self) {
        self.rounds = self.rounds.wrapping_add(1);
        if self.rounds.is_multiple_of(PATIENCE) {
            self.remove(0);
        }
    }

    /// Bytes of all blocks that are kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, index: usize) -> Option<Used> {
        let used = self.used.remove(index)?;
        self.bytes = self.bytes.saturating_sub(used.size);
        Some(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a block, keeps it, and gives what is in it.
    fn filled(blocks: &mut Blocks, size: usize) -> Bytes {
        let (mut block, whole) = blocks.take(size);
        assert_eq!(block.len(), size);
        let first = block.split_to(size / 2).freeze();
        blocks.keep(whole, first.clone());
        first
    }

    #[test]
    fn a_block_is_used_again_when_nobody_has_anything_of_it() {
        let mut blocks = Blocks::default();
        let first = filled(&mut blocks, 100_000);
        let at = first.as_ptr();
        let second = filled(&mut blocks, 100_000);
        assert_ne!(second.as_ptr(), at, "the first is in use");
        drop(first);
        let (third, whole) = blocks.take(90_000);
        assert_eq!((third.as_ptr(), third.len(), whole), (at, 90_000, 100_000));
    }

    #[test]
    fn a_block_that_is_too_small_or_much_too_large_is_left() {
        let mut blocks = Blocks::default();
        let at = filled(&mut blocks, 100_000).as_ptr();
        assert_ne!(blocks.take(100_001).0.as_ptr(), at);
        assert_ne!(blocks.take(79_000).0.as_ptr(), at);
        assert_eq!(blocks.take(80_000).0.as_ptr(), at);
    }

    #[test]
    fn what_is_kept_is_bounded_in_blocks_and_bytes() {
        let mut blocks = Blocks::default();
        let mut messages = Vec::new();
        for _ in 0..100 {
            messages.push(filled(&mut blocks, 10_000));
            assert!(blocks.used.len() <= MOST);
        }
        for _ in 0..100 {
            messages.push(filled(&mut blocks, MOST_BYTES / 3));
            assert!(blocks.bytes <= MOST_BYTES);
            assert_eq!(blocks.bytes, blocks.used.iter().map(|used| used.size).sum::<usize>());
        }
        filled(&mut blocks, MOST_BYTES + 1);
        assert_eq!(blocks.bytes, 0);
    }

    #[test]
    fn what_is_not_needed_any_more_goes() {
        let mut blocks = Blocks::default();
        for _ in 0..4 {
            drop(filled(&mut blocks, 1_000_000));
            blocks.take(100);
        }
        for _ in 0..MOST as u32 * PATIENCE {
            blocks.age();
        }
        assert!(blocks.used.is_empty());
        assert_eq!(blocks.bytes, 0);
    }
}
