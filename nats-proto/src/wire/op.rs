//! Decoded operations: descriptors into the chunk of input that holds them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::{ConnectInfo, ServerError, ServerInfo};

/// A range of bytes of the chunk that an operation was decoded from. Where an empty one is means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The bytes of `chunk` that this span names; empty if `chunk` is another, shorter one.
    #[inline]
    pub fn of(self, chunk: &[u8]) -> &[u8] {
        let start = self.start as usize;
        start
            .checked_add(self.len as usize)
            .and_then(|end| chunk.get(start..end))
            .unwrap_or_default()
    }

    /// Like [`of`](Self::of), without copying: the result shares the chunk's memory.
    #[inline]
    pub fn slice(self, chunk: &Bytes) -> Bytes {
        let start = self.start as usize;
        match start.checked_add(self.len as usize) {
            Some(end) if end <= chunk.len() => chunk.slice(start..end),
            _ => Bytes::new(),
        }
    }
}

/// An MSG or HMSG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFrame {
    /// The subscription that the server delivers to.
    pub sid: u64,
    /// The subject it was published to.
    pub subject: Span,
    /// The reply subject; empty if there is none.
    pub reply: Span,
    /// The header block with its final blank line; empty for MSG.
    pub headers: Span,
    /// The payload.
    pub payload: Span,
}

impl MessageFrame {
    /// Bytes of headers and payload together, which is what limits count.
    pub const fn size(&self) -> usize {
        (self.headers.len as usize).saturating_add(self.payload.len as usize)
    }
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServerOp {
    /// The server introduces itself, or tells of a change.
    Info(Box<ServerInfo>),
    /// A message, with or without headers.
    Message(MessageFrame),
    /// A keepalive probe; the answer is PONG.
    Ping,
    /// The answer to a PING.
    Pong,
    /// An acknowledgement in verbose mode.
    Ok,
    /// An error, after some of which the server closes the connection.
    Err(Box<ServerError>),
}

/// A PUB or HPUB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishFrame {
    /// The subject to publish to.
    pub subject: Span,
    /// The reply subject; empty if there is none.
    pub reply: Span,
    /// The header block with its final blank line; empty for PUB.
    pub headers: Span,
    /// The payload.
    pub payload: Span,
}

impl PublishFrame {
    /// Bytes of headers and payload together, which is what limits count.
    pub const fn size(&self) -> usize {
        (self.headers.len as usize).saturating_add(self.payload.len as usize)
    }
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientOp {
    /// The client introduces itself.
    Connect(Box<ConnectInfo>),
    /// A message, with or without headers.
    Publish(PublishFrame),
    /// Interest in a subject.
    Subscribe {
        /// The subject, which may have wildcards.
        subject: Span,
        /// The queue group; empty if there is none.
        queue: Span,
        /// The client's name for the subscription: any token, a number by convention.
        sid: Span,
    },
    /// The end of an interest.
    Unsubscribe {
        /// The client's name for the subscription.
        sid: Span,
        /// End only after so many messages, counted from the subscription's start; never more than 999,999,999.
        max: Option<u64>,
    },
    /// A keepalive probe or a flush.
    Ping,
    /// The answer to a PING.
    Pong,
}

macro_rules! batch {
    ($(#[$doc:meta])* $name:ident, $op:ident) => {
        $(#[$doc])*
        ///
        /// `Debug` shows how long the input is, and not what it is: CONNECT has secrets.
        #[derive(Clone, Default)]
        pub struct $name {
            /// The input that the spans of `items` point into.
            pub chunk: Bytes,
            /// The operations, in the order of the wire.
            pub items: Vec<$op>,
        }

        impl $name {
            /// An empty batch, to be used again and again.
            pub const fn new() -> Self {
                Self { chunk: Bytes::new(), items: Vec::new() }
            }

            /// Forgets the operations and lets go of the input, keeping the allocation.
            pub fn clear(&mut self) {
                self.chunk = Bytes::new();
                self.items.clear();
            }

            /// Whether there is no operation.
            pub fn is_empty(&self) -> bool {
                self.items.is_empty()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("chunk", &self.chunk.len())
                    .field("items", &self.items)
                    .finish()
            }
        }
    };
}

batch! {
    /// A batch of what a server sent, as decoded by [`ServerDecoder`](crate::wire::ServerDecoder).
    ServerOps, ServerOp
}

batch! {
    /// A batch of what a client sent, as decoded by [`ClientDecoder`](crate::wire::ClientDecoder).
    ClientOps, ClientOp
}

impl ServerOps {
    /// The messages among the operations of a range, such as a [`Delivery`](crate::connection::Delivery) names.
    pub fn messages(&self, range: Range<usize>) -> impl Iterator<Item = &MessageFrame> {
        self.items.get(range).unwrap_or_default().iter().filter_map(|op| match op {
            ServerOp::Message(frame) => Some(frame),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use bytes::BytesMut;

    use super::*;
    use crate::wire::{ClientDecoder, Limits};

    #[test]
    fn headers_and_payload_count_for_the_size_and_subjects_do_not() {
        let span = |len| Span { start: 7, len };
        let (subject, reply, headers, payload) = (span(1), span(2), span(10), span(100));
        let frame = MessageFrame { sid: 1, subject, reply, headers, payload };
        assert_eq!(frame.size(), 110);
        let frame = PublishFrame { subject, reply, headers, payload };
        assert_eq!(frame.size(), 110);
    }

    #[test]
    fn a_batch_shows_no_secrets() {
        let connect =
            r#"CONNECT {"pass":"canary","auth_token":"canary","jwt":"canary","sig":"canary"}"#;
        let mut input = BytesMut::from(&*[connect, "\r\nPING\r\n"].concat());
        let mut ops = ClientOps::new();
        ClientDecoder::new(Limits::default()).decode(&mut input, &mut ops).unwrap();
        assert_eq!(ops.items.len(), 2);
        for shown in [format!("{ops:?}"), format!("{ops:#?}")] {
            assert!(!shown.contains("canary"), "{shown}");
            assert!(
                shown.contains(&ops.chunk.len().to_string()) && shown.contains("Ping"),
                "{shown}"
            );
        }
    }
}
