//! Reading and decoding.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_io::AsyncRead;
use nats_proto::DecodeError;
use nats_proto::wire::{Limits, ServerDecoder, ServerOps};

/// The smallest read buffer, whatever the options say.
const LEAST_CAPACITY: usize = 1024;

/// The input of one connection.
///
/// `AsyncRead` wants initialised memory. To pay for that once a block, and not once a read, a block is zeroed
/// when it is made, and each read moves the part that it filled from the front of `spare` to the end of
/// `input`: they are neighbours in the block, so nothing is copied.
pub(super) struct Reader {
    capacity: usize,
    decoder: ServerDecoder,
    /// What is read and not yet decoded.
    input: BytesMut,
    /// What of the block is not used yet.
    spare: BytesMut,
    /// What is left of earlier blocks, to be used again when there are no messages in them any more.
    old: [BytesMut; OLD],
}

/// Blocks that are kept to be used again: one that a subscriber works on, and the one before it.
const OLD: usize = 2;

impl Reader {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(LEAST_CAPACITY),
            decoder: ServerDecoder::new(Limits::default()),
            input: BytesMut::new(),
            spare: BytesMut::new(),
            old: Default::default(),
        }
    }

    /// Forgets the connection there was.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.capacity);
    }

    /// Reads once. Zero bytes mean the end.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let count = ready!(Pin::new(stream).poll_read(cx, &mut self.spare))?;
        // A reader that claims more than it was given is broken, but need not break us.
        let count = count.min(self.spare.len());
        let filled = self.spare.split_to(count);
        self.input.unsplit(filled);
        Poll::Ready(Ok(count))
    }

    /// Decodes every whole operation there is.
    pub(super) fn decode(&mut self, ops: &mut ServerOps) -> Result<(), DecodeError> {
        self.decoder.decode(&mut self.input, ops)
    }

    /// Begins a new block when the old one is nearly used up, or cannot hold the operation that has begun.
    ///
    /// The old one lives on for as long as there are messages in it.
    fn make_room(&mut self) {
        let missing = self.decoder.wanted().saturating_sub(self.input.len());
        let low = self.spare.len() < self.capacity / 4;
        if !low && missing <= self.spare.len() {
            return;
        }
        // The decoder never wants more than its limits allow.
        let size = self.input.len().saturating_add(missing.max(self.capacity));
        if low && !self.spare.is_empty() && missing > 0 && missing <= self.spare.len() {
            // The last operation of this block fits into it: do not move it.
            return;
        }
        let mut block = self.block(size);
        let mut input = block.split_to(self.input.len());
        input.copy_from_slice(&self.input);
        self.input = input;
        let old = mem::replace(&mut self.spare, block);
        self.old.rotate_right(1);
        if let Some(place) = self.old.first_mut() {
            *place = old;
        }
    }

    /// A block of at least `size` bytes: an old one if it can be had, and is not much larger.
    fn block(&mut self, size: usize) -> BytesMut {
        // Room for what is left over of the block before.
        let usual = self.capacity.saturating_add(self.capacity / 2);
        if size > usual {
            return BytesMut::zeroed(size);
        }
        for old in &mut self.old {
            old.clear();
            if old.try_reclaim(usual) && old.capacity() < usual.saturating_mul(2) {
                let mut block = mem::take(old);
                block.resize(usual, 0);
                return block;
            }
        }
        BytesMut::zeroed(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytewise;

    #[test]
    fn input_in_pieces_of_any_size_gives_the_same_operations() {
        let mut wire = Vec::new();
        for number in 0..500_usize {
            let payload = "x".repeat(number * 7 % 3_000);
            wire.extend(format!("MSG a.b 1 {}\r\n{payload}\r\n", payload.len()).bytes());
        }
        for step in [1, 7, 1_000, 100_000] {
            let mut reader = Reader::new(4_096);
            let mut stream = Bytewise::new(&wire, step);
            let mut ops = ServerOps::new();
            let mut messages = 0;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            while let Poll::Ready(Ok(1..)) = reader.poll_fill(&mut stream, &mut cx) {
                reader.decode(&mut ops).expect("valid operations");
                messages += ops.items.len();
            }
            assert_eq!(messages, 500, "in steps of {step}");
        }
    }
}
