//! Headers and reply subjects, which follow from a message's stamp: whoever gets one knows what was sent.

use nats_proto::wire::{OutBuf, PublishFrame};
use nats_proto::{HeaderMap, Message, Rng};

use super::arrivals::Stamp;

/// What a message has beside subject and payload.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) headers: Option<HeaderMap>,
    /// What it has if it is none of those whose reply subject says where an answer is awaited.
    pub(super) reply: Option<String>,
}

impl Extras {
    /// A quarter of all messages have some.
    pub(super) fn of(stamp: Stamp) -> Self {
        let mut bytes = [stamp.client; 32];
        bytes[..8].copy_from_slice(&stamp.seq.to_le_bytes());
        let mut rng = Rng::from_seed(bytes);
        let what = rng.below(12);
        let reply = (what == 0 || what == 1).then(|| format!("answers.{}", stamp.seq));
        let headers = (what == 1 || what == 2).then(|| {
            let mut headers = HeaderMap::new();
            headers.append("Stamp", format!("{}-{}", stamp.client, stamp.seq).as_str());
            for _ in 0..rng.below(3) {
                let len = rng.below(2) * rng.below(300);
                headers.append("Filled", "v".repeat(len as usize).as_str());
            }
            headers
        });
        Self { headers, reply }
    }

    pub(super) fn headers_len(&self) -> usize {
        self.headers.as_ref().map_or(0, HeaderMap::encoded_len)
    }

    /// Checks that a frame has them.
    pub(super) fn check_frame(&self, chunk: &[u8], frame: &PublishFrame) {
        let subject = frame.subject.of(chunk);
        let mut block = Vec::new();
        if let Some(headers) = &self.headers {
            headers.encode(&mut block);
        }
        assert!(frame.headers.of(chunk) == block, "other headers are written than were given");
        self.check_reply(subject, frame.reply.of(chunk));
    }

    /// Checks that a message came with them.
    pub(super) fn check(&self, message: &Message) {
        assert_eq!(message.headers, self.headers, "other headers came than were sent");
        let reply = message.reply.as_ref().map_or("", |reply| reply.as_str());
        self.check_reply(message.subject.as_str().as_bytes(), reply.as_bytes());
    }

    fn check_reply(&self, subject: &[u8], reply: &[u8]) {
        let right = if subject.starts_with(b"topic.") {
            reply == self.reply.as_deref().unwrap_or_default().as_bytes()
        } else if subject.starts_with(b"_INBOX.") {
            reply.is_empty()
        } else {
            reply.starts_with(b"_INBOX.")
        };
        assert!(right, "another reply subject than was given: {:?}", self.reply);
    }

    /// Bytes of a payload that are not copied into the connection's buffer.
    pub(super) fn shared(payload: usize) -> usize {
        if payload < OutBuf::SEGMENT_THRESHOLD { 0 } else { payload }
    }
}
