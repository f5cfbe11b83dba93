//! What can go wrong below the protocol.

use std::{fmt, io};

/// Why a WebSocket is not, or no longer, one that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum WebSocketError {
    /// The server answered the request for a WebSocket with something else.
    Refused(u16),
    /// The answer to that request is not one, or does not belong to it.
    Handshake(String),
    /// The head of the answer has more bytes than the limit.
    AnswerTooLong(usize),
    /// The server chose an extension, or a parameter of one, that was not offered.
    Extension(String),
    /// A frame breaks RFC 6455.
    Frame(&'static str),
    /// A frame of text: NATS has binary ones.
    Text,
    /// A message is larger than the limit, as it is on the wire or after inflating.
    TooLarge {
        /// Bytes known of it.
        size: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// A compressed message is not what it claims to be.
    Corrupt,
}

impl WebSocketError {
    /// The code of the close frame that tells the server.
    pub(super) fn close_code(&self) -> u16 {
        match self {
            Self::Text => 1003,
            Self::Corrupt => 1007,
            Self::TooLarge { .. } => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => {
                write!(f, "the server refuses the WebSocket with HTTP status {status}")
            }
            Self::Handshake(what) => write!(f, "the WebSocket handshake failed: {what}"),
            Self::AnswerTooLong(limit) => {
                write!(f, "the WebSocket handshake failed: the answer exceeds {limit} bytes")
            }
            Self::Extension(what) => {
                write!(
                    f,
                    "the server chose the WebSocket extension {what:?}, which was not offered"
                )
            }
            Self::Frame(what) => write!(f, "a WebSocket frame is not valid: {what}"),
            Self::Text => f.write_str("a WebSocket frame is not valid: text instead of binary"),
            Self::TooLarge { size, limit } => {
                write!(f, "a WebSocket message has {size} bytes or more, at most {limit} are taken")
            }
            Self::Corrupt => f.write_str("a compressed WebSocket message is corrupt"),
        }
    }
}

impl std::error::Error for WebSocketError {}

impl From<WebSocketError> for io::Error {
    fn from(error: WebSocketError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
