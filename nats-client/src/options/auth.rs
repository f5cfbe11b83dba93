//! Who one is.

use nats_proto::connection::AuthSource;

use super::ConnectOptions;

/// Who one is.
impl<R> ConnectOptions<R> {
    /// The defaults, with a token: see [`token`](Self::token).
    pub fn with_token(token: String) -> Self {
        Self::default().token(token)
    }

    /// The defaults, with a user name and password: see [`user_and_password`](Self::user_and_password).
    pub fn with_user_and_password(user: String, password: String) -> Self {
        Self::default().user_and_password(user, password)
    }

    /// The token to introduce oneself with. What a server's URL carries comes first.
    pub fn token(mut self, token: String) -> Self {
        self.config.auth = AuthSource::token(token);
        self
    }

    /// The user name and password to introduce oneself with. What a server's URL carries comes first.
    pub fn user_and_password(mut self, user: String, password: String) -> Self {
        self.config.auth = AuthSource::user_password(user, password);
        self
    }
}
