//! Encodes operations into an [`OutBuf`].
//!
//! These functions do not validate: subjects, queue groups and headers must have been checked, as
//! [`Subject`](crate::Subject) and [`HeaderMap`] do and as the connection does for its
//! caller.

use alloc::vec::Vec;

use bytes::Bytes;

use super::OutBuf;
use crate::{ConnectInfo, HeaderMap, ServerInfo};

/// The length of the frame that [`publish`] would write.
pub fn publish_len(
    subject: &[u8],
    reply: Option<&[u8]>,
    headers_len: usize,
    payload_len: usize,
) -> usize {
    let total = headers_len.saturating_add(payload_len);
    let name = match headers_len {
        0 => "PUB ".len(),
        _ => "HPUB  ".len().saturating_add(digits(headers_len)),
    };
    let ends = " \r\n\r\n".len();
    [
        name,
        subject.len(),
        reply.map_or(0, |reply| reply.len().saturating_add(1)),
        digits(total),
        total,
        ends,
    ]
    .into_iter()
    .fold(0, usize::saturating_add)
}

/// PUB, or HPUB if there are headers (an empty map counts as none).
#[inline]
pub fn publish(
    out: &mut OutBuf,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: Option<&HeaderMap>,
    payload: &Bytes,
) {
    let headers = headers.filter(|headers| !headers.is_empty());
    let headers_len = headers.map_or(0, HeaderMap::encoded_len);
    let flat = out.flat_mut();
    reserve(flat, subject, reply, headers_len, payload);
    match headers {
        None => flat.extend_from_slice(b"PUB "),
        Some(_) => flat.extend_from_slice(b"HPUB "),
    }
    flat.extend_from_slice(subject);
    lengths(flat, reply, headers_len, payload.len());
    if let Some(headers) = headers {
        headers.encode(flat);
    }
    out.put_bytes(payload);
    out.flat_mut().extend_from_slice(b"\r\n");
}

/// SUB.
pub fn subscribe(out: &mut OutBuf, subject: &[u8], queue: Option<&[u8]>, sid: u64) {
    let flat = out.flat_mut();
    flat.extend_from_slice(b"SUB ");
    flat.extend_from_slice(subject);
    flat.push(b' ');
    if let Some(queue) = queue {
        flat.extend_from_slice(queue);
        flat.push(b' ');
    }
    decimal(flat, sid);
    flat.extend_from_slice(b"\r\n");
}

/// UNSUB, at once or after `max` messages counted from the subscription's start.
pub fn unsubscribe(out: &mut OutBuf, sid: u64, max: Option<u64>) {
    let flat = out.flat_mut();
    flat.extend_from_slice(b"UNSUB ");
    decimal(flat, sid);
    if let Some(max) = max {
        flat.push(b' ');
        decimal(flat, max);
    }
    flat.extend_from_slice(b"\r\n");
}

/// CONNECT.
pub fn connect(out: &mut OutBuf, info: &ConnectInfo) {
    // Strings, numbers and flags always have a JSON form, so that this cannot fail.
    let json = serde_json::to_vec(info).unwrap_or_default();
    line(out, b"CONNECT ", &json);
}

/// PING.
pub fn ping(out: &mut OutBuf) {
    out.put_slice(b"PING\r\n");
}

/// PONG.
pub fn pong(out: &mut OutBuf) {
    out.put_slice(b"PONG\r\n");
}

/// INFO.
pub fn info(out: &mut OutBuf, info: &ServerInfo) {
    // As in `connect`.
    let json = serde_json::to_vec(info).unwrap_or_default();
    line(out, b"INFO ", &json);
}

/// MSG, or HMSG if `headers` (a whole encoded block) is not empty. `sid` is the subscriber's own token.
#[inline]
pub fn message(
    out: &mut OutBuf,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &Bytes,
) {
    let flat = out.flat_mut();
    reserve(flat, subject, reply, headers.len(), payload);
    match headers {
        [] => flat.extend_from_slice(b"MSG "),
        _ => flat.extend_from_slice(b"HMSG "),
    }
    flat.extend_from_slice(subject);
    flat.push(b' ');
    flat.extend_from_slice(sid);
    lengths(flat, reply, headers.len(), payload.len());
    flat.extend_from_slice(headers);
    out.put_bytes(payload);
    out.flat_mut().extend_from_slice(b"\r\n");
}

/// +OK.
pub fn ok(out: &mut OutBuf) {
    out.put_slice(b"+OK\r\n");
}

/// -ERR 'text'. Control characters in the text become spaces: it may quote what a client sent.
pub fn err(out: &mut OutBuf, text: &str) {
    let flat = out.flat_mut();
    flat.extend_from_slice(b"-ERR '");
    flat.extend(text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_control() => b' ',
        byte => byte,
    }));
    flat.extend_from_slice(b"'\r\n");
}

fn line(out: &mut OutBuf, name: &[u8], text: &[u8]) {
    out.put_slice(name);
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

/// Makes room for a frame in one go, so that the appending that follows never has to. A large payload
/// needs none.
#[inline]
fn reserve(
    flat: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers_len: usize,
    payload: &Bytes,
) {
    /// Name, separators, sid, both lengths, both line ends.
    const REST: usize = 96;
    let payload = match payload.len() {
        small if small < OutBuf::SEGMENT_THRESHOLD => small,
        _ => 0,
    };
    let len = REST
        .saturating_add(subject.len())
        .saturating_add(reply.map_or(0, <[u8]>::len))
        .saturating_add(headers_len)
        .saturating_add(payload);
    flat.reserve(len);
}

/// The end of a control line: reply subject, length of the headers if there are any, length of all.
#[inline]
fn lengths(flat: &mut Vec<u8>, reply: Option<&[u8]>, headers_len: usize, payload_len: usize) {
    if let Some(reply) = reply {
        flat.push(b' ');
        flat.extend_from_slice(reply);
    }
    if headers_len > 0 {
        flat.push(b' ');
        decimal(flat, headers_len as u64);
    }
    // Arrays of a fixed length are stored without a call, and short lengths are what comes often.
    let total = headers_len.saturating_add(payload_len);
    let digit = |value: usize| b'0'.wrapping_add((value % 10) as u8);
    match total {
        0..=9 => flat.extend_from_slice(&[b' ', digit(total), b'\r', b'\n']),
        10..=99 => {
            flat.extend_from_slice(&[b' ', digit(total / 10), digit(total), b'\r', b'\n']);
        }
        100..=999 => {
            let (hundreds, tens) = (digit(total / 100), digit(total / 10));
            flat.extend_from_slice(&[b' ', hundreds, tens, digit(total), b'\r', b'\n']);
        }
        _ => {
            flat.push(b' ');
            decimal(flat, total as u64);
            flat.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a number in decimal digits.
fn decimal(flat: &mut Vec<u8>, mut number: u64) {
    let mut text = [b'0'; 20];
    let mut used = 0_usize;
    for slot in text.iter_mut().rev() {
        *slot = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
        used = used.saturating_add(1);
        if number == 0 {
            break;
        }
    }
    let from = text.len().saturating_sub(used);
    flat.extend_from_slice(text.get(from..).unwrap_or_default());
}

/// Number of decimal digits.
fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| (log as usize).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        let around = powers.flat_map(|power| [power - 1, power, power + 1]);
        for number in around.chain([u64::MAX - 1, u64::MAX]) {
            let mut flat = Vec::new();
            decimal(&mut flat, number);
            assert_eq!(flat, number.to_string().into_bytes());
            assert_eq!(digits(number as usize), flat.len());
        }
    }

    #[test]
    fn lengths_of_every_size_end_the_line() {
        for total in [0, 9, 10, 99, 100, 999, 1_000, 123_456] {
            let mut flat = Vec::new();
            lengths(&mut flat, None, 0, total);
            assert_eq!(flat, format!(" {total}\r\n").into_bytes());
        }
        let mut flat = Vec::new();
        lengths(&mut flat, Some(b"r"), 12, 5);
        assert_eq!(flat, b" r 12 17\r\n");
    }

    #[test]
    fn an_error_text_stays_on_its_line() {
        let mut out = OutBuf::new();
        err(&mut out, "Invalid\r\nSubject\0");
        assert_eq!(out.flat_mut(), b"-ERR 'Invalid  Subject '\r\n");
    }
}
