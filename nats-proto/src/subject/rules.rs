//! What a subject must be like to be sent, and when it matches a pattern.

use alloc::string::String;
use core::fmt;

/// A text that was checked is not a subject: what [`Subject::validated`](crate::Subject::validated) answers.
///
/// It says no more than that. The functions that check for one purpose, like [`validate_subscribe`], say what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectError {
    /// The text is empty, has a space, tab, CR or LF, or an empty token.
    InvalidFormat,
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a subject: it is empty, or has whitespace or an empty token")
    }
}

impl core::error::Error for SubjectError {}

/// Why a subject or a queue group is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSubject {
    /// The subject is empty.
    Empty,
    /// The subject has a space, tab, CR or LF, which would change the meaning of the line it is sent in.
    Whitespace {
        /// The subject.
        subject: String,
    },
    /// The subject begins or ends with a dot, or has two dots in a row.
    EmptyToken {
        /// The subject.
        subject: String,
    },
    /// A wildcard is not a token of its own.
    PartialWildcard {
        /// The subject.
        subject: String,
        /// The token that holds the wildcard.
        token: String,
    },
    /// The wildcard `>` is not the last token.
    TailNotLast {
        /// The subject.
        subject: String,
    },
    /// The subject, with its reply subject or queue group, does not fit into a control line of the server.
    TooLong {
        /// Bytes of both.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The queue group is empty.
    EmptyQueueGroup,
    /// The queue group has a space, tab, CR or LF.
    WhitespaceInQueueGroup {
        /// The queue group.
        queue: String,
    },
}

impl fmt::Display for InvalidSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("subject is empty"),
            Self::Whitespace { subject } => {
                write!(f, "subject {subject:?} has a space, tab, CR or LF")
            }
            Self::EmptyToken { subject } => write!(f, "subject {subject:?} has an empty token"),
            Self::PartialWildcard { subject, token } => write!(
                f,
                "wildcard in token {token:?} of subject {subject:?} is not a token of its own"
            ),
            Self::TailNotLast { subject } => {
                write!(f, "wildcard '>' of subject {subject:?} is not the last token")
            }
            Self::TooLong { len, limit } => write!(
                f,
                "subject has {len} bytes (with reply subject or queue group), at most {limit} fit into a \
                 control line"
            ),
            Self::EmptyQueueGroup => f.write_str("queue group is empty"),
            Self::WhitespaceInQueueGroup { queue } => {
                write!(f, "queue group {queue:?} has a space, tab, CR or LF")
            }
        }
    }
}

impl core::error::Error for InvalidSubject {}

/// Checks a subject for publishing, or a reply subject: not empty, no space, tab, CR, LF.
///
/// This is what keeps one line of the protocol one line with the right number of arguments. Whether the tokens
/// make sense is left to the server, which ignores what nobody can listen to.
///
/// # Errors
/// Names the subject and what is wrong.
#[inline]
pub fn validate_publish(subject: &str) -> Result<(), InvalidSubject> {
    if subject.is_empty() {
        Err(InvalidSubject::Empty)
    } else if has_whitespace(subject.as_bytes()) {
        Err(InvalidSubject::Whitespace { subject: subject.into() })
    } else {
        Ok(())
    }
}

/// Checks a subject for subscribing: as for publishing, no empty token, wildcards only as whole tokens, `>` last.
///
/// # Errors
/// Names the subject and what is wrong.
pub fn validate_subscribe(subject: &str) -> Result<(), InvalidSubject> {
    validate_tokens(subject)?;
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token == ">" && tokens.peek().is_some() {
            return Err(InvalidSubject::TailNotLast { subject: subject.into() });
        }
        if token.len() > 1 && token.contains(['*', '>']) {
            return Err(InvalidSubject::PartialWildcard {
                subject: subject.into(),
                token: token.into(),
            });
        }
    }
    Ok(())
}

/// Checks a queue group: not empty, no space, tab, CR, LF.
///
/// # Errors
/// Names the group and what is wrong.
pub fn validate_queue_group(queue: &str) -> Result<(), InvalidSubject> {
    if queue.is_empty() {
        Err(InvalidSubject::EmptyQueueGroup)
    } else if has_whitespace(queue.as_bytes()) {
        Err(InvalidSubject::WhitespaceInQueueGroup { queue: queue.into() })
    } else {
        Ok(())
    }
}

/// Whether `subject` (without wildcards) matches `pattern`.
///
/// `*` matches exactly one token and a final `>` one or more. As on the server, an empty token matches nothing,
/// and wildcard characters within a longer token are ordinary ones.
///
/// ```
/// use nats_proto::subject::matches;
///
/// assert!(matches("orders.*.new", "orders.eu.new"));
/// assert!(matches("orders.>", "orders.eu.new"));
/// assert!(!matches("orders.>", "orders"));
/// ```
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    let mut patterns = pattern.split('.').peekable();
    while let Some(expected) = patterns.next() {
        if expected == ">" {
            return patterns.peek().is_none()
                && tokens.next().is_some_and(|token| !token.is_empty())
                && tokens.all(|token| !token.is_empty());
        }
        let fits = tokens
            .next()
            .is_some_and(|token| !token.is_empty() && (expected == "*" || expected == token));
        if !fits {
            return false;
        }
    }
    tokens.next().is_none()
}

/// Checks what [`Subject::is_valid`](super::Subject::is_valid) checks.
pub(super) fn validate_tokens(subject: &str) -> Result<(), InvalidSubject> {
    match problem(subject.as_bytes()) {
        None => Ok(()),
        Some(Problem::Empty) => Err(InvalidSubject::Empty),
        Some(Problem::Whitespace) => Err(InvalidSubject::Whitespace { subject: subject.into() }),
        Some(Problem::EmptyToken) => Err(InvalidSubject::EmptyToken { subject: subject.into() }),
    }
}

/// What is wrong with a subject, as far as constants can be checked.
pub(super) enum Problem {
    Empty,
    Whitespace,
    EmptyToken,
}

pub(super) const fn problem(mut bytes: &[u8]) -> Option<Problem> {
    if bytes.is_empty() {
        return Some(Problem::Empty);
    }
    let mut token_is_empty = true;
    while let [byte, rest @ ..] = bytes {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return Some(Problem::Whitespace),
            b'.' if token_is_empty => return Some(Problem::EmptyToken),
            b'.' => token_is_empty = true,
            _ => token_is_empty = false,
        }
        bytes = rest;
    }
    if token_is_empty { Some(Problem::EmptyToken) } else { None }
}

/// Whether a subject of 8 to 32 bytes is certain to pass [`validate_publish`]. False says nothing.
///
/// On the way of every publish: two words that overlap, or four, and no loop.
#[inline]
pub(crate) fn is_plain(subject: &[u8]) -> bool {
    let sixteen = |bytes: &[u8]| {
        let halves = bytes.first_chunk::<8>().zip(bytes.last_chunk::<8>());
        halves.is_some_and(|(first, last)| {
            !has_low_byte(u64::from_ne_bytes(*first)) & !has_low_byte(u64::from_ne_bytes(*last))
        })
    };
    match subject.len() {
        8..=16 => sixteen(subject),
        17..=32 => {
            let halves = subject.first_chunk::<16>().zip(subject.last_chunk::<16>());
            halves.is_some_and(|(first, last)| sixteen(first) & sixteen(last))
        }
        _ => false,
    }
}

/// Whether there is a space, tab, CR or LF. On the way of every publish, so it looks at eight bytes at a time
/// for anything up to a space, and only where there is such a byte, at which one.
#[inline]
fn has_whitespace(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let suspicious = words.iter().any(|word| has_low_byte(u64::from_ne_bytes(*word)))
        || match bytes.last_chunk::<8>() {
            // The last eight overlap the words before them, which does no harm.
            Some(last) => has_low_byte(u64::from_ne_bytes(*last)),
            None => rest.iter().any(|byte| *byte <= b' '),
        };
    suspicious && bytes.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Whether one of the eight bytes of a word is below 0x21: subtracting 0x21 from each borrows from its highest
/// bit there, unless the bit was set before.
#[inline]
fn has_low_byte(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(EACH * 0x21) & !word & (EACH * 0x80) != 0
}
