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
    mut at: usize,
    limits: &Limits,
    items: &mut Vec<D::Op>,
) -> usize {
    while let Some((frame, next)) = message::<D>(input, at, limits) {
        items.push(D::message(frame));
        at = next;
    }
    at
}

/// The message at `at`, and where the next operation begins.
#[inline(always)]
fn message<D: Direction>(
    input: &[u8],
    at: usize,
    limits: &Limits,
) -> Option<(MessageFrame, usize)> {
    let rest = input.get(at..)?;
    if rest.first_chunk() == Some(D::PLAIN) {
        body::<D, false>(input, at, at.wrapping_add(D::PLAIN.len()), limits)
    } else if rest.first_chunk() == Some(D::WITH_HEADERS) {
        body::<D, true>(input, at, at.wrapping_add(D::WITH_HEADERS.len()), limits)
    } else {
        None
    }
}

/// The message at `start`, whose arguments begin at `at`.
#[inline(always)]
fn body<D: Direction, const HEADERS: bool>(
    input: &[u8],
    start: usize,
    at: usize,
    limits: &Limits,
) -> Option<(MessageFrame, usize)> {
    let (subject, at) = word(input, at)?;
    let (sid, at) = if D::SID { field(input, at)? } else { (0, at) };
    let (reply, (headers_len, total_len, next)) = match lengths::<HEADERS>(input, at) {
        Some(lengths) => (Span::default(), lengths),
        None => {
            let (reply, at) = word(input, at)?;
            (reply, lengths::<HEADERS>(input, at)?)
        }
    };
    if next.wrapping_sub(start).wrapping_sub(2) > limits.control_line
        || headers_len > total_len
        || headers_len > limits.header_block as u64
        || total_len > limits.payload as u64
    {
        return None;
    }
    let end = next.wrapping_add(total_len as usize);
    let [b'\r', b'\n', ..] = input.get(end..)? else {
        return None;
    };
    let payload = next.wrapping_add(headers_len as usize);
    let frame = MessageFrame {
        sid,
        subject,
        reply,
        headers: span(next, payload),
        payload: span(payload, end),
    };
    Some((frame, end.wrapping_add(2)))
}

/// A word, and where what is behind its space begins.
#[inline(always)]
fn word(input: &[u8], start: usize) -> Option<(Span, usize)> {
    let end = word_end(input, start)?;
    let ends_well = *input.get(end)? == b' ' && end > start;
    ends_well.then_some((span(start, end), end.wrapping_add(1)))
}

/// A byte of this value in each place of a word of eight.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Where the first byte that is a space or below is.
// Not inlined: a loop in the middle of the caller takes most of its registers.
#[inline(never)]
fn word_end(input: &[u8], mut at: usize) -> Option<usize> {
    loop {
        // Eight bytes at a time: the lowest set bit is in the first byte that was looked for. (Bits above
        // the lowest may be wrong, but are not used.)
        let eight = eight(input, at)?;
        let low = eight.wrapping_sub(each(b' ' + 1)) & !eight & each(0x80);
        if low != 0 {
            return Some(at.wrapping_add(low.trailing_zeros() as usize / 8));
        }
        at = at.wrapping_add(8);
    }
}

/// Eight bytes, the first of them lowest.
#[inline(always)]
fn eight(input: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*input.get(at..)?.first_chunk()?))
}

/// A number, and where what is behind its space begins.
#[inline(always)]
fn field(input: &[u8], at: usize) -> Option<(u64, usize)> {
    let (value, digits, behind) = number(input, at)?;
    (behind as u8 == b' ').then_some((value, at.wrapping_add(digits).wrapping_add(1)))
}

/// The length of the headers (zero if there are none), the length of all, and where the next line begins.
#[inline(always)]
fn lengths<const HEADERS: bool>(input: &[u8], at: usize) -> Option<(u64, u64, usize)> {
    let (headers_len, at) = if HEADERS { field(input, at)? } else { (0, at) };
    let (total_len, digits, behind) = number(input, at)?;
    let line_end = behind as u16 == u16::from_le_bytes(*b"\r\n");
    line_end.then_some((headers_len, total_len, at.wrapping_add(digits).wrapping_add(2)))
}

/// A number of one to seven digits, how many they are, and the bytes behind them, as many as are left of eight
/// and zeros after that.
#[inline(always)]
fn number(input: &[u8], at: usize) -> Option<(u64, usize, u64)> {
    let mut left = eight(input, at)?;
    let mut value = 0_u64;
    let mut digits = 0_usize;
    loop {
        let digit = (left as u8).wrapping_sub(b'0');
        if digit > 9 {
            return ((1..=7).contains(&digits)).then_some((value, digits, left));
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        digits = digits.wrapping_add(1);
        // What comes in from above is zero, and no digit.
        left >>= 8;
    }
}

/// The bytes from `start` to `end`. Inputs are cut to what a span can name.
#[inline(always)]
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, len: end.wrapping_sub(start) as u32 }
}
