//! Credentials files: a JWT and a seed, each between two lines of dashes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::{all_consuming, eof, map, verify};
use nom::multi::many_till;
use nom::sequence::{delimited, terminated};
use nom::{IResult, Parser};

use super::{Auth, KeyPair, NKeyError};

/// Bytes that a credentials file may have. Real ones have one or two thousand.
const LIMIT: usize = 1024 * 1024;

/// The JWT of a user, and the key pair to prove that it is one's own.
///
/// ```
/// # use nats_proto::auth::UserCredentials;
/// let file = "\
/// -----BEGIN NATS USER JWT-----
/// eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJleGFtcGxlIn0.c2lnbmF0dXJl
/// ------END NATS USER JWT------
///
/// -----BEGIN USER NKEY SEED-----
/// SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM
/// ------END USER NKEY SEED------
/// ";
/// let credentials = UserCredentials::parse(file)?;
/// let auth = credentials.auth("the nonce of INFO");
/// assert!(auth.jwt.is_some() && auth.signature.is_some());
/// # Ok::<(), nats_proto::auth::CredentialsError>(())
/// ```
///
/// `Debug` shows the public key of the pair, and never the JWT.
#[derive(Clone)]
pub struct UserCredentials {
    jwt: String,
    key_pair: KeyPair,
}

impl UserCredentials {
    /// Reads a credentials file (`.creds`), as `nsc` writes it.
    ///
    /// Lines may end with CRLF, and may have blanks around them; lines of dashes need three at each end, whatever
    /// is between them. As in other clients, JWT and seed may also be bare lines. A byte order mark in front is passed over.
    ///
    /// # Errors
    ///
    /// Something is missing, or is not what it should be; see [`CredentialsError`].
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        Ok(Self { jwt: decorated_jwt(text)?, key_pair: KeyPair::from_decorated_seed(text)? })
    }

    /// A JWT and a seed from two places. Each may be bare, or in a file as [`parse`](Self::parse) reads it.
    ///
    /// # Errors
    ///
    /// As of [`parse`](Self::parse).
    pub fn from_parts(jwt: &str, seed: &str) -> Result<Self, CredentialsError> {
        Ok(Self { jwt: decorated_jwt(jwt)?, key_pair: KeyPair::from_decorated_seed(seed)? })
    }

    /// The JWT. Secret.
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// The key pair.
    pub fn key_pair(&self) -> &KeyPair {
        &self.key_pair
    }

    /// What to introduce oneself with to a server that has sent `nonce`: JWT and signature.
    pub fn auth(&self, nonce: &str) -> Auth {
        Auth {
            jwt: Some(self.jwt.clone()),
            signature: Some(self.key_pair.sign(nonce.as_bytes()).into()),
            ..Auth::new()
        }
    }
}

impl fmt::Debug for UserCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCredentials").field("key_pair", &self.key_pair).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// Reads the seed of a user from a file: between lines of dashes, as in credentials, or as a bare line.
    ///
    /// # Errors
    ///
    /// There is no seed, or it is not a seed of a user; see [`CredentialsError`].
    pub fn from_decorated_seed(text: &str) -> Result<Self, CredentialsError> {
        let lines = contents(text)?;
        // What has dots is the JWT, wherever it stands; what begins with an S may be a seed of any role, so that
        // a wrong one is told from none.
        let seed = |line: &&str| line.starts_with('S') && !line.contains('.');
        let seed = lines.iter().copied().find(seed).ok_or(CredentialsError::MissingSeed)?;
        Self::from_seed(seed).map_err(CredentialsError::BadSeed)
    }
}

/// Why text is not credentials. Never shows any of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The text is longer than any credentials.
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is no JWT.
    MissingJwt,
    /// The JWT is not three parts in base64url with dots between them.
    BadJwt {
        /// Bytes of the JWT before what is wrong.
        position: usize,
    },
    /// There is no seed.
    MissingSeed,
    /// The seed is not that of a user.
    BadSeed(NKeyError),
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, limit } => {
                write!(f, "credentials of {len} bytes are longer than {limit} bytes")
            }
            Self::MissingJwt => f.write_str("credentials have no user JWT"),
            Self::BadJwt { position } => write!(
                f,
                "user JWT is not three parts in base64url with dots between them: wrong after {position} bytes"
            ),
            Self::MissingSeed => f.write_str("credentials have no user seed"),
            Self::BadSeed(error) => write!(f, "credentials have no usable seed: {error}"),
        }
    }
}

impl core::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::BadSeed(error) => Some(error),
            _ => None,
        }
    }
}

/// The JWT in a file. Whatever else it has, it cannot be a seed, which must never be sent: that has no dots.
fn decorated_jwt(text: &str) -> Result<String, CredentialsError> {
    let lines = contents(text)?;
    let jwt = lines.iter().find(|line| line.contains('.')).ok_or(CredentialsError::MissingJwt)?;
    check_jwt(jwt)?;
    Ok((*jwt).into())
}

/// Nothing but base64url and dots: what is put into CONNECT cannot be anything else there.
fn check_jwt(text: &str) -> Result<(), CredentialsError> {
    let part = || take_while1(|char: char| char.is_ascii_alphanumeric() || "-_".contains(char));
    // Header, claims and signature.
    let parts = (part(), char('.'), part(), char('.'), part());
    let jwt: IResult<&str, _> = all_consuming(parts).parse(text);
    match jwt {
        Ok(_) => Ok(()),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => {
            let position = text.len().saturating_sub(error.input.len());
            Err(CredentialsError::BadJwt { position })
        }
        Err(nom::Err::Incomplete(_)) => Err(CredentialsError::BadJwt { position: text.len() }),
    }
}

/// What stands between lines of dashes, and then all lines of one word: a JWT or a seed may be bare.
fn contents(text: &str) -> Result<Vec<&str>, CredentialsError> {
    if text.len() > LIMIT {
        return Err(CredentialsError::TooLong { len: text.len(), limit: LIMIT });
    }
    // Some editors put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut contents = file(text).map(|(_, blocks)| blocks).unwrap_or_default();
    let bare = |line: &&str| !is_dashes(line) && !line.contains(char::is_whitespace);
    contents.extend(text.lines().map(str::trim).filter(bare));
    Ok(contents)
}

/// Blocks, with anything around them.
fn file(text: &str) -> IResult<&str, Vec<&str>> {
    let piece = alt((map(block, Some), map(line, |_| None)));
    let (rest, (pieces, _)) = many_till(piece, eof).parse(text)?;
    Ok((rest, pieces.into_iter().flatten().collect()))
}

/// One line between two of dashes.
fn block(text: &str) -> IResult<&str, &str> {
    let content = verify(line, |line: &str| !line.is_empty() && !is_dashes(line));
    delimited(dashes, delimited(multispace0, content, multispace0), dashes).parse(text)
}

fn dashes(text: &str) -> IResult<&str, &str> {
    verify(line, is_dashes).parse(text)
}

/// Dashes at both ends: how many differs from tool to tool, and what is between them is for people.
fn is_dashes(line: &str) -> bool {
    line.starts_with("---") && line.ends_with("---")
}

/// A line without the blanks around it, of which a CR before its end is one; the last line needs no end.
fn line(text: &str) -> IResult<&str, &str> {
    map(terminated(take_till(|char| char == '\n'), alt((tag("\n"), eof))), str::trim).parse(text)
}
