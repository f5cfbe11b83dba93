//! Header values.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::subject::Short;
use crate::text::{Text, snippet};
use crate::wire::Sharer;

/// The value of a header: text without CR and LF.
///
/// White space at its start is not part of the value, since no receiver can tell it from the space that stands
/// behind the colon on the wire (ADR-4): it is removed when a value is made.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderValue(Text);

impl HeaderValue {
    /// An empty value.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The same as [`from_block`](Self::from_block), of a short part.
    #[inline(always)]
    pub(super) fn from_short(value: Short<'_>) -> Self {
        Self(value.into())
    }

    /// Shares the block if the value is long. `value` must have neither CR nor LF nor leading white space.
    pub(super) fn from_block(value: &[u8], block: &mut Sharer<'_>) -> Self {
        Self(Text::from_part(value, block))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn checked(value: String) -> Result<Self, ParseHeaderValueError> {
        match value.as_bytes().first() {
            Some(byte) if is_padding(*byte) => value.parse(),
            _ => {
                validate(&value)?;
                Ok(Self(Text::from(value)))
            }
        }
    }
}

impl FromStr for HeaderValue {
    type Err = ParseHeaderValueError;

    fn from_str(value: &str) -> Result<Self, ParseHeaderValueError> {
        validate(value)?;
        Ok(Self(Text::from(value.trim_start_matches([' ', '\t']))))
    }
}

impl From<&str> for HeaderValue {
    /// # Panics
    /// The value has CR or LF. Parse the text where it is not part of the program.
    fn from(value: &str) -> Self {
        or_panic(value.parse())
    }
}

impl From<String> for HeaderValue {
    /// # Panics
    /// The value has CR or LF. Parse the text where it is not part of the program.
    fn from(value: String) -> Self {
        or_panic(Self::checked(value))
    }
}

macro_rules! from_integers {
    ($($integer:ty),+) => {
        $(
            impl From<$integer> for HeaderValue {
                fn from(value: $integer) -> Self {
                    Self(Text::from(value.to_string()))
                }
            }
        )+
    };
}

from_integers!(i16, i32, i64, isize, u16, u32, u64, usize);

impl AsRef<str> for HeaderValue {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for HeaderValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::checked(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What can be turned into a header value, for arguments of methods.
pub trait IntoHeaderValue: Sized {
    /// The value.
    ///
    /// # Panics
    /// It is not a header value. Use [`try_into_header_value`](Self::try_into_header_value) for values that are
    /// not part of the program.
    fn into_header_value(self) -> HeaderValue;

    /// The value, or why it is none. The default never fails, as is right for what always is a value.
    ///
    /// # Errors
    /// It is not a header value.
    fn try_into_header_value(self) -> Result<HeaderValue, ParseHeaderValueError> {
        Ok(self.into_header_value())
    }
}

impl IntoHeaderValue for HeaderValue {
    fn into_header_value(self) -> HeaderValue {
        self
    }
}

impl IntoHeaderValue for &str {
    fn into_header_value(self) -> HeaderValue {
        self.into()
    }

    fn try_into_header_value(self) -> Result<HeaderValue, ParseHeaderValueError> {
        self.parse()
    }
}

impl IntoHeaderValue for String {
    fn into_header_value(self) -> HeaderValue {
        self.into()
    }

    fn try_into_header_value(self) -> Result<HeaderValue, ParseHeaderValueError> {
        HeaderValue::checked(self)
    }
}

/// As for names, a panic is the documented answer of the infallible methods.
#[allow(clippy::panic, reason = "documented, and never for what a peer sends")]
fn or_panic(value: Result<HeaderValue, ParseHeaderValueError>) -> HeaderValue {
    match value {
        Ok(value) => value,
        Err(error) => panic!("invalid header value: {error}"),
    }
}

/// A text is not a header value, because it has CR or LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseHeaderValueError {
    value: String,
}

impl ParseHeaderValueError {
    /// The start of the value, with control characters escaped.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for ParseHeaderValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header value \"{}\" has CR or LF", self.value)
    }
}

impl core::error::Error for ParseHeaderValueError {}

/// What may stand between the colon and the value.
pub(super) const fn is_padding(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn validate(value: &str) -> Result<(), ParseHeaderValueError> {
    match memchr::memchr2(b'\r', b'\n', value.as_bytes()) {
        None => Ok(()),
        Some(_) => Err(ParseHeaderValueError { value: snippet(value.as_bytes()) }),
    }
}
