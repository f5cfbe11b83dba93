//! The settings of a client, by what they are about.

mod auth;
mod bounds;
mod life;
#[cfg(feature = "nkeys")]
mod nkeys;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod wire;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use nats_proto::connection::Config;
use nats_proto::{Auth, ServerAddr};

use crate::callbacks::Callbacks;
use crate::client::Client;
use crate::connect::{ConnectError, Limits, connect_with_options};
use crate::driver::Hooks;
use crate::mailbox::Bounds;
use crate::runtime::Runtime;
use crate::to_server_addrs::ToServerAddrs;
use crate::transport::Transport;

/// The settings of a client that differ from the defaults.
pub struct ConnectOptions<R> {
    /// Without servers, which come last.
    config: Config,
    settings: Settings,
    transport: Transport,
    callbacks: Callbacks,
    /// Token, user name and password, which may stand beside `config.auth`.
    plain: Auth,
    hooks: Hooks,
    runtime: PhantomData<fn() -> R>,
}

/// What the front reads of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) flush_timeout: Duration,
    pub(crate) subscription: Bounds,
    pub(crate) wait_while_disconnected: bool,
    pub(crate) read_buffer: usize,
    /// Copied from where they are set when a client is made.
    pub(crate) limits: Limits,
}

/// The settings, divided among those who read them.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
    pub(crate) callbacks: Callbacks,
    pub(crate) hooks: Hooks,
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
                subscription: Bounds::default(),
                wait_while_disconnected: true,
                read_buffer: 64 * 1024,
                limits: Limits::default(),
            },
            transport: Transport::default(),
            callbacks: Callbacks::default(),
            plain: Auth::new(),
            hooks: Hooks::default(),
            runtime: PhantomData,
        }
    }
}

impl<R> Clone for ConnectOptions<R> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            settings: self.settings.clone(),
            transport: self.transport.clone(),
            callbacks: self.callbacks.clone(),
            plain: self.plain.clone(),
            hooks: self.hooks.clone(),
            runtime: PhantomData,
        }
    }
}

impl<R> fmt::Debug for ConnectOptions<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("config", &self.config)
            .field("settings", &self.settings)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

impl<R> ConnectOptions<R> {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<R: Runtime> ConnectOptions<R> {
    /// Connects with these options: see [`connect_with_options`]. If the future is dropped before its end, the
    /// attempt is given up, and a connection that is there already ends.
    ///
    /// # Errors
    ///
    /// See [`connect_with_options`].
    pub async fn connect<A: ToServerAddrs>(self, addrs: A) -> Result<Client, ConnectError> {
        connect_with_options(addrs, self).await
    }

    pub(crate) fn into_parts(mut self, servers: Vec<ServerAddr>) -> Parts {
        self.unite_auth();
        self.guard_delay();
        let mut config = self.config;
        config.servers = servers;
        let name = config.name.as_ref().map_or(0, String::len);
        let tls = self.transport.tls.mode;
        self.settings.limits = Limits { connect_timeout: config.connect_timeout, name, tls };
        config.tls = tls;
        Parts {
            config,
            settings: self.settings,
            transport: self.transport,
            callbacks: self.callbacks,
            hooks: self.hooks,
        }
    }
}
