//! nkeys: Ed25519 keys in text that shows whose they are and whether it was copied right.
//!
//! The text is base32 without padding of: a prefix, 32 bytes, and their CRC-16 (XMODEM) with the low byte first.
//! The prefix of a public key is one byte, the role; that of a seed is two, which begin with the five bits for
//! `S` and go on with the eight of the role. So all text of a kind begins with the same letters.

use alloc::string::String;
use core::fmt;

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use super::Auth;

/// Letters of a seed, and the bytes that they stand for.
const SEED_TEXT: usize = 58;
const SEED_BYTES: usize = 36;

/// What the text of a public key begins with: `U`.
const USER: u8 = 20 << 3;

/// What a seed begins with, by role: `SU` and its like.
const ROLES: [(&str, &str); 6] = [
    ("SU", "user"),
    ("SA", "account"),
    ("SO", "operator"),
    ("SN", "server"),
    ("SC", "cluster"),
    ("SX", "curve"),
];

/// The key pair of a user, made from its seed: it signs what the server asks to be signed.
///
/// `Debug` shows the public key. The memory of the secret is overwritten when a key pair is dropped; the text
/// that it was made from is the caller's.
#[derive(Clone)]
pub struct KeyPair {
    key: SigningKey,
}

impl KeyPair {
    /// Reads the seed of a user: 58 characters that begin with `SU`, without anything around them.
    ///
    /// Everything is checked before anything is used: length, alphabet, role and checksum. For a file with a seed
    /// in it, there is [`from_decorated_seed`](Self::from_decorated_seed).
    ///
    /// # Errors
    ///
    /// It is not the seed of a user, or has been copied wrong. The error never shows any of the seed.
    pub fn from_seed(seed: &str) -> Result<Self, NKeyError> {
        if seed.len() != SEED_TEXT {
            return Err(NKeyError::WrongLength { len: seed.len(), expected: SEED_TEXT });
        }
        let bad = seed.bytes().position(|byte| !matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        if let Some(position) = bad {
            return Err(NKeyError::BadCharacter { position });
        }
        let role = ROLES.into_iter().find(|(prefix, _)| seed.starts_with(prefix));
        match role {
            None => return Err(NKeyError::NotASeed),
            Some(("SU", _)) => {}
            Some((prefix, role)) => return Err(NKeyError::NotAUser { role, prefix }),
        }
        // The length above is that of 36 bytes; what else may fail are bits set behind the last of them.
        let mut bytes = Zeroizing::new([0; SEED_BYTES]);
        BASE32_NOPAD
            .decode_mut(seed.as_bytes(), &mut *bytes)
            .map_err(|_| NKeyError::WrongChecksum)?;
        let (content, checksum) = bytes.split_last_chunk().ok_or(NKeyError::WrongChecksum)?;
        let secret = content.last_chunk().ok_or(NKeyError::WrongChecksum)?;
        if crc16(content) != u16::from_le_bytes(*checksum) {
            return Err(NKeyError::WrongChecksum);
        }
        Ok(Self { key: SigningKey::from_bytes(secret) })
    }

    /// The public key, as the server's configuration names the user: 56 characters that begin with `U`.
    pub fn public_key(&self) -> String {
        let mut bytes = [0; 35];
        if let Some((role, rest)) = bytes.split_first_mut()
            && let Some((key, _)) = rest.split_first_chunk_mut()
        {
            *role = USER;
            *key = self.key.verifying_key().to_bytes();
        }
        if let Some((content, checksum)) = bytes.split_last_chunk_mut() {
            *checksum = crc16(content).to_le_bytes();
        }
        BASE32_NOPAD.encode(&bytes)
    }

    /// The Ed25519 signature of `data`.
    pub fn sign(&self, data: &[u8]) -> [u8; 64] {
        self.key.sign(data).to_bytes()
    }

    /// What to introduce oneself with to a server that has sent `nonce`: public key and signature.
    pub fn auth(&self, nonce: &str) -> Auth {
        Auth {
            nkey: Some(self.public_key()),
            signature: Some(self.sign(nonce.as_bytes()).into()),
            ..Auth::new()
        }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

/// Why text is not the seed of a user. Never shows any of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NKeyError {
    /// It is too short or too long.
    WrongLength {
        /// Its length in bytes.
        len: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A character is none of `A` to `Z` and `2` to `7`.
    BadCharacter {
        /// Bytes before it.
        position: usize,
    },
    /// It begins like no seed at all.
    NotASeed,
    /// It is the seed of something else than a user, and cannot be used to connect.
    NotAUser {
        /// Whose seed it is.
        role: &'static str,
        /// What such a seed begins with.
        prefix: &'static str,
    },
    /// Some character is another one than it was: the checksum does not fit.
    WrongChecksum,
}

impl fmt::Display for NKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongLength { len, expected } => {
                write!(f, "seed has {len} characters instead of {expected}")
            }
            Self::BadCharacter { position } => write!(
                f,
                "seed has something else than A to Z and 2 to 7 after {position} characters"
            ),
            Self::NotASeed => f.write_str("text does not begin with SU as the seed of a user does"),
            Self::NotAUser { role, prefix } => write!(
                f,
                "seed is that of a role that cannot connect, {role} ({prefix}); that of a user begins with SU"
            ),
            Self::WrongChecksum => {
                f.write_str("seed has a wrong checksum: it was not copied right")
            }
        }
    }
}

impl core::error::Error for NKeyError {}

/// CRC-16/XMODEM: the polynomial x¹⁶ + x¹² + x⁵ + 1, begun with zero.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn a_seed_has_the_letters_of_its_bytes() {
        assert_eq!(BASE32_NOPAD.decode_len(SEED_TEXT), Ok(SEED_BYTES));
    }
}
