//! Header names.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::subject::Short;
use crate::text::{Text, snippet};
use crate::wire::Sharer;

/// The name of a header: one or more of the ASCII characters 33 to 126, without the colon.
///
/// Case is kept and significant (ADR-4): `Key` and `key` are two headers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderName(Text);

impl HeaderName {
    /// A name that lives as long as the program, without copying or allocating.
    ///
    /// # Panics
    /// The name is empty or has a character that is not allowed. In a constant, this is an error of the compiler.
    pub const fn from_static(name: &'static str) -> Self {
        let mut bytes = name.as_bytes();
        assert!(!bytes.is_empty(), "header name is empty");
        while let [byte, rest @ ..] = bytes {
            assert!(is_name_byte(*byte), "header name has a bad character");
            bytes = rest;
        }
        Self(Text::from_static(name))
    }

    /// The same as [`from_block`](Self::from_block), of a short part.
    #[inline(always)]
    pub(super) fn from_short(name: Short<'_>) -> Self {
        Self(name.into())
    }

    /// Shares `block` if the name is long. `name` must be what [`is_name_byte`] allows.
    pub(super) fn from_block(name: &[u8], block: &mut Sharer<'_>) -> Self {
        Self(Text::from_part(name, block))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for HeaderName {
    type Err = ParseHeaderNameError;

    fn from_str(name: &str) -> Result<Self, ParseHeaderNameError> {
        validate(name)?;
        Ok(Self(Text::from(name)))
    }
}

impl TryFrom<&str> for HeaderName {
    type Error = ParseHeaderNameError;

    fn try_from(name: &str) -> Result<Self, ParseHeaderNameError> {
        name.parse()
    }
}

impl TryFrom<String> for HeaderName {
    type Error = ParseHeaderNameError;

    fn try_from(name: String) -> Result<Self, ParseHeaderNameError> {
        validate(&name)?;
        Ok(Self(Text::from(name)))
    }
}

impl AsRef<str> for HeaderName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for HeaderName {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<str> for HeaderName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for HeaderName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What can be turned into a header name, for arguments of methods.
pub trait IntoHeaderName: Sized {
    /// The name.
    ///
    /// # Panics
    /// It is not a header name. Use [`try_into_header_name`](Self::try_into_header_name) for names that are not
    /// part of the program.
    fn into_header_name(self) -> HeaderName;

    /// The name, or why it is none. The default never fails, as is right for what always is a name.
    ///
    /// # Errors
    /// It is not a header name.
    fn try_into_header_name(self) -> Result<HeaderName, ParseHeaderNameError> {
        Ok(self.into_header_name())
    }
}

impl IntoHeaderName for HeaderName {
    fn into_header_name(self) -> HeaderName {
        self
    }
}

impl IntoHeaderName for &str {
    fn into_header_name(self) -> HeaderName {
        or_panic(self.try_into_header_name())
    }

    fn try_into_header_name(self) -> Result<HeaderName, ParseHeaderNameError> {
        self.parse()
    }
}

impl IntoHeaderName for String {
    fn into_header_name(self) -> HeaderName {
        or_panic(self.try_into_header_name())
    }

    fn try_into_header_name(self) -> Result<HeaderName, ParseHeaderNameError> {
        self.try_into()
    }
}

/// The infallible methods are part of the API that users of NATS in Rust know; a panic is their documented answer
/// to a name that would break the protocol.
#[allow(clippy::panic, reason = "documented, and never for what a peer sends")]
fn or_panic(name: Result<HeaderName, ParseHeaderNameError>) -> HeaderName {
    match name {
        Ok(name) => name,
        Err(error) => panic!("invalid header name: {error}"),
    }
}

/// Why a text is not a header name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseHeaderNameError {
    /// The name is empty.
    Empty,
    /// The name has a character other than the ASCII characters 33 to 126, or a colon.
    BadCharacter {
        /// The start of the name, with control characters escaped.
        name: String,
        /// The first such character.
        character: char,
    },
}

impl fmt::Display for ParseHeaderNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("header name is empty"),
            Self::BadCharacter { name, character } => write!(
                f,
                "header name \"{name}\" has {character:?}, which is not printable ASCII without space and colon"
            ),
        }
    }
}

impl core::error::Error for ParseHeaderNameError {}

pub(super) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b':'
}

fn validate(name: &str) -> Result<(), ParseHeaderNameError> {
    if name.is_empty() {
        return Err(ParseHeaderNameError::Empty);
    }
    let allowed = |character| u8::try_from(character).is_ok_and(is_name_byte);
    match name.chars().find(|character| !allowed(*character)) {
        None => Ok(()),
        Some(character) => {
            Err(ParseHeaderNameError::BadCharacter { name: snippet(name.as_bytes()), character })
        }
    }
}
