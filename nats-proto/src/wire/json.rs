//! The JSON of INFO and CONNECT.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{ConnectInfo, DecodeError};

/// Reads the object that an operation carries.
///
/// Only an object: serde would fill a struct from an array as well, field by field. The error says where, not
/// what: the parser's own text may quote a value, and CONNECT carries passwords.
pub(super) fn object<T: DeserializeOwned>(
    operation: &'static str,
    text: &[u8],
) -> Result<Box<T>, DecodeError> {
    let bad = |reason| DecodeError::BadJson { operation, reason };
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad(String::from("not an object")));
    }
    let parsed = serde_json::from_slice(text);
    parsed
        .map(Box::new)
        .map_err(|error| bad(format!("{:?} error at byte {}", error.classify(), error.column())))
}

/// Reads what CONNECT carries, as a `nats-server` does: nothing at all may be written as `null`.
pub(super) fn connect(text: &[u8]) -> Result<Box<ConnectInfo>, DecodeError> {
    let text = if is_null(text) { b"{}" } else { text };
    // Texts need not be UTF-8, and are read as bytes. What they may not hold even so is found here.
    object::<IgnoredAny>("CONNECT", text)?;
    object("CONNECT", text)
}

/// Whether it is `null`, between what is blank in JSON, to which a form feed does not belong.
fn is_null(text: &[u8]) -> bool {
    let is_blank = |byte: &u8| b" \t\r\n".contains(byte);
    let mut words = text.split(is_blank).filter(|word| !word.is_empty());
    words.next() == Some(b"null") && words.next().is_none()
}
