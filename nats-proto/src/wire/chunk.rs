//! Received bytes that messages share.

use alloc::sync::Arc;
use core::ops::Deref;

use bytes::Bytes;

use super::Span;
use crate::subject::Short;

/// Received bytes, of which messages are slices.
///
/// Payloads are [`Bytes`]. Subjects, names and values that are too long to be stored inline take half of their space, by
/// sharing one more reference count: it is made with the first of them, and is the one allocation that a chunk may cost.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use nats_proto::Message;
/// use nats_proto::wire::{Chunk, ServerDecoder, ServerOp, ServerOps};
///
/// let mut input = BytesMut::from("MSG orders.new 1 2\r\nhi\r\n");
/// let mut ops = ServerOps::new();
/// ServerDecoder::new(Default::default()).decode(&mut input, &mut ops)?;
///
/// let mut chunk = Chunk::from(ops.chunk.clone());
/// for op in &ops.items {
///     if let ServerOp::Message(frame) = op {
///         let message = Message::from_frame(&mut chunk, frame);
///         assert_eq!((message.subject.as_str(), &*message.payload), ("orders.new", &b"hi"[..]));
///     }
/// }
/// # Ok::<(), nats_proto::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    bytes: Bytes,
    shared: Option<Arc<Bytes>>,
}

impl Chunk {
    /// Takes other bytes, and makes their reference count at once, which clones then share. If no message has the old one
    /// any more, it is used again: whoever fills one chunk for message after message does not allocate.
    pub fn refill(&mut self, bytes: Bytes) {
        match self.shared.as_mut().and_then(Arc::get_mut) {
            Some(shared) => *shared = bytes.clone(),
            None => self.shared = Some(Arc::new(bytes.clone())),
        }
        self.bytes = bytes;
    }

    /// A part of more than so many bytes, if it is ASCII: that is, nearly any.
    #[inline]
    pub(crate) fn ascii(&mut self, span: Span, more_than: usize) -> Option<Slice> {
        let (bytes, mut sharer) = self.split();
        let part = span.of(bytes);
        (part.len() > more_than && part.is_ascii()).then(|| sharer.at(span))
    }

    /// The bytes, and the means to share parts of them.
    #[inline]
    pub(crate) fn split(&mut self) -> (&Bytes, Sharer<'_>) {
        let Self { bytes, shared } = self;
        (bytes, Sharer { bytes, shared })
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, shared: None }
    }
}

impl From<Chunk> for Bytes {
    fn from(chunk: Chunk) -> Self {
        chunk.bytes
    }
}

impl Deref for Chunk {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Shares parts of a chunk.
#[derive(Debug)]
pub(crate) struct Sharer<'a> {
    bytes: &'a Bytes,
    shared: &'a mut Option<Arc<Bytes>>,
}

impl Sharer<'_> {
    /// `part` as a slice of the chunk, if it is one.
    pub(crate) fn share(&mut self, part: &[u8]) -> Option<Slice> {
        let span = self.span(part)?;
        Some(self.at(span))
    }

    /// `part`, if it is one of the chunk, is short and is ASCII.
    #[inline]
    pub(crate) fn short(&self, part: &[u8]) -> Option<Short<'_>> {
        Short::at(self.bytes, self.span(part)?)
    }

    /// Where `part` is, if it is one of the chunk.
    #[inline]
    fn span(&self, part: &[u8]) -> Option<Span> {
        let start = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let span = Span { start: u32::try_from(start).ok()?, len: u32::try_from(part.len()).ok()? };
        (span.of(self.bytes).len() == part.len()).then_some(span)
    }

    #[inline]
    fn at(&mut self, span: Span) -> Slice {
        let chunk = self.shared.get_or_insert_with(|| Arc::new(self.bytes.clone()));
        Slice { chunk: Arc::clone(chunk), span }
    }
}

/// A part of a chunk, in half of the space that [`Bytes`] take.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    chunk: Arc<Bytes>,
    span: Span,
}

impl Slice {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.span.of(&self.chunk)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn parts_of_a_chunk_share_it_and_one_reference_count() {
        let mut chunk = Chunk::from(Bytes::from(b"0123456789".to_vec()));
        let (bytes, mut sharer) = chunk.split();
        let parts = [&bytes[..], &bytes[3..7], &bytes[10..]];
        let slices = parts.map(|part| sharer.share(part).expect("a part"));
        for (slice, part) in slices.iter().zip(parts) {
            assert_eq!(slice.as_bytes().as_ptr_range(), part.as_ptr_range());
        }
        assert_eq!(Arc::strong_count(&slices[0].chunk), 4);
    }

    #[test]
    fn a_chunk_that_is_filled_again_leaves_the_old_parts_alone() {
        let mut chunk = Chunk::default();
        let mut counts = Vec::new();
        let mut kept = Vec::new();
        for (number, keep) in [(b"0", true), (b"1", false), (b"2", false)] {
            chunk.refill(Bytes::from(number.repeat(30)));
            let (bytes, mut sharer) = chunk.split();
            let part = sharer.share(&bytes[..]).expect("a part");
            assert_eq!(part.as_bytes(), number.repeat(30));
            counts.push(Arc::as_ptr(&part.chunk));
            kept.extend(keep.then_some(part));
        }
        assert_eq!(kept[0].as_bytes(), b"0".repeat(30));
        assert_ne!(counts[0], counts[1], "somebody has it");
        assert_eq!(counts[1], counts[2], "nobody has it");
    }

    #[test]
    fn what_is_no_part_of_a_chunk_is_not_shared() {
        let whole = Bytes::from(b"0123456789".to_vec());
        let mut chunk = Chunk::from(whole.slice(2..8));
        let (_, mut sharer) = chunk.split();
        for part in [&whole[..], &whole[1..4], &whole[6..9], &whole[9..]] {
            assert!(sharer.share(part).is_none(), "{part:?}");
        }
        assert!(sharer.share(&whole[2..8]).is_some());
    }
}
