//! What goes over the wire.

use super::ConnectOptions;

/// What goes over the wire.
impl<R> ConnectOptions<R> {
    /// The prefix of the subjects that replies come to. Default: `_INBOX`.
    pub fn custom_inbox_prefix<T: ToString>(mut self, prefix: T) -> Self {
        self.config.inbox_prefix = prefix.to_string();
        self
    }

    /// Makes the server keep one's own messages from one's own subscriptions. Default: it delivers them.
    pub fn no_echo(mut self) -> Self {
        self.config.no_echo = true;
        self
    }

    /// Whether the subjects of publishes go out unchecked. A subject with a space or a line end then breaks
    /// the connection, or worse. Default: false.
    pub fn skip_subject_validation(mut self, skip: bool) -> Self {
        self.config.skip_subject_validation = skip;
        self
    }

    /// The name shown in the server's monitoring. Default: none.
    pub fn name<T: ToString>(mut self, name: T) -> Self {
        self.config.name = Some(name.to_string());
        self
    }
}
