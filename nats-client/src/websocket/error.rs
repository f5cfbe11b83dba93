//! What can go wrong below the protocol.

use std::{fmt, io};

/// Why a WebSocket is not, or no longer, one that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum WebSocketError {
    /// The server answered the request for a WebSocket with something else.
    Refused(u16),
    /// The same, with status 400, at an address without TLS: so answer servers with TLS.
    BadRequest,
    /// The answer to that request is not one, or does not belong to it.
    Handshake(String),
    /// The head of the answer has more bytes than the limit.
    AnswerTooLong(usize),
    /// The server chose an extension, or a parameter of one, that was not offered.
    Extension(String),
    /// The server may refer back to what it has compressed before, and was asked not to.
    Takeover(String),
    /// The server chose a window for compressing that does not exist.
    Window(String),
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
    /// The server said good-bye, and why.
    Closed {
        /// By RFC 6455, 7.4.
        code: u16,
        /// In its words, of 123 bytes at most; often none.
        reason: String,
    },
}

impl WebSocketError {
    /// Why the server closes, by the payload of its close frame; `None` if it does not say.
    pub(super) fn of_close(payload: &[u8]) -> Option<Self> {
        let (code, reason) = payload.split_first_chunk()?;
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some(Self::Closed { code: u16::from_be_bytes(*code), reason })
    }

    /// The payload that answers that of a close frame: its code, unless it breaks the rules (RFC 6455, 5.5.1 and 7.4).
    pub(super) fn answer_to_close(payload: &[u8]) -> Vec<u8> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return Vec::new();
        };
        let code = match u16::from_be_bytes(*code) {
            // These are for what is never on the wire.
            0..=999 | 1005 | 1006 | 1015 => 1002,
            _ if str::from_utf8(reason).is_err() => 1007,
            code => code,
        };
        code.to_be_bytes().to_vec()
    }

    /// The code of the close frame that tells the server.
    pub(super) fn close_code(&self) -> u16 {
        match self {
            Self::Text => 1003,
            Self::Corrupt => 1007,
            Self::TooLarge { .. } => 1009,
            Self::Closed { code, .. } => *code,
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
            Self::BadRequest => f.write_str(
                "the server refuses the WebSocket with HTTP status 400: if it has TLS, its address begins with wss://",
            ),
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
            Self::Takeover(what) => {
                write!(
                    f,
                    "the server chose the WebSocket extension {what:?} without server_no_context_takeover, which \
                     was asked for"
                )
            }
            Self::Window(bits) => {
                write!(f, "the server's WebSocket window has {bits:?} bits, which is not 8 to 15")
            }
            Self::Frame(what) => write!(f, "a WebSocket frame is not valid: {what}"),
            Self::Text => f.write_str("a WebSocket frame is not valid: text instead of binary"),
            Self::TooLarge { size, limit } => {
                write!(f, "a WebSocket message has {size} bytes or more, at most {limit} are taken")
            }
            Self::Corrupt => f.write_str("a compressed WebSocket message is corrupt"),
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the server closed the WebSocket with code {code}")
            }
            // Quoted, so that whatever it holds can be shown.
            Self::Closed { code, reason } => {
                write!(f, "the server closed the WebSocket with code {code}: {reason:?}")
            }
        }
    }
}

impl std::error::Error for WebSocketError {}

impl From<WebSocketError> for io::Error {
    fn from(error: WebSocketError) -> Self {
        let kind = match error {
            WebSocketError::Closed { .. } => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
