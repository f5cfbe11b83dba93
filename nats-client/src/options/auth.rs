//! Who one is.

use std::future::Future;
use std::sync::Arc;

use nats_proto::Auth;
use nats_proto::connection::{AuthError, AuthSource};

use super::ConnectOptions;
use crate::driver::AuthCallback;

/// Who one is. A token, a user name with its password, and a key or callback can be set side by side: all of it is told,
/// and the server takes what it is configured for. Of keys, credentials and callbacks, the last one counts.
///
/// A user name and password, or a token, in the URL of a server come before those from here, and a key is not told beside
/// them; a JWT is. Neither `Debug` nor any error shows a secret.
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
    pub fn token(mut self, token: String) -> Self {
        self.plain.token = Some(token);
        self
    }

    /// The user name and password to introduce oneself with.
    pub fn user_and_password(mut self, user: String, password: String) -> Self {
        (self.plain.username, self.plain.password) = (Some(user), Some(password));
        self
    }

    /// The user JWT to introduce oneself with, and a function that signs the server's nonce with its key: it gets the
    /// nonce and gives the 64 bytes of the signature. It is called on every attempt.
    ///
    /// The future is dropped when the [`connection_timeout`](Self::connection_timeout) has passed, or the link is lost before;
    /// an error ends the attempt.
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
    /// called on every attempt, so that what it gives may change. What it leaves out of token, user name and password is
    /// taken from the settings.
    ///
    /// The future is dropped when the [`connection_timeout`](Self::connection_timeout) has passed, or the link is lost before;
    /// an error ends the attempt.
    pub fn auth_callback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Auth, AuthError>> + Send + 'static,
    {
        self.hooks.auth = Some(Arc::new(move |nonce| Box::pin(callback(nonce))));
        self.config.auth = AuthSource::Ask;
        self
    }

    #[cfg(feature = "nkeys")]
    pub(super) fn source(mut self, source: AuthSource) -> Self {
        self.hooks.auth = None;
        self.config.auth = source;
        self
    }

    /// Puts together what was set side by side.
    pub(super) fn unite_auth(&mut self) {
        let plain = std::mem::take(&mut self.plain);
        if plain.token.is_none() && plain.username.is_none() {
            return;
        }
        let signs: AuthCallback = match std::mem::take(&mut self.config.auth) {
            #[cfg(feature = "nkeys")]
            AuthSource::Key(key) => at_once(move |nonce| key.auth(nonce)),
            #[cfg(feature = "nkeys")]
            AuthSource::Credentials(credentials) => at_once(move |nonce| credentials.auth(nonce)),
            _ => match self.hooks.auth.take() {
                Some(callback) => callback,
                None => {
                    self.config.auth = AuthSource::Fixed(plain);
                    return;
                }
            },
        };
        self.config.auth = AuthSource::Ask;
        self.hooks.auth = Some(Arc::new(move |nonce| {
            let (signed, plain) = (signs(nonce), plain.clone());
            Box::pin(async move {
                let auth = signed.await?;
                Ok(Auth {
                    username: auth.username.or(plain.username),
                    password: auth.password.or(plain.password),
                    token: auth.token.or(plain.token),
                    ..auth
                })
            })
        }));
    }
}

/// A callback that does not wait.
#[cfg(feature = "nkeys")]
fn at_once(auth: impl Fn(&str) -> Auth + Send + Sync + 'static) -> AuthCallback {
    Arc::new(move |nonce| {
        let auth = auth(&String::from_utf8_lossy(&nonce));
        Box::pin(std::future::ready(Ok(auth)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{block_on, options};

    /// What is told by one who has set this, and whose callback gives that.
    fn told(given: Auth) -> Auth {
        let mut options = options()
            .token("set".into())
            .user_and_password("set".into(), "set".into())
            .auth_callback(move |_| std::future::ready(Ok(given.clone())));
        options.unite_auth();
        assert!(matches!(options.config.auth, AuthSource::Ask));
        let ask = options.hooks.auth.expect("a callback");
        block_on(ask(Vec::new())).expect("credentials")
    }

    #[test]
    fn what_a_callback_gives_comes_before_what_is_set() {
        let mut given = Auth::new();
        given.jwt = Some("given".into());
        given.token = Some("given".into());
        let auth = told(given.clone());
        assert_eq!(auth.token.as_deref(), Some("given"));
        assert_eq!(auth.jwt.as_deref(), Some("given"));
        assert_eq!(auth.username.as_deref(), Some("set"));
        assert_eq!(auth.password.as_deref(), Some("set"));
        given.token = None;
        given.username = Some("given".into());
        given.password = Some("given".into());
        let auth = told(given);
        assert_eq!(auth.token.as_deref(), Some("set"));
        assert_eq!(auth.username.as_deref(), Some("given"));
        assert_eq!(auth.password.as_deref(), Some("given"));
    }
}
