//! What happens to a client without being asked for, in the words of `async-nats`.
//!
//! These enums have the variants that they have there, and no more, so that a `match` over all of them stays complete.
//! What there is no variant for is told by [`Notice`](crate::Notice).

use std::fmt;

use nats_proto::connection::ConnectError;

use crate::notice::Notice;

/// What happens to a client without being asked for. Told to
/// [`ConnectOptions::event_callback`](crate::ConnectOptions::event_callback) and to the streams of
/// [`Client::events`](crate::Client::events).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection is up, the first one or a later one.
    Connected,
    /// A connection is lost. [`Notice::Disconnected`] says why.
    Disconnected,
    /// The server is about to shut down and asks its clients to leave.
    LameDuckMode,
    /// Draining has begun.
    Draining,
    /// The client is at its end. Nothing follows.
    Closed,
    /// The subscription with this number has more messages waiting than it may, or gets one that is too large for that: it
    /// loses some, which [`WhenFull`](crate::WhenFull) says, until it has caught up. Once an episode;
    /// [`Notice::SlowConsumerRecovered`] tells how many were lost.
    SlowConsumer(u64),
    /// The server reported an error.
    ServerError(ServerError),
    /// Something went wrong on this side.
    ClientError(ClientError),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected => f.write_str("disconnected"),
            Self::LameDuckMode => f.write_str("the server is going to shut down (lame duck mode)"),
            Self::Draining => f.write_str("draining"),
            Self::Closed => f.write_str("closed"),
            Self::SlowConsumer(sid) => {
                write!(f, "subscription {sid} is too slow and loses messages")
            }
            Self::ServerError(error) => write!(f, "server error: {error}"),
            Self::ClientError(error) => write!(f, "client error: {error}"),
        }
    }
}

impl Event {
    /// What there is to say of `notice` in these words, if anything.
    pub fn of(notice: &Notice) -> Option<Self> {
        let failed = |notice: &Notice| Self::ClientError(ClientError::Other(notice.to_string()));
        Some(match notice {
            Notice::Connected => Self::Connected,
            Notice::Disconnected { .. } => Self::Disconnected,
            Notice::LameDuckMode => Self::LameDuckMode,
            Notice::Draining => Self::Draining,
            Notice::Closed => Self::Closed,
            Notice::SlowConsumer { sid, .. } => Self::SlowConsumer(*sid),
            Notice::ServerError(error) => Self::ServerError(error.into()),
            Notice::ServerNotInPool => Self::ClientError(ClientError::ServerNotInPool),
            Notice::GivenUp { error: ConnectError::MaxReconnects } => {
                Self::ClientError(ClientError::MaxReconnects)
            }
            Notice::GivenUp { .. } | Notice::ConnectFailed { .. } | Notice::Dropped { .. } => {
                failed(notice)
            }
            Notice::ServersDiscovered(_) | Notice::SlowConsumerRecovered { .. } => return None,
        })
    }
}

/// Something that went wrong on the client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// None of the others, in words: an attempt to connect has failed ([`Notice::ConnectFailed`] has the details), no
    /// further one is made because a server has refused the credentials twice ([`Notice::GivenUp`]), or buffered
    /// messages were given up ([`Notice::Dropped`]).
    Other(String),
    /// Every server was tried as often as
    /// [`ConnectOptions::max_reconnects`](crate::ConnectOptions::max_reconnects) allows.
    MaxReconnects,
    /// The server that
    /// [`reconnect_to_server_callback`](crate::ConnectOptions::reconnect_to_server_callback) chose is not in the pool:
    /// the pool has decided.
    ServerNotInPool,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other(text) => text,
            Self::MaxReconnects => "maximum number of reconnects reached",
            Self::ServerNotInPool => "the server chosen is not in the pool",
        })
    }
}

impl std::error::Error for ClientError {}

/// What a server reports by -ERR. Programs that want to tell its errors apart find them typed in
/// [`Notice::ServerError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// The server does not accept the credentials.
    AuthorizationViolation,
    /// Servers do not send this.
    SlowConsumer(u64),
    /// Any other error, in the server's words.
    Other(String),
}

impl From<&nats_proto::ServerError> for ServerError {
    fn from(error: &nats_proto::ServerError) -> Self {
        match error {
            nats_proto::ServerError::AuthorizationViolation => Self::AuthorizationViolation,
            error => Self::Other(error.text().into_owned()),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthorizationViolation => f.write_str("nats: authorization violation"),
            Self::SlowConsumer(sid) => write!(f, "nats: subscription {sid} is too slow"),
            Self::Other(text) => write!(f, "nats: {text}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// An error of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackError {
    /// Of the client.
    Client(ClientError),
    /// Of the server.
    Server(ServerError),
}

impl fmt::Display for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => fmt::Display::fmt(error, f),
            Self::Server(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl From<ClientError> for CallbackError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ServerError> for CallbackError {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_servers_keep_their_words() {
        let event = |text| Event::of(&Notice::ServerError(nats_proto::ServerError::parse(text)));
        let other = |text: &str| Some(Event::ServerError(ServerError::Other(text.into())));
        assert_eq!(
            event("'Authorization Violation'"),
            Some(Event::ServerError(ServerError::AuthorizationViolation))
        );
        let refused = "Permissions Violation for Publish to \"Closed.Door\"";
        assert_eq!(event(refused), other(refused));
        assert_eq!(event("Something New"), other("Something New"));
    }

    #[test]
    fn what_has_no_word_is_no_event() {
        assert_eq!(Event::of(&Notice::SlowConsumerRecovered { sid: 1, dropped: 2 }), None);
        let dropped = Event::ClientError(ClientError::Other("2 buffered messages dropped".into()));
        assert_eq!(Event::of(&Notice::Dropped { messages: 2 }), Some(dropped));
    }

    #[test]
    fn the_end_of_all_attempts_is_told_apart_from_that_of_one() {
        let error = ConnectError::Authorization(nats_proto::ServerError::AuthorizationViolation);
        let text = "no further attempt to connect: the server refuses the credentials: Authorization Violation";
        let told = Event::ClientError(ClientError::Other(text.into()));
        assert_eq!(Event::of(&Notice::GivenUp { error }), Some(told));
        let last = Event::ClientError(ClientError::MaxReconnects);
        assert_eq!(Event::of(&Notice::GivenUp { error: ConnectError::MaxReconnects }), Some(last));
    }
}
