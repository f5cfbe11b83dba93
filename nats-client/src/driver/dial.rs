//! Opening a stream to a server.
//!
//! Three steps, one on top of the other: opening a byte stream (by the runtime, or by a dialler of the program's own),
//! TLS, and WebSocket. Each takes the stream of the step before it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use nats_proto::connection::DialError;
use nats_proto::{Connection, DialId, Rng, ServerAddr};

use super::race::{Failure, First, Order, in_order, race};
use crate::link::Stream;
use crate::panics::{Panicked, caught};
use crate::runtime::Runtime;
use crate::trace;
use crate::transport::{Inflates, Transport};

/// An attempt under way. The core limits its time; dropping it gives up.
pub(super) struct Dial {
    pub(super) id: DialId,
    pub(super) attempt: Attempt,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, DialError>> + Send>>;

impl Dial {
    /// Opens a stream. Of the addresses of a name, `first` is tried first.
    pub(super) fn new<R: Runtime>(
        id: DialId,
        server: ServerAddr,
        transport: Arc<Transport>,
        inflates: Inflates,
        first: First,
    ) -> Self {
        let attempt = caught(move || dial::<R>(server, transport, inflates, first));
        let attempt = async { attempt.await.unwrap_or_else(|panicked| Err(failed(&panicked))) };
        Self { id, attempt: Box::pin(attempt) }
    }
}

/// Which address of a server the next attempt begins with.
pub(super) fn first_address(
    rng: Option<&mut Rng>,
    connection: &Connection,
    server: &ServerAddr,
) -> First {
    if let Some(rng) = rng {
        rng.next_u64();
        return First::Any(rng.clone());
    }
    let pool = connection.server_pool();
    let known = pool.iter().find(|known| known.addr == *server);
    First::At(known.map_or(0, |known| known.failed_attempts))
}

async fn dial<R: Runtime>(
    server: ServerAddr,
    transport: Arc<Transport>,
    inflates: Inflates,
    first: First,
) -> Result<Box<dyn Stream>, DialError> {
    trace::dialling(&server);
    transport.supports(&server)?;
    let stream = match &transport.dialer {
        Some(dialer) => dialer(server.clone()).await.map_err(io_error)?,
        None => open::<R>(&server, transport.local_address, first).await?,
    };
    let stream = if transport.tls.is_first(&server) {
        let tls = Arc::clone(&transport.tls);
        tls.encrypt(stream, server.clone()).await.map_err(DialError::Tls)?
    } else {
        stream
    };
    transport.wrap(stream, &server, inflates).await
}

/// Resolves the server's name and connects to the first of its addresses that answers.
pub(crate) async fn open<R: Runtime>(
    server: &ServerAddr,
    local: Option<SocketAddr>,
    first: First,
) -> Result<Box<dyn Stream>, DialError> {
    let addrs = R::resolve(server.host(), server.port())
        .await
        .map_err(|error| DialError::Resolve(error.to_string()))?;
    let Order { addrs, mut skipped } = in_order(addrs, local, first);
    match race::<R, _, _>(addrs, |addr| R::connect(addr, local)).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(mut failures) => {
            failures.append(&mut skipped);
            Err(DialError::Io(describe(server, &failures)))
        }
    }
}

/// Names every address and what happened.
fn describe(server: &ServerAddr, failures: &[Failure]) -> String {
    match failures {
        [] => String::from("the name has no address"),
        // The address of the server, which stands before this text, says it already.
        [one] if server.host().parse() == Ok::<IpAddr, _>(one.addr.ip()) => one.error.to_string(),
        all => {
            let each: Vec<String> =
                all.iter().map(|failure| format!("{}: {}", failure.addr, failure.error)).collect();
            each.join(", ")
        }
    }
}

/// The dialler panicked, or the runtime, such as one that does no I/O.
fn failed(panicked: &Panicked) -> DialError {
    DialError::Io(format!("the attempt to connect {panicked}"))
}

fn io_error(error: std::io::Error) -> DialError {
    DialError::Io(error.to_string())
}
