//! Encodes operations into an [`OutBuf`].
//!
//! These functions do not validate: subjects, queue groups and headers must have been checked, as
//! [`Subject`](crate::Subject) and [`HeaderMap`] do and as the connection does for its
//! caller.

use bytes::Bytes;

use super::OutBuf;
use super::flat::{Flat, Line};
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

/// Control lines are at most so much longer than what they name: operation, separators, sid, lengths, line ends.
const REST: usize = 96;

/// PUB, or HPUB if there are headers (an empty map counts as none).
#[inline(always)]
pub fn publish(
    out: &mut OutBuf,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: Option<&HeaderMap>,
    payload: &Bytes,
) {
    if headers.is_none_or(HeaderMap::is_empty)
        && payload.len() < OutBuf::SEGMENT_THRESHOLD
        && small(out.flat_mut(), b"PUB ", subject, None, reply, None, payload).is_some()
    {
        return;
    }
    publish_any(out, subject, reply, headers, payload);
}

/// A message whose payload is copied, in one go. `name` is the operation with the space behind it, `sid` the
/// subscription. `None`, and nothing done, if a length has more than four digits.
#[inline(always)]
fn small(
    flat: &mut Flat,
    name: &[u8],
    subject: &[u8],
    sid: Option<&[u8]>,
    reply: Option<&[u8]>,
    headers: Option<&HeaderMap>,
    payload: &[u8],
) -> Option<()> {
    let headers = headers.map(|headers| (headers, headers.encoded_len()));
    let total = headers.map_or(0, |(_, len)| len).wrapping_add(payload.len());
    let (text, count) = line_end(total)?;
    let optional = |word: Option<&[u8]>| word.map_or(0, <[u8]>::len);
    let words = subject.len().wrapping_add(optional(sid)).wrapping_add(optional(reply));
    let mut line = Line::new(flat.room(words.wrapping_add(total).wrapping_add(REST)));
    line.put(name)?;
    line.put(subject)?;
    // Not in a loop, which the compiler does not always see through.
    if let Some(sid) = sid {
        line.put(b" ")?;
        line.put(sid)?;
    }
    if let Some(reply) = reply {
        line.put(b" ")?;
        line.put(reply)?;
    }
    if let Some((_, len)) = headers {
        let (text, count) = line_end(len)?;
        line.put_some(text, count.wrapping_sub(b"\r\n".len()))?;
    }
    line.put_some(text, count)?;
    if let Some((headers, _)) = headers {
        let mut whole = Some(());
        headers.encode_with(|piece| whole = whole.and(line.put(piece)));
        whole?;
    }
    line.put(payload)?;
    line.put(b"\r\n")?;
    let len = line.len();
    flat.commit(len);
    Some(())
}

/// A message of any kind.
fn publish_any(
    out: &mut OutBuf,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: Option<&HeaderMap>,
    payload: &Bytes,
) {
    let headers = headers.filter(|headers| !headers.is_empty());
    let flat = out.flat_mut();
    if headers.is_some()
        && payload.len() < OutBuf::SEGMENT_THRESHOLD
        && small(flat, b"HPUB ", subject, None, reply, headers, payload).is_some()
    {
        return;
    }
    flat.put(if headers.is_some() { b"HPUB " } else { b"PUB " });
    flat.put(subject);
    lengths(flat, reply, headers.map_or(0, HeaderMap::encoded_len), payload.len());
    if let Some(headers) = headers {
        headers.encode_with(|piece| flat.put(piece));
    }
    out.put_bytes(payload);
    out.put_slice(b"\r\n");
}

/// SUB.
pub fn subscribe(out: &mut OutBuf, subject: &[u8], queue: Option<&[u8]>, sid: u64) {
    let flat = out.flat_mut();
    flat.put(b"SUB ");
    flat.put(subject);
    flat.put(b" ");
    if let Some(queue) = queue {
        flat.put(queue);
        flat.put(b" ");
    }
    decimal(flat, sid);
    flat.put(b"\r\n");
}

/// UNSUB, at once or after `max` messages counted from the subscription's start.
pub fn unsubscribe(out: &mut OutBuf, sid: u64, max: Option<u64>) {
    let flat = out.flat_mut();
    flat.put(b"UNSUB ");
    decimal(flat, sid);
    if let Some(max) = max {
        flat.put(b" ");
        decimal(flat, max);
    }
    flat.put(b"\r\n");
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

/// INFO. There is a space before the line end, as a `nats-server` writes it.
pub fn info(out: &mut OutBuf, info: &ServerInfo) {
    // As in `connect`.
    let mut json = serde_json::to_vec(info).unwrap_or_default();
    json.push(b' ');
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
    if headers.is_empty()
        && payload.len() < OutBuf::SEGMENT_THRESHOLD
        && small(flat, b"MSG ", subject, Some(sid), reply, None, payload).is_some()
    {
        return;
    }
    flat.put(if headers.is_empty() { b"MSG " } else { b"HMSG " });
    flat.put(subject);
    flat.put(b" ");
    flat.put(sid);
    lengths(flat, reply, headers.len(), payload.len());
    flat.put(headers);
    out.put_bytes(payload);
    out.put_slice(b"\r\n");
}

/// +OK.
pub fn ok(out: &mut OutBuf) {
    out.put_slice(b"+OK\r\n");
}

/// -ERR 'text'. Control characters in the text become spaces: it may quote what a client sent.
pub fn err(out: &mut OutBuf, text: &str) {
    let flat = out.flat_mut();
    flat.put(b"-ERR '");
    flat.extend(text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_control() => b' ',
        byte => byte,
    }));
    flat.put(b"'\r\n");
}

fn line(out: &mut OutBuf, name: &[u8], text: &[u8]) {
    out.put_slice(name);
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

/// The end of a control line: reply subject, length of the headers if there are any, length of all.
fn lengths(flat: &mut Flat, reply: Option<&[u8]>, headers_len: usize, payload_len: usize) {
    if let Some(reply) = reply {
        flat.put(b" ");
        flat.put(reply);
    }
    if headers_len > 0 {
        flat.put(b" ");
        decimal(flat, headers_len as u64);
    }
    let total = headers_len.saturating_add(payload_len);
    flat.put(b" ");
    decimal(flat, total as u64);
    flat.put(b"\r\n");
}

/// A space, a length of up to four digits and the line end, and how many bytes that is.
#[inline(always)]
fn line_end(len: usize) -> Option<([u8; 8], usize)> {
    let digit = |value: usize| b'0'.wrapping_add((value % 10) as u8);
    let (tens, hundreds, thousands) = (len / 10, len / 100, len / 1000);
    Some(match len {
        0..=9 => ([b' ', digit(len), b'\r', b'\n', 0, 0, 0, 0], 4),
        10..=99 => ([b' ', digit(tens), digit(len), b'\r', b'\n', 0, 0, 0], 5),
        100..=999 => ([b' ', digit(hundreds), digit(tens), digit(len), b'\r', b'\n', 0, 0], 6),
        1000..=9999 => {
            let (high, low) = (digit(thousands), digit(len));
            ([b' ', high, digit(hundreds), digit(tens), low, b'\r', b'\n', 0], 7)
        }
        _ => return None,
    })
}

/// Appends a number in decimal digits.
fn decimal(flat: &mut Flat, mut number: u64) {
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
    flat.put(text.get(from..).unwrap_or_default());
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
            let mut flat = Flat::new();
            decimal(&mut flat, number);
            assert_eq!(*flat, *number.to_string().into_bytes());
            assert_eq!(digits(number as usize), flat.len());
        }
    }

    #[test]
    fn lengths_of_every_size_end_the_line() {
        for total in [0, 9, 10, 99, 100, 999, 1_000, 123_456] {
            let mut flat = Flat::new();
            lengths(&mut flat, None, 0, total);
            assert_eq!(*flat, *format!(" {total}\r\n").into_bytes());
        }
        let mut flat = Flat::new();
        lengths(&mut flat, Some(b"r"), 12, 5);
        assert_eq!(*flat, *b" r 12 17\r\n");
    }

    #[test]
    fn the_short_form_of_a_length_is_the_long_one() {
        for len in 0..10_000 {
            let (text, count) = line_end(len).unwrap();
            assert_eq!(&text[..count], format!(" {len}\r\n").as_bytes());
        }
        assert_eq!(line_end(10_000), None);
    }

    #[test]
    fn an_error_text_stays_on_its_line() {
        let mut out = OutBuf::new();
        err(&mut out, "Invalid\r\nSubject\0");
        assert_eq!(**out.flat_mut(), *b"-ERR 'Invalid  Subject '\r\n");
    }
}
