//! What replies are kept in.

use bytes::{Bytes, BytesMut};
use nats_proto::wire::{Chunk, MessageFrame};

use crate::awaited::Reply;
use crate::frames::{COPIED, PAGE, extent, moved};

/// Copies small replies that come alone: they cost no allocation, and whoever keeps one does not keep the read buffer.
///
/// Several at a time share the read buffer. Their readers, on other threads, would fight for the reference count of a page
/// that is being filled, which takes far longer than all of the rest.
#[derive(Debug, Default)]
pub(super) struct Replies {
    page: BytesMut,
    /// The last reply. One at a time is kept in the same memory again and again.
    last: Chunk,
}

impl Replies {
    /// The reply that `frame` describes in `chunk`; `is_lone` says that nothing else came with it.
    pub(super) fn take(&mut self, chunk: &Bytes, frame: &MessageFrame, is_lone: bool) -> Reply {
        let (start, end) = extent(frame, frame);
        let bytes = chunk.get(start..end).unwrap_or_default();
        if !is_lone || bytes.len() > COPIED {
            return Reply { chunk: chunk.clone().into(), frame: *frame };
        }
        if self.page.capacity() < bytes.len() {
            // The page is used again if nobody else has a part of it.
            self.last.refill(Bytes::new());
            self.page.reserve(PAGE);
        }
        self.page.extend_from_slice(bytes);
        self.last.refill(self.page.split().freeze());
        Reply { chunk: self.last.clone(), frame: moved(frame, start, 0) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use nats_proto::Message;
    use nats_proto::wire::Span;

    use super::*;

    /// A read buffer with a reply somewhere in it.
    fn reply(payload: &str) -> (Bytes, MessageFrame) {
        let line = format!("MSG _INBOX.0123456789012345678901.0-1 1 {}\r\n", payload.len());
        let span = |start: usize, len: usize| Span { start: start as u32, len: len as u32 };
        let subject = span(104, 33);
        let payload_span = span(100 + line.len(), payload.len());
        let frame = MessageFrame { sid: 1, subject, payload: payload_span, ..Default::default() };
        (Bytes::from([&"-".repeat(100), &*line, payload, "\r\n"].concat()), frame)
    }

    fn message(replies: &mut Replies, payload: &str) -> (Bytes, Message) {
        message_of(replies, payload, true)
    }

    fn message_of(replies: &mut Replies, payload: &str, is_lone: bool) -> (Bytes, Message) {
        let (chunk, frame) = reply(payload);
        let Reply { chunk: mut copy, frame } = replies.take(&chunk, &frame, is_lone);
        (chunk, Message::from_frame(&mut copy, &frame))
    }

    #[test]
    fn a_small_reply_is_copied_and_a_large_one_is_not() {
        let mut replies = Replies::default();
        for (size, copied) in [(0, true), (5, true), (400, true), (600, false)] {
            let payload = "x".repeat(size);
            let (chunk, message) = message(&mut replies, &payload);
            assert_eq!(message.payload, payload);
            assert_eq!(message.subject.as_str(), "_INBOX.0123456789012345678901.0-1");
            assert_eq!(chunk.is_unique(), copied, "{size} bytes");
        }
    }

    #[test]
    fn a_reply_among_others_is_not_copied() {
        let (chunk, message) = message_of(&mut Replies::default(), "one", false);
        assert_eq!(message.payload, "one");
        assert!(!chunk.is_unique());
    }

    #[test]
    fn replies_one_after_the_other_use_the_same_memory_and_kept_ones_stay() {
        let mut replies = Replies::default();
        let mut places = BTreeSet::new();
        let (_, kept) = message(&mut replies, "kept");
        for number in 0..1_000 {
            let (_, message) = message(&mut replies, &number.to_string());
            assert_eq!(message.payload, number.to_string());
            places.insert(message.payload.as_ptr() as usize / PAGE);
        }
        assert_eq!(kept.payload, "kept");
        assert_eq!(kept.subject.len(), 33);
        // Two pages, wherever they begin.
        assert!(places.len() <= 4, "{} places", places.len());
    }
}
