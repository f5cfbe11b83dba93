//! What a connection is told once, when it is made.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::auth::Auth;
#[cfg(feature = "nkeys")]
use crate::auth::{KeyPair, UserCredentials};
use crate::servers::{self, SetServerPoolError};
use crate::wire::Limits;
use crate::{InvalidSubject, Scheme, ServerAddr, subject};

/// Where the credentials of an attempt to connect come from. Never shown by `Debug`.
///
/// A user name and password, or a token, that a server's URL carries come before those from here.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum AuthSource {
    /// Nothing but what the server's URL carries.
    #[default]
    None,
    /// The same for every attempt.
    Fixed(Auth),
    /// A key, with which the server's nonce is signed.
    #[cfg(feature = "nkeys")]
    Key(Arc<KeyPair>),
    /// A JWT and its key.
    #[cfg(feature = "nkeys")]
    Credentials(Arc<UserCredentials>),
    /// The caller is asked on every attempt:
    /// [`Event::Authenticate`](crate::Event::Authenticate).
    Ask,
}

impl AuthSource {
    /// A user name and a password.
    pub fn user_password(user: impl Into<String>, password: impl Into<String>) -> Self {
        let (username, password) = (Some(user.into()), Some(password.into()));
        Self::Fixed(Auth { username, password, ..Auth::default() })
    }

    /// A token.
    pub fn token(token: impl Into<String>) -> Self {
        Self::Fixed(Auth { token: Some(token.into()), ..Auth::default() })
    }
}

impl fmt::Debug for AuthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Fixed(_) => "Fixed(..)",
            #[cfg(feature = "nkeys")]
            Self::Key(_) => "Key(..)",
            #[cfg(feature = "nkeys")]
            Self::Credentials(_) => "Credentials(..)",
            Self::Ask => "Ask",
        })
    }
}

/// Whether connections are encrypted. A `tls://` or `wss://` address requires it of its server in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsMode {
    /// The caller cannot do TLS: a server that requires it is refused.
    #[default]
    Unavailable,
    /// After INFO, if the server or its address requires it: [`Event::StartTls`](crate::Event::StartTls).
    Available,
    /// After INFO, always. A server that does not offer it is refused.
    Required,
    /// Before INFO, always: the stream that [`handle_dial`](crate::Connection::handle_dial) tells of is encrypted
    /// already. The server must be set to it (`handshake_first`).
    First,
}

/// What happens to a publish when the buffer is full while there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PendingPolicy {
    /// It is refused with [`PublishError::BufferFull`](crate::connection::PublishError::BufferFull); an async front waits for room.
    #[default]
    Wait,
    /// It is refused for good: an async front returns the error instead of waiting.
    Error,
    /// The oldest buffered publishes make room and count as dropped; a request among them ends with
    /// [`RequestError::Dropped`](crate::connection::RequestError::Dropped). One that is larger than all the room is refused
    /// for good.
    DropOldest,
}

/// A function from the number of the attempt (from 1) to the wait before it.
pub type ReconnectDelay = Arc<dyn Fn(usize) -> Duration + Send + Sync>;

/// The settings of a [`Connection`](crate::Connection). `Config::new(servers)` has the defaults of ADR-40.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The servers to begin with; at least one.
    pub servers: Vec<ServerAddr>,
    /// Name shown in the server's monitoring.
    pub name: Option<String>,
    /// Where the credentials come from. A user name and password, or a token, in the URL of a server come before those from
    /// here, and a key is not told beside them.
    pub auth: AuthSource,
    /// Whether a second refusal of the credentials by the same server, with the same words, does not end the
    /// connection. Default: false.
    pub ignore_repeated_auth_errors: bool,
    /// Whether connections are encrypted. Default: the caller cannot do it.
    pub tls: TlsMode,
    /// Name of the client library in CONNECT.
    pub lang: String,
    /// Version of the client library in CONNECT.
    pub version: String,
    /// Whether the server must not deliver one's own messages. Default: false.
    pub no_echo: bool,
    /// Whether the server acknowledges every operation with +OK. Default: false.
    pub verbose: bool,
    /// Whether the server checks subjects more strictly. Default: false.
    pub pedantic: bool,
    /// Time from dialling to the first PONG. Default: 5 s.
    pub connect_timeout: Duration,
    /// Time between keepalive probes; zero turns them off. Default: 2 min.
    pub ping_interval: Duration,
    /// Probes without any inbound byte after which a connection is stale; with zero it is stale after every
    /// interval in which nothing came, without having been asked. Default: 2.
    pub max_pings_outstanding: u32,
    /// Whether to reconnect at all, also where the application [asks for it](crate::Connection::force_reconnect).
    /// Default: true.
    pub reconnect: bool,
    /// Attempts in a row at one server before it is given up; `None` for no end. Default: 60.
    pub max_reconnects: Option<usize>,
    /// The least time between two attempts at the same server, and between a failed one and the next. A
    /// connection that has lived for longer is replaced at once. Default: 2 s.
    pub reconnect_wait: Duration,
    /// At most so much is added to the wait at random. Default: 100 ms.
    pub reconnect_jitter: Duration,
    /// The same for servers whose connection is encrypted by wish of the client, as a TLS handshake costs a server
    /// more. Default: 1 s.
    pub reconnect_jitter_tls: Duration,
    /// Whether the caller is asked which server to dial, on every attempt:
    /// [`Event::ChooseServer`](crate::Event::ChooseServer). Default: false.
    pub choose_server: bool,
    /// Whether to move to another server when the one in use announces its shutdown (lame duck mode), or as soon
    /// after that as the wait of the next one is over. One that tells of no other then is left only if another one was given.
    /// Default: false.
    pub leave_lame_duck: bool,
    /// Replaces wait and jitter.
    pub reconnect_delay: Option<ReconnectDelay>,
    /// Whether a failing first connect is retried like a reconnect. Default: false.
    pub retry_on_initial_connect: bool,
    /// Whether servers are tried in the given order instead of a random one. Default: false.
    pub retain_servers_order: bool,
    /// Whether servers that INFO tells of are ignored. Default: false.
    pub ignore_discovered_servers: bool,
    /// Bytes that a control line may have, as the server is set (`max_control_line`, which INFO does not tell).
    /// A subject that would make a longer one is refused: the server would close the connection, and a
    /// subscription would do so on every new one. Default: 4,096.
    pub max_control_line: usize,
    /// Bytes of publishes that may wait while there is no connection; zero refuses them all. Default: 8 MiB.
    pub pending_limit: usize,
    /// What happens when that many wait.
    pub pending_policy: PendingPolicy,
    /// Bytes that may be queued for writing on a connection before publishers must wait, without payloads of
    /// [`OutBuf::SEGMENT_THRESHOLD`](crate::wire::OutBuf::SEGMENT_THRESHOLD) bytes or more, which are not copied; with
    /// those, eight times as many. A message that is larger goes alone. Default: 128 KiB.
    pub send_limit: usize,
    /// Prefix of inboxes. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// Whether the subjects of publishes are not checked, but for empty ones and line ends. Default: false.
    pub skip_subject_validation: bool,
    /// Time that draining may take. Default: 30 s.
    pub drain_timeout: Duration,
    /// Bounds on what the server may send.
    pub limits: Limits,
}

impl Config {
    /// The defaults, with these servers.
    pub fn new(servers: Vec<ServerAddr>) -> Self {
        Self {
            servers,
            name: None,
            auth: AuthSource::None,
            ignore_repeated_auth_errors: false,
            tls: TlsMode::Unavailable,
            lang: String::from("rust"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            no_echo: false,
            verbose: false,
            pedantic: false,
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(120),
            max_pings_outstanding: 2,
            reconnect: true,
            max_reconnects: Some(60),
            reconnect_wait: Duration::from_secs(2),
            reconnect_jitter: Duration::from_millis(100),
            reconnect_jitter_tls: Duration::from_secs(1),
            choose_server: false,
            leave_lame_duck: false,
            reconnect_delay: None,
            retry_on_initial_connect: false,
            retain_servers_order: false,
            ignore_discovered_servers: false,
            max_control_line: 4096,
            pending_limit: 8 * 1024 * 1024,
            pending_policy: PendingPolicy::Wait,
            send_limit: 128 * 1024,
            inbox_prefix: String::from("_INBOX"),
            skip_subject_validation: false,
            drain_timeout: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }

    /// Whether a connection to this server is encrypted, as far as that is known before the server speaks.
    pub(crate) fn wants_tls(&self, server: &ServerAddr) -> bool {
        server.tls_required() || matches!(self.tls, TlsMode::Required | TlsMode::First)
    }

    /// The most that is added to the wait before this server.
    pub(crate) fn jitter(&self, server: &ServerAddr) -> Duration {
        let encrypted = self.wants_tls(server) || server.scheme_kind() == Scheme::Wss;
        if encrypted { self.reconnect_jitter_tls } else { self.reconnect_jitter }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        servers::check(&self.servers).map_err(ConfigError::Servers)?;
        // An inbox is published to and subscribed to: neither wildcards nor empty tokens will do.
        subject::validate_subscribe(&self.inbox_prefix).map_err(ConfigError::InvalidInboxPrefix)?;
        if self.inbox_prefix.contains(['*', '>']) {
            return Err(ConfigError::WildcardInboxPrefix(self.inbox_prefix.clone()));
        }
        // An inbox must leave room for the subject that is asked, of which nothing is known yet.
        let (len, limit) = (self.inbox_prefix.len(), self.max_control_line / 2);
        if len > limit {
            return Err(ConfigError::InboxPrefixTooLong { len, limit });
        }
        Ok(())
    }
}

/// Why a configuration cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no server to connect to, or they do not go together.
    Servers(SetServerPoolError),
    /// The inbox prefix is not a subject.
    InvalidInboxPrefix(InvalidSubject),
    /// The inbox prefix has wildcards.
    WildcardInboxPrefix(String),
    /// The inbox prefix is longer than half of what the server reads of a control line:
    /// [`Config::max_control_line`].
    InboxPrefixTooLong {
        /// Bytes of the prefix.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers(error) => error.fmt(f),
            Self::InvalidInboxPrefix(error) => write!(f, "the inbox prefix is not valid: {error}"),
            Self::WildcardInboxPrefix(prefix) => {
                write!(f, "the inbox prefix {prefix:?} has wildcards")
            }
            Self::InboxPrefixTooLong { len, limit } => {
                write!(
                    f,
                    "the inbox prefix has {len} bytes, at most {limit} leave room in a control line"
                )
            }
        }
    }
}

impl core::error::Error for ConfigError {}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("servers", &self.servers)
            .field("name", &self.name)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
