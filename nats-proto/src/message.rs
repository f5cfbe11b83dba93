//! Messages: as they are received, and as they are published.

use alloc::string::String;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::header::ParsedHeaders;
use crate::subject::Short;
use crate::wire::{Chunk, MessageFrame, Span};
use crate::{HeaderMap, StatusCode, Subject};

/// A message that was received.
///
/// The payload, a subject of more than 22 bytes, and header names and values of more than 22 bytes are slices of
/// the buffer that the message came in. The buffer lives as long as any of them; who drives a
/// [`Connection`](crate::Connection), and keeps a few small messages for long, should copy what is needed. The clients for
/// async runtimes have copied small messages into small buffers already: theirs can be kept as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The subject it was published to.
    pub subject: Subject,
    /// Where an answer is expected, if one is.
    pub reply: Option<Subject>,
    /// The payload: a slice of a buffer that may be shared.
    #[serde(with = "payload")]
    pub payload: Bytes,
    /// The headers, if there are any.
    pub headers: Option<HeaderMap>,
    /// The inline status of the header block, used by servers (for example 503, no responders).
    pub status: Option<StatusCode>,
    /// The text behind the status.
    pub description: Option<String>,
    /// Bytes of subject, reply, headers and payload together.
    pub length: usize,
}

impl Message {
    /// The message that `frame` describes in `chunk`.
    ///
    /// Nobody checks header blocks before they come here. A line that is no header, as [`HeaderName`](crate::HeaderName) and
    /// [`HeaderValue`](crate::HeaderValue) have it, is left out: one without a colon, with a space in its name, with CR or LF in
    /// its value, or one that continues the line before it (which keeps its own part of the value). So are what stands behind the
    /// first blank line, and a status that cannot be read. The other lines and the status are there, so that one bad line spoils
    /// only itself. Of a block that is longer than [`HeaderMap::MAX_BLOCK`] nothing is read: neither headers nor status are
    /// there. Who wants to know what is wrong asks [`HeaderMap::parse`], which refuses such a block.
    ///
    /// Part of its caller, so that the message is put together where it is to be: copies of what was just written in
    /// other pieces are slow.
    #[inline(always)]
    pub fn from_frame(chunk: &mut Chunk, frame: &MessageFrame) -> Self {
        let payload = frame.payload.slice(chunk);
        let texts = (frame.subject.len as usize).saturating_add(frame.reply.len as usize);
        let length = texts.saturating_add(frame.size());
        // Nearly every message.
        if frame.reply.is_empty()
            && frame.headers.is_empty()
            && let Some(subject) = Short::at(chunk, frame.subject)
        {
            return Self::without_headers(subject.into(), None, payload, length);
        }
        let parsed = match frame.headers.len as usize {
            1..=HeaderMap::MAX_BLOCK => read_headers(chunk, frame.headers),
            // There is none, or more than is read.
            _ => ParsedHeaders::default(),
        };
        let subject = Subject::from_span(chunk, frame.subject);
        let reply = (!frame.reply.is_empty()).then(|| Subject::from_span(chunk, frame.reply));
        Self {
            subject,
            reply,
            payload,
            headers: (!parsed.headers.is_empty()).then_some(parsed.headers),
            status: parsed.status,
            description: parsed.description,
            length,
        }
    }

    /// A message without headers, whose parts count for `length` bytes.
    #[inline(always)]
    pub fn without_headers(
        subject: Subject,
        reply: Option<Subject>,
        payload: Bytes,
        length: usize,
    ) -> Self {
        Self { subject, reply, payload, headers: None, status: None, description: None, length }
    }

    /// Whether this is the server's answer to a request that nobody listens to: status 503 and no payload.
    ///
    /// A status alone does not say so, since a service may answer with one.
    pub fn is_no_responders(&self) -> bool {
        self.status == Some(StatusCode::NO_RESPONDERS) && self.payload.is_empty()
    }
}

/// What a header block holds, without what is wrong with it; nothing, if it is none at all.
#[inline(never)]
fn read_headers(chunk: &mut Chunk, block: Span) -> ParsedHeaders {
    let (bytes, mut sharer) = chunk.split();
    HeaderMap::parse_part(block.of(bytes), &mut sharer, |_| Ok(())).unwrap_or_default()
}

/// A message to be published that owns its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundMessage {
    /// The subject to publish to.
    pub subject: Subject,
    /// Where an answer is expected, if one is.
    pub reply: Option<Subject>,
    /// The payload.
    pub payload: Bytes,
    /// The headers. An empty map is the same as none.
    pub headers: Option<HeaderMap>,
}

/// A message to be published, borrowed from the caller: nothing is copied but into the outgoing buffer.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The subject to publish to.
    pub subject: &'a str,
    /// Where an answer is expected, if one is.
    pub reply: Option<&'a str>,
    /// The headers. An empty map is the same as none.
    pub headers: Option<&'a HeaderMap>,
    /// The payload. Large ones are not copied at all, but sent from this buffer.
    pub payload: &'a Bytes,
}

impl<'a> Outgoing<'a> {
    /// A message with neither reply subject nor headers.
    pub const fn new(subject: &'a str, payload: &'a Bytes) -> Self {
        Self { subject, reply: None, headers: None, payload }
    }
}

impl<'a> From<&'a OutboundMessage> for Outgoing<'a> {
    fn from(message: &'a OutboundMessage) -> Self {
        Self {
            subject: message.subject.as_str(),
            reply: message.reply.as_deref(),
            headers: message.headers.as_ref(),
            payload: &message.payload,
        }
    }
}

/// Payloads as bytes, in formats that have them, or as lists of numbers.
mod payload {
    use alloc::vec::Vec;
    use core::fmt;

    use bytes::Bytes;
    use serde::de::{SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        payload: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(payload)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        struct Payload;

        impl<'de> Visitor<'de> for Payload {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(bytes))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(bytes.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes.into())
            }
        }

        deserializer.deserialize_byte_buf(Payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Span;

    /// A message whose parts stand one behind the other.
    fn message(subject: &str, reply: &str, headers: &str, payload: &str) -> Message {
        let mut chunk = Chunk::from(Bytes::from([subject, reply, headers, payload].concat()));
        let mut start = 0;
        let mut span = |text: &str| {
            let len = u32::try_from(text.len()).unwrap();
            let span = Span { start, len };
            start += len;
            span
        };
        let frame = MessageFrame {
            sid: 1,
            subject: span(subject),
            reply: span(reply),
            headers: span(headers),
            payload: span(payload),
        };
        Message::from_frame(&mut chunk, &frame)
    }

    #[test]
    fn a_frame_becomes_a_message() {
        let block = "NATS/1.0\r\nA: b\r\n\r\n";
        let message = message("subject", "reply", block, "payload");
        assert_eq!(message.subject.as_str(), "subject");
        assert_eq!(message.reply.as_deref(), Some("reply"));
        assert_eq!(message.payload, "payload");
        assert_eq!(message.headers.unwrap().get("A").unwrap().as_str(), "b");
        assert_eq!(message.status, None);
        assert_eq!(message.length, 7 + 5 + block.len() + 7);
    }

    #[test]
    fn a_bad_header_block_spoils_only_itself() {
        let message = message("subject", "", "NATS/1.0\r\nA\rb: c\r\n\r\n", "payload");
        assert_eq!(message.headers, None);
        assert_eq!(message.reply, None);
        assert_eq!(message.payload, "payload");
    }

    #[test]
    fn a_bad_header_line_spoils_only_itself() {
        for (block, status, headers) in [
            ("NATS/1.0 503 A\r\nA: 1\r\nb c: 2\r\nD: 3\r\n\r\n", Some("503 A"), "A=1 D=3"),
            ("NATS/1.0 503\r\nno colon\r\n: no name\r\n\r\n", Some("503"), ""),
            ("NATS/1.0\r\nA: 1\r\n folded: 2\r\n\tfolded: 2\r\nD: 3\r\n\r\n", None, "A=1 D=3"),
            ("NATS/1.0\r\nA: 1\r\n\u{e9}: 2\r\nA: 3\r\n\r\n", None, "A=1 A=3"),
            // Who can write LF into a value cannot write a header.
            ("NATS/1.0\r\nA: 1\nB: 2\r\nC: 3\rD: 4\r\nE: 5\r\n\r\n", None, "E=5"),
            ("NATS/1.0\r\nA: 1\r\nB: \r2\r\r\n\r\n", None, "A=1"),
            // The end comes too early, too late or not at all.
            ("NATS/1.0\r\nA: 1\r\n\r\nB: 2\r\n\r\n", None, "A=1"),
            ("NATS/1.0 404\r\nA: 1\r\nB: 2", Some("404"), "A=1"),
            ("NATS/1.0 404\r\n", Some("404"), ""),
            ("NATS/1.0", None, ""),
            // The first line is bad.
            ("NATS/1.0 5031\r\nA: 1\r\n\r\n", None, "A=1"),
            ("NATS/1.0 503\nA: 1\r\nB: 2\r\n\r\n", None, "B=2"),
            ("NATS/2.0 503\r\nA: 1\r\n\r\n", None, ""),
            ("A: 1\r\n\r\n", None, ""),
            ("\r\n\r\n", None, ""),
        ] {
            let message = message("subject", "reply", block, "payload");
            let told = message.status.map(|code| match &message.description {
                Some(text) => alloc::format!("{code} {text}"),
                None => code.to_string(),
            });
            assert_eq!(told.as_deref(), status, "{block:?}");
            assert_eq!(message.headers.is_none(), headers.is_empty(), "{block:?}");
            let map = message.headers.unwrap_or_default();
            let read = map.iter().flat_map(|(name, values)| {
                values.iter().map(move |value| alloc::format!("{name}={value}"))
            });
            assert_eq!(read.collect::<alloc::vec::Vec<_>>().join(" "), headers, "{block:?}");
            assert_eq!(message.payload, "payload");
            assert!(HeaderMap::parse(&Bytes::from(block)).is_err(), "{block:?}");
            assert_eq!(crate::header::status(block.as_bytes()), message.status, "{block:?}");
        }
    }

    /// Nearly as many lines as the largest block has room for. A quadratic algorithm would need minutes.
    #[test]
    fn any_number_of_bad_lines_is_passed_over() {
        for line in [":\r\n", "x\r\n", "a:\r\n:\r\n", "\r", "\n", "a:\r", "a:b\n", "a"] {
            let block = ["NATS/1.0 404\r\n", &line.repeat(1 << 17), "x\r\nA: 1\r\n\r\n"].concat();
            let message = message("subject", "", &block, "");
            assert_eq!(message.status, Some(StatusCode::NOT_FOUND), "{line:?}");
            assert!(message.headers.is_some_and(|headers| headers.get("A").is_some()), "{line:?}");
        }
    }

    /// A message with a block of so many bytes.
    fn with_block(len: usize) -> (Message, String) {
        let (begin, end) = ("NATS/1.0 503\r\nA: 1\r\nB: ", "\r\n\r\n");
        let value = "x".repeat(len - begin.len() - end.len());
        let block = [begin, &value, end].concat();
        (message("subject", "reply", &block, "payload"), block)
    }

    #[test]
    fn of_a_block_that_is_too_long_nothing_is_read() {
        let (message, block) = with_block(HeaderMap::MAX_BLOCK);
        assert_eq!(message.status, Some(StatusCode::NO_RESPONDERS));
        assert_eq!(message.headers.map(|headers| headers.len()), Some(2));
        assert_eq!(crate::header::status(block.as_bytes()), message.status);
        let (message, block) = with_block(HeaderMap::MAX_BLOCK + 1);
        assert_eq!((message.status, message.headers, message.description), (None, None, None));
        assert_eq!(message.payload, "payload");
        assert_eq!(message.reply.as_deref(), Some("reply"));
        assert_eq!(message.length, 7 + 5 + block.len() + 7);
        assert_eq!(crate::header::status(block.as_bytes()), None);
    }

    #[test]
    fn no_responders_is_a_status_without_payload() {
        let block = "NATS/1.0 503\r\nNats-Subject: q\r\n\r\n";
        assert!(message("inbox", "", block, "").is_no_responders());
        assert!(!message("inbox", "", block, "busy").is_no_responders());
        assert!(!message("inbox", "", "NATS/1.0 404\r\n\r\n", "").is_no_responders());
        assert!(!message("inbox", "", "", "").is_no_responders());
    }

    #[test]
    fn reads_back_what_it_writes() {
        let message = message("s", "r", "NATS/1.0 408 Too Late\r\nA: b\r\n\r\n", "\0\x7f");
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
        let text = json.replace("[0,127]", "true");
        let error = serde_json::from_str::<Message>(&text).unwrap_err().to_string();
        assert!(error.contains("expected bytes"), "{error}");
    }

    #[test]
    fn a_payload_is_read_from_bytes_of_formats_that_have_them() {
        use serde::de::Visitor;
        use serde::de::value::{BytesDeserializer, Error};

        struct Owned(&'static [u8]);

        impl<'de> serde::Deserializer<'de> for Owned {
            type Error = Error;

            fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_byte_buf(self.0.into())
            }

            serde::forward_to_deserialize_any! {
                bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
                newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
            }
        }

        let bytes = BytesDeserializer::<Error>::new(b"\0\xff");
        assert_eq!(payload::deserialize(bytes).unwrap(), &b"\0\xff"[..]);
        assert_eq!(payload::deserialize(Owned(b"\0\xff")).unwrap(), &b"\0\xff"[..]);
    }
}
