//! The form in which everybody writes messages: single spaces, CR LF, short numbers, all of it there.
//!
//! What is read here is on the path of every message, and this is several times as fast as finding the line
//! end and splitting what is before it. Whatever looks different, is incomplete, or breaks a limit is left
//! to the [general parser](super::machine): there alone is it known what is an error.
//!
//! A space is looked at by who reads what is behind it: the two are in the same eight bytes. Places are offsets
//! of 32 bits, as in spans, and as wide as pointers when something small is added to them: the compiler sees
//! that the sum does not wrap, and makes one comparison of "is there so much".

use alloc::vec::Vec;

use super::machine::Direction;
use super::{Limits, MessageFrame, Span};

/// Reads the run of messages that begins at `at`, and says where it ends. Inputs are cut to what a span can name.
pub(super) fn run<D: Direction>(
    input: &[u8],
    at: usize,
    limits: &Limits,
    items: &mut Vec<D::Op>,
) -> usize {
    let mut at = at as u32;
    loop {
        let plain = run_of::<D, false>(input, at, limits, items);
        at = run_of::<D, true>(input, plain, limits, items);
        if at == plain {
            return at as usize;
        }
    }
}

/// The same for messages with headers alone, or for those without.
// A function of its own, and two loops: so the few variables of the inner one stay in registers.
#[inline(never)]
fn run_of<D: Direction, const HEADERS: bool>(
    input: &[u8],
    mut at: u32,
    limits: &Limits,
    items: &mut Vec<D::Op>,
) -> u32 {
    loop {
        let head = loop {
            let Some(head) = head::<D, HEADERS>(input, at) else {
                return at;
            };
            let Some(lengths) = lengths::<HEADERS>(input, head.end) else {
                break head;
            };
            let Some((frame, next)) = body(input, at, limits, head, Span::default(), lengths)
            else {
                return at;
            };
            items.push(D::message(frame));
            at = next;
        };
        let Some((frame, next)) = with_reply::<HEADERS>(input, at, limits, head) else {
            return at;
        };
        items.push(D::message(frame));
        at = next;
    }
}

/// What every line begins with.
#[derive(Clone, Copy)]
struct Head {
    subject: Span,
    /// Zero in what clients send.
    sid: u32,
    /// What comes next is here, with its space.
    end: u32,
}

/// What every line ends with.
#[derive(Clone, Copy)]
struct Lengths {
    /// Zero if there are none.
    headers: u32,
    /// Of headers and payload together.
    total: u32,
    /// The line end is here.
    end: u32,
}

/// The beginning of the line at `at`.
#[inline(always)]
fn head<D: Direction, const HEADERS: bool>(input: &[u8], at: u32) -> Option<Head> {
    let name_len = match HEADERS {
        true if chunk(input, at as usize)? == D::WITH_HEADERS => D::WITH_HEADERS.len(),
        false if chunk(input, at as usize)? == D::PLAIN => D::PLAIN.len(),
        _ => return None,
    };
    let (subject, end) = word(input, at.wrapping_add(name_len as u32))?;
    let (sid, end) = if D::SID { number::<false>(input, end)? } else { (0, end) };
    Some(Head { subject, sid, end })
}

/// The end of a line, which begins with the space at `at`.
#[inline(always)]
fn lengths<const HEADERS: bool>(input: &[u8], at: u32) -> Option<Lengths> {
    let (headers, at) = if HEADERS { number::<false>(input, at)? } else { (0, at) };
    let (total, end) = number::<true>(input, at)?;
    Some(Lengths { headers, total, end })
}

/// The message whose line begins at `at` with `head`, and goes on with a reply subject; and where the next one
/// begins.
#[inline(always)]
fn with_reply<const HEADERS: bool>(
    input: &[u8],
    at: u32,
    limits: &Limits,
    head: Head,
) -> Option<(MessageFrame, u32)> {
    if *input.get(head.end as usize)? != b' ' {
        return None;
    }
    let (reply, end) = word(input, head.end.wrapping_add(1))?;
    let lengths = lengths::<HEADERS>(input, end)?;
    body(input, at, limits, head, reply, lengths)
}

/// The message whose line begins at `at` and is what the others are, if the limits allow it and all of it is
/// there; and where the next one begins.
#[inline(always)]
fn body(
    input: &[u8],
    at: u32,
    limits: &Limits,
    head: Head,
    reply: Span,
    lengths: Lengths,
) -> Option<(MessageFrame, u32)> {
    let Lengths { headers, total, end } = lengths;
    let line_len = end.wrapping_sub(at) as usize;
    if line_len > limits.control_line
        || headers > total
        || headers as usize > limits.header_block
        || total as usize > limits.payload
    {
        return None;
    }
    let start = end.wrapping_add(2);
    let end = (start as usize).wrapping_add(total as usize);
    if chunk(input, end)? != b"\r\n" {
        return None;
    }
    let frame = MessageFrame {
        sid: u64::from(head.sid),
        subject: head.subject,
        reply,
        headers: Span { start, len: headers },
        payload: Span { start: start.wrapping_add(headers), len: total.wrapping_sub(headers) },
    };
    Some((frame, end.wrapping_add(2) as u32))
}

/// The `N` bytes at `at`.
#[inline(always)]
fn chunk<const N: usize>(input: &[u8], at: usize) -> Option<&[u8; N]> {
    input.get(at..at.wrapping_add(N))?.first_chunk()
}

/// The eight bytes at `at`, the first one lowest.
#[inline(always)]
fn eight(input: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*chunk(input, at)?))
}

/// The word that begins at `start`, and where it ends: at the first byte that is a space or below.
#[inline(always)]
fn word(input: &[u8], start: u32) -> Option<(Span, u32)> {
    let at = start as usize;
    let low = not_above_space(eight(input, at)?);
    if low != 0 {
        let len = low.trailing_zeros() / 8;
        return (len > 0).then_some((Span { start, len }, at.wrapping_add(len as usize) as u32));
    }
    // Said twice, because most words end here.
    let low = not_above_space(eight(input, at.wrapping_add(8))?);
    if low != 0 {
        let len = (low.trailing_zeros() / 8).wrapping_add(8);
        return Some((Span { start, len }, at.wrapping_add(len as usize) as u32));
    }
    let mut end = start.wrapping_add(16);
    loop {
        let low = not_above_space(eight(input, end as usize)?);
        if low != 0 {
            end = end.wrapping_add(low.trailing_zeros() / 8);
            return Some((Span { start, len: end.wrapping_sub(start) }, end));
        }
        end = end.wrapping_add(8);
    }
}

/// Has its lowest set bit in the first of eight bytes that is a space or below; is zero if none is. (Bits above
/// the lowest may be wrong, but are not used.)
#[inline(always)]
fn not_above_space(eight: u64) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    eight.wrapping_sub(each(b' ' + 1)) & !eight & each(0x80)
}

/// The number of one to eight digits behind the space at `at`, and where it ends. `LINE_END` asks for a line end
/// there.
#[inline(always)]
fn number<const LINE_END: bool>(input: &[u8], at: u32) -> Option<(u32, u32)> {
    let at = at as usize;
    let text = eight(input, at)?;
    if text as u8 != b' ' {
        return None;
    }
    let (first, second) = (digit((text >> 8) as u8), digit((text >> 16) as u8));
    if first > 9 {
        return None;
    }
    if second > 9 {
        if LINE_END && (text >> 16) as u16 != u16::from_le_bytes(*b"\r\n") {
            return None;
        }
        return Some((first, at.wrapping_add(2) as u32));
    }
    let mut value = first.wrapping_mul(10).wrapping_add(second);
    let mut end = at.wrapping_add(3);
    while end.wrapping_sub(at) < 10 {
        let next = digit(*input.get(end)?);
        if next > 9 {
            if LINE_END && chunk(input, end)? != b"\r\n" {
                return None;
            }
            return Some((value, end as u32));
        }
        value = value.wrapping_mul(10).wrapping_add(next);
        end = end.wrapping_add(1);
    }
    None
}

/// What a digit stands for; more than nine for other bytes.
#[inline(always)]
fn digit(byte: u8) -> u32 {
    u32::from(byte).wrapping_sub(u32::from(b'0'))
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use bytes::{Bytes, BytesMut};

    use super::run;
    use crate::wire::client_decoder::FromClient;
    use crate::wire::machine::Direction;
    use crate::wire::server_decoder::FromServer;
    use crate::wire::{Limits, MessageFrame, ServerDecoder, ServerOp, ServerOps};

    /// How much of `wire` is read here, and how many messages that is. The general parser would read the rest.
    fn taken<D: Direction>(wire: &str, limits: &Limits) -> (usize, usize) {
        // A word is looked at eight bytes at a time, whatever is behind it.
        let wire = [wire, "PING\r\nPING\r\n"].concat();
        let mut items = Vec::new();
        let end = run::<D>(wire.as_bytes(), 0, limits, &mut items);
        (end, items.len())
    }

    #[test]
    fn everything_in_the_usual_form_is_read_here() {
        let block = "NATS/1.0\r\n\r\n";
        for subject_len in 1..40 {
            let subject = "s".repeat(subject_len);
            for reply in ["", "7 ", "_R.abc ", "_INBOX.0123456789abcdef.1 "] {
                for payload_len in [0, 1, 9, 10, 42, 99, 100, 1000, 123_456] {
                    let (payload, total) = ("p".repeat(payload_len), block.len() + payload_len);
                    let sid = 12_345_678 / 10_usize.pow(payload_len as u32 % 8);
                    let head = block.len();
                    let wire = [
                        format!("MSG {subject} {sid} {reply}{payload_len}\r\n{payload}\r\n"),
                        format!(
                            "HMSG {subject} {sid} {reply}{head} {total}\r\n{block}{payload}\r\n"
                        ),
                    ];
                    let wire = [&*wire[0], &wire[1], &wire[1], &wire[0]].concat();
                    let limits = Limits::default();
                    assert_eq!(taken::<FromServer>(&wire, &limits), (wire.len(), 4), "{wire}");
                    let wire = format!("PUB {subject} {reply}{payload_len}\r\n{payload}\r\n");
                    assert_eq!(taken::<FromClient>(&wire, &limits), (wire.len(), 1), "{wire}");
                }
            }
        }
    }

    #[test]
    fn what_looks_different_is_left_to_the_general_parser() {
        for wire in [
            "msg a 1 2\r\nok\r\n",
            "MSG\ta 1 2\r\nok\r\n",
            "MSG  a 1 2\r\nok\r\n",
            "MSG a  1 2\r\nok\r\n",
            "MSG a 1 2 \r\nok\r\n",
            "MSG a 1\t2\r\nok\r\n",
            "MSG a 1 2\nok\r\n",
            "MSG a 1 2\r \nok\r\n",
            "MSG a 1 2x\r\nok\r\n",
            "MSG a 1 02x\r\nok\r\n",
            "MSG a 1 02\nok\r\n",
            "MSG a x 2\r\nok\r\n",
            "MSG a 1 r x\r\nok\r\n",
            "MSG a 1 r s 2\r\nok\r\n",
            "MSG a 123456789 2\r\nok\r\n",
            "MSG a 1 2\r\nokay\r\n",
            "MSG a 1 2\r\no\r\n",
            "HMSG a 1 13 12\r\nNATS/1.0\r\n\r\n\r\n",
            "HMSG a 1 12\r\nNATS/1.0\r\n\r\n\r\n",
            "PING\r\n",
        ] {
            assert_eq!(taken::<FromServer>(wire, &Limits::default()), (0, 0), "{wire:?}");
        }
    }

    #[test]
    fn what_breaks_a_limit_is_left_to_the_general_parser_and_what_reaches_it_is_not() {
        let wire = "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n";
        let line = "HMSG a 1 12 14".len();
        let limits = |control_line, header_block, payload| Limits {
            control_line,
            header_block,
            payload,
            ..Limits::default()
        };
        assert_eq!(taken::<FromServer>(wire, &limits(line, 12, 14)), (wire.len(), 1));
        for limits in [limits(line - 1, 12, 14), limits(line, 11, 14), limits(line, 12, 13)] {
            assert_eq!(taken::<FromServer>(wire, &limits), (0, 0), "{limits:?}");
        }
    }

    /// What `wire` decodes to, each part as text.
    fn decoded(wire: &str) -> Vec<(u64, [String; 4])> {
        let mut ops = ServerOps::new();
        let mut input = BytesMut::from(wire);
        ServerDecoder::new(Limits::default()).decode(&mut input, &mut ops).unwrap();
        assert!(input.is_empty());
        let chunk = &ops.chunk;
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let parts = |frame: &MessageFrame| {
            [frame.subject, frame.reply, frame.headers, frame.payload]
                .map(|span| text(span.slice(chunk)))
        };
        let message = |op: &ServerOp| match op {
            ServerOp::Message(frame) => (frame.sid, parts(frame)),
            other => panic!("{other:?} is no message"),
        };
        ops.items.iter().map(message).collect()
    }

    #[test]
    fn reads_words_and_numbers_of_every_length() {
        let block = "NATS/1.0\r\nA: b\r\n\r\n";
        for subject_len in 1..40 {
            let subject = "s".repeat(subject_len);
            for reply in [String::new(), "7".into(), "_R.".repeat(1 + subject_len % 17)] {
                for payload_len in [0, 1, 9, 10, 42, 99, 100, 999, 1000, 123_456] {
                    let sid = 1_234_567_890_u64 / 10_u64.pow(payload_len as u32 % 10);
                    let payload = "p".repeat(payload_len);
                    let line = format!(
                        "{subject} {sid} {reply}{}",
                        if reply.is_empty() { "" } else { " " }
                    );
                    let plain = format!("MSG {line}{payload_len}\r\n{payload}\r\n");
                    let total = block.len() + payload_len;
                    let with_headers =
                        format!("HMSG {line}{} {total}\r\n{block}{payload}\r\n", block.len());
                    let parts = |headers: &str| {
                        (sid, [subject.clone(), reply.clone(), headers.into(), payload.clone()])
                    };
                    assert_eq!(
                        decoded(&[&*plain, &with_headers, &with_headers, &plain, &plain].concat()),
                        [parts(""), parts(block), parts(block), parts(""), parts("")]
                    );
                }
            }
        }
    }
}
