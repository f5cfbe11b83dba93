//! Subjects: the names that messages are published to, and the patterns that subscriptions listen to.
//!
//! A subject is one or more tokens with dots between them. Two tokens are wildcards for subscribing: `*` stands
//! for any one token, and a final `>` for one or more tokens.

mod rules;

use alloc::borrow::Cow;
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;
use core::str::Utf8Error;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::rules::is_plain;
use self::rules::{Problem, problem};
use crate::text::Text;
use crate::wire::{Chunk, Span};

pub use crate::text::Short;

pub use self::rules::{
    InvalidSubject, SubjectError, matches, validate_publish, validate_queue_group,
    validate_subscribe,
};

/// A subject: an immutable string, always UTF-8, that is cheap to clone.
///
/// Up to 22 bytes are stored inline. Longer subjects of received messages share the memory of the buffer
/// that they came in, which therefore lives as long as they do. Equality, order and hash are those of the text.
///
/// Constructing a subject does not check that it can be published or subscribed to; the methods that send it
/// do, by [`validate_publish`] and [`validate_subscribe`].
///
/// ```
/// use nats_proto::Subject;
///
/// let subject = Subject::from("orders.new");
/// assert_eq!(subject.as_str(), "orders.new");
/// assert_eq!(subject.split('.').count(), 2);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Text);

impl Subject {
    /// The most bytes that are stored inline.
    pub const INLINE: usize = Text::INLINE;

    /// A subject that lives as long as the program, without copying or allocating.
    pub const fn from_static(subject: &'static str) -> Self {
        Self(Text::from_static(subject))
    }

    /// Like [`from_static`](Self::from_static), but checks what [`is_valid`](Self::is_valid) checks: a mistake in
    /// a constant is an error of the compiler.
    ///
    /// ```
    /// use nats_proto::Subject;
    ///
    /// const NEW_ORDERS: Subject = Subject::from_static_validated("orders.new");
    /// assert_eq!(NEW_ORDERS.as_str(), "orders.new");
    /// ```
    ///
    /// ```compile_fail
    /// use nats_proto::Subject;
    ///
    /// const NEW_ORDERS: Subject = Subject::from_static_validated("orders new");
    /// ```
    ///
    /// # Panics
    /// The subject is empty, has whitespace or an empty token.
    #[allow(clippy::panic, reason = "documented, and at compile time for constants")]
    pub const fn from_static_validated(subject: &'static str) -> Self {
        match problem(subject.as_bytes()) {
            None => Self::from_static(subject),
            Some(Problem::Empty) => panic!("subject is empty"),
            Some(Problem::Whitespace) => panic!("subject has a space, tab, CR or LF"),
            Some(Problem::EmptyToken) => panic!("subject has an empty token"),
        }
    }

    /// A subject from bytes that must be UTF-8. Short ones are copied, long ones keep the buffer.
    ///
    /// # Errors
    /// The bytes are not UTF-8.
    pub fn from_utf8<T: Into<Bytes>>(bytes: T) -> Result<Self, Utf8Error> {
        Text::from_utf8(bytes.into()).map(Self)
    }

    /// A subject that was checked for what [`is_valid`](Self::is_valid) checks.
    ///
    /// # Errors
    /// It is not well formed.
    pub fn validated(subject: impl AsRef<str>) -> Result<Self, SubjectError> {
        let subject = subject.as_ref();
        match problem(subject.as_bytes()) {
            None => Ok(Self::from(subject)),
            Some(_) => Err(SubjectError::InvalidFormat),
        }
    }

    /// A subject from bytes that should be UTF-8. What is not is replaced by U+FFFD: unlike the name says, which
    /// programs written for other clients use, the bytes are checked, and nothing about this is unsafe.
    pub fn from_bytes_unchecked(bytes: Bytes) -> Self {
        match Self::from_utf8(bytes.clone()) {
            Ok(subject) => subject,
            Err(_) => Self::from(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// From a decoded span: short ones are stored inline, long ones share `chunk`. Bytes that are not UTF-8
    /// are replaced by U+FFFD.
    #[inline]
    pub fn from_span(chunk: &mut Chunk, span: Span) -> Self {
        Self(Text::from_span(chunk, span))
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text as a string of its own.
    pub fn into_string(self) -> String {
        String::from(self.as_str())
    }

    /// Whether the subject is well formed: not empty, no space, tab, CR or LF, no empty token.
    ///
    /// Wildcards are not looked at; see [`validate_subscribe`] for that.
    pub fn is_valid(&self) -> bool {
        problem(self.0.as_bytes()).is_none()
    }
}

impl From<Short<'_>> for Subject {
    #[inline(always)]
    fn from(subject: Short<'_>) -> Self {
        Self(subject.into())
    }
}

impl Deref for Subject {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Subject {
    fn from(subject: &str) -> Self {
        Self(Text::from(subject))
    }
}

impl From<String> for Subject {
    fn from(subject: String) -> Self {
        Self(Text::from(subject))
    }
}

impl TryFrom<Bytes> for Subject {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        Self::from_utf8(bytes)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// What can be turned into a subject, for arguments of methods.
pub trait ToSubject {
    /// The subject, with as little copying as possible.
    fn to_subject(&self) -> Subject;

    /// The text of the subject, for those who only read it, as publishing does. Types that have it lend it.
    fn subject_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_subject().into_string())
    }
}

impl ToSubject for Subject {
    fn to_subject(&self) -> Subject {
        self.clone()
    }

    fn subject_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}

impl ToSubject for &Subject {
    fn to_subject(&self) -> Subject {
        (*self).clone()
    }

    fn subject_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}

impl ToSubject for &'static str {
    fn to_subject(&self) -> Subject {
        Subject::from_static(self)
    }

    #[inline]
    fn subject_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl ToSubject for String {
    fn to_subject(&self) -> Subject {
        Subject::from(self.as_str())
    }

    #[inline]
    fn subject_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}
