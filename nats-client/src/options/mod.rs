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

#[cfg(test)]
mod tests {
    use nats_proto::connection::PendingPolicy;

    use super::*;
    use crate::mailbox::WhenFull;
    use crate::testing::{Fake, options};

    fn time(time: Duration) -> String {
        match time.as_millis() {
            millis if millis % 1_000 > 0 => format!("{millis} ms"),
            millis if millis >= 60_000 => format!("{} min", millis / 60_000),
            millis => format!("{} s", millis / 1_000),
        }
    }

    fn bytes(bytes: usize) -> String {
        match bytes / 1024 {
            kib if kib >= 1024 => format!("{} MiB", kib / 1024),
            kib => format!("{kib} KiB"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_guide() {
        let guide = include_str!("../guide/tune.md");
        let Parts { config, settings, .. } = ConnectOptions::<Fake>::new().into_parts(Vec::new());
        let waiting = settings.subscription;
        assert_eq!(waiting.when_full, WhenFull::DropNewest);
        assert_eq!(config.pending_policy, PendingPolicy::Wait);
        assert!(settings.wait_while_disconnected);
        assert_eq!((waiting.messages, config.max_control_line), (65_536, 4_096));
        for (option, default) in [
            ("connection_timeout", time(config.connect_timeout)),
            ("max_reconnects", config.max_reconnects.expect("an end").to_string()),
            ("reconnect_wait", time(config.reconnect_wait)),
            ("reconnect_jitter", time(config.reconnect_jitter)),
            ("reconnect_jitter_tls", time(config.reconnect_jitter_tls)),
            ("ping_interval", time(config.ping_interval)),
            ("max_pings_outstanding", config.max_pings_outstanding.to_string()),
            ("request_timeout", time(settings.request_timeout.expect("an end"))),
            ("flush_timeout", time(settings.flush_timeout)),
            ("drain_timeout", time(config.drain_timeout)),
            ("subscription_capacity", "65,536 messages".into()),
            ("subscription_byte_capacity", bytes(waiting.bytes)),
            ("subscription_policy", "`DropNewest`".into()),
            ("send_buffer_limit", bytes(config.send_limit)),
            ("pending_limit", bytes(config.pending_limit)),
            ("pending_policy", "`Wait`".into()),
            ("max_message_size", bytes(config.limits.payload)),
            ("read_buffer_capacity", bytes(settings.read_buffer)),
            ("custom_inbox_prefix", format!("`{}`", config.inbox_prefix)),
            ("max_control_line", "4,096 bytes".into()),
            ("skip_subject_validation", config.skip_subject_validation.to_string()),
        ] {
            let row = format!("| [`{option}`](crate::ConnectOptions::{option}) | {default} |");
            assert!(guide.contains(&row), "{row}");
        }
    }

    #[test]
    fn no_attempts_mean_no_end_and_a_command_is_512_bytes() {
        let attempts =
            |options: ConnectOptions<Fake>| options.into_parts(Vec::new()).config.max_reconnects;
        assert_eq!(attempts(options().max_reconnects(3)), Some(3));
        assert_eq!(attempts(options().max_reconnects(0)), None);
        assert_eq!(attempts(options().max_reconnects(None)), None);
        assert_eq!(options().client_capacity(10).config.send_limit, 5_120);
    }
}
