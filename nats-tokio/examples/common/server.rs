//! The server of an example: the one that an argument names, with or without `--url` before it, or a broker inside of this
//! program.

use nats_broker::{Config, ServerHandle, serve};
use nats_tokio::Tokio;

/// Where the clients of the example connect.
pub(crate) struct Server {
    url: String,
    /// Gone when it is dropped.
    _broker: Option<ServerHandle>,
}

impl Server {
    /// Starts a broker if no server is named.
    pub(crate) async fn named_or_embedded() -> std::io::Result<Self> {
        if let Some(url) = std::env::args().skip(1).find(|argument| argument != "--url") {
            return Ok(Self { url, _broker: None });
        }
        let broker = serve::<Tokio>(Config::default()).await?;
        Ok(Self { url: broker.url(), _broker: Some(broker) })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
