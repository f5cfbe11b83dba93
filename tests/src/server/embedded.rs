//! The broker inside of the test's own process.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::thread;

use nats_async_std::AsyncStd;
use nats_broker::{ServerConfig, ServerHandle, serve};
use nats_tokio::Tokio;
use tokio::runtime::Runtime;

use super::port::ReservedPort;
use super::{Auth, Options, TestServer};

/// One for all brokers, and none of them on the runtime of the clients that it serves: a test may end its
/// runtime and keep its server.
static TOKIO: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("the process may have more threads"));

/// The runtime that a broker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// tokio
    Tokio,
    /// async-std
    AsyncStd,
}

impl Host {
    async fn serve(self, config: ServerConfig) -> std::io::Result<ServerHandle> {
        match self {
            Self::Tokio => serve::<Tokio>(config).await,
            Self::AsyncStd => serve::<AsyncStd>(config).await,
        }
    }

    /// Runs `future` on a thread of its own: the one that calls may be in a runtime, which must not be
    /// entered again.
    fn block_on<T: Send>(self, future: impl Future<Output = T> + Send) -> T {
        let run = || match self {
            Self::Tokio => TOKIO.block_on(future),
            Self::AsyncStd => async_std::task::block_on(future),
        };
        let result = thread::scope(|scope| scope.spawn(run).join());
        result.expect("the broker does not panic")
    }
}

/// A `nats-broker` with a port of its own.
#[derive(Debug)]
pub struct EmbeddedServer {
    host: Host,
    port: ReservedPort,
    config: ServerConfig,
    handle: Option<ServerHandle>,
}

impl EmbeddedServer {
    /// Starts a broker on a port of its own. Clients can connect when this returns.
    ///
    /// # Panics
    /// The options are for real servers only, or the port is taken by somebody else.
    pub fn start(host: Host, options: &Options) -> Self {
        let port = ReservedPort::new();
        let mut config = config(options);
        config.addr = (Ipv4Addr::LOCALHOST, port.port()).into();
        let mut server = Self { host, port, config, handle: None };
        server.restart();
        server
    }

    /// Tells the clients of other servers, as the nodes of a cluster do. Lasts over restarts.
    ///
    /// # Panics
    /// The broker does not run.
    pub fn advertise(&mut self, others: &[SocketAddr]) {
        let urls: Vec<String> = others.iter().map(SocketAddr::to_string).collect();
        self.config.broker.connect_urls.clone_from(&urls);
        self.running().set_connect_urls(urls);
    }

    /// The broker itself.
    ///
    /// # Panics
    /// It does not run.
    pub fn running(&self) -> &ServerHandle {
        self.handle.as_ref().expect("the broker should be running")
    }
}

impl TestServer for EmbeddedServer {
    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.port()).into()
    }

    fn kill(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.host.block_on(handle.shutdown());
        }
    }

    /// The same as [`kill`](TestServer::kill): a broker has nothing to put in order.
    fn stop(&mut self) {
        self.kill();
    }

    fn restart(&mut self) {
        self.kill();
        let started = self.host.block_on(self.host.serve(self.config.clone()));
        self.handle = Some(started.expect("the port is reserved for this broker"));
    }

    fn lame_duck(&mut self) {
        self.running().lame_duck();
    }
}

fn config(options: &Options) -> ServerConfig {
    assert_eq!(options.extra, "", "only a real server has a configuration file");
    assert_eq!(options.websocket, None, "only a real server speaks WebSocket");
    let mut config = ServerConfig::default();
    let broker = &mut config.broker;
    broker.auth = match &options.auth {
        Auth::Open => nats_broker::Auth::None,
        Auth::UserPassword { user, password } => nats_broker::Auth::user(user, password),
        Auth::Token(token) => nats_broker::Auth::Token(token.clone()),
    };
    broker.max_payload = options.max_payload.unwrap_or(broker.max_payload);
    broker.max_control_line = options.max_control_line.unwrap_or(broker.max_control_line);
    broker.ping_interval = options.ping_interval.unwrap_or(broker.ping_interval);
    if let Some(max) = options.ping_max {
        broker.max_pings_out = usize::try_from(max).expect("a small number");
    }
    config
}
