//! The settings of a client.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use nats_proto::ServerAddr;
use nats_proto::connection::{Auth, Config, PendingPolicy};

use crate::client::Client;
use crate::connect::{ConnectError, connect_with_options};
use crate::event::{Event, EventCallback};
use crate::runtime::Runtime;
use crate::to_server_addrs::ToServerAddrs;

/// The settings of a client that differ from the defaults.
pub struct ConnectOptions<R> {
    /// Without servers, which come last.
    config: Config,
    settings: Settings,
    callback: Option<EventCallback>,
    runtime: PhantomData<fn() -> R>,
}

/// What the front reads of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) flush_timeout: Duration,
    pub(crate) subscription_messages: usize,
    pub(crate) subscription_bytes: usize,
    pub(crate) wait_while_disconnected: bool,
    pub(crate) read_buffer: usize,
}

/// The settings, divided among those who read them.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) callback: Option<EventCallback>,
}

/// `nats://host:port`, without credentials.
pub(crate) fn display_addr(server: &ServerAddr) -> String {
    let (scheme, host, port) = (server.scheme(), server.host(), server.port());
    if host.contains(':') && !host.starts_with('[') {
        format!("{scheme}://[{host}]:{port}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
}

impl<R> Default for ConnectOptions<R> {
    fn default() -> Self {
        let mut config = Config::new(Vec::new());
        config.version = String::from(env!("CARGO_PKG_VERSION"));
        Self {
            config,
            settings: Settings {
                request_timeout: Some(Duration::from_secs(10)),
                flush_timeout: Duration::from_secs(10),
                subscription_messages: 64 * 1024,
                subscription_bytes: 64 * 1024 * 1024,
                wait_while_disconnected: true,
                read_buffer: 64 * 1024,
            },
            callback: None,
            runtime: PhantomData,
        }
    }
}

impl<R> Clone for ConnectOptions<R> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            settings: self.settings.clone(),
            callback: self.callback.clone(),
            runtime: PhantomData,
        }
    }
}

impl<R> fmt::Debug for ConnectOptions<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("config", &self.config)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Who one is.
impl<R> ConnectOptions<R> {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

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
        self.config.auth = Auth::Token(token);
        self
    }

    /// The user name and password to introduce oneself with. What a server's URL carries comes first.
    pub fn user_and_password(mut self, user: String, password: String) -> Self {
        self.config.auth = Auth::UserPassword { user, password };
        self
    }

    /// The name shown in the server's monitoring. Default: none.
    pub fn name<T: ToString>(mut self, name: T) -> Self {
        self.config.name = Some(name.to_string());
        self
    }
}

/// How the connection is kept up.
impl<R> ConnectOptions<R> {
    /// Time that one attempt may take, from resolving the name to the server's first PONG. Default: 5 s.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Makes a failing first connect be retried like a reconnect: `connect` gives the handle at once and
    /// connects in the background. Default: off.
    pub fn retry_on_initial_connect(mut self) -> Self {
        self.config.retry_on_initial_connect = true;
        self
    }

    /// Time between keepalive probes; zero turns them off. Default: 2 min.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = interval;
        self
    }

    /// Probes in a row that may stay without any inbound byte; at the next one the connection is given up.
    /// Default: 2.
    pub fn max_pings_outstanding(mut self, count: u32) -> Self {
        self.config.max_pings_outstanding = count;
        self
    }

    /// Attempts in a row at one server before it is given up; `None` or zero for no end. Default: 60.
    ///
    /// When no server is left, the client closes: `Event::ClientError(ClientError::MaxReconnects)` and
    /// `Event::Closed` tell.
    pub fn max_reconnects<T: Into<Option<usize>>>(mut self, max_reconnects: T) -> Self {
        self.config.max_reconnects = max_reconnects.into().filter(|count| *count > 0);
        self
    }

    /// The least time between two attempts at the same server. Default: 2 s.
    pub fn reconnect_wait(mut self, wait: Duration) -> Self {
        self.config.reconnect_wait = wait;
        self
    }

    /// At most so much is added to the wait at random, so that clients do not all come back at the same
    /// instant. Default: 100 ms.
    pub fn reconnect_jitter(mut self, jitter: Duration) -> Self {
        self.config.reconnect_jitter = jitter;
        self
    }

    /// Replaces wait and jitter by a function of the number of the attempt (from 1).
    ///
    /// It is called while the client is locked: it must only compute, and not use the client.
    pub fn reconnect_delay_callback<F>(mut self, callback: F) -> Self
    where
        F: Fn(usize) -> Duration + Send + Sync + 'static,
    {
        self.config.reconnect_delay = Some(Arc::new(callback));
        self
    }

    /// Tries servers, and the addresses of one host name, in the given order. Default: a random order.
    pub fn retain_servers_order(mut self) -> Self {
        self.config.retain_servers_order = true;
        self
    }

    /// Ignores servers that other servers tell of. Default: they join the pool.
    pub fn ignore_discovered_servers(mut self) -> Self {
        self.config.ignore_discovered_servers = true;
        self
    }

    /// Calls `callback` for every [`Event`], one after the other, in a task of its own. A slow callback
    /// delays nothing else; when it is 4,096 events behind, it misses newer ones.
    ///
    /// The callback should not own a [`Client`]: the client would never be dropped.
    pub fn event_callback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.callback = Some(Arc::new(move |event| Box::pin(callback(event))));
        self
    }
}

/// Timeouts and bounds.
impl<R> ConnectOptions<R> {
    /// Time that a request waits for its reply, if the request itself does not say; `None` for no end.
    /// Default: 10 s.
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// Time that a flush may take. Default: 10 s.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.settings.flush_timeout = timeout;
        self
    }

    /// Time that draining may take. Default: 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_timeout = timeout;
        self
    }

    /// Messages that may wait for one subscriber; newer ones are dropped and counted. Default: 65,536.
    pub fn subscription_capacity(mut self, messages: usize) -> Self {
        self.settings.subscription_messages = messages;
        self
    }

    /// Bytes of messages (subject, reply, headers, payload) that may wait for one subscriber; newer ones are
    /// dropped and counted. Default: 64 MiB.
    pub fn subscription_byte_capacity(mut self, bytes: usize) -> Self {
        self.settings.subscription_bytes = bytes;
        self
    }

    /// Bytes that may be queued for writing on a connection before publishers wait, at least. As much again
    /// may be on its way to the socket. Default: 128 KiB.
    pub fn send_buffer_limit(mut self, bytes: usize) -> Self {
        self.config.send_limit = bytes;
        self
    }

    /// Sets [`send_buffer_limit`](Self::send_buffer_limit) to 512 bytes for each of so many commands: there
    /// is no queue of commands here, publishers write straight into the buffer.
    pub fn client_capacity(self, commands: usize) -> Self {
        self.send_buffer_limit(commands.saturating_mul(512))
    }

    /// Bytes of publishes that are kept while there is no connection; zero refuses them all. Default: 8 MiB.
    pub fn pending_limit(mut self, bytes: usize) -> Self {
        self.config.pending_limit = bytes;
        self
    }

    /// What happens when that much is kept: publishers wait (the default), get an error, or the oldest
    /// messages make room.
    pub fn pending_policy(mut self, policy: PendingPolicy) -> Self {
        self.settings.wait_while_disconnected = policy != PendingPolicy::Error;
        self.config.pending_policy = policy;
        self
    }

    /// Bytes of a read buffer; a large message that is kept holds on to the one it came in. Default: 64 KiB.
    pub fn read_buffer_capacity(mut self, bytes: u16) -> Self {
        self.settings.read_buffer = usize::from(bytes);
        self
    }
}

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
}

impl<R: Runtime> ConnectOptions<R> {
    /// Connects with these options: see [`connect_with_options`].
    ///
    /// # Errors
    ///
    /// See [`connect_with_options`].
    pub async fn connect<A: ToServerAddrs>(self, addrs: A) -> Result<Client, ConnectError> {
        connect_with_options(addrs, self).await
    }

    pub(crate) fn into_parts(self, servers: Vec<ServerAddr>) -> Parts {
        let mut config = self.config;
        config.servers = servers;
        Parts { config, settings: self.settings, callback: self.callback }
    }
}
