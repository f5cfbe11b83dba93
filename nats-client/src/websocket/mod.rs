//! NATS through a WebSocket: binary frames that carry the plain protocol, cut anywhere.
//!
//! The frames' headers and the handshake's parts are those of `tungstenite`. Its messages are not used: they are put
//! together in memory whole, and know nothing of compression. Here bytes pass through, and are inflated on their way.

mod answer;
mod deflate;
mod error;
mod handshake;
mod input;
mod output;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use handshake::{check_header, upgrade};

/// What a program says about its WebSockets.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// To be sent with the request; not checked yet.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) compression: bool,
}
