//! How a client comes into being.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use nats_proto::connection::{Connection, DialError, DisconnectReason, TlsMode};
use nats_proto::{Instant, Scheme, ServerAddr, ServerError};

use crate::client::Client;
use crate::driver::Driver;
use crate::error::Error;
use crate::handle::{Handle, Registration};
use crate::hub::NoticeHub;
use crate::options::{ConnectOptions, display_addr};
use crate::runtime::Runtime;
use crate::shared::{Clock, Core, Shared};
use crate::to_server_addrs::ToServerAddrs;
use crate::trace;

/// Servers that the text of a failed connect names at most.
const NAMED_FAILURES: usize = 8;

/// What to do when one of the two sides cannot do the TLS that the other requires.
#[cfg(feature = "tls")]
const TLS_REQUIRED: &str =
    "the address or the options require TLS: set the server up for it, or do not require it";
#[cfg(not(feature = "tls"))]
const TLS_REQUIRED: &str = crate::tls::MISSING;

/// Why a client could not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// A server address, or another setting, cannot be used; so it is with a name of the client that makes CONNECT longer
    /// than the server reads.
    ServerParse,
    /// A host name could not be resolved.
    Dns,
    /// There are no credentials that could be sent: the seed is not one, the credentials file cannot be read, the
    /// callback has failed, or they make CONNECT longer than the server reads.
    Authentication,
    /// The server refuses the credentials, or asks for some.
    AuthorizationViolation,
    /// The server did not answer in time, or the callback for the credentials did not.
    TimedOut,
    /// TLS is required and not to be had, or its handshake or its settings are not in order.
    Tls,
    /// The server could not be reached, or hung up.
    Io,
    /// Every server was tried as often as the settings allow.
    MaxReconnects,
}

impl fmt::Display for ConnectErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerParse => "unusable settings",
            Self::Dns => "host name not resolved",
            Self::Authentication => "no usable credentials",
            Self::AuthorizationViolation => "authorization violation",
            Self::TimedOut => "timed out",
            Self::Tls => "TLS error",
            Self::Io => "server not reached",
            Self::MaxReconnects => "maximum number of reconnects reached",
        })
    }
}

/// Why a client could not connect: the text names the servers that were tried, of many the first eight, and what to look
/// at.
pub type ConnectError = Error<ConnectErrorKind>;

impl From<std::io::Error> for ConnectError {
    fn from(error: std::io::Error) -> Self {
        Self::with_source(ConnectErrorKind::Io, error)
    }
}

/// What is known of the first connection.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    /// Whether it came up, or why it never will.
    pub(crate) result: Option<Result<(), Option<nats_proto::connection::ConnectError>>>,
    /// The attempts that failed before.
    failures: Vec<Failure>,
}

/// An attempt that failed.
#[derive(Debug)]
struct Failure {
    server: ServerAddr,
    error: nats_proto::connection::ConnectError,
    /// Whether it was given up before there was a stream.
    dialling: bool,
}

/// What the text of a failed connect tells of the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    /// Bytes of the client's name.
    pub(crate) name: usize,
    /// When streams are encrypted.
    pub(crate) tls: TlsMode,
}

impl Startup {
    /// Notes an attempt that failed; `dialling` if it was given up before there was a stream.
    pub(crate) fn failed(
        &mut self,
        server: &ServerAddr,
        error: &nats_proto::connection::ConnectError,
        dialling: bool,
    ) {
        if self.result.is_some() {
            return;
        }
        self.failures.retain(|known| known.server != *server);
        if self.failures.len() < NAMED_FAILURES {
            let (server, error) = (server.clone(), error.clone());
            self.failures.push(Failure { server, error, dialling });
        }
    }

    /// Notes the outcome; the first one stands.
    pub(crate) fn settle(
        &mut self,
        result: Result<(), Option<nats_proto::connection::ConnectError>>,
    ) {
        self.result.get_or_insert(result);
    }

    /// The outcome for whoever waits in `connect`.
    fn outcome(&self, limits: &Limits) -> Option<Result<(), ConnectError>> {
        match self.result.as_ref()? {
            Ok(()) => Some(Ok(())),
            Err(error) => Some(Err(self.error(error.as_ref(), limits))),
        }
    }

    fn error(
        &self,
        last: Option<&nats_proto::connection::ConnectError>,
        limits: &Limits,
    ) -> ConnectError {
        use nats_proto::connection::ConnectError as Core;
        let told = match last {
            Some(Core::MaxReconnects) | None => self.failures.last().map(|failure| &failure.error),
            last => last,
        };
        let Some(error) = told.or(last) else {
            return ConnectError::with_source(ConnectErrorKind::Io, "the client was closed");
        };
        // Where one has got farther, that is what there is to look at.
        let reached = self.failures.iter().map(|failure| failure.reached(limits)).max();
        let (kind, hint) = explain(error, reached.unwrap_or(Reached::Nothing), limits);
        let mut text = String::new();
        for failure in &self.failures {
            text.push_str(&format!(
                "{}: {}; ",
                display_addr(&failure.server),
                failure.told(limits)
            ));
        }
        if self.failures.is_empty() {
            text.push_str(&format!("{error}; "));
        }
        text.push_str(hint);
        ConnectError::with_source(kind, text.trim_end_matches("; "))
    }
}

/// How far an attempt has come at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    /// There was no stream.
    Nothing,
    /// There may have been one, and not what had to come on top of it before the server speaks.
    Stream,
    /// There was a stream to a server that could have spoken.
    Server,
}

impl Failure {
    fn reached(&self, limits: &Limits) -> Reached {
        use nats_proto::connection::ConnectError as Core;
        match self.error {
            Core::Dial(_) => Reached::Nothing,
            _ if !self.dialling => Reached::Server,
            _ if self.on_top(limits).is_some() => Reached::Stream,
            _ => Reached::Nothing,
        }
    }

    /// What belongs to opening the stream beside the stream.
    fn on_top(&self, limits: &Limits) -> Option<&'static str> {
        match self.server.scheme_kind() {
            Scheme::Wss => Some("TLS and a WebSocket"),
            Scheme::Ws => Some("a WebSocket"),
            _ => (limits.tls == TlsMode::First).then_some("TLS"),
        }
    }

    /// What happened.
    fn told(&self, limits: &Limits) -> String {
        let limit = limits.connect_timeout;
        match &self.error {
            nats_proto::connection::ConnectError::TimedOut if self.dialling => {
                let on_top = self.on_top(limits).map(|what| format!(" with {what}"));
                format!("there was no stream{} to it within {limit:?}", on_top.unwrap_or_default())
            }
            nats_proto::connection::ConnectError::TimedOut => {
                format!("the handshake did not end within {limit:?}")
            }
            nats_proto::connection::ConnectError::AuthTimedOut => {
                format!("the callback has not given the credentials within {limit:?}")
            }
            error => error.to_string(),
        }
    }
}

/// The kind of a failure, and what its reader may look at. `reached` is what the attempt that came farthest has.
fn explain(
    error: &nats_proto::connection::ConnectError,
    reached: Reached,
    limits: &Limits,
) -> (ConnectErrorKind, &'static str) {
    use nats_proto::connection::ConnectError as Core;
    match error {
        Core::Dial(DialError::Resolve(_)) => {
            (ConnectErrorKind::Dns, "check the spelling of the host name")
        }
        Core::AuthTimedOut => (
            ConnectErrorKind::TimedOut,
            "check how long the callback takes, or give it more connection_timeout",
        ),
        Core::Auth(_) => (
            ConnectErrorKind::Authentication,
            "check the key, the credentials file or the callback that gives the credentials",
        ),
        Core::TlsRequired => (ConnectErrorKind::Tls, TLS_REQUIRED),
        // They say themselves what to look at.
        Core::Tls(_)
        | Core::Dial(DialError::Tls(_) | DialError::Unsupported(_))
        | Core::Lost(DisconnectReason::Tls(_)) => (ConnectErrorKind::Tls, ""),
        Core::Authorization(_) => (
            ConnectErrorKind::AuthorizationViolation,
            "check the user name and password, the token, or the key",
        ),
        // It says itself that a name may be too long.
        Core::ConnectTooLong { size, .. } if limits.name > size / 2 => {
            (ConnectErrorKind::ServerParse, "")
        }
        Core::ConnectTooLong { .. } => (
            ConnectErrorKind::Authentication,
            "check how many permissions the JWT has, or raise max_control_line in the server and in the options",
        ),
        Core::NoEchoUnsupported => {
            (ConnectErrorKind::ServerParse, "do without no_echo, or use a newer server")
        }
        Core::Lost(DisconnectReason::Server(ServerError::AuthenticationTimeout)) => (
            ConnectErrorKind::TimedOut,
            "check how long the callback for the credentials takes, and the server's authorization timeout",
        ),
        Core::Lost(DisconnectReason::Eof) => (
            ConnectErrorKind::Io,
            "check that a NATS server listens there, its limits and its log, and whether the server wants tls_first or a \
             WebSocket",
        ),
        Core::Lost(DisconnectReason::Server(_)) => {
            (ConnectErrorKind::Io, "check the limits and the log of the server")
        }
        Core::TimedOut if reached == Reached::Nothing => (
            ConnectErrorKind::TimedOut,
            "check that the address is right and that no firewall is in between, or give it more connection_timeout",
        ),
        Core::TimedOut if reached == Reached::Stream => (
            ConnectErrorKind::TimedOut,
            "check that what the address and tls_first say is what listens there and that no firewall is in between, or \
             give it more connection_timeout",
        ),
        Core::TimedOut => (
            ConnectErrorKind::TimedOut,
            "check that a NATS server listens there, that no firewall is in between, and whether the server wants \
             tls_first or a WebSocket",
        ),
        Core::MaxReconnects => (ConnectErrorKind::MaxReconnects, "check that the servers are up"),
        _ => (ConnectErrorKind::Io, "check that a NATS server is running at this address"),
    }
}

/// Connects to a server with the default options: see [`connect_with_options`]. If the future is dropped before its
/// end, the attempt is given up, and a connection that is there already ends.
///
/// # Errors
///
/// See [`connect_with_options`].
pub async fn connect<R: Runtime>(addrs: impl ToServerAddrs) -> Result<Client, ConnectError> {
    connect_with_options(addrs, ConnectOptions::<R>::default()).await
}

/// Connects to one of the servers at `addrs`.
///
/// Returns when the first connection is up; with [`ConnectOptions::retry_on_initial_connect`], at once. From then on
/// the connection is kept up, or brought up again, in the background. If the future is dropped before its end, the
/// attempt is given up, and a connection that is there already ends.
///
/// # Errors
///
/// No server could be reached, or it refused. The kind and the text say why.
pub async fn connect_with_options<R: Runtime>(
    addrs: impl ToServerAddrs,
    options: ConnectOptions<R>,
) -> Result<Client, ConnectError> {
    let servers: Vec<ServerAddr> = addrs
        .to_server_addrs()
        .map_err(|error| ConnectError::with_source(ConnectErrorKind::ServerParse, error))?
        .map(Into::into)
        .collect();
    check(&servers)?;
    let parts = options.into_parts(servers);
    parts
        .transport
        .check()
        .map_err(|problem| ConnectError::with_source(ConnectErrorKind::ServerParse, problem))?;
    let retries = parts.config.retry_on_initial_connect;
    let shuffle = !parts.config.retain_servers_order;
    let seed = seed();
    let span = trace::client_span(parts.config.name.as_deref());
    let clock = Clock { now: R::now, origin: R::now() };
    let conn = Connection::new(Arc::new(parts.config), seed, Instant::ZERO)
        .map_err(|error| ConnectError::with_source(ConnectErrorKind::ServerParse, error))?;
    let notices = Arc::new(NoticeHub::default());
    if !parts.callbacks.is_empty() {
        R::spawn(parts.callbacks.run(notices.listen()));
    }
    let read_buffer = parts.settings.read_buffer;
    let shared = Arc::new(Shared::new(conn, clock, parts.settings, notices));
    let handle = Handle::new(Arc::clone(&shared));
    let transport = Arc::new(parts.transport);
    let shuffle = shuffle.then_some(seed);
    let driver = Driver::<R>::new(shared, parts.hooks, transport, read_buffer, shuffle);
    R::spawn(trace::within(span, driver));
    if !retries {
        started(&handle).await?;
    }
    Ok(Client::new(handle))
}

/// Waits until the first connection is up, or cannot be.
pub(crate) async fn started(shared: &Shared) -> Result<(), ConnectError> {
    let mut watch = Registration::new(shared, |core| &mut core.watchers);
    let limits = &shared.settings.limits;
    let outcome = |core: &mut Core| core.startup.outcome(limits);
    std::future::poll_fn(|cx| match watch.attempt(cx.waker(), outcome) {
        Some(outcome) => std::task::Poll::Ready(outcome),
        None => std::task::Poll::Pending,
    })
    .await
}

/// Refuses at once what no attempt could reach.
fn check(servers: &[ServerAddr]) -> Result<(), ConnectError> {
    for server in servers {
        let (kind, problem) = match server.scheme_kind() {
            Scheme::Ws | Scheme::Wss if cfg!(not(feature = "websocket")) => (
                ConnectErrorKind::ServerParse,
                "this needs the feature \"websocket\" of this crate",
            ),
            Scheme::Tls | Scheme::Wss if cfg!(not(feature = "tls")) => {
                (ConnectErrorKind::Tls, TLS_REQUIRED)
            }
            _ => continue,
        };
        return Err(ConnectError::with_source(
            kind,
            format!("{}: {problem}", display_addr(server)),
        ));
    }
    Ok(())
}

/// Entropy for inboxes, jitter and shuffling: std seeds its hash maps from the operating system.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for (index, word) in seed.chunks_exact_mut(8).enumerate() {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_usize(index);
        word.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    seed
}
