//! The form in which everybody writes messages: single spaces, CR LF, short numbers, all of it there.
//!
//! What is read here is on the path of every message, and this is several times as fast as finding the line
//! end and splitting what is before it. Whatever looks different, is incomplete, or breaks a limit is left
//! to the [general parser](super::machine): there alone is it known what is an error.

use alloc::vec::Vec;

use super::machine::Direction;
use super::{Limits, MessageFrame, Span};

/// Reads the run of messages that begins at `at`, and says where it ends.
// A function of its own, so that its few variables stay in registers.
#[inline(never)]
pub(super) fn run<D: Direction>(
    input: &[u8],
    at: usize,
    limits: &Limits,
    items: &mut Vec<D::Op>,
) -> usize {
    let mut rest = input.get(at..).unwrap_or_default();
    while let Some((frame, behind)) = message::<D>(input.len(), rest, limits) {
        items.push(D::message(frame));
        rest = behind;
    }
    input.len().wrapping_sub(rest.len())
}

/// The message at the front of `rest`, and what is behind it. The input ends where `rest` ends, at `all`.
#[inline(always)]
fn message<'a, D: Direction>(
    all: usize,
    rest: &'a [u8],
    limits: &Limits,
) -> Option<(MessageFrame, &'a [u8])> {
    match rest.split_first_chunk() {
        Some((name, text)) if name == D::PLAIN => body::<D, false>(all, rest, text, limits),
        _ => match rest.split_first_chunk() {
            Some((name, text)) if name == D::WITH_HEADERS => {
                body::<D, true>(all, rest, text, limits)
            }
            _ => None,
        },
    }
}

/// The message whose line is `line`, and whose arguments are at the front of `text`.
#[inline(always)]
fn body<'a, D: Direction, const HEADERS: bool>(
    all: usize,
    line: &'a [u8],
    text: &'a [u8],
    limits: &Limits,
) -> Option<(MessageFrame, &'a [u8])> {
    let (subject, text) = word(all, text)?;
    let (sid, text) = if D::SID { field(text)? } else { (0, text) };
    let (reply, (headers_len, total_len, text)) = match lengths::<HEADERS>(text) {
        Some(lengths) => (Span::default(), lengths),
        None => {
            let (reply, text) = word(all, text)?;
            (reply, lengths::<HEADERS>(text)?)
        }
    };
    let line_len = line.len().wrapping_sub(text.len()).wrapping_sub(2);
    if line_len > limits.control_line
        || headers_len > total_len
        || headers_len > limits.header_block
        || total_len > limits.payload
    {
        return None;
    }
    let [b'\r', b'\n', behind @ ..] = text.get(total_len..)? else {
        return None;
    };
    let headers = span(all, text, headers_len);
    let frame = MessageFrame {
        sid,
        subject,
        reply,
        headers,
        payload: Span {
            start: headers.start.wrapping_add(headers.len),
            len: total_len.wrapping_sub(headers_len) as u32,
        },
    };
    Some((frame, behind))
}

/// A word, and what is behind its space.
#[inline(always)]
fn word(all: usize, text: &[u8]) -> Option<(Span, &[u8])> {
    let len = word_len(text);
    let behind = text.get(len.wrapping_add(1)..)?;
    (len > 0).then_some((span(all, text, len), behind))
}

/// How many bytes there are before the first one that is a space or below; zero unless that is a space.
// Not inlined: a loop in the middle of the caller takes most of its registers.
#[inline(never)]
fn word_len(text: &[u8]) -> usize {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let mut rest = text;
    while let Some((eight, more)) = rest.split_first_chunk() {
        // Eight bytes at a time: the lowest set bit is in the first byte that was looked for. (Bits above
        // the lowest may be wrong, but are not used.)
        let eight = u64::from_le_bytes(*eight);
        let low = eight.wrapping_sub(each(b' ' + 1)) & !eight & each(0x80);
        if low != 0 {
            let bits = low.trailing_zeros() & !7;
            let before = text.len().wrapping_sub(rest.len());
            return match (eight >> bits) as u8 {
                b' ' => before.wrapping_add(bits as usize / 8),
                _ => 0,
            };
        }
        rest = more;
    }
    0
}

/// A number, and what is behind its space.
#[inline(always)]
fn field(text: &[u8]) -> Option<(u64, &[u8])> {
    let (value, digits, behind) = number(text)?;
    if behind as u8 != b' ' {
        return None;
    }
    Some((value, text.get(digits.wrapping_add(1)..)?))
}

/// The length of the headers (zero if there are none), the length of all, and what is behind the line end.
#[inline(always)]
fn lengths<const HEADERS: bool>(text: &[u8]) -> Option<(usize, usize, &[u8])> {
    let (headers_len, text) = if HEADERS { field(text)? } else { (0, text) };
    let (total_len, digits, behind) = number(text)?;
    if behind as u16 != u16::from_le_bytes(*b"\r\n") {
        return None;
    }
    Some((headers_len as usize, total_len as usize, text.get(digits.wrapping_add(2)..)?))
}

/// A number of one to seven digits, how many they are, and the bytes behind them, as many as are left of eight
/// and zeros after that.
#[inline(always)]
fn number(text: &[u8]) -> Option<(u64, usize, u64)> {
    let mut left = u64::from_le_bytes(*text.first_chunk()?);
    let mut value = 0_u64;
    let mut digits = 0_usize;
    loop {
        let digit = (left as u8).wrapping_sub(b'0');
        if digit > 9 {
            return (1..=7).contains(&digits).then_some((value, digits, left));
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        digits = digits.wrapping_add(1);
        // What comes in from above is zero, and no digit.
        left >>= 8;
    }
}

/// The first `len` bytes of `text`, which ends where the input ends, at `all`. Inputs are cut to what a span
/// can name.
#[inline(always)]
fn span(all: usize, text: &[u8], len: usize) -> Span {
    Span { start: all.wrapping_sub(text.len()) as u32, len: len as u32 }
}
