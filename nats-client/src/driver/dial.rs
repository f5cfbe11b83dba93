//! Opening a stream to a server.

use std::future::Future;
use std::io;
use std::pin::Pin;

use nats_proto::connection::DialError;
use nats_proto::{DialId, Rng, ServerAddr};

use crate::runtime::Runtime;
use crate::trace;

/// An attempt under way. The core limits its time; dropping it gives up.
pub(super) struct Dial<R: Runtime> {
    pub(super) id: DialId,
    pub(super) attempt: Attempt<R>,
}

type Attempt<R> = Pin<Box<dyn Future<Output = Result<<R as Runtime>::Stream, DialError>> + Send>>;

impl<R: Runtime> Dial<R> {
    /// Resolves the server's name and tries its addresses one after the other, in the order of `rng` or, without
    /// one, of the resolver.
    pub(super) fn new(id: DialId, server: ServerAddr, rng: Option<Rng>) -> Self {
        Self { id, attempt: Box::pin(dial::<R>(server, rng)) }
    }
}

async fn dial<R: Runtime>(server: ServerAddr, rng: Option<Rng>) -> Result<R::Stream, DialError> {
    trace::dialling(&server);
    if server.is_websocket() || server.tls_required() {
        return Err(DialError::Unsupported(server.scheme().to_string()));
    }
    let mut addrs = R::resolve(server.host(), server.port())
        .await
        .map_err(|error| DialError::Resolve(error.to_string()))?;
    // ADR-11: the addresses of one name share the load.
    if let Some(mut rng) = rng {
        rng.shuffle(&mut addrs);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in addrs {
        match R::connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(DialError::Io(last.to_string()))
}
