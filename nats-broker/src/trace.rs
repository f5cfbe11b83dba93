//! What headers say of traces (ADR-41). Nothing is traced here, but what is only to be traced is not delivered.

use crate::routing::is_literal;

/// The line that a block of headers with a trace begins with. With a status, there is none.
const FIRST_LINE: &[u8] = b"NATS/1.0\r\n";

/// The destination of a trace that somebody on the way has put an end to.
const DISABLED: &[u8] = b"trace disabled";

/// What becomes of a message because of its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// It is delivered.
    Off,
    /// It is not delivered: the publisher wants to know who would get it.
    Only,
    /// The same, but there is nobody who could be told: it is as if it had not come.
    Lost,
}

impl Trace {
    /// Reads headers as the real server does: the case of names matters, of each name the first value counts that is
    /// not empty, and a line without a colon is a part of the name that follows.
    pub(crate) fn of(headers: &[u8]) -> Self {
        let Some(mut rest) = headers.strip_prefix(FIRST_LINE) else {
            return Self::Off;
        };
        let (mut destination, mut only, mut is_from_elsewhere) = (None, None, false);
        while let Some((name, after)) = split_at(rest, b":")
            && let Some((value, next)) = split_at(after, b"\r\n")
        {
            rest = next;
            let value = trim(value);
            match name {
                _ if value.is_empty() => {}
                b"Nats-Trace-Dest" if destination.is_none() => {
                    if value == DISABLED {
                        return Self::Off;
                    }
                    destination = Some(value);
                }
                b"Nats-Trace-Only" => drop(only.get_or_insert(value)),
                b"Nats-Trace-Origin-Account" => is_from_elsewhere = true,
                _ => {}
            }
        }
        let is_only = |only: &[u8]| {
            [&b"1"[..], b"true", b"on"].iter().any(|yes| only.eq_ignore_ascii_case(yes))
        };
        match destination {
            Some(destination) if only.is_some_and(is_only) => {
                match !is_from_elsewhere && is_publishable(destination) {
                    true => Self::Only,
                    false => Self::Lost,
                }
            }
            _ => Self::Off,
        }
    }
}

/// What stands before and behind the first `separator`.
fn split_at<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(separator.len()..)?))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether a trace can be published to `subject`.
fn is_publishable(subject: &[u8]) -> bool {
    is_literal(subject)
        && !subject.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'\x0c'))
}
