//! Errors, split by who is to blame: the caller, the server's bytes, the server's -ERR.

mod server;

use alloc::string::String;
use core::fmt;

pub use server::{PermissionTarget, ServerError};

/// The peer broke the protocol or a limit. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A control line is longer than [`Limits::control_line`](crate::wire::Limits::control_line).
    ControlLineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// An INFO or CONNECT line is longer than [`Limits::info`](crate::wire::Limits::info).
    InfoTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A header block is longer than [`Limits::header_block`](crate::wire::Limits::header_block).
    HeaderBlockTooLong {
        /// The length announced.
        len: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// Headers and payload are longer than [`Limits::payload`](crate::wire::Limits::payload).
    PayloadTooLong {
        /// The length announced.
        len: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The header length is greater than the total length.
    HeaderLongerThanTotal {
        /// The header length announced.
        headers: u64,
        /// The total length announced.
        total: u64,
    },
    /// No operation begins like this. Holds the start of the line, up to the first byte that does not fit, with control
    /// characters escaped.
    UnknownOperation(String),
    /// The arguments of an operation are wrong: how many there are, or what they are.
    BadArguments {
        /// The operation's name.
        operation: &'static str,
        /// The start of the arguments, with control characters escaped.
        arguments: String,
    },
    /// A number is missing, has other characters than digits, or does not fit.
    BadNumber {
        /// What the number stands for.
        what: &'static str,
        /// The start of the text, with control characters escaped.
        text: String,
    },
    /// A payload is not followed by CRLF.
    MissingPayloadEnd,
    /// The JSON of INFO or CONNECT cannot be read.
    BadJson {
        /// INFO or CONNECT.
        operation: &'static str,
        /// What the JSON parser says.
        reason: String,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlLineTooLong { limit } => {
                write!(f, "control line is longer than {limit} bytes")
            }
            Self::InfoTooLong { limit } => {
                write!(f, "INFO or CONNECT line is longer than {limit} bytes")
            }
            Self::HeaderBlockTooLong { len, limit } => {
                write!(f, "header block of {len} bytes is longer than {limit} bytes")
            }
            Self::PayloadTooLong { len, limit } => {
                write!(f, "message of {len} bytes with its headers is longer than {limit} bytes")
            }
            Self::HeaderLongerThanTotal { headers, total } => write!(
                f,
                "header block of {headers} bytes is longer than its message of {total} bytes"
            ),
            Self::UnknownOperation(line) => write!(f, "no operation begins with \"{line}\""),
            Self::BadArguments { operation, arguments } => {
                write!(f, "bad arguments of {operation}: \"{arguments}\"")
            }
            Self::BadNumber { what, text } => write!(f, "{what} is not a number: \"{text}\""),
            Self::MissingPayloadEnd => f.write_str("payload is not followed by CRLF"),
            Self::BadJson { operation, reason } => {
                write!(f, "JSON of {operation} cannot be read: {reason}")
            }
        }
    }
}

impl core::error::Error for DecodeError {}
