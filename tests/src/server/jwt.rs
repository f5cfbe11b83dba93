//! Keys of every role, and the JWTs that operators, accounts and users have of each other.
//!
//! Only what the tests need of what `nsc` does. The claims are those of version 2: the signature is over header and
//! claims as they are encoded, and `nats` has what is particular to the role.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `O…`
    Operator,
    /// `A…`
    Account,
    /// `U…`
    User,
}

impl Role {
    fn prefix(self) -> u8 {
        match self {
            Self::Operator => 14 << 3,
            Self::Account => 0,
            Self::User => 20 << 3,
        }
    }
}

/// A key pair.
#[derive(Clone, Debug)]
pub struct Key {
    role: Role,
    key: SigningKey,
}

impl Key {
    /// A key that no other test has. It protects nothing.
    pub fn new(role: Role) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);

        let mut secret = [0; 32];
        for word in secret.chunks_exact_mut(8) {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            word.copy_from_slice(&RandomState::new().hash_one(number).to_le_bytes());
        }
        Self { role, key: SigningKey::from_bytes(&secret) }
    }

    /// The public key as text.
    pub fn public(&self) -> String {
        encode(&[self.role.prefix()], self.key.verifying_key().as_bytes())
    }

    /// The seed as text. Secret, if it were not a test's.
    pub fn seed(&self) -> String {
        let (seed, role) = (18 << 3, self.role.prefix());
        encode(&[seed | role >> 5, role << 3], &self.key.to_bytes())
    }

    /// The 64 bytes of the signature.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.key.sign(bytes).to_bytes().to_vec()
    }

    /// A JWT about `subject`.
    fn issue(&self, subject: &Self, expires: Option<u64>, nats: &Value) -> String {
        let mut claims = json!({
            "jti": Self::new(Role::User).public(),
            "iat": now(),
            "iss": self.public(),
            "name": "test",
            "sub": subject.public(),
            "nats": nats,
        });
        if let Some(expires) = expires {
            claims["exp"] = expires.into();
        }
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let header = encode(&json!({"typ": "JWT", "alg": "ed25519-nkey"}));
        let signed = format!("{header}.{}", encode(&claims));
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&self.sign(signed.as_bytes())))
    }
}

/// An operator, whom a server trusts.
#[derive(Clone, Debug)]
pub struct Operator {
    key: Key,
    /// A running server does not take another one.
    jwt: String,
}

impl Operator {
    /// A new one.
    #[allow(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let key = Key::new(Role::Operator);
        let jwt = key.issue(&key, None, &json!({"type": "operator", "version": 2}));
        Self { key, jwt }
    }

    /// What a server is told so that it trusts this operator, and knows these accounts.
    pub(super) fn config_lines(&self, accounts: &[&Account]) -> String {
        let mut lines =
            format!("operator: \"{}\"\nresolver: MEMORY\nresolver_preload: {{\n", self.jwt);
        for account in accounts {
            let jwt = self.key.issue(&account.key, account.expires, &account.nats);
            lines.push_str(&format!("  {}: \"{jwt}\"\n", account.key.public()));
        }
        lines + "}"
    }
}

/// An account, which its operator vouches for.
#[derive(Clone, Debug)]
pub struct Account {
    key: Key,
    expires: Option<u64>,
    nats: Value,
}

impl Account {
    /// A new one, without limits.
    #[allow(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1,
        });
        let nats = json!({"type": "account", "version": 2, "limits": limits});
        Self { key: Key::new(Role::Account), expires: None, nats }
    }

    /// Sets a limit: `conn`, `subs`, `payload`, …
    #[must_use]
    pub fn limit(mut self, name: &str, value: i64) -> Self {
        self.nats["limits"][name] = value.into();
        self
    }

    /// Ends the account in so many seconds.
    #[must_use]
    pub fn expires_in(mut self, seconds: u64) -> Self {
        self.expires = Some(now() + seconds);
        self
    }

    /// Takes back every JWT that this user has been given up to now.
    #[must_use]
    pub fn revoke(mut self, user: &User) -> Self {
        self.nats["revocations"][user.key.public()] = now().into();
        self
    }

    /// The JWT that it gives this user.
    pub fn jwt(&self, user: &User) -> String {
        self.key.issue(&user.key, user.expires, &user.nats)
    }

    /// The credentials file that it gives this user.
    pub fn credentials(&self, user: &User) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.jwt(user),
            user.key.seed()
        )
    }
}

/// A user, whom an account vouches for.
#[derive(Clone, Debug)]
pub struct User {
    key: Key,
    expires: Option<u64>,
    nats: Value,
}

impl User {
    /// A new one, who may do everything.
    #[allow(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        let nats = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        Self { key: Key::new(Role::User), expires: None, nats }
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Ended the JWT long ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.expires = Some(now() - 3600);
        self
    }

    /// Ends the JWT in so many seconds.
    #[must_use]
    pub fn expires_in(mut self, seconds: u64) -> Self {
        self.expires = Some(now() + seconds);
        self
    }

    /// A JWT that needs no signature.
    #[must_use]
    pub fn bearer(mut self) -> Self {
        self.nats["bearer_token"] = true.into();
        self
    }

    /// Only these subjects may be published to.
    #[must_use]
    pub fn publishes(mut self, subjects: &[&str]) -> Self {
        self.nats["pub"] = json!({"allow": subjects});
        self
    }

    /// Only these subjects may be subscribed to.
    #[must_use]
    pub fn subscribes(mut self, subjects: &[&str]) -> Self {
        self.nats["sub"] = json!({"allow": subjects});
        self
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock is right enough for JWTs").as_secs()
}

/// Base32 of a prefix, the bytes of a key, and a checksum with its low byte first.
fn encode(prefix: &[u8], key: &[u8]) -> String {
    let mut bytes = [prefix, key].concat();
    let crc = bytes.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    });
    bytes.extend(crc.to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nats_proto::auth::{KeyPair, UserCredentials};

    #[test]
    fn the_text_of_a_key_shows_its_role() {
        for (role, public, seed) in
            [(Role::Operator, 'O', "SO"), (Role::Account, 'A', "SA"), (Role::User, 'U', "SU")]
        {
            let key = Key::new(role);
            assert!(key.public().starts_with(public) && key.seed().starts_with(seed));
            assert_eq!((key.public().len(), key.seed().len()), (56, 58));
            assert_ne!(key.public(), Key::new(role).public());
        }
    }

    #[test]
    fn the_client_reads_what_is_made_here() {
        let user = User::new();
        let pair = KeyPair::from_seed(&user.key().seed()).unwrap();
        assert_eq!(pair.public_key(), user.key().public());
        assert_eq!(pair.sign(b"nonce").to_vec(), user.key().sign(b"nonce"));
        let credentials = Account::new().credentials(&user);
        let credentials = UserCredentials::parse(&credentials).unwrap();
        assert_eq!(credentials.key_pair().public_key(), user.key().public());
    }
}
