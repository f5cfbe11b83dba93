//! What replies are kept in.

use bytes::{Bytes, BytesMut};
use nats_proto::wire::{Chunk, MessageFrame};

use crate::awaited::Reply;
use crate::frames::{COPIED, PAGE, extent, moved};

/// Copies small replies, so that whoever keeps one does not keep the read buffer. One that comes alone costs no
/// allocation.
#[derive(Debug, Default)]
pub(super) struct Replies {
    page: BytesMut,
    /// The last lone reply. One at a time is kept in the same memory again and again.
    last: Chunk,
}

/// What else came with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nothing.
    Alone,
    /// Others, of which it is the first that is copied.
    First,
    /// Others, some of which are copied.
    Later,
}

impl Company {
    /// Of the first reply among so many runs of messages.
    pub(super) fn of_first(runs: usize) -> Self {
        if runs == 1 { Self::Alone } else { Self::First }
    }
}

impl Replies {
    /// The reply that `frame` describes in `chunk`.
    pub(super) fn take(
        &mut self,
        chunk: &Bytes,
        frame: &MessageFrame,
        company: &mut Company,
    ) -> Reply {
        let (start, end) = extent(frame, frame);
        let bytes = chunk.get(start..end).unwrap_or_default();
        if bytes.len() > COPIED {
            return Reply { chunk: chunk.clone().into(), frame: *frame };
        }
        // Several are copied before any of their readers runs. Those of the last ones, on other threads, still hold on to
        // what those are in: to fight with them for its reference count would take far longer than all of the rest.
        if self.page.capacity() < bytes.len() || *company == Company::First {
            // The page is used again if nobody else has a part of it.
            self.last.refill(Bytes::new());
            if !self.page.try_reclaim(PAGE) {
                self.page = BytesMut::with_capacity(PAGE);
            }
        }
        self.page.extend_from_slice(bytes);
        let copy = self.page.split().freeze();
        let frame = moved(frame, start, 0);
        if *company == Company::Alone {
            self.last.refill(copy);
            return Reply { chunk: self.last.clone(), frame };
        }
        *company = Company::Later;
        // What else its subject may cost, its reader spends.
        Reply { chunk: copy.into(), frame }
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
        let (chunk, frame) = reply(payload);
        let Reply { chunk: mut copy, frame } =
            replies.take(&chunk, &frame, &mut Company::of_first(1));
        (chunk, Message::from_frame(&mut copy, &frame))
    }

    /// What comes of so many replies in one batch, and where their payloads are.
    fn batch(replies: &mut Replies, count: usize) -> Vec<Message> {
        let mut company = Company::of_first(count);
        let message = |number: usize| {
            let payload = number.to_string();
            let (chunk, frame) = reply(&payload);
            let Reply { chunk: mut copy, frame } = replies.take(&chunk, &frame, &mut company);
            assert!(chunk.is_unique(), "it keeps what was read");
            let message = Message::from_frame(&mut copy, &frame);
            assert_eq!(message.payload, payload);
            assert_eq!(message.subject.as_str(), "_INBOX.0123456789012345678901.0-1");
            message
        };
        (0..count).map(message).collect()
    }

    fn places(messages: &[Message]) -> BTreeSet<usize> {
        messages.iter().map(|message| message.payload.as_ptr() as usize).collect()
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
    fn replies_that_come_together_are_copied_together() {
        let messages = batch(&mut Replies::default(), 64);
        let places = places(&messages);
        let (first, last) = (places.first().expect("64"), places.last().expect("64"));
        assert!(last - first < PAGE, "several pages");
    }

    #[test]
    fn a_batch_shares_no_page_with_readers_of_the_last_one_and_uses_it_again_without_them() {
        let mut replies = Replies::default();
        let first = batch(&mut replies, 4);
        let second = batch(&mut replies, 4);
        let apart =
            places(&first).first().expect("4").abs_diff(*places(&second).first().expect("4"));
        assert!(apart >= PAGE, "the same page");
        let at = places(&second);
        drop(second);
        assert_eq!(places(&batch(&mut replies, 4)), at);
        assert_eq!(first[3].payload, "3");
    }

    #[test]
    fn a_kept_reply_of_a_batch_keeps_one_page() {
        let mut replies = Replies::default();
        let kept = batch(&mut replies, 1_000).swap_remove(500);
        let payload = kept.payload.clone();
        drop((replies, kept));
        // Nobody else has it: what there is of it is all that is there.
        let page = payload.try_into_mut().expect("the only one");
        assert!(page.capacity() <= PAGE, "{} bytes", page.capacity());
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
