//! JSON as Go reads it, which both ends of the protocol were written in: names in any case, `null` for what is not said, the
//! last of several fields of a name, and any bytes as text.

use alloc::string::String;
use core::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Sets a field to the next value, unless that is `null`.
pub(crate) fn set<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    field: &mut T,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value()? {
        *field = value;
    }
    Ok(())
}

/// The same for a text.
pub(crate) fn set_text<'de, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut Option<String>,
) -> Result<(), A::Error> {
    if let Some(Text(value)) = map.next_value()? {
        *field = Some(value);
    }
    Ok(())
}

/// A text whose bytes are replaced where they are not UTF-8.
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(String::from(text)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}
