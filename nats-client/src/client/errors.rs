//! The errors of a client's operations.
//!
//! The kinds whose names are known from `async-nats` have the same variants, so that a `match` written for them
//! stays complete. Details are in the source: the typed error of the protocol core.

use std::error::Error as _;
use std::fmt;

use bytes::Bytes;
use nats_proto::connection;

use crate::error::Error;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }
    };
}

kinds! {
    /// Why a message was not published.
    PublishErrorKind {
        /// Headers and payload are larger than the server accepts.
        MaxPayloadExceeded => "max payload size exceeded",
        /// The subject, or the reply subject, is not one.
        InvalidSubject => "invalid subject",
        /// The message was not accepted: the client is closed or draining, the buffer is full and the policy
        /// is not to wait, or the server does not know headers. The source is a
        /// [`nats_proto::connection::PublishError`]. Or the client is used as a sink that was not ready.
        Send => "failed to send message",
    }
}

kinds! {
    /// Why the server pool was not replaced.
    SetServerPoolErrorKind {
        /// The client is closed.
        Send => "failed to set the server pool",
        /// An address is not one.
        InvalidAddress => "invalid server address",
        /// Some addresses are of WebSocket listeners and others are not.
        MixedSchemes => "websocket and other addresses in one pool",
        /// There is no address.
        EmptyPool => "empty server pool",
    }
}

kinds! {
    /// Why the server pool could not be read.
    ServerPoolErrorKind {
        /// The client is closed.
        Send => "failed to read the server pool",
    }
}

kinds! {
    /// Why a request got no reply.
    RequestErrorKind {
        /// The reply did not come in time.
        TimedOut => "request timed out",
        /// Nobody listens to the subject.
        NoResponders => "no responders",
        /// The subject is not one.
        InvalidSubject => "invalid subject",
        /// Headers and payload are larger than the server accepts.
        MaxPayloadExceeded => "max payload size exceeded",
        /// Something else: the client is closed, the buffer is full, the request's own inbox has ended. The source
        /// says what.
        Other => "request failed",
    }
}

kinds! {
    /// Why a subscription was not made.
    SubscribeErrorKind {
        /// The subject is not one that can be subscribed to.
        InvalidSubject => "invalid subject",
        /// The name of the queue group is empty, has spaces or is too long.
        InvalidQueueName => "invalid queue name",
        /// The client is closed or draining.
        Other => "subscribe failed",
    }
}

kinds! {
    /// Why a flush did not succeed.
    FlushErrorKind {
        /// The client is closed.
        SendError => "failed to send flush request",
        /// It took too long, or the link broke and it is not known whether the server has everything. The
        /// source is a [`nats_proto::connection::FlushError`], or that there is [no
        /// connection](crate::Client::rtt).
        FlushError => "flush failed",
    }
}

/// Why a message was not published.
pub type PublishError = Error<PublishErrorKind>;
/// Why a request got no reply.
pub type RequestError = Error<RequestErrorKind>;
/// Why a subscription was not made.
pub type SubscribeError = Error<SubscribeErrorKind>;
/// Why the server pool was not replaced.
pub type SetServerPoolError = Error<SetServerPoolErrorKind>;
/// Why the server pool could not be read.
pub type ServerPoolError = Error<ServerPoolErrorKind>;
/// Why a flush did not succeed.
pub type FlushError = Error<FlushErrorKind>;

impl From<connection::PublishError> for PublishError {
    fn from(error: connection::PublishError) -> Self {
        Self::with_source(publish_kind(&error), error)
    }
}

fn publish_kind(error: &connection::PublishError) -> PublishErrorKind {
    use connection::PublishError as Core;
    match error {
        Core::InvalidSubject(_) | Core::InvalidReply(_) => PublishErrorKind::InvalidSubject,
        Core::MaxPayloadExceeded { .. } => PublishErrorKind::MaxPayloadExceeded,
        _ => PublishErrorKind::Send,
    }
}

impl From<connection::PublishError> for RequestError {
    fn from(error: connection::PublishError) -> Self {
        Self::with_source(request_kind(publish_kind(&error)), error)
    }
}

fn request_kind(kind: PublishErrorKind) -> RequestErrorKind {
    match kind {
        PublishErrorKind::InvalidSubject => RequestErrorKind::InvalidSubject,
        PublishErrorKind::MaxPayloadExceeded => RequestErrorKind::MaxPayloadExceeded,
        PublishErrorKind::Send => RequestErrorKind::Other,
    }
}

impl From<connection::RequestError> for RequestError {
    fn from(error: connection::RequestError) -> Self {
        match error {
            connection::RequestError::TimedOut => Self::new(RequestErrorKind::TimedOut),
            connection::RequestError::NoResponders => Self::new(RequestErrorKind::NoResponders),
            error => Self::with_source(RequestErrorKind::Other, error),
        }
    }
}

impl From<PublishError> for RequestError {
    fn from(error: PublishError) -> Self {
        let kind = request_kind(error.kind());
        error.of_kind(kind)
    }
}

/// The inbox of a request could not be subscribed to. The source is that of a request without an inbox of its own, a
/// [`connection::PublishError`]: for the caller, the request was not published.
impl From<SubscribeError> for RequestError {
    fn from(error: SubscribeError) -> Self {
        use connection::SubscribeError as Core;
        let refused = match error.source().and_then(|source| source.downcast_ref()) {
            Some(Core::InvalidSubject(why)) => connection::PublishError::InvalidReply(why.clone()),
            Some(Core::Draining) => connection::PublishError::Draining,
            Some(Core::Closed) => connection::PublishError::Closed,
            _ => return error.of_kind(RequestErrorKind::Other),
        };
        refused.into()
    }
}

impl From<connection::SubscribeError> for SubscribeError {
    fn from(error: connection::SubscribeError) -> Self {
        use connection::SubscribeError as Core;
        let kind = match error {
            Core::InvalidSubject(_) => SubscribeErrorKind::InvalidSubject,
            Core::InvalidQueueGroup(_) => SubscribeErrorKind::InvalidQueueName,
            _ => SubscribeErrorKind::Other,
        };
        Self::with_source(kind, error)
    }
}

impl From<connection::FlushError> for FlushError {
    fn from(error: connection::FlushError) -> Self {
        let kind = match error {
            connection::FlushError::Closed => FlushErrorKind::SendError,
            _ => FlushErrorKind::FlushError,
        };
        Self::with_source(kind, error)
    }
}

/// A message that [`try_publish`](super::Client::try_publish) refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryPublishError {
    /// Why.
    pub error: connection::PublishError,
    /// The payload, for another attempt.
    pub payload: Bytes,
}

impl TryPublishError {
    /// Whether there was no room in the buffer: another attempt may succeed.
    pub fn is_full(&self) -> bool {
        matches!(self.error, connection::PublishError::BufferFull { .. })
    }

    /// What kind of error it is.
    pub fn kind(&self) -> PublishErrorKind {
        publish_kind(&self.error)
    }
}

impl fmt::Display for TryPublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind(), self.error)
    }
}

impl std::error::Error for TryPublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<connection::SetServerPoolError> for SetServerPoolError {
    fn from(error: connection::SetServerPoolError) -> Self {
        use connection::SetServerPoolError as Core;
        let kind = match error {
            Core::Empty => SetServerPoolErrorKind::EmptyPool,
            Core::MixedSchemes { .. } => SetServerPoolErrorKind::MixedSchemes,
            _ => SetServerPoolErrorKind::Send,
        };
        Self::with_source(kind, error)
    }
}

macro_rules! closed {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl std::error::Error for $name {}
    };
}

closed! {
    /// There is nothing to drain: the client is closed.
    DrainError, "failed to drain: the client is closed"
}

closed! {
    /// There is no way to reconnect: the client is closed.
    ReconnectError, "failed to reconnect: the client is closed"
}
