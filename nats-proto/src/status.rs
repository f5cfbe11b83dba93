//! Status codes: how servers answer in a header block instead of a payload.

use core::fmt;
use core::num::NonZeroU16;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A status of three digits, from 100 to 999.
///
/// The classes are those of HTTP, the meanings are those of NATS.
///
/// ```
/// use nats_proto::StatusCode;
///
/// let status: StatusCode = "503".parse()?;
/// assert_eq!(status, StatusCode::NO_RESPONDERS);
/// assert!(status.is_server_error());
/// # Ok::<(), nats_proto::status::InvalidStatusCode>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(NonZeroU16);

impl StatusCode {
    /// A consumer has nothing to deliver, but is alive.
    pub const IDLE_HEARTBEAT: Self = Self::known(100);
    /// The request was carried out. The default.
    pub const OK: Self = Self::known(200);
    /// There is no such message.
    pub const NOT_FOUND: Self = Self::known(404);
    /// The request has expired.
    pub const TIMEOUT: Self = Self::known(408);
    /// The request was ended by the server.
    pub const REQUEST_TERMINATED: Self = Self::known(409);
    /// A pull request on a consumer with a pinned client does not hold the pin.
    pub const PIN_ID_MISMATCH: Self = Self::known(423);
    /// Nobody listens to the subject of the request.
    pub const NO_RESPONDERS: Self = Self::known(503);

    #[allow(clippy::panic, reason = "called for the constants above alone")]
    const fn known(code: u16) -> Self {
        match NonZeroU16::new(code) {
            Some(code) => Self(code),
            None => panic!("status codes are not zero"),
        }
    }

    /// The status of this number.
    ///
    /// # Errors
    /// The number is not between 100 and 999.
    pub fn from_u16(code: u16) -> Result<Self, InvalidStatusCode> {
        match NonZeroU16::new(code) {
            Some(status) if (100..1000).contains(&code) => Ok(Self(status)),
            _ => Err(InvalidStatusCode(())),
        }
    }

    /// The status of these three ASCII digits.
    ///
    /// # Errors
    /// They are not three digits, or the first one is zero.
    pub fn from_bytes(digits: &[u8]) -> Result<Self, InvalidStatusCode> {
        let code = match digits {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => str::from_utf8(digits).ok(),
            _ => None,
        };
        code.and_then(|code| code.parse().ok())
            .ok_or(InvalidStatusCode(()))
            .and_then(Self::from_u16)
    }

    /// The number.
    pub const fn as_u16(&self) -> u16 {
        self.0.get()
    }

    /// Whether it is between 100 and 199.
    pub fn is_informational(&self) -> bool {
        (100..200).contains(&self.as_u16())
    }

    /// Whether it is between 200 and 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.as_u16())
    }

    /// Whether it is between 300 and 399.
    pub fn is_redirection(&self) -> bool {
        (300..400).contains(&self.as_u16())
    }

    /// Whether it is between 400 and 499.
    pub fn is_client_error(&self) -> bool {
        (400..500).contains(&self.as_u16())
    }

    /// Whether it is between 500 and 599.
    pub fn is_server_error(&self) -> bool {
        (500..600).contains(&self.as_u16())
    }
}

impl Default for StatusCode {
    fn default() -> Self {
        Self::OK
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartialEq<u16> for StatusCode {
    fn eq(&self, other: &u16) -> bool {
        self.as_u16() == *other
    }
}

impl PartialEq<StatusCode> for u16 {
    fn eq(&self, other: &StatusCode) -> bool {
        *self == other.as_u16()
    }
}

impl From<StatusCode> for u16 {
    fn from(status: StatusCode) -> Self {
        status.as_u16()
    }
}

impl From<&StatusCode> for StatusCode {
    fn from(status: &StatusCode) -> Self {
        *status
    }
}

impl FromStr for StatusCode {
    type Err = InvalidStatusCode;

    fn from_str(digits: &str) -> Result<Self, InvalidStatusCode> {
        Self::from_bytes(digits.as_bytes())
    }
}

impl TryFrom<&[u8]> for StatusCode {
    type Error = InvalidStatusCode;

    fn try_from(digits: &[u8]) -> Result<Self, InvalidStatusCode> {
        Self::from_bytes(digits)
    }
}

impl TryFrom<&str> for StatusCode {
    type Error = InvalidStatusCode;

    fn try_from(digits: &str) -> Result<Self, InvalidStatusCode> {
        digits.parse()
    }
}

impl TryFrom<u16> for StatusCode {
    type Error = InvalidStatusCode;

    fn try_from(code: u16) -> Result<Self, InvalidStatusCode> {
        Self::from_u16(code)
    }
}

impl Serialize for StatusCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.as_u16())
    }
}

impl<'de> Deserialize<'de> for StatusCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_u16(u16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What was given is not a number from 100 to 999.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStatusCode(());

impl fmt::Display for InvalidStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("status code is not a number from 100 to 999")
    }
}

impl core::error::Error for InvalidStatusCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_100_to_999_are_codes() {
        for code in 0..=u16::MAX {
            let expected = (100..=999).contains(&code).then_some(code);
            assert_eq!(StatusCode::from_u16(code).ok().map(u16::from), expected);
            assert_eq!(code.to_string().parse::<StatusCode>().ok().map(u16::from), expected);
        }
    }

    #[test]
    fn other_texts_are_not_codes() {
        for text in ["", "50", "5030", "099", "5o3", " 503", "+50", "٥٠٣"] {
            assert!(text.parse::<StatusCode>().is_err(), "{text}");
            assert!(StatusCode::try_from(text).is_err(), "{text}");
            let error = StatusCode::try_from(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "status code is not a number from 100 to 999");
        }
    }

    #[test]
    fn codes_are_made_of_numbers_and_texts() {
        let code = StatusCode::NO_RESPONDERS;
        assert_eq!(StatusCode::try_from("503"), Ok(code));
        assert_eq!(StatusCode::try_from(&b"503"[..]), Ok(code));
        assert_eq!(StatusCode::try_from(503), Ok(code));
        assert_eq!(StatusCode::from(&code), code);
        assert_eq!(code, 503);
        assert_eq!(503, code);
        assert_ne!(code, 200);
        assert_ne!(200, code);
        assert_eq!(StatusCode::default(), 200);
        assert!(StatusCode::try_from(99).is_err());
    }

    #[test]
    fn each_code_has_one_class() {
        let classes = |code| {
            let status = StatusCode::from_u16(code).unwrap();
            [
                status.is_informational(),
                status.is_success(),
                status.is_redirection(),
                status.is_client_error(),
                status.is_server_error(),
            ]
        };
        for (first, class) in [(100, 0), (200, 1), (300, 2), (400, 3), (500, 4)] {
            let mut expected = [false; 5];
            expected[class] = true;
            assert_eq!(classes(first), expected);
            assert_eq!(classes(first + 99), expected);
        }
        assert_eq!(classes(600), [false; 5]);
    }

    #[test]
    fn reads_and_writes_a_number() {
        assert_eq!(serde_json::to_string(&StatusCode::TIMEOUT).unwrap(), "408");
        assert_eq!(serde_json::from_str::<StatusCode>("408").unwrap(), 408);
        assert!(serde_json::from_str::<StatusCode>("99").is_err());
        assert_eq!(StatusCode::TIMEOUT.to_string(), "408");
    }
}
