//! Names in an -ERR.

use core::fmt::{self, Write};

/// Displays bytes in quotes as Go's `%q` does, and so a `nats-server` in an -ERR that names a subject or a queue group: on
/// one line, whatever they hold.
///
/// ```
/// use nats_proto::wire::Quoted;
///
/// assert_eq!(Quoted(b"a.\xff\n").to_string(), r#""a.\xff\n""#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(
    /// What is displayed; need not be UTF-8.
    pub &'a [u8],
);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' | '\\' => write!(f, "\\{char}")?,
                    '\x07' => f.write_str("\\a")?,
                    '\x08' => f.write_str("\\b")?,
                    '\x0c' => f.write_str("\\f")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    '\x0b' => f.write_str("\\v")?,
                    ' '..='~' => f.write_char(char)?,
                    '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(char))?,
                    _ if is_printable(char) => f.write_char(char)?,
                    '\0'..='\u{ffff}' => write!(f, "\\u{:04x}", u32::from(char))?,
                    _ => write!(f, "\\U{:08x}", u32::from(char))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

/// Whether it is a letter, mark, number, symbol or punctuation, or a plain space: what Rust shows as it is, too.
fn is_printable(char: char) -> bool {
    let mut text = [0; 5];
    // Behind another character, since Rust escapes a mark that stands alone.
    let [first, rest @ ..] = &mut text;
    *first = b'a';
    let len = char.encode_utf8(rest).len();
    let text = text.get(..=len).and_then(|text| core::str::from_utf8(text).ok());
    text.is_some_and(|text| text.escape_debug().nth(1) == Some(char))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn quotes_as_go_does() {
        for (bytes, expected) in [
            (&b"a.b"[..], r#""a.b""#),
            (b"a\"b\\c'd", r#""a\"b\\c'd""#),
            (b"\0\x01\x1b\x7f", r#""\x00\x01\x1b\x7f""#),
            (b"\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
            (b"\xff.\xe2\x80", r#""\xff.\xe2\x80""#),
            ("é\u{301}\u{fffd}😀".as_bytes(), "\"é\u{301}\u{fffd}😀\""),
            ("\u{301}".as_bytes(), "\"\u{301}\""),
            (
                "\u{80}\u{a0}\u{2003}\u{200b}\u{ad}".as_bytes(),
                r#""\u0080\u00a0\u2003\u200b\u00ad""#,
            ),
            ("\u{e0001}\u{10ffff}".as_bytes(), r#""\U000e0001\U0010ffff""#),
        ] {
            assert_eq!(Quoted(bytes).to_string(), expected);
        }
    }
}
