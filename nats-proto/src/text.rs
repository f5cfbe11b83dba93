//! The string that subjects, header names and header values are made of.

use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};
use core::str::Utf8Error;

use bytes::Bytes;

use crate::wire::{Chunk, Sharer, Slice, Span};

/// An immutable string that is cheap to clone: static, inline if short, or shared, by itself or as a slice of a larger
/// buffer.
///
/// Always valid UTF-8: every constructor either takes a `str` or checks. Comparison, order and hash look at the
/// text alone, never at how it is stored.
#[derive(Clone)]
pub(crate) enum Text {
    Static(&'static str),
    Inline { len: u8, buf: [u8; Self::INLINE] },
    Shared(Arc<str>),
    Slice(Slice),
}

impl Text {
    /// The most bytes that are stored inline: with its length and the tag of the enum, a text is 24 bytes. With 38, and
    /// 40 bytes, every message that is moved takes 20 ns more.
    pub(crate) const INLINE: usize = 22;

    pub(crate) const fn from_static(text: &'static str) -> Self {
        Self::Static(text)
    }

    fn inline(bytes: &[u8]) -> Option<Self> {
        let mut buf = [0; Self::INLINE];
        buf.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let len = u8::try_from(bytes.len()).ok()?;
        Some(Self::Inline { len, buf })
    }

    /// Shares `bytes` unless they are short enough to be stored inline, which lets go of the buffer.
    pub(crate) fn from_utf8(bytes: Bytes) -> Result<Self, Utf8Error> {
        core::str::from_utf8(&bytes)?;
        let mut chunk = Chunk::from(bytes);
        let (bytes, mut sharer) = chunk.split();
        Ok(Self::from_part(bytes, &mut sharer))
    }

    /// Like [`from_utf8`](Self::from_utf8) for a part of what `sharer` shares, but replaces what is not UTF-8 by
    /// U+FFFD.
    #[inline]
    pub(crate) fn from_part(part: &[u8], sharer: &mut Sharer<'_>) -> Self {
        match sharer.short(part) {
            Some(short) => short.into(),
            None => Self::from_any_part(part, sharer),
        }
    }

    #[inline(never)]
    fn from_any_part(part: &[u8], sharer: &mut Sharer<'_>) -> Self {
        // ASCII first: it is nearly always that, and much cheaper to see.
        let is_text = part.is_ascii() || core::str::from_utf8(part).is_ok();
        if is_text && let Some(text) = Self::inline(part) {
            return text;
        }
        match sharer.share(part) {
            Some(slice) if is_text => Self::Slice(slice),
            _ => Self::from(&*String::from_utf8_lossy(part)),
        }
    }

    /// The text that `span` names in `chunk`, as [`from_part`](Self::from_part).
    #[inline]
    pub(crate) fn from_span(chunk: &mut Chunk, span: Span) -> Self {
        if let Some(short) = Short::at(chunk, span) {
            return short.into();
        }
        if let Some(long) = chunk.ascii(span, Self::INLINE) {
            return Self::Slice(long);
        }
        let (bytes, mut sharer) = chunk.split();
        Self::from_any_part(span.of(bytes), &mut sharer)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Static(text) => text.as_bytes(),
            Self::Inline { len, buf } => buf.get(..usize::from(*len)).unwrap_or_default(),
            Self::Shared(text) => text.as_bytes(),
            Self::Slice(slice) => slice.as_bytes(),
        }
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
            // Checked by every constructor, so the fallback is never taken. Checking again is the price of
            // having no unsafe code, and is small for text of this length.
            _ => core::str::from_utf8(self.as_bytes()).unwrap_or_default(),
        }
    }
}

/// A short ASCII subject in a larger buffer, that becomes a [`Subject`](crate::Subject) where that is to be.
///
/// For callers who build a [`Message`](crate::Message) from its parts to spare it being moved. On the way of every
/// message: looking at as many bytes as can be stored inline and copying them, whatever lies behind the text, takes a few
/// instructions; with the right number it takes calls.
#[derive(Clone, Copy, Debug)]
pub struct Short<'a> {
    len: u8,
    buf: &'a [u8; Text::INLINE],
}

impl<'a> Short<'a> {
    /// The text that `span` names in `chunk`. Also `None` if so little lies behind its start, or that is not ASCII.
    #[inline(always)]
    pub fn at(chunk: &'a [u8], span: Span) -> Option<Self> {
        let buf = chunk.get(span.start as usize..)?.first_chunk::<{ Text::INLINE }>()?;
        let (words, _) = buf.as_chunks::<8>();
        let last = u64::from_ne_bytes(*buf.last_chunk()?);
        let all = words.iter().fold(last, |all, word| all | u64::from_ne_bytes(*word));
        (span.len as usize <= Text::INLINE && all & 0x8080_8080_8080_8080 == 0)
            .then_some(Self { len: span.len as u8, buf })
    }
}

impl From<Short<'_>> for Text {
    #[inline(always)]
    fn from(short: Short<'_>) -> Self {
        Self::Inline { len: short.len, buf: *short.buf }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::inline(text.as_bytes()).unwrap_or_else(|| Self::Shared(text.into()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::from_static("")
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        // The order of UTF-8 bytes is the order of characters.
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `str` hashes, so that maps can be searched with a `str`.
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

/// The start of bytes that cannot be trusted, fit to be shown in an error: at most 64 bytes, with control
/// characters, quotes and what is not ASCII escaped.
pub(crate) fn snippet(bytes: &[u8]) -> String {
    const LIMIT: usize = 64;
    let shown = bytes.get(..LIMIT).unwrap_or(bytes);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", shown.escape_ascii());
    if shown.len() < bytes.len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small() {
        assert_eq!(size_of::<Text>(), 24);
        assert_eq!(size_of::<Option<Text>>(), 24);
    }

    #[test]
    fn stores_22_bytes_inline_and_23_shared() {
        let text = "a".repeat(Text::INLINE);
        assert!(matches!(Text::from(text.as_str()), Text::Inline { .. }));
        assert!(matches!(Text::from(text), Text::Inline { .. }));
        let text = "a".repeat(Text::INLINE + 1);
        assert!(matches!(Text::from(text.as_str()), Text::Shared(_)));
        assert!(matches!(Text::from(text), Text::Shared(_)));
    }

    #[test]
    fn compares_by_text_alone() {
        let inline = Text::from("abc");
        let shared = Text::Shared("abc".into());
        let fixed = Text::from_static("abc");
        assert_eq!(inline, shared);
        assert_eq!(inline, fixed);
        assert_eq!(inline.cmp(&shared), Ordering::Equal);
        assert!(Text::from("abd") > shared);
    }

    #[test]
    fn long_text_shares_the_buffer() {
        let buffer = Bytes::from("x".repeat(100));
        let text = Text::from_utf8(buffer.clone()).unwrap();
        assert_eq!(text.as_bytes().as_ptr(), buffer.as_ptr());
        assert_eq!(text.as_str(), "x".repeat(100));
        assert_eq!(text.clone(), Text::from("x".repeat(100)));
    }

    #[test]
    fn a_span_is_what_it_names_whatever_lies_around() {
        for behind in ["", "\u{e9}", " 1 2\r\nok\r\n", &"-".repeat(Text::INLINE)] {
            for text in [
                "",
                "a",
                "\u{e9}",
                "a.b.c",
                &"x".repeat(Text::INLINE),
                &"x".repeat(Text::INLINE + 1),
            ] {
                let mut chunk = Chunk::from(Bytes::from(["MSG ", text, behind].concat()));
                let span = Span { start: 4, len: u32::try_from(text.len()).unwrap() };
                assert_eq!(Text::from_span(&mut chunk, span).as_str(), text);
            }
        }
        assert_eq!(Text::from_span(&mut Chunk::default(), Span { start: 1, len: 1 }).as_str(), "");
        let bad = Bytes::from_static(b"\xff behind which there is more than can be inline");
        assert_eq!(
            Text::from_span(&mut bad.into(), Span { start: 0, len: 1 }).as_str(),
            "\u{fffd}"
        );
    }

    #[test]
    fn snippets_are_short_and_printable() {
        assert_eq!(snippet(b"a\r\n\xff"), "a\\r\\n\\xff");
        assert_eq!(snippet(&[b'x'; 65]), format!("{}...", "x".repeat(64)));
    }
}
