//! What stands for TLS in a build without it.

use std::io;
use std::sync::Arc;

use nats_proto::connection::{DisconnectReason, TlsError, TlsMode};
use nats_proto::{Scheme, ServerAddr};

use crate::link::Stream;

/// What to do about it.
pub(crate) const MISSING: &str =
    "this build has no TLS: enable the feature \"tls\", and \"ring\" or \"aws-lc-rs\"";

/// What the settings say about TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsSettings {
    pub(crate) mode: TlsMode,
}

impl TlsSettings {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_first(&self, server: &ServerAddr) -> bool {
        // To be refused below.
        server.scheme_kind() == Scheme::Wss
    }

    pub(crate) async fn encrypt(
        self: Arc<Self>,
        _stream: Box<dyn Stream>,
        _server: ServerAddr,
    ) -> Result<Box<dyn Stream>, TlsError> {
        Err(TlsError::Setup(MISSING.to_owned()))
    }
}

/// Why a stream ended with this error.
pub(crate) fn lost(error: &io::Error) -> DisconnectReason {
    DisconnectReason::Io(error.to_string())
}
