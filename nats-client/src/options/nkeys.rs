//! Who one is, proved with a key.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nats_proto::auth::{KeyPair, UserCredentials};
use nats_proto::connection::{AuthError, AuthSource};

use super::ConnectOptions;

/// Keys and credentials files. With the feature `nkeys`.
impl<R> ConnectOptions<R> {
    /// The defaults, with an nkey: see [`nkey`](Self::nkey).
    pub fn with_nkey(seed: String) -> Self {
        Self::default().nkey(seed)
    }

    /// The defaults, with a credentials file: see [`credentials_file`](Self::credentials_file). If the future is
    /// dropped before its only poll, nothing was read.
    ///
    /// # Errors
    ///
    /// See [`credentials_file`](Self::credentials_file).
    pub async fn with_credentials_file(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::default().credentials_file(path).await
    }

    /// The defaults, with credentials: see [`credentials`](Self::credentials).
    ///
    /// # Errors
    ///
    /// See [`credentials`](Self::credentials).
    pub fn with_credentials(credentials: &str) -> io::Result<Self> {
        Self::default().credentials(credentials)
    }

    /// The seed of the user's nkey (`SU…`), with which the server's nonce is signed.
    ///
    /// A seed that is none fails the connecting, with
    /// [`ConnectErrorKind::Authentication`](crate::ConnectErrorKind::Authentication).
    pub fn nkey(self, seed: String) -> Self {
        match KeyPair::from_seed(&seed) {
            Ok(key) => self.source(AuthSource::Key(Arc::new(key))),
            Err(error) => self.auth_callback(move |_| {
                let error = AuthError::new(&error);
                async move { Err(error) }
            }),
        }
    }

    /// A credentials file, as `nsc` and the `nats` command write it: a user JWT and the seed of its key.
    ///
    /// It is read at once, to tell what is wrong with it, and again on every attempt, so that it may be replaced
    /// while the program runs. Reading blocks the thread for as long as the file system takes. If the future is
    /// dropped before its only poll, nothing was read.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds no credentials. The text names the file, and shows nothing of what is in it.
    pub async fn credentials_file(self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        read(&path)?;
        Ok(self.credentials_path(path))
    }

    /// Like [`credentials_file`](Self::credentials_file), without looking at the file before the first attempt.
    pub(crate) fn credentials_path(self, path: PathBuf) -> Self {
        self.auth_callback(move |nonce| {
            let nonce = String::from_utf8(nonce).unwrap_or_default();
            let auth = read(&path).map(|credentials| credentials.auth(&nonce));
            async move { auth.map_err(AuthError::new) }
        })
    }

    /// The text of a credentials file.
    ///
    /// # Errors
    ///
    /// It holds no credentials.
    pub fn credentials(self, credentials: &str) -> io::Result<Self> {
        let credentials = UserCredentials::parse(credentials)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(self.source(AuthSource::Credentials(Arc::new(credentials))))
    }
}

fn read(path: &Path) -> io::Result<UserCredentials> {
    let failed = |kind, error: &dyn std::fmt::Display| {
        io::Error::new(kind, format!("credentials file {}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.kind(), &error))?;
    UserCredentials::parse(&text).map_err(|error| failed(io::ErrorKind::InvalidData, &error))
}
