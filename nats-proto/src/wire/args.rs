//! The arguments of control lines, in every form that the protocol allows.

use alloc::string::String;

use super::{Limits, MessageFrame, Span};
use crate::DecodeError;

/// The most digits of a number that a `nats-server` reads in what clients send; zeros in front count as well.
const CLIENT_DIGITS: usize = 9;

/// The text of a control line behind the operation's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// The text, without the line end.
    pub(super) bytes: &'a [u8],
    /// Where it begins in the chunk.
    pub(super) at: usize,
}

impl<'a> Text<'a> {
    /// The arguments: at most `MAX` runs of bytes between spaces and tabs; `None` if there are more.
    ///
    /// A CR makes the arguments wrong: a server takes it for part of an argument in one place and for a
    /// separator in another, so that who sends one means to confuse.
    pub(super) fn arguments<const MAX: usize>(self) -> Option<Arguments<'a, MAX>> {
        if memchr::memchr(b'\r', self.bytes).is_some() {
            return None;
        }
        let mut all = [Argument::default(); MAX];
        let mut count = 0_usize;
        let mut at = self.at;
        for bytes in self.bytes.split(|byte| matches!(byte, b' ' | b'\t')) {
            if !bytes.is_empty() {
                *all.get_mut(count)? = Argument { bytes, at };
                count = count.saturating_add(1);
            }
            at = at.saturating_add(bytes.len()).saturating_add(1);
        }
        Some(Arguments { all, count })
    }

    /// The error that says that the arguments are wrong.
    pub(super) fn bad_arguments(self, operation: &'static str) -> DecodeError {
        DecodeError::BadArguments { operation, arguments: snippet(self.bytes.trim_ascii()) }
    }
}

/// The arguments of one control line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a, const MAX: usize> {
    all: [Argument<'a>; MAX],
    count: usize,
}

impl<'a, const MAX: usize> Arguments<'a, MAX> {
    pub(super) fn as_slice(&self) -> &[Argument<'a>] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

/// One argument of a control line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Argument<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Argument<'_> {
    pub(super) fn span(self) -> Span {
        Span { start: self.at as u32, len: self.bytes.len() as u32 }
    }

    /// The number that it spells; `what` is what the number stands for.
    pub(super) fn number(self, what: &'static str) -> Result<u64, DecodeError> {
        number(self.bytes).ok_or_else(|| self.bad_number(what))
    }

    /// The same in what clients send, where a server takes more than nine digits for no number.
    fn client_number(self, what: &'static str) -> Result<u64, DecodeError> {
        match self.bytes.len() {
            ..=CLIENT_DIGITS => self.number(what),
            _ => Err(self.bad_number(what)),
        }
    }

    /// A maximum of messages, which a server ignores if it has more than nine digits.
    pub(super) fn maximum(self, what: &'static str) -> Result<Option<u64>, DecodeError> {
        if self.bytes.len() > CLIENT_DIGITS && self.bytes.iter().all(u8::is_ascii_digit) {
            return Ok(None);
        }
        self.number(what).map(Some)
    }

    fn bad_number(self, what: &'static str) -> DecodeError {
        DecodeError::BadNumber { what, text: snippet(self.bytes) }
    }
}

/// What the line of an operation with a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) subject: Span,
    /// The subscription, in what servers send.
    pub(super) sid: u64,
    /// Empty if there is none.
    pub(super) reply: Span,
    pub(super) headers_len: u64,
    /// Length of headers and payload together.
    pub(super) total_len: u64,
}

impl Head {
    /// Reads `subject [sid] [reply] [header length] length`: `sid` and `headers` say which of these the
    /// operation has, whether there is a reply is told by the number of arguments.
    pub(super) fn parse(
        text: Text<'_>,
        operation: &'static str,
        sid: bool,
        headers: bool,
    ) -> Result<Self, DecodeError> {
        let bad = || text.bad_arguments(operation);
        let arguments = text.arguments::<5>().ok_or_else(bad)?;
        let (subject, rest) = arguments.as_slice().split_first().ok_or_else(bad)?;
        let (total, rest) = rest.split_last().ok_or_else(bad)?;
        let (sid, rest) = match sid {
            true => rest.split_first().map(|(sid, rest)| (Some(sid), rest)),
            false => Some((None, rest)),
        }
        .ok_or_else(bad)?;
        let (header, rest) = match headers {
            true => rest.split_last().map(|(header, rest)| (Some(header), rest)),
            false => Some((None, rest)),
        }
        .ok_or_else(bad)?;
        let reply = match rest {
            [] => Span::default(),
            [reply] => reply.span(),
            _ => return Err(bad()),
        };
        let size = |argument: &Argument<'_>, what| match sid {
            Some(_) => argument.number(what),
            None => argument.client_number(what),
        };
        let total_name = if headers { "total length" } else { "payload length" };
        Ok(Self {
            subject: subject.span(),
            sid: sid.map_or(Ok(0), |sid| sid.number("subscription identifier"))?,
            reply,
            headers_len: header.map_or(Ok(0), |header| size(header, "header length"))?,
            total_len: size(total, total_name)?,
        })
    }

    /// The frame whose line ends before `next`, and where its payload ends, if the limits allow it.
    pub(super) fn frame(
        &self,
        next: usize,
        limits: &Limits,
    ) -> Result<(MessageFrame, usize), DecodeError> {
        limits.check_lengths(self.headers_len, self.total_len)?;
        // Both lengths are below limits that were cut to a fraction of u32. If the front of the chunk is so
        // far away that the sum wraps, the frame is incomplete, and becomes right when it is at the front.
        let headers = Span { start: next as u32, len: self.headers_len as u32 };
        let payload = Span {
            start: headers.start.wrapping_add(headers.len),
            len: (self.total_len as u32).wrapping_sub(headers.len),
        };
        let frame = MessageFrame {
            sid: self.sid,
            subject: self.subject,
            reply: self.reply,
            headers,
            payload,
        };
        Ok((frame, next.wrapping_add(self.total_len as usize)))
    }
}

/// The number that `digits` spell, if they are nothing but digits and it fits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The start of `bytes` for an error text, with control characters escaped.
pub(super) fn snippet(bytes: &[u8]) -> String {
    const MAX: usize = 64;
    let start = bytes.get(..MAX).unwrap_or(bytes);
    let mut text = String::new();
    for character in String::from_utf8_lossy(start).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    if start.len() < bytes.len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn words(line: &[u8]) -> Option<Vec<&[u8]>> {
        let text = Text { bytes: line, at: 0 };
        let arguments = text.arguments::<3>()?;
        let spans = arguments.as_slice().iter().map(|one| one.span());
        Some(spans.map(|span| span.of(line)).collect())
    }

    #[test]
    fn separators_may_lead_repeat_and_trail() {
        let expected: Vec<&[u8]> = alloc::vec![b"a.b", b"12", b"c"];
        for line in [
            &b"a.b 12 c"[..],
            b" a.b 12 c",
            b"\t a.b\t12  c \t",
            b"  a.b \t\t   12             c           ",
        ] {
            assert_eq!(words(line), Some(expected.clone()));
        }
        assert_eq!(words(b""), Some(Vec::new()));
        assert_eq!(words(b" \t "), Some(Vec::new()));
    }

    #[test]
    fn control_and_high_bytes_belong_to_arguments() {
        assert_eq!(
            words(b"a\x01\x1f\x7f\x80\xff\xa0b 1"),
            Some(alloc::vec![&b"a\x01\x1f\x7f\x80\xff\xa0b"[..], b"1"])
        );
    }

    #[test]
    fn a_cr_inside_the_line_makes_the_arguments_wrong() {
        assert_eq!(words(b"a\rb 1"), None);
        assert_eq!(words(b"a 1\r"), None);
    }

    #[test]
    fn too_many_arguments_are_not_mistaken_for_fewer() {
        assert_eq!(words(b"a b c d"), None);
    }

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"007"), Some(7));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"-1",
            b"+1",
            b"1x",
            b" 1",
            b"18446744073709551616",
            b"99999999999999999999999999",
        ] {
            assert_eq!(number(bad), None);
        }
    }

    #[test]
    fn snippets_are_short_and_printable() {
        assert_eq!(snippet(b"a\r\n\x1b[0m"), "a\\r\\n\\u{1b}[0m");
        assert_eq!(snippet(&[b'x'; 100]).len(), 64 + 3);
        assert_eq!(snippet(b"\xff"), "\u{fffd}");
    }
}
