//! Encrypted streams, over the plain stream of any runtime.

mod config;
mod explain;
mod paced;
#[cfg(all(test, feature = "ring"))]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use futures_channel::oneshot;
use futures_rustls::TlsConnector;
use nats_proto::connection::{TlsError, TlsMode};
use nats_proto::{Scheme, ServerAddr};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::link::Stream;
use crate::panics::caught;

pub(crate) use explain::lost;
use paced::Paced;

/// What the settings say about TLS.
#[derive(Clone, Default)]
pub(crate) struct TlsSettings {
    pub(crate) mode: TlsMode,
    /// Instead of the system's, if there are any.
    pub(crate) roots: Vec<Certificates>,
    pub(crate) identity: Option<Identity>,
    /// Instead of all else.
    pub(crate) config: Option<Arc<ClientConfig>>,
}

/// Where certificates are.
#[derive(Clone)]
pub(crate) enum Certificates {
    File(PathBuf),
    Pem(Arc<[u8]>),
    Der(Vec<CertificateDer<'static>>),
}

/// Where a private key is.
#[derive(Clone)]
pub(crate) enum Key {
    File(PathBuf),
    Pem(Arc<[u8]>),
    Der(Arc<PrivateKeyDer<'static>>),
}

/// The client's certificate, with those between it and its authority, and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: Certificates,
    pub(crate) key: Key,
}

/// Without keys.
impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("mode", &self.mode)
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .field("config", &self.config.is_some())
            .finish()
    }
}

impl TlsSettings {
    /// The settings of a client that says nothing about TLS.
    pub(crate) fn new() -> Self {
        Self { mode: TlsMode::Available, ..Self::default() }
    }

    /// Whether a stream to this server is encrypted before the server speaks.
    pub(crate) fn is_first(&self, server: &ServerAddr) -> bool {
        match server.scheme_kind() {
            Scheme::Wss => true,
            Scheme::Nats | Scheme::Tls => self.mode == TlsMode::First,
            _ => false,
        }
    }

    /// Encrypts a stream to `server`, whose certificate must be for its [`tls_name`](ServerAddr::tls_name). Dropping
    /// the future closes the stream.
    pub(crate) async fn encrypt(
        self: Arc<Self>,
        stream: Box<dyn Stream>,
        server: ServerAddr,
    ) -> Result<Box<dyn Stream>, TlsError> {
        let name = server.tls_name();
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            TlsError::Setup(format!("{name:?} is not a name that a certificate can be for"))
        })?;
        let config = self.config().await?;
        let stream = Paced::new(stream);
        // Who checks certificates may be of the program's own.
        match caught(|| TlsConnector::from(config).connect(name, stream).into_fallible()).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err((error, stream))) => {
                Err(TlsError::Handshake(explain::failure(&error, stream.beginning())))
            }
            Err(panicked) => Err(TlsError::Handshake(format!("the configuration {panicked}"))),
        }
    }

    /// What rustls is told. Read and put together for every attempt, so that renewed certificates are used at once.
    async fn config(self: Arc<Self>) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = &self.config {
            return Ok(Arc::clone(config));
        }
        // No task of the runtime should wait for files, or for the some hundred certificates of a system to be parsed.
        let (sender, receiver) = oneshot::channel();
        let read = move || {
            // Nobody waits any more if the attempt was given up.
            let _ = sender.send(config::build(&self));
        };
        let thread = thread::Builder::new().name("nats-tls".to_owned());
        thread.spawn(read).map_err(|error| TlsError::Setup(format!("no thread: {error}")))?;
        let config = receiver.await.unwrap_or_else(|_| Err("reading certificates failed".into()));
        config.map(Arc::new).map_err(TlsError::Setup)
    }
}
