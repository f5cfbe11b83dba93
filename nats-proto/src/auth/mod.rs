//! Who one is: what CONNECT says about it, and the keys and files behind that.
//!
//! [`Auth`] is plain data, and always there. With the feature `nkeys`, `KeyPair` signs the server's nonce, and
//! `UserCredentials` reads the files that `nsc` and the `nats` command write.
//!
//! Nothing in here ever shows a secret: not `Debug`, and not the text of an error, which names what is wrong
//! and at which place of the text, but never the text.

#[cfg(feature = "nkeys")]
mod credentials;
#[cfg(feature = "nkeys")]
mod nkey;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use data_encoding::BASE64URL_NOPAD;

#[cfg(feature = "nkeys")]
pub use credentials::{CredentialsError, UserCredentials};
#[cfg(feature = "nkeys")]
pub use nkey::{KeyPair, NKeyError};

/// What a client introduces itself with in one CONNECT: any combination of the fields, as the server wants it.
///
/// All fields are `None` by default. `Debug` shows the user name, and of the others only that they are set.
#[derive(Clone, Default)]
pub struct Auth {
    /// The user's JWT. Needs a `signature` too, unless the JWT is a bearer token.
    pub jwt: Option<String>,
    /// The user's public nkey (`U…`), whose `signature` is given too.
    pub nkey: Option<String>,
    /// The server's nonce, signed: 64 raw bytes. They are encoded when CONNECT is built.
    pub signature: Option<Vec<u8>>,
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The token.
    pub token: Option<String>,
}

impl Auth {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Destructured, so that a new field is an error here until somebody has decided whether it is secret.
        let Self { jwt, nkey, signature, username, password, token } = self;
        f.debug_struct("Auth")
            .field("jwt", &redacted(jwt))
            // Public, if it is what it should be; a seed is easily put here by mistake.
            .field("nkey", &redacted(nkey))
            .field("signature", &redacted(signature))
            .field("username", username)
            .field("password", &redacted(password))
            .field("token", &redacted(token))
            .finish()
    }
}

fn redacted<T>(secret: &Option<T>) -> Option<fmt::Arguments<'static>> {
    secret.as_ref().map(|_| format_args!("<redacted>"))
}

/// A signature as CONNECT has it in `sig`: base64url without padding.
pub fn encode_signature(signature: &[u8]) -> String {
    BASE64URL_NOPAD.encode(signature)
}

/// The nonce of INFO, signed, as CONNECT has it in `sig`.
#[cfg(feature = "nkeys")]
pub fn sign_nonce(key_pair: &KeyPair, nonce: &str) -> String {
    encode_signature(&key_pair.sign(nonce.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_user_name_and_no_secret() {
        let secret = || Some(String::from("canary-4711"));
        let auth = Auth {
            jwt: secret(),
            nkey: secret(),
            signature: Some(b"canary-4711".to_vec()),
            username: Some("derek".into()),
            password: secret(),
            token: secret(),
        };
        let bytes = format!("{:?}", b"canary");
        for text in [format!("{auth:?}"), format!("{auth:#?}")] {
            assert!(!text.contains("canary") && !text.contains(bytes.trim_matches(['[', ']'])));
            assert_eq!(text.matches("<redacted>").count(), 5);
            assert!(text.contains("derek"));
        }
    }

    #[test]
    fn a_signature_is_encoded_for_urls_and_not_padded() {
        assert_eq!(encode_signature(&[0xfb, 0xff, 0xfe, 0x00]), "-__-AA");
        assert_eq!(encode_signature(&[0; 64]).len(), 86);
        assert_eq!(encode_signature(&[]), "");
    }
}
