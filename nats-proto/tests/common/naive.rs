//! A second decoder, simple and slow: it sees the whole stream at once and copies everything.

use super::{Message, Op, Outcome, Side};
use nats_proto::wire::Limits;
use nats_proto::{DecodeError, ServerError};

const SERVER: [&str; 7] = ["MSG ", "HMSG ", "PING", "PONG", "+OK", "-ERR", "INFO"];
const CLIENT: [&str; 7] = ["PUB ", "HPUB ", "SUB ", "UNSUB ", "PING", "PONG", "CONNECT"];

/// What is at the front of a stream.
enum Front {
    Whole(Op, usize),
    Incomplete,
}

pub fn decode(side: Side, limits: Limits, stream: &[u8]) -> Outcome {
    let mut rest = stream;
    let mut ops = Vec::new();
    let error = loop {
        match front(side, limits, rest) {
            Ok(Front::Whole(op, len)) => {
                ops.push(op);
                rest = &rest[len..];
            }
            Ok(Front::Incomplete) => break None,
            Err(error) => break Some(error),
        }
    };
    Outcome { ops, error, left: rest.to_vec() }
}

fn front(side: Side, limits: Limits, rest: &[u8]) -> Result<Front, DecodeError> {
    let names = match side {
        Side::Server => SERVER,
        Side::Client => CLIENT,
    };
    let upper: String = rest
        .iter()
        .take(8)
        .map(|byte| match byte {
            b'\t' => ' ',
            byte => char::from(byte.to_ascii_uppercase()),
        })
        .collect();
    let Some(name) = names.iter().find(|name| upper.starts_with(**name)) else {
        if names.iter().any(|name| name.starts_with(&upper)) {
            return Ok(Front::Incomplete);
        }
        return Err(DecodeError::UnknownOperation(String::new()));
    };
    let name = name.trim_end();
    let end = rest.iter().position(|byte| *byte == b'\n');
    let line = &rest[..end.unwrap_or(rest.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = &line[name.len()..];
    let counted = match side {
        Side::Server => line.len(),
        Side::Client => {
            text.len() - text.iter().take_while(|byte| b" \t".contains(byte)).count().min(64)
        }
    };
    if name == "INFO" || name == "CONNECT" {
        if counted > limits.info {
            let limit = limits.info;
            return Err(DecodeError::InfoTooLong { limit });
        }
    } else if counted > limits.control_line {
        let limit = limits.control_line;
        return Err(DecodeError::ControlLineTooLong { limit });
    }
    let Some(end) = end else {
        return Ok(Front::Incomplete);
    };
    let next = end + 1;
    let bad = DecodeError::BadArguments { operation: "", arguments: String::new() };
    let words: Vec<&[u8]> =
        text.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty()).collect();
    let stray = text.contains(&b'\r');
    let json = || DecodeError::BadJson { operation: "", reason: String::new() };
    let op = match name {
        "PING" => Op::Ping,
        "PONG" => Op::Pong,
        "+OK" => Op::Ok,
        "-ERR" => Op::Err(ServerError::parse(&String::from_utf8_lossy(text))),
        "CONNECT" if is_null(text) => Op::Connect(serde_json::from_str("{}").map_err(|_| json())?),
        "INFO" | "CONNECT" if !is_object(text) => return Err(json()),
        "INFO" => Op::Info(serde_json::from_slice(text).map_err(|_| json())?),
        "CONNECT" if has_bare_control(text) => return Err(json()),
        "CONNECT" => Op::Connect(serde_json::from_slice(text).map_err(|_| json())?),
        _ if stray => return Err(bad),
        "SUB" => {
            let (subject, queue, sid) = match words[..] {
                [subject, sid] => (subject, &b""[..], sid),
                [subject, queue, sid] => (subject, queue, sid),
                _ => return Err(bad),
            };
            Op::Subscribe { subject: subject.to_vec(), queue: queue.to_vec(), sid: sid.to_vec() }
        }
        "UNSUB" => match words[..] {
            [sid] => Op::Unsubscribe { sid: sid.to_vec(), max: None },
            [sid, max] => Op::Unsubscribe { sid: sid.to_vec(), max: maximum(max)? },
            _ => return Err(bad),
        },
        _ => return message(side, limits, name, &words, rest, next),
    };
    Ok(Front::Whole(op, next))
}

fn message(
    side: Side,
    limits: Limits,
    name: &str,
    words: &[&[u8]],
    rest: &[u8],
    next: usize,
) -> Result<Front, DecodeError> {
    let fixed = 2 + usize::from(side == Side::Server) + usize::from(name.starts_with('H'));
    if words.len() != fixed && words.len() != fixed + 1 {
        return Err(DecodeError::BadArguments { operation: "", arguments: String::new() });
    }
    let mut words = words.to_vec();
    let number_of = match side {
        Side::Server => number,
        Side::Client => short_number,
    };
    let total = number_of(words.pop().expect("there are two at least"));
    let headers = match name.starts_with('H') {
        true => number_of(words.pop().expect("there are three at least")),
        false => Ok(0),
    };
    let subject = words.remove(0).to_vec();
    let sid = match side {
        Side::Server => number(words.remove(0))?,
        Side::Client => 0,
    };
    let reply = words.pop().unwrap_or_default().to_vec();
    let (headers, total) = (headers?, total?);
    if headers > total {
        return Err(DecodeError::HeaderLongerThanTotal { headers, total });
    }
    if headers > limits.header_block as u64 {
        return Err(DecodeError::HeaderBlockTooLong { len: headers, limit: limits.header_block });
    }
    if total > limits.payload as u64 {
        return Err(DecodeError::PayloadTooLong { len: total, limit: limits.payload });
    }
    let (headers, total) = (headers as usize, total as usize);
    let body = &rest[next..];
    let end = &body[total.min(body.len())..];
    if !end.starts_with(b"\r\n") {
        if b"\r\n".starts_with(end) {
            return Ok(Front::Incomplete);
        }
        return Err(DecodeError::MissingPayloadEnd);
    }
    let op = Op::Message(Message {
        sid,
        subject,
        reply,
        headers: body[..headers].to_vec(),
        payload: body[headers..total].to_vec(),
    });
    Ok(Front::Whole(op, next + total + 2))
}

fn number(word: &[u8]) -> Result<u64, DecodeError> {
    let text = std::str::from_utf8(word).unwrap_or("no number");
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ => Err(DecodeError::BadNumber { what: "", text: String::new() }),
    }
}

/// Of nine digits at most.
fn short_number(word: &[u8]) -> Result<u64, DecodeError> {
    number(if word.len() > 9 { b"none" } else { word })
}

/// The maximum of UNSUB; none if it has more than nine digits.
fn maximum(word: &[u8]) -> Result<Option<u64>, DecodeError> {
    if word.len() > 9 && word.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    number(word).map(Some)
}

/// Compares outcomes, but for the texts in errors.
pub fn assert_same(ours: &Outcome, naive: &Outcome) {
    assert_eq!(ours.ops, naive.ops);
    assert_eq!(ours.left, naive.left);
    let blank = |error: &DecodeError| match error {
        DecodeError::UnknownOperation(_) => DecodeError::UnknownOperation(String::new()),
        DecodeError::BadArguments { .. } => {
            DecodeError::BadArguments { operation: "", arguments: String::new() }
        }
        DecodeError::BadNumber { .. } => DecodeError::BadNumber { what: "", text: String::new() },
        DecodeError::BadJson { .. } => {
            DecodeError::BadJson { operation: "", reason: String::new() }
        }
        other => other.clone(),
    };
    assert_eq!(ours.error.as_ref().map(blank), naive.error.as_ref().map(blank));
}

/// Whether a control character is in a text of JSON as it is.
fn has_bare_control(json: &[u8]) -> bool {
    let mut bytes = json.iter();
    let mut is_inside = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_inside = !is_inside,
            b'\\' if is_inside => {
                // What is escaped by it is something else.
                bytes.next();
            }
            0..b' ' if is_inside => return true,
            _ => {}
        }
    }
    false
}

/// Whether there is nothing else than what is blank in JSON around it, to which a form feed does not belong.
fn is_null(text: &[u8]) -> bool {
    let words = text.split(|byte| b" \t\r\n".contains(byte)).filter(|word| !word.is_empty());
    words.eq([b"null"])
}

/// serde would fill a struct from an array, too.
fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}
