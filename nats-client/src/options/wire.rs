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

    /// Whether the subjects of publishes go out unchecked, but for empty ones and line ends, which are refused all the same. A
    /// subject with a space then breaks the connection, or worse. Default: false.
    pub fn skip_subject_validation(mut self, skip: bool) -> Self {
        self.config.skip_subject_validation = skip;
        self
    }

    /// Makes the server acknowledge every operation. The acknowledgements are read and dropped: this is for looking at
    /// what goes over the wire. Default: it reports errors only.
    pub fn verbose(mut self) -> Self {
        self.config.verbose = true;
        self
    }

    /// Makes the server check the subjects of publishes as well, which the client has done already, unless
    /// [`skip_subject_validation`](Self::skip_subject_validation) says not to. Default: it does not.
    pub fn pedantic(mut self) -> Self {
        self.config.pedantic = true;
        self
    }

    /// Bytes that the server reads of a control line, if it is set to another `max_control_line` than usual, which it
    /// does not tell. Default: 4,096.
    ///
    /// CONNECT is such a line: credentials that do not fit, like a JWT with many permissions, fail the connecting
    /// with [`ConnectErrorKind::Authentication`](crate::ConnectErrorKind::Authentication), and a name that does not with
    /// [`ConnectErrorKind::ServerParse`](crate::ConnectErrorKind::ServerParse). A publish or subscription
    /// whose subject does not fit is refused.
    pub fn max_control_line(mut self, bytes: usize) -> Self {
        self.config.max_control_line = bytes;
        self
    }

    /// The name shown in the server's monitoring. Default: none.
    pub fn name<T: ToString>(mut self, name: T) -> Self {
        self.config.name = Some(name.to_string());
        self
    }
}
