//! From a context to a client.

use std::path::Path;

use nats_proto::auth::{KeyPair, UserCredentials};
use nats_proto::connection::AuthError;
use nats_proto::{Auth, Scheme};

use super::socks::Proxy;
use super::{Context, ContextAuth, ContextError};
use crate::client::Client;
use crate::connect::ConnectError;
use crate::options::ConnectOptions;
use crate::runtime::Runtime;
use crate::server_addr::ServerAddr;

impl Context {
    /// The options that the context stands for, over the defaults: credentials, certificates, the prefix of inboxes, and
    /// a [`dialer`](crate::ConnectOptions::dialer) if there is a SOCKS5 proxy on the way.
    /// [`servers`](Self::servers) has the addresses to connect to with them.
    ///
    /// [TLS is required](crate::ConnectOptions::require_tls) of all servers if there is a certificate (`ca`, or `cert` with
    /// `key`), or if one of the servers has an address with `tls://` or `wss://`, as it is by the `nats` command.
    ///
    /// Files with keys and credentials are read on every attempt to connect.
    ///
    /// # Errors
    ///
    /// The context wants a proxy of another kind than SOCKS5, or one with a user name and no password or the other way round,
    /// or the certificate store of Windows.
    pub fn options<R: Runtime>(&self) -> Result<ConnectOptions<R>, ContextError> {
        if self.windows_cert_store.is_some() {
            return Err(self.unsupported("windows_cert_store", "windows"));
        }
        let mut options = self.introduction();
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if self.wants_tls() {
            options = options.require_tls(true);
        }
        if self.tls_first {
            options = options.tls_first();
        }
        if let Some(proxy) = self.proxy()? {
            options = options.dialer(move |server| {
                let proxy = proxy.clone();
                async move { proxy.connect::<R>(server).await }
            });
        }
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        Ok(options)
    }

    /// Connects as the context says. If the future is dropped before its end, the attempt is given up, and a
    /// connection that is there already ends.
    ///
    /// # Errors
    ///
    /// As of [`options`](Self::options), or as of [`connect_with_options`](crate::connect_with_options).
    pub async fn connect<R: Runtime>(&self) -> Result<Client, ConnectError> {
        let options = self.options::<R>().map_err(|error| {
            ConnectError::with_source(crate::ConnectErrorKind::ServerParse, error)
        })?;
        options.connect(self.servers.clone()).await
    }

    /// Options that say who one is.
    fn introduction<R: Runtime>(&self) -> ConnectOptions<R> {
        let options = match self.auth() {
            ContextAuth::UserPassword { user, password } => {
                ConnectOptions::with_user_and_password(user.into(), password.into())
            }
            ContextAuth::Credentials(file) => {
                ConnectOptions::new().credentials_path(file.to_owned())
            }
            ContextAuth::NKey(file) => {
                let file = file.to_owned();
                ConnectOptions::with_auth_callback(move |nonce| {
                    let auth = sign(&file, &nonce);
                    async move { auth }
                })
            }
            ContextAuth::Jwt { jwt, seed: None } => {
                let auth = Auth { jwt: Some(jwt.into()), ..Auth::new() };
                ConnectOptions::with_auth_callback(move |_| {
                    let auth = auth.clone();
                    async move { Ok(auth) }
                })
            }
            ContextAuth::Jwt { jwt, seed: Some(seed) } => {
                let credentials = UserCredentials::from_parts(jwt, seed).map_err(AuthError::new);
                ConnectOptions::with_auth_callback(move |nonce| {
                    let nonce = String::from_utf8_lossy(&nonce);
                    let auth = credentials.as_ref().map(|credentials| credentials.auth(&nonce));
                    let auth = auth.map_err(Clone::clone);
                    async move { auth }
                })
            }
            // The token is added to all of them.
            ContextAuth::None | ContextAuth::Token(_) => ConnectOptions::new(),
        };
        match &self.token {
            Some(token) => options.token(token.clone()),
            None => options,
        }
    }

    /// The proxy on the way, if there is one.
    fn proxy(&self) -> Result<Option<Proxy>, ContextError> {
        let Some(proxy) = &self.socks_proxy else {
            return Ok(None);
        };
        let path = || self.path.clone();
        let proxy = Proxy::parse(proxy)
            .ok_or_else(|| self.unsupported("socks_proxy", "another kind of proxy than SOCKS5"))?
            .map_err(|error| ContextError::InvalidProxy { path: path(), error })?;
        match proxy.can_introduce() {
            true => Ok(Some(proxy)),
            false => Err(ContextError::ProxyCredentials { path: path() }),
        }
    }

    fn unsupported(&self, field: &'static str, scheme: &'static str) -> ContextError {
        ContextError::Unsupported { path: self.path.clone(), field, scheme }
    }

    /// Whether nothing may be said in plain text, to any of the servers: the `nats` command takes a certificate, and a single
    /// address with TLS, for that wish.
    fn wants_tls(&self) -> bool {
        let encrypted = |server: &ServerAddr| {
            matches!(server.as_ref().scheme_kind(), Scheme::Tls | Scheme::Wss)
        };
        let has_identity = self.cert.is_some() && self.key.is_some();
        self.ca.is_some() || has_identity || self.servers.iter().any(encrypted)
    }
}

/// Signs with the key in a file.
fn sign(file: &Path, nonce: &[u8]) -> Result<Auth, AuthError> {
    let failed = |error: &dyn std::fmt::Display| {
        AuthError::new(format!("key file {}: {error}", file.display()))
    };
    let seed = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let key = KeyPair::from_decorated_seed(&seed).map_err(|error| failed(&error))?;
    Ok(key.auth(&String::from_utf8_lossy(nonce)))
}
