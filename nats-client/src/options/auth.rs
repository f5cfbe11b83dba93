//! Who one is.

use std::future::Future;
use std::sync::Arc;

use nats_proto::Auth;
use nats_proto::connection::{AuthError, AuthSource};

use super::ConnectOptions;

/// Who one is. Each of these replaces the others.
///
/// A user name and password, or a token, in the URL of a server come before those from here. Neither `Debug` nor
/// any error shows a secret.
impl<R> ConnectOptions<R> {
    /// The defaults, with a token: see [`token`](Self::token).
    pub fn with_token(token: String) -> Self {
        Self::default().token(token)
    }

    /// The defaults, with a user name and password: see [`user_and_password`](Self::user_and_password).
    pub fn with_user_and_password(user: String, password: String) -> Self {
        Self::default().user_and_password(user, password)
    }

    /// The defaults, with a JWT: see [`jwt`](Self::jwt).
    pub fn with_jwt<F, Fut>(jwt: String, sign: F) -> Self
    where
        F: Fn(Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<u8>, AuthError>> + Send + 'static,
    {
        Self::default().jwt(jwt, sign)
    }

    /// The defaults, with a callback for the credentials: see [`auth_callback`](Self::auth_callback).
    pub fn with_auth_callback<F, Fut>(callback: F) -> Self
    where
        F: Fn(Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Auth, AuthError>> + Send + 'static,
    {
        Self::default().auth_callback(callback)
    }

    /// The token to introduce oneself with.
    pub fn token(self, token: String) -> Self {
        self.source(AuthSource::token(token))
    }

    /// The user name and password to introduce oneself with.
    pub fn user_and_password(self, user: String, password: String) -> Self {
        self.source(AuthSource::user_password(user, password))
    }

    /// The user JWT to introduce oneself with, and a function that signs the server's nonce with its key: it gets the
    /// nonce and gives the 64 bytes of the signature. It is called on every attempt.
    ///
    /// The future is dropped when the [`connection_timeout`](Self::connection_timeout) has passed; an error ends the
    /// attempt.
    pub fn jwt<F, Fut>(self, jwt: String, sign: F) -> Self
    where
        F: Fn(Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<u8>, AuthError>> + Send + 'static,
    {
        self.auth_callback(move |nonce| {
            let (signature, jwt) = (sign(nonce), jwt.clone());
            async move {
                let signature = Some(signature.await?);
                Ok(Auth { jwt: Some(jwt), signature, ..Auth::new() })
            }
        })
    }

    /// A function that gives the credentials: it gets the server's nonce (empty if the server sends none), and is
    /// called on every attempt, so that what it gives may change.
    ///
    /// The future is dropped when the [`connection_timeout`](Self::connection_timeout) has passed; an error ends the
    /// attempt.
    pub fn auth_callback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Auth, AuthError>> + Send + 'static,
    {
        self.hooks.auth = Some(Arc::new(move |nonce| Box::pin(callback(nonce))));
        self.config.auth = AuthSource::Ask;
        self
    }

    pub(super) fn source(mut self, source: AuthSource) -> Self {
        self.hooks.auth = None;
        self.config.auth = source;
        self
    }
}
