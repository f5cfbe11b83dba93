//! Reading and decoding.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_io::AsyncRead;
use nats_proto::DecodeError;
use nats_proto::wire::{Limits, ServerDecoder, ServerOps};

use super::blocks::Blocks;

/// The smallest read buffer, whatever the options say.
const LEAST_CAPACITY: usize = 1024;

/// A stream that gives less at once has no more, as a rule. TLS and WebSockets give a few records or a frame at a time,
/// and a socket all it has: to ask that once more is little beside so many bytes.
const PIECE: usize = 2 * 1024;

/// Reads in one go, so that a stream of many small pieces does not keep others waiting.
const PIECES: usize = 32;

/// The input of one connection.
///
/// What is read moves from the front of `spare` to the end of `input`: they are neighbours in a block, so nothing is
/// copied. A block of the usual size is for many operations. One that is more than half as large gets a block for
/// itself, and is read straight to where it stays.
pub(super) struct Reader {
    capacity: usize,
    limits: Limits,
    decoder: ServerDecoder,
    /// What is read and not yet decoded.
    input: BytesMut,
    /// What of the block is not used yet.
    spare: BytesMut,
    /// Bytes of the block, until its first chunk is kept for the sake of its memory.
    block: Option<usize>,
    /// Whether it is for one operation, or larger than usual for the sake of a long line.
    is_large: bool,
    /// So little room is not worth another read.
    little: usize,
    blocks: Blocks,
    /// Came right behind bytes that had to be given out first.
    error: Option<io::Error>,
}

impl Reader {
    pub(super) fn new(capacity: usize, limits: Limits) -> Self {
        Self {
            capacity: capacity.max(LEAST_CAPACITY),
            limits,
            decoder: ServerDecoder::new(limits),
            input: BytesMut::new(),
            spare: BytesMut::new(),
            block: None,
            is_large: false,
            little: 0,
            blocks: Blocks::default(),
            error: None,
        }
    }

    /// Forgets the connection there was.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.capacity, self.limits);
    }

    /// Whether nothing is left of what was read, not even a part of an operation.
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Reads what there is, once or [several times](PIECE). Zero bytes mean the end.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        self.make_room();
        let mut read = 0_usize;
        for _ in 0..PIECES {
            let count = match Pin::new(&mut *stream).poll_read(cx, &mut self.spare) {
                // A reader that claims more than it was given is broken, but need not break us.
                Poll::Ready(Ok(count)) => count.min(self.spare.len()),
                Poll::Ready(Err(error)) if read > 0 => {
                    self.error = Some(error);
                    break;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if read > 0 => break,
                Poll::Pending => {
                    self.blocks.age();
                    return Poll::Pending;
                }
            };
            let filled = self.spare.split_to(count);
            self.input.unsplit(filled);
            read = read.saturating_add(count);
            if count < PIECE || self.spare.is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(read))
    }

    /// Decodes every whole operation there is.
    pub(super) fn decode(&mut self, ops: &mut ServerOps) -> Result<(), DecodeError> {
        let result = self.decoder.decode(&mut self.input, ops);
        if !ops.chunk.is_empty()
            && let Some(size) = self.block.take()
        {
            self.blocks.keep(size, ops.chunk.clone());
        }
        result
    }

    /// What a block for one operation has room for behind it: enough for the beginning of the next, which is then moved
    /// to a block of its own. More would only be more to move.
    const fn behind(&self) -> usize {
        self.capacity / 16
    }

    /// Begins a new block when the old one is nearly used up, or cannot hold the operation that has begun.
    ///
    /// The old one lives on for as long as there are messages in it.
    fn make_room(&mut self) {
        let missing = self.decoder.wanted().saturating_sub(self.input.len());
        // A few bytes that come behind a large operation, however late, must not keep its block.
        let is_spent = self.is_large && self.block.is_none();
        // An operation that fits is not moved, unless that costs less than another read.
        let stays = self.spare.len() > self.little || self.input.len() > self.behind();
        if stays && !is_spent && missing <= self.spare.len() && !self.spare.is_empty() {
            return;
        }
        let read = self.input.len();
        let (usual, behind) = (self.capacity.saturating_add(self.capacity / 2), self.behind());
        // The decoder never wants more than its limits allow. Of a line it wants one byte more than there is: how long
        // it is nobody knows.
        let is_large = missing > 1 && read.saturating_add(missing) > self.capacity / 2;
        let (size, little) = if is_large {
            (read.saturating_add(missing).saturating_add(behind), behind / 4)
        } else if is_spent && missing <= behind {
            // Another large one may follow, and what is read of it before its length is known is moved.
            (read.saturating_add(behind), behind / 4)
        } else {
            // Room for what is left over of the block before.
            (usual.max(read.saturating_add(self.capacity)), self.capacity / 4)
        };
        // What a large message leaves over is little. Moved out of the way, it does not keep the block of that message
        // while there is already that of the next one.
        if read <= behind && self.is_large {
            self.input = BytesMut::from(&*self.input);
            self.spare = BytesMut::new();
        }
        self.is_large = is_large || size > usual;
        let (mut block, whole) = self.blocks.take(size);
        let mut input = block.split_to(read);
        input.copy_from_slice(&self.input);
        (self.input, self.spare) = (input, block);
        (self.block, self.little) = (Some(whole), little);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use nats_proto::wire::ServerOp;

    use super::*;
    use crate::testing::Bytewise;

    fn reader(capacity: usize) -> Reader {
        Reader::new(capacity, Limits::default())
    }

    /// Reads `wire` to its end in steps of so many bytes, and gives `each` what was decoded.
    fn read_all(reader: &mut Reader, wire: &[u8], step: usize, mut each: impl FnMut(&ServerOps)) {
        let mut stream = Bytewise::new(wire, step);
        let mut ops = ServerOps::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Ok(1..)) = reader.poll_fill(&mut stream, &mut cx) {
            reader.decode(&mut ops).expect("valid operations");
            each(&ops);
        }
    }

    #[test]
    fn input_in_pieces_of_any_size_gives_the_same_operations() {
        let mut wire = Vec::new();
        for number in 0..500_usize {
            let payload = "x".repeat(number * 7 % 3_000);
            wire.extend(format!("MSG a.b 1 {}\r\n{payload}\r\n", payload.len()).bytes());
        }
        for step in [1, 7, 1_000, 100_000] {
            let mut messages = 0;
            read_all(&mut reader(4_096), &wire, step, |ops| messages += ops.items.len());
            assert_eq!(messages, 500, "in steps of {step}");
        }
    }

    /// Gives one piece after the other, as far as it is not an error, and then nothing for now.
    #[derive(Default)]
    struct Pieces(VecDeque<io::Result<Vec<u8>>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(piece) = self.0.pop_front() else { return Poll::Pending };
            Poll::Ready(piece.map(|piece| {
                buf[..piece.len()].copy_from_slice(&piece);
                piece.len()
            }))
        }
    }

    /// What is read of pieces of these lengths in each go.
    fn read_pieces(lengths: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut stream = Pieces(lengths.into_iter().map(|length| Ok(vec![b' '; length])).collect());
        let mut reader = reader(1_000_000);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut counts = Vec::new();
        while let Poll::Ready(count) = reader.poll_fill(&mut stream, &mut cx) {
            counts.push(count.unwrap());
        }
        counts
    }

    #[test]
    fn large_pieces_are_read_in_one_go_and_a_small_one_is_the_last() {
        assert_eq!(read_pieces([4_096; 10]), [40_960]);
        assert_eq!(read_pieces([4_096, 10, 4_096, 4_096]), [4_106, 8_192]);
        assert_eq!(read_pieces([10, 20, 30]), [10, 20, 30], "of these a socket has no more");
        assert_eq!(read_pieces([PIECE; 2 * PIECES]), [PIECE * PIECES; 2], "others have their turn");
    }

    #[test]
    fn an_error_is_told_behind_the_bytes_that_came_before_it_and_once() {
        let broken = || Err(io::ErrorKind::ConnectionReset.into());
        let mut stream = Pieces([Ok(vec![b' '; 4_096]), broken(), broken()].into());
        let mut reader = reader(65_536);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut read = || reader.poll_fill(&mut stream, &mut cx).map_err(|error| error.kind());
        assert_eq!(read(), Poll::Ready(Ok(4_096)));
        assert_eq!(read(), Poll::Ready(Err(io::ErrorKind::ConnectionReset)));
        assert_eq!(stream.0.len(), 1, "the stream was not asked again");
        // The next stream has nothing to do with it.
        let mut stream = Pieces([Ok(vec![b' '; 4_096]), broken()].into());
        assert!(reader.poll_fill(&mut stream, &mut cx).is_ready());
        reader.reset();
        assert!(reader.poll_fill(&mut stream, &mut cx).is_pending());
    }

    fn messages(payload: usize, count: usize) -> Vec<u8> {
        format!("MSG a.b 1 {payload}\r\n{}\r\n", "x".repeat(payload)).repeat(count).into_bytes()
    }

    #[test]
    fn a_large_message_comes_in_a_block_of_its_own_size() {
        let wire = messages(100_000, 20);
        let mut reader = reader(65_536);
        let mut kept = Vec::new();
        read_all(&mut reader, &wire, usize::MAX, |ops| {
            kept.extend((!ops.chunk.is_empty()).then(|| ops.chunk.clone()));
        });
        assert_eq!(kept.len(), 20, "one chunk for each");
        // Nobody else has any of them from here on.
        drop(reader);
        for chunk in kept {
            let block = BytesMut::from(chunk);
            assert!(block.capacity() <= 112_500, "{}", block.capacity());
        }
    }

    #[test]
    fn large_messages_are_read_into_the_same_memory_again_and_again() {
        let wire = messages(100_000, 100);
        let mut reader = reader(65_536);
        let mut places = BTreeSet::new();
        let mut reads = 0;
        read_all(&mut reader, &wire, usize::MAX, |ops| {
            reads += 1;
            for op in &ops.items {
                let ServerOp::Message(frame) = op else { panic!("{op:?}") };
                assert!(frame.payload.of(&ops.chunk).iter().all(|byte| *byte == b'x'));
                places.insert(ops.chunk.as_ptr());
            }
        });
        // As many blocks as are let go for their age, and the few in use.
        assert!(places.len() < 15, "{} blocks", places.len());
        assert!(reads < 110, "{reads} reads");
    }

    /// What is read and decoded of pieces that come one after the other: how many bytes at a time, and the chunks.
    fn read_in_turn(reader: &mut Reader, pieces: &[&[u8]]) -> (Vec<usize>, Vec<bytes::Bytes>) {
        let (mut counts, mut chunks) = (Vec::new(), Vec::new());
        let mut ops = ServerOps::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for piece in pieces {
            let mut stream = Bytewise::new(piece, usize::MAX);
            while let Poll::Ready(Ok(count @ 1..)) = reader.poll_fill(&mut stream, &mut cx) {
                counts.push(count);
                reader.decode(&mut ops).expect("valid operations");
                chunks.extend((!ops.chunk.is_empty()).then(|| std::mem::take(&mut ops.chunk)));
            }
        }
        (counts, chunks)
    }

    #[test]
    fn what_comes_later_than_a_large_operation_does_not_keep_its_block() {
        let message = messages(1_000_000, 1);
        let info = format!("INFO {{\"x\":\"{}\"}}\r\n", "x".repeat(500_000)).into_bytes();
        for large in [message, info] {
            for early in [0, 4, 700] {
                let small = messages(600, 2);
                let (begun, rest) = small.split_at(early);
                let mut reader = reader(65_536);
                let first = [&large, begun].concat();
                let (_, mut chunks) = read_in_turn(&mut reader, &[&first, rest]);
                let small = chunks.pop().expect("the small ones");
                // Nobody else has anything of its block: it could take as much as that is large.
                drop((reader, chunks));
                assert!(!BytesMut::from(small).try_reclaim(131_072), "{early} bytes early");
            }
        }
    }

    #[test]
    fn of_large_messages_that_come_one_by_one_little_is_read_before_their_blocks_are_there() {
        for size in [65_536, 1_048_576] {
            let message = messages(size, 1);
            let pieces = [&message[..]; 20];
            let mut reader = reader(65_536);
            // The first may be read into a block for many.
            read_in_turn(&mut reader, &pieces[..2]);
            let (counts, chunks) = read_in_turn(&mut reader, &pieces);
            assert_eq!(counts, [4_096, message.len() - 4_096].repeat(20));
            assert!(chunks.iter().all(|chunk| chunk.len() == message.len()));
        }
    }

    #[test]
    fn small_messages_after_a_large_one_get_blocks_of_the_usual_size() {
        let mut wire = messages(10_000_000, 1);
        wire.extend(messages(1_000, 1_000));
        let mut reader = reader(4_096);
        let mut last = 0;
        read_all(&mut reader, &wire, 1_000_000, |ops| last = ops.chunk.len());
        assert!(last > 0 && last <= 6_144, "{last} bytes at once");
        assert!(reader.blocks.bytes() <= 8 * 6_144, "{} bytes", reader.blocks.bytes());
    }
}
