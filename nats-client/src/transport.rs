//! How streams are opened: what is the same for every attempt of a client.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nats_proto::connection::{DialError, TlsError, TlsMode};
use nats_proto::{Scheme, ServerAddr};

use crate::link::Stream;
use crate::tls::TlsSettings;

/// What to do about an address that cannot be what the settings ask for.
const WITHOUT_TLS: &str =
    "the options require TLS, which a ws:// address is without: use wss://, or do not require it";

/// What a dialler of the program's own is doing.
pub(crate) type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// A dialler of the program's own.
pub(crate) type Dialer = Arc<dyn Fn(ServerAddr) -> Dialing + Send + Sync>;

/// What the server of a link inflates of one message, which is as much as it takes of a payload (nats-server from 2.11.12 and
/// 2.12.3 on, which ends the connection for a byte more). Nothing as long as that is not known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inflates(Arc<AtomicUsize>);

impl Inflates {
    /// A link begins.
    pub(crate) fn forget(&self) {
        self.learn(0);
    }

    pub(crate) fn learn(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The settings of the streams.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) tls: Arc<TlsSettings>,
    pub(crate) local_address: Option<SocketAddr>,
    pub(crate) dialer: Option<Dialer>,
    #[cfg(feature = "websocket")]
    pub(crate) websocket: crate::websocket::Settings,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            tls: Arc::new(TlsSettings::new()),
            local_address: None,
            dialer: None,
            #[cfg(feature = "websocket")]
            websocket: Default::default(),
        }
    }
}

impl Transport {
    /// Refuses an address that no attempt could reach as the settings ask for, before anything is opened.
    pub(crate) fn supports(&self, server: &ServerAddr) -> Result<(), DialError> {
        if server.is_websocket() && cfg!(not(feature = "websocket")) {
            return Err(DialError::Unsupported(server.scheme().to_string()));
        }
        let encrypted = matches!(self.tls.mode, TlsMode::Required | TlsMode::First);
        if encrypted && server.scheme_kind() == Scheme::Ws {
            // The request for a WebSocket, with its headers, would go out in plain text before the core can refuse.
            return Err(DialError::Tls(TlsError::Setup(WITHOUT_TLS.to_owned())));
        }
        Ok(())
    }

    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), String> {
        #[cfg(feature = "websocket")]
        for (name, value) in &self.websocket.headers {
            crate::websocket::check_header(name, value)?;
        }
        Ok(())
    }

    /// Puts on top of an open stream what the scheme of the server asks for.
    #[cfg_attr(not(feature = "websocket"), expect(unused_variables))]
    pub(crate) async fn wrap(
        &self,
        stream: Box<dyn Stream>,
        server: &ServerAddr,
        inflates: Inflates,
    ) -> Result<Box<dyn Stream>, DialError> {
        #[cfg(feature = "websocket")]
        if server.is_websocket() {
            use nats_proto::connection::DisconnectReason;
            return match crate::websocket::upgrade(stream, server, &self.websocket, inflates).await
            {
                Ok(stream) => Ok(Box::new(stream)),
                // What a server says against the client's certificate comes with the first bytes that are read.
                Err(error) => Err(match crate::tls::lost(&error) {
                    DisconnectReason::Tls(text) => DialError::Tls(TlsError::Handshake(text)),
                    _ => DialError::Io(error.to_string()),
                }),
            };
        }
        debug_assert!(!server.is_websocket(), "refused before");
        Ok(stream)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("tls", &self.tls)
            .field("local_address", &self.local_address)
            .field("dialer", &self.dialer.is_some())
            .finish_non_exhaustive()
    }
}
