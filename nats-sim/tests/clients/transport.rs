//! What the streams of clients are wrapped in.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use nats_client::ConnectOptions;
use nats_client::rustls::ServerConfig;
use nats_proto::Rng;
use nats_sim::{StreamId, Terminator};

use super::runtime::Virtual;
use super::tls::{Tls, client_config, server_config};
use super::websocket::{Over, Pings, WebSocket};
use super::world::{World, fork, with};

/// How a client speaks to brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Transport {
    #[default]
    Plain,
    /// Encrypted, once the server has said that it must be.
    Tls,
    /// Encrypted before the server says anything.
    TlsFirst,
    WebSocket,
    /// A WebSocket over TLS.
    SecureWebSocket,
}

impl Transport {
    /// Half of the clients have plain streams.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0 => Self::Tls,
            1 => Self::TlsFirst,
            2 => Self::WebSocket,
            3 => Self::SecureWebSocket,
            _ => Self::Plain,
        }
    }

    /// The address of a broker.
    pub(crate) fn address(self, host: &str) -> String {
        let scheme = match self {
            Self::Plain | Self::Tls => "nats",
            Self::TlsFirst => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        };
        format!("{scheme}://{host}:4222")
    }

    /// Settings of a client that speaks so.
    pub(crate) fn set(self, options: ConnectOptions<Virtual>) -> ConnectOptions<Virtual> {
        let rng = &mut with(|world| fork(&mut world.rng));
        match self {
            Self::Plain | Self::WebSocket => options,
            Self::Tls => {
                let required = rng.below(2) == 0;
                options.require_tls(required).tls_client_config(client_config(rng))
            }
            Self::TlsFirst => options.tls_first().tls_client_config(client_config(rng)),
            Self::SecureWebSocket => options.tls_client_config(client_config(rng)),
        }
    }

    /// What a broker has at its end of such a stream.
    fn terminator(
        self,
        config: Arc<ServerConfig>,
        pings: Rc<Cell<Pings>>,
        mut rng: Rng,
    ) -> Option<Box<dyn Terminator>> {
        match self {
            Self::Plain => None,
            Self::Tls => Some(Box::new(Tls::new(config, rng))),
            Self::TlsFirst => Some(Box::new(Tls::first(config, rng))),
            Self::WebSocket => Some(Box::new(WebSocket::new(pings, rng))),
            Self::SecureWebSocket => {
                let lower = Box::new(Tls::first(config, fork(&mut rng)));
                let upper = Box::new(WebSocket::new(pings, rng));
                Some(Box::new(Over { upper, lower }))
            }
        }
    }
}

/// How each client speaks, and what brokers have for those with TLS.
#[derive(Default)]
pub(crate) struct Transports {
    pub(crate) of: BTreeMap<usize, Transport>,
    configs: BTreeMap<usize, Arc<ServerConfig>>,
    pings: BTreeMap<StreamId, Rc<Cell<Pings>>>,
    /// Streams that were opened and are encrypted.
    pub(crate) encrypted: u64,
    /// Streams that were opened and are WebSockets.
    pub(crate) websockets: u64,
}

impl World {
    /// The transport of a client.
    pub(crate) fn transport(&self, client: usize) -> Transport {
        self.transports.of.get(&client).copied().unwrap_or_default()
    }

    /// Opens a stream of a client to a broker, with what its transport needs there.
    pub(crate) fn open(&mut self, client: usize, broker: usize) -> Option<StreamId> {
        let transport = self.transport(client);
        if transport == Transport::Plain {
            return self.sim.open_stream(broker);
        }
        let mut rng = fork(&mut self.rng);
        let config = self.transports.configs.entry(broker);
        let config = Arc::clone(config.or_insert_with(|| server_config(&mut rng)));
        let pings = Rc::<Cell<Pings>>::default();
        let terminator = transport.terminator(config, Rc::clone(&pings), rng)?;
        let stream = self.sim.open_stream_through(broker, terminator)?;
        self.transports.pings.insert(stream, pings);
        self.transports.encrypted += u64::from(transport != Transport::WebSocket);
        let websocket = matches!(transport, Transport::WebSocket | Transport::SecureWebSocket);
        self.transports.websockets += u64::from(websocket);
        Some(stream)
    }

    /// PINGs of the WebSockets that are open.
    pub(crate) fn pings(&self) -> BTreeMap<StreamId, Pings> {
        let pings = |stream: &StreamId| Some((*stream, self.transports.pings.get(stream)?.get()));
        self.streams.keys().filter_map(pings).collect()
    }
}
