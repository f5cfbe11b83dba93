//! Contexts of the `nats` command: named settings in files, so that programs connect as the command does.
//!
//! They are where ADR-21 puts them: `$XDG_CONFIG_HOME/nats`, or else `~/.config/nats`, has `context.txt` with the
//! name of the selected context, and `context/<name>.json` for each. The `nats` command makes, changes and selects
//! them; this module only reads.
//!
//! ```no_run
//! use nats_client::context::{Context, ContextAuth};
//!
//! let context = Context::load(None)?;
//! println!("{} servers", context.servers.len());
//! if let ContextAuth::Credentials(file) = context.auth() {
//!     println!("credentials are in {}", file.display());
//! }
//! # Ok::<(), nats_client::context::ContextError>(())
//! ```
//!
//! Everything here reads files, and blocks while it does.

mod connect;
mod error;
mod fields;
mod files;
mod socks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::server_addr::ServerAddr;

pub use error::ContextError;
use fields::Fields;
use files::Files;

/// The settings of one context, as its file has them. What is empty there is `None` here.
///
/// In paths, `~` at the start and environment variables (`$NAME`, `${NAME}`) have been expanded, as the `nats`
/// command does; a variable that is not set is empty. `Debug` shows no secret.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// Its name: that of the file without `.json`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it is for, in the words of whoever made it.
    pub description: Option<String>,
    /// The servers (`url`), with what credentials the URLs carry. Default: `nats://localhost:4222`.
    pub servers: Vec<ServerAddr>,
    /// The URL of a SOCKS5 proxy, `socks5://[user:password@]host[:port]`. It resolves the names of the servers.
    pub socks_proxy: Option<String>,
    /// The token, which is sent whatever else there is. Secret. [`auth`](Self::auth) says what of the following to use.
    pub token: Option<String>,
    /// The user name.
    pub user: Option<String>,
    /// The password. Secret.
    pub password: Option<String>,
    /// A credentials file.
    pub creds: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey: Option<PathBuf>,
    /// The JWT of the user. Secret.
    pub user_jwt: Option<String>,
    /// The seed that belongs to the JWT. Secret.
    pub user_seed: Option<String>,
    /// A file with the client's certificate.
    pub cert: Option<PathBuf>,
    /// A file with the key of the client's certificate.
    pub key: Option<PathBuf>,
    /// A file with the certificates of the authorities to trust.
    pub ca: Option<PathBuf>,
    /// Whether TLS begins before INFO. Default: false.
    pub tls_first: bool,
    /// The prefix of inboxes.
    pub inbox_prefix: Option<String>,
    /// The JetStream domain.
    pub jetstream_domain: Option<String>,
    /// The prefix of the JetStream API.
    pub jetstream_api_prefix: Option<String>,
    /// The prefix of JetStream's events.
    pub jetstream_event_prefix: Option<String>,
    /// Where `nsc` would look up servers and credentials. It is never asked: see [`ContextError::Unsupported`].
    pub nsc: Option<String>,
    /// The colours that tools shall use.
    pub color_scheme: Option<String>,
    /// The certificate store of Windows to take certificates from.
    pub windows_cert_store: Option<String>,
    /// What to search that store by: `subject` or `issuer`.
    pub windows_cert_match_by: Option<String>,
    /// What to search that store for.
    pub windows_cert_match: Option<String>,
    /// Which authorities of that store to trust.
    pub windows_ca_certs_match: Vec<String>,
}

/// How a context wants one to introduce oneself. `Debug` shows no secret.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextAuth<'a> {
    /// Not at all, but for what the URLs of the servers carry.
    None,
    /// With user name and password.
    UserPassword {
        /// The user name.
        user: &'a str,
        /// The password; empty if there is none.
        password: &'a str,
    },
    /// With the credentials in this file.
    Credentials(&'a Path),
    /// With the nkey whose seed is in this file.
    NKey(&'a Path),
    /// With a JWT.
    Jwt {
        /// The JWT.
        jwt: &'a str,
        /// The seed to sign with; none for a bearer token.
        seed: Option<&'a str>,
    },
    /// With a token.
    Token(&'a str),
}

impl Context {
    /// Loads a context by its name, or, with `None` or an empty name, the selected one.
    ///
    /// # Errors
    ///
    /// The name cannot be one, there is no such context or none selected, or it cannot be read or used.
    pub fn load(name: Option<&str>) -> Result<Self, ContextError> {
        Files::of_user()?.load(name)
    }

    /// Loads a context from a file anywhere.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or what it says cannot be used.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ContextError> {
        files::load(path.as_ref())
    }

    /// The name of the selected context, if there is one.
    ///
    /// # Errors
    ///
    /// The home directory is not known, or the file that has the name cannot be read.
    pub fn selected() -> Result<Option<String>, ContextError> {
        Files::of_user()?.selected()
    }

    /// The names of all contexts, sorted. Nothing is said of whether they can be used.
    ///
    /// # Errors
    ///
    /// The home directory is not known, or the directory of the contexts cannot be read. That there is no such
    /// directory is no error.
    pub fn known() -> Result<Vec<String>, ContextError> {
        Files::of_user()?.known()
    }

    /// How to introduce oneself: the first that is set of user, credentials file, nkey, JWT and token. A token goes along
    /// with any of the others, too.
    pub fn auth(&self) -> ContextAuth<'_> {
        if let Some(user) = &self.user {
            let password = self.password.as_deref().unwrap_or_default();
            ContextAuth::UserPassword { user, password }
        } else if let Some(file) = &self.creds {
            ContextAuth::Credentials(file)
        } else if let Some(file) = &self.nkey {
            ContextAuth::NKey(file)
        } else if let Some(jwt) = &self.user_jwt {
            ContextAuth::Jwt { jwt, seed: self.user_seed.as_deref() }
        } else if let Some(token) = &self.token {
            ContextAuth::Token(token)
        } else {
            ContextAuth::None
        }
    }

    /// Reads the content of a file. `expand` does with paths what a shell would.
    fn parse(
        path: &Path,
        content: &[u8],
        expand: &dyn Fn(&str) -> String,
    ) -> Result<Self, ContextError> {
        let fields = Fields::parse(path, content, expand)?;
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            path: path.to_owned(),
            description: fields.text("description")?,
            servers: fields.servers()?.into_iter().map(ServerAddr::from).collect(),
            socks_proxy: fields.text("socks_proxy")?,
            token: fields.secret("token")?,
            user: fields.text("user")?,
            password: fields.secret("password")?,
            creds: fields.path("creds")?,
            nkey: fields.path("nkey")?,
            user_jwt: fields.secret("user_jwt")?,
            user_seed: fields.secret("user_seed")?,
            cert: fields.path("cert")?,
            key: fields.path("key")?,
            ca: fields.path("ca")?,
            tls_first: fields.flag("tls_first")?,
            inbox_prefix: fields.text("inbox_prefix")?,
            jetstream_domain: fields.text("jetstream_domain")?,
            jetstream_api_prefix: fields.text("jetstream_api_prefix")?,
            jetstream_event_prefix: fields.text("jetstream_event_prefix")?,
            nsc: fields.nsc()?,
            color_scheme: fields.text("color_scheme")?,
            windows_cert_store: fields.text("windows_cert_store")?,
            windows_cert_match_by: fields.text("windows_cert_match_by")?,
            windows_cert_match: fields.text("windows_cert_match")?,
            windows_ca_certs_match: fields.texts("windows_ca_certs_match")?,
        })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What else there is may carry secrets, or is of little use to whoever looks for a mistake.
        f.debug_struct("Context")
            .field("name", &self.name)
            .field("path", &self.path)
            .field("servers", &self.servers)
            .field("auth", &self.auth())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ContextAuth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserPassword { user, .. } => {
                f.debug_struct("UserPassword").field("user", user).finish_non_exhaustive()
            }
            Self::Credentials(file) => f.debug_tuple("Credentials").field(file).finish(),
            Self::NKey(file) => f.debug_tuple("NKey").field(file).finish(),
            Self::Jwt { .. } => f.write_str("Jwt(..)"),
            Self::Token(_) => f.write_str("Token(..)"),
        }
    }
}
