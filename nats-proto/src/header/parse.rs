//! Header blocks as they come: the version line with an optional status, the headers, a blank line.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use memchr::{memchr2, memmem};
use nom::bytes::complete::{tag, take, take_while, take_while1};
use nom::combinator::{map_res, opt, rest};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::builder::Builder;
use super::name::is_name_byte;
use super::value::is_padding;
use super::{HeaderMap, VERSION, VERSION_LINE};
use crate::StatusCode;
use crate::text::snippet;
use crate::wire::{Chunk, Sharer};

/// What a header block holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedHeaders {
    /// The headers.
    pub headers: HeaderMap,
    /// The status in the version line, by which servers answer without a payload.
    pub status: Option<StatusCode>,
    /// The text behind the status.
    pub description: Option<String>,
}

impl ParsedHeaders {
    /// Appends the encoded block, status and all. Always a whole block, even if there is nothing in it.
    ///
    /// A description is left out if there is no status; control characters in it become spaces.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(VERSION.as_bytes());
        if let Some(status) = self.status {
            let description = self.description.as_deref().unwrap_or_default();
            let description = description.replace(|char: char| char.is_control(), " ");
            out.push(b' ');
            out.extend_from_slice(alloc::format!("{status} {description}").trim_end().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.headers.encode_lines(&mut |piece: &[u8]| out.extend_from_slice(piece));
        out.extend_from_slice(b"\r\n");
    }
}

impl HeaderMap {
    /// Bytes of a block that is parsed, at most: 1 MiB, as much as a `nats-server` takes for a whole message unless it is
    /// set to more.
    ///
    /// What is parsed takes up to 48 times the memory of its block. So a message with a longer one comes without headers and
    /// status ([`Message::from_frame`](crate::Message::from_frame)), and [`parse`](Self::parse) refuses it.
    pub const MAX_BLOCK: usize = 1024 * 1024;

    /// Reads a block as it came, with inline status.
    ///
    /// Names and values of more than 22 bytes share the memory of `block`. White space before a value is dropped,
    /// white space behind it is part of it, as the Go client has it; bytes of a value that are not UTF-8 are
    /// replaced by U+FFFD. The time is proportional to the length of the block, but for a logarithmic factor where
    /// there are many names, and the memory to the number of lines, at some 100 bytes each.
    ///
    /// All of it is well formed, or it is refused. A message that is received is less strict:
    /// [`Message::from_frame`](crate::Message::from_frame) leaves out the lines that are no headers.
    ///
    /// # Errors
    /// What is wrong with the block, and where.
    pub fn parse(block: &Bytes) -> Result<ParsedHeaders, ParseHeadersError> {
        if block.len() > Self::MAX_BLOCK {
            let (len, limit) = (block.len(), Self::MAX_BLOCK);
            return Err(ParseHeadersError::TooLong { len, limit });
        }
        let mut chunk = Chunk::from(block.clone());
        let (block, mut sharer) = chunk.split();
        Self::parse_part(block, &mut sharer, Err)
    }

    /// [`parse`](Self::parse) of a block that is a part of what `sharer` shares, which tells `mind` what is wrong with it.
    ///
    /// Where that is no error for `mind`, it is left out: the line, what stands behind the blank one, or the status. A line
    /// ends with CRLF and nowhere else, so that a stray LF makes no line of its own, and whoever can write one into a value
    /// cannot add headers by it. What is no header block at all is an error in any case. How long it is, the caller has checked.
    pub(crate) fn parse_part(
        block: &[u8],
        sharer: &mut Sharer<'_>,
        mind: impl Fn(ParseHeadersError) -> Result<(), ParseHeadersError>,
    ) -> Result<ParsedHeaders, ParseHeadersError> {
        let (mut input, (status, description)) = match block.strip_prefix(VERSION_LINE) {
            Some(after) => (after, (None, None)),
            None => version_line(block).or_else(|error| {
                if !block.starts_with(VERSION.as_bytes()) {
                    return Err(error);
                }
                mind(error)?;
                Ok((after_line(block), (None, None)))
            })?,
        };
        let mut builder = Builder::default();
        loop {
            if let Some(trailing) = input.strip_prefix(BLANK_LINE) {
                if !trailing.is_empty() {
                    mind(ParseHeadersError::TrailingBytes { count: trailing.len() })?;
                }
                return Ok(ParsedHeaders { headers: builder.finish(), status, description });
            }
            match header_line(input) {
                Ok((after, (name, value))) => {
                    builder.add_part(name, value, sharer);
                    input = after;
                }
                Err(_) => {
                    mind(line_error(input))?;
                    input = after_line(input);
                }
            }
        }
    }
}

/// The status of a block, if it has one that can be read, whatever else is wrong with the block.
pub(crate) fn status(block: &[u8]) -> Option<StatusCode> {
    // The first line of most blocks tells that they have none.
    if block.starts_with(VERSION_LINE) || block.len() > HeaderMap::MAX_BLOCK {
        return None;
    }
    version_line(block).ok()?.1.0
}

/// Why a header block cannot be read. Texts are the start of the line in question, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseHeadersError {
    /// The block is longer than [`HeaderMap::MAX_BLOCK`].
    TooLong {
        /// Bytes of the block.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The block does not begin with `NATS/1.0`.
    BadVersion {
        /// The first line.
        line: String,
    },
    /// What follows `NATS/1.0` is not a status of three digits and perhaps a description.
    BadStatus {
        /// What follows the version.
        status: String,
    },
    /// CR or LF stands alone, or the block ends before the line does.
    BadLineEnd {
        /// The line, up to where its end should be.
        line: String,
    },
    /// A line has no colon.
    MissingColon {
        /// The line.
        line: String,
    },
    /// What stands before the colon is not a header name.
    BadName {
        /// The name.
        name: String,
    },
    /// There is no blank line at the end.
    MissingEnd,
    /// Something follows the blank line.
    TrailingBytes {
        /// How many bytes do.
        count: usize,
    },
}

impl fmt::Display for ParseHeadersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit } => {
                write!(f, "header block of {len} bytes is longer than {limit} bytes")
            }
            Self::BadVersion { line } => {
                write!(f, "header block begins with \"{line}\", not with {VERSION}")
            }
            Self::BadStatus { status } => {
                write!(f, "header block has \"{status}\" in place of a status")
            }
            Self::BadLineEnd { line } => {
                write!(f, "line \"{line}\" of header block does not end with CRLF")
            }
            Self::MissingColon { line } => {
                write!(f, "line \"{line}\" of header block has no colon")
            }
            Self::BadName { name } => write!(f, "\"{name}\" is not a header name"),
            Self::MissingEnd => f.write_str("header block has no blank line at its end"),
            Self::TrailingBytes { count } => {
                write!(f, "header block has {count} bytes behind its blank line")
            }
        }
    }
}

impl core::error::Error for ParseHeadersError {}

/// The end of a block, and of any line.
const BLANK_LINE: &[u8] = b"\r\n";

type Status = (Option<StatusCode>, Option<String>);

fn version_line(input: &[u8]) -> Result<(&[u8], Status), ParseHeadersError> {
    let (after, line) = line(input)
        .map_err(|_| ParseHeadersError::BadLineEnd { line: snippet(until_line_end(input)) })?;
    let suffix = line.strip_prefix(VERSION.as_bytes());
    let suffix = suffix.ok_or_else(|| ParseHeadersError::BadVersion { line: snippet(line) })?;
    let (code, description) = match suffix.trim_ascii() {
        [] => return Ok((after, (None, None))),
        _ => {
            status_line(suffix)
                .map_err(|_| ParseHeadersError::BadStatus { status: snippet(suffix) })?
                .1
        }
    };
    let description = String::from_utf8_lossy(description.trim_ascii()).into_owned();
    let description = Some(description).filter(|text| !text.is_empty());
    Ok((after, (Some(code), description)))
}

fn status_line(input: &[u8]) -> IResult<&[u8], (StatusCode, &[u8])> {
    let code = map_res(take(3usize), StatusCode::from_bytes);
    let description = opt(preceded(take_while1(is_padding), rest));
    let (input, (code, description)) =
        preceded(take_while1(is_padding), (code, description)).parse(input)?;
    let (input, _) = nom::combinator::eof(input)?;
    Ok((input, (code, description.unwrap_or_default())))
}

// Part of both loops, of blocks that must be right and of those that need not.
#[inline(always)]
fn header_line(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let name = terminated(take_while1(is_name_byte), tag(&b":"[..]));
    let value = preceded(take_while(is_padding), line);
    (name, value).parse(input)
}

/// Everything up to CRLF, in which CR or LF may not stand alone.
fn line(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let end = memchr2(b'\r', b'\n', input).unwrap_or(input.len());
    terminated(take(end), tag(&b"\r\n"[..])).parse(input)
}

/// What follows the first line, whatever that is; the end of a block if nothing does.
#[cold]
fn after_line(input: &[u8]) -> &[u8] {
    let line = memmem::find(input, BLANK_LINE);
    let after = line.and_then(|len| input.get(len.checked_add(BLANK_LINE.len())?..));
    after.unwrap_or(BLANK_LINE)
}

fn until_line_end(input: &[u8]) -> &[u8] {
    input.split(|byte| is_line_end(*byte)).next().unwrap_or_default()
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// What is wrong with the line at the start of `input`, which [`header_line`] refused.
#[cold]
fn line_error(input: &[u8]) -> ParseHeadersError {
    let text = until_line_end(input);
    let mut parts = text.split(|byte| *byte == b':');
    let name = parts.next().unwrap_or_default();
    if input.is_empty() {
        ParseHeadersError::MissingEnd
    } else if line(input).is_err() {
        ParseHeadersError::BadLineEnd { line: snippet(text) }
    } else if parts.next().is_none() {
        ParseHeadersError::MissingColon { line: snippet(text) }
    } else {
        ParseHeadersError::BadName { name: snippet(name) }
    }
}
