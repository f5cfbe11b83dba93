//! Credentials.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What a client introduces itself with, on one attempt to connect.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// The user JWT.
    pub jwt: Option<String>,
    /// The public nkey.
    pub nkey: Option<String>,
    /// The signature of the server's nonce.
    pub signature: Option<Vec<u8>>,
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The token.
    pub token: Option<String>,
}

impl Auth {
    /// No credentials.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

pub(crate) fn encode_signature(_signature: &[u8]) -> String {
    String::new()
}
