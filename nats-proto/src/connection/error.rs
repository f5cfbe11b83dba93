//! The errors of a connection's verbs, and why connections end.

use alloc::string::{String, ToString};
use core::fmt;

use crate::{DecodeError, InvalidSubject, ServerError};

/// Why a byte stream could not be opened, as the caller tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialError {
    /// The name could not be resolved.
    Resolve(String),
    /// The transport refused.
    Io(String),
    /// The scheme of the address is not supported by this transport.
    Unsupported(String),
    /// The stream was to be encrypted from its beginning, and could not be.
    Tls(TlsError),
}

/// Why a connection could not be brought up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The byte stream could not be opened.
    Dial(DialError),
    /// The deadline passed: [`Config::connect_timeout`](crate::Config::connect_timeout).
    TimedOut,
    /// The server refuses the credentials, or asks for some.
    Authorization(ServerError),
    /// The server, its address or the settings require TLS, and one of the two sides cannot do it.
    TlsRequired,
    /// The stream could not be encrypted.
    Tls(TlsError),
    /// The caller has no credentials for this attempt.
    Auth(AuthError),
    /// The caller has not answered [`Event::Authenticate`](crate::Event::Authenticate) by the deadline of the attempt.
    AuthTimedOut,
    /// CONNECT would be longer than the server reads: long credentials or a long name of the client may make it so.
    ConnectTooLong {
        /// Bytes of its arguments.
        size: usize,
        /// The limit: [`Config::max_control_line`](crate::Config::max_control_line).
        limit: usize,
    },
    /// `no_echo` is set and the server cannot do it.
    NoEchoUnsupported,
    /// The server closed the stream, or reported an error, before the handshake was over.
    Lost(DisconnectReason),
    /// Every server was tried [`Config::max_reconnects`](crate::Config::max_reconnects) times.
    MaxReconnects,
}

/// Why a stream could not be encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// Bytes came behind INFO, before the handshake. They may be anybody's: the stream cannot be trusted.
    EarlyData,
    /// An -ERR came behind INFO, before the handshake, with this text: a server that has as many connections as it allows
    /// sends one, and anybody on the way may have. It is shown, and nothing else is done about it.
    EarlyError(String),
    /// The handshake could not begin: a certificate or key cannot be read or used, or the host is not a name that a
    /// certificate can be for.
    Setup(String),
    /// The handshake failed, as the caller tells it.
    Handshake(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlyData => {
                f.write_str("plain bytes came behind INFO, before the TLS handshake")
            }
            // Quoted, so that whatever it holds can be shown.
            Self::EarlyError(text) => {
                write!(f, "an -ERR came in plain text, before the TLS handshake: {text:?}")
            }
            Self::Setup(reason) => write!(f, "TLS is not set up: {reason}"),
            Self::Handshake(reason) => write!(f, "the TLS handshake failed: {reason}"),
        }
    }
}

/// Why there are no credentials, in the words of whoever was asked for them. They are shown: no secret may be in
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthError(String);

impl AuthError {
    /// An error with this text.
    pub fn new(text: impl ToString) -> Self {
        Self(text.to_string())
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(reason) => write!(f, "the host name could not be resolved: {reason}"),
            Self::Io(reason) => f.write_str(reason),
            Self::Unsupported(scheme) => write!(f, "the scheme {scheme:?} is not supported"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::TimedOut => f.write_str("the connection was not up in time"),
            Self::Authorization(error) => write!(f, "the server refuses the credentials: {error}"),
            Self::TlsRequired => {
                f.write_str("TLS is required, and the client or the server does not offer it")
            }
            Self::Tls(error) => error.fmt(f),
            Self::Auth(error) => write!(f, "there are no credentials: {error}"),
            Self::AuthTimedOut => f.write_str("the credentials were not given in time"),
            Self::ConnectTooLong { size, limit } => write!(
                f,
                "CONNECT has {size} bytes, the server reads at most {limit}: shorten the credentials or the \
                 name, or raise max_control_line on both sides"
            ),
            Self::NoEchoUnsupported => f.write_str("the server does not support no_echo"),
            Self::Lost(reason) => reason.fmt(f),
            Self::MaxReconnects => {
                f.write_str("no server is left: each was tried as often as allowed")
            }
        }
    }
}

/// Why an established byte stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer closed the stream.
    Eof,
    /// The transport failed.
    Io(String),
    /// The encryption of the transport failed: what the peer sent is not what it encrypted, or it refuses our
    /// certificate.
    Tls(String),
    /// No byte came in spite of keepalive probes.
    Stale,
    /// The server's bytes break the protocol.
    Protocol(DecodeError),
    /// The server reported an error that ends the connection.
    Server(ServerError),
    /// The handshake did not end in time.
    TimedOut,
    /// The application asked for it.
    Requested,
    /// The server announced its shutdown, and there is another one.
    LameDuck,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("the server closed the connection"),
            Self::Io(reason) => f.write_str(reason),
            Self::Tls(reason) => write!(f, "TLS failed: {reason}"),
            Self::Stale => {
                f.write_str("stale connection: the server did not answer keepalive probes")
            }
            Self::Protocol(error) => write!(f, "the server broke the protocol: {error}"),
            Self::Server(error) => write!(f, "the server reported an error: {error}"),
            Self::TimedOut => f.write_str("the handshake did not end in time"),
            Self::Requested => f.write_str("the application asked for it"),
            Self::LameDuck => f.write_str("the server is going to shut down"),
        }
    }
}

/// Why a publish was refused. Nothing was sent or counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The subject cannot be published to.
    InvalidSubject(InvalidSubject),
    /// The reply subject cannot be one.
    InvalidReply(InvalidSubject),
    /// Headers and payload are larger than the server accepts.
    MaxPayloadExceeded {
        /// Bytes of headers and payload.
        size: usize,
        /// The server's limit.
        limit: usize,
    },
    /// The server does not support headers.
    HeadersUnsupported,
    /// The outgoing buffer is full: try again when it has been written.
    BufferFull {
        /// Bytes of the message, with its line and headers.
        size: usize,
        /// Bytes that are waiting.
        buffered: usize,
        /// The limit: [`Config::send_limit`](crate::Config::send_limit), eight times that where payloads wait that are
        /// not copied, or [`Config::pending_limit`](crate::Config::pending_limit).
        limit: usize,
        /// Whether there is a connection, so that room is made as fast as it writes.
        connected: bool,
    },
    /// The connection is draining and takes nothing more.
    Draining,
    /// The connection is closed.
    Closed,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject(error) => error.fmt(f),
            Self::InvalidReply(error) => write!(f, "the reply subject is not valid: {error}"),
            Self::MaxPayloadExceeded { size, limit } => write!(
                f,
                "headers and payload have {size} bytes, the server accepts at most {limit}"
            ),
            Self::HeadersUnsupported => f.write_str("the server does not support headers"),
            Self::BufferFull { size, buffered, limit, connected } => {
                let place = if *connected { "send" } else { "pending" };
                write!(
                    f,
                    "the {place} buffer has no room for a message of {size} bytes: {buffered} of {limit} are waiting"
                )
            }
            Self::Draining => f.write_str("the connection is draining"),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

/// Why a subscribe was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The subject cannot be subscribed to.
    InvalidSubject(InvalidSubject),
    /// The queue group is not one.
    InvalidQueueGroup(InvalidSubject),
    /// The connection is draining.
    Draining,
    /// The connection is closed.
    Closed,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject(error) => error.fmt(f),
            Self::InvalidQueueGroup(error) => write!(f, "the queue group is not valid: {error}"),
            Self::Draining => f.write_str("the connection is draining"),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

/// Why a request ended without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The deadline passed.
    TimedOut,
    /// The server knows nobody who listens (status 503).
    NoResponders,
    /// The server does not allow the subscription that replies come to: see
    /// [`Config::inbox_prefix`](crate::Config::inbox_prefix). The request itself may have been answered.
    InboxRefused,
    /// The server does not allow the client to publish to the subject of the request, so that nobody has got it.
    /// [`Event::ServerError`](crate::Event::ServerError) names the subject.
    PublishRefused,
    /// The message was given up before it was sent, so that nobody can answer: newer publishes took its place, or the
    /// server that is connected now would not take it. [`Event::Dropped`](crate::Event::Dropped) counts it.
    Dropped,
    /// The connection closed.
    Closed,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no reply came in time",
            Self::NoResponders => "nobody listens to the subject of the request",
            Self::InboxRefused => {
                "the server does not allow the subscription for replies: check the permissions and the inbox prefix"
            }
            Self::PublishRefused => {
                "the server does not allow publishing to the subject of the request: check the permissions"
            }
            Self::Dropped => {
                "the request was given up before it was sent: there was no room to keep it, or the next server would not take it"
            }
            Self::Closed => "the connection is closed",
        })
    }
}

/// Why a flush did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The deadline passed.
    TimedOut,
    /// The link broke, and it is not known of this many publishes whether the server has them.
    Uncertain {
        /// How many.
        count: u64,
    },
    /// The connection closed.
    Closed,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the server did not answer in time"),
            Self::Uncertain { count } => write!(
                f,
                "the connection broke: {count} messages may or may not have reached the server"
            ),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

/// The subscription has ended already.
///
/// That is all it can tell: an id of another connection may be equal to one of this connection, whose subscription is then
/// taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSubscription;

impl fmt::Display for UnknownSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the subscription has ended")
    }
}

impl core::error::Error for UnknownSubscription {}
impl core::error::Error for AuthError {}
impl core::error::Error for TlsError {}
impl core::error::Error for DialError {}
impl core::error::Error for ConnectError {}
impl core::error::Error for DisconnectReason {}
impl core::error::Error for PublishError {}
impl core::error::Error for SubscribeError {}
impl core::error::Error for RequestError {}
impl core::error::Error for FlushError {}
