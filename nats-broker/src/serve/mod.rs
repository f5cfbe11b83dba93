//! The broker on a TCP port, on any async runtime.

mod accept;
mod connection;
mod shared;

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::format;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::string::{String, ToString};
use std::sync::Arc;

use nats_client::Runtime;

use crate::{Broker, Config, Statistics};
use shared::{Shared, Task};

/// The settings of a broker on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The settings of the broker itself. Its `host` and `port` are replaced by the address that is bound.
    pub broker: Config,
    /// The address to listen on. Default: `127.0.0.1` and a free port.
    pub addr: SocketAddr,
    /// Determines which member of a queue group gets a message, and when probes are sent. Default: a random one.
    pub seed: Option<[u8; 32]>,
    /// How long a client may take for what is written to it at a time, before it is cut off as a slow consumer, as in the
    /// real server. Default: 10 s.
    ///
    /// That is all that waits for it when the last of what was written before is taken, [`Config::max_pending`] bytes at
    /// most. When a connection is closed, all that is left for the client together has this time.
    pub write_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            broker: Config::default(),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: None,
            write_timeout: Duration::from_secs(10),
        }
    }
}

impl From<Config> for ServerConfig {
    fn from(broker: Config) -> Self {
        Self { broker, ..Self::default() }
    }
}

/// Binds the address and serves clients in the background, until the handle is dropped.
///
/// Must be called on the runtime `R`. The address can be bound again as soon as
/// [`ServerHandle::shutdown`] has ended, even if connections to it were open.
///
/// If the future is dropped before its end, there is no broker, and the address is free. It ends within one poll
/// where the runtime binds without waiting, as tokio and async-std do.
///
/// ```
/// # async fn example<R: nats_client::Runtime>() -> std::io::Result<()> {
/// let server = nats_broker::serve::<R>(nats_broker::Config::default()).await?;
/// println!("clients can connect to {}", server.url());
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The address cannot be bound.
pub async fn serve<R: Runtime>(config: impl Into<ServerConfig>) -> io::Result<ServerHandle> {
    let ServerConfig { mut broker, addr, seed, write_timeout } = config.into();
    let listener = R::bind(addr).await?;
    let addr = R::local_addr(&listener)?;
    broker.host = addr.ip().to_string();
    broker.port = addr.port();
    let broker = Broker::new(broker, seed.unwrap_or_else(random_seed));
    let shared = Arc::new(Shared::new(broker, R::now, write_timeout));
    R::spawn(accept::accept::<R>(Task::new(&shared), listener));
    R::spawn(accept::timer::<R>(Task::new(&shared)));
    Ok(ServerHandle { shared, addr })
}

/// A running broker. Dropping it, on any thread, stops the broker in the background.
///
/// The compiler warns if it is dropped unnamed:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # async fn example<R: nats_client::Runtime>() -> std::io::Result<()> {
/// nats_broker::serve::<R>(nats_broker::Config::default()).await?; // stops at once
/// # Ok(())
/// # }
/// ```
#[must_use = "the broker stops when its handle is dropped"]
pub struct ServerHandle {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl ServerHandle {
    /// Where the broker listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL for clients: `nats://127.0.0.1:4222`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        self.shared.lock().broker.statistics()
    }

    /// Closes the stream of every client that is there now, after what is buffered for it. They may come back.
    pub fn disconnect_all(&self) {
        self.shared.with(|core| core.broker.disconnect_all());
    }

    /// Begins lame duck mode: stops listening, tells the clients with INFO, and closes their connections in the
    /// time that [`Config::lame_duck_grace`] and [`Config::lame_duck_duration`] give.
    pub fn lame_duck(&self) {
        self.shared.with_now(|core, now| {
            core.listening = false;
            core.broker.lame_duck(now);
        });
    }

    /// Changes which other servers (`host:port`) INFO tells clients of, and sends them the new INFO.
    pub fn set_connect_urls(&self, connect_urls: impl IntoIterator<Item = String>) {
        let connect_urls = connect_urls.into_iter().collect();
        self.shared.with(|core| core.broker.set_connect_urls(connect_urls));
    }

    /// Stops: closes the listener and every client's stream, after what is buffered for it, and waits until all
    /// of them are closed. That takes a second at most, if a client does not read.
    ///
    /// If the future is dropped, polled or not, the broker stops all the same, in the background: what is buffered is
    /// written, but nobody learns when the address is free.
    pub async fn shutdown(self) {
        self.shared.stop();
        poll_fn(|cx| match self.shared.is_done(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Good enough to choose members of queue groups: nothing here needs to be secret.
fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for word in seed.chunks_exact_mut(8) {
        word.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
    }
    seed
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use nats_tokio::Tokio;

    use super::*;

    #[test]
    fn nothing_is_kept_of_a_client_that_has_left() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(serve::<Tokio>(Config::default())).unwrap();
        let connect = || TcpStream::connect(server.addr()).unwrap();
        let links = |count| {
            let start = Instant::now();
            while server.shared.lock().links.len() != count {
                assert!(start.elapsed() < Duration::from_secs(60), "not {count} links");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        // They close their sides, say nonsense, or are gone at once.
        let mut clients = [connect(), connect(), connect()];
        links(3);
        clients[0].shutdown(std::net::Shutdown::Write).unwrap();
        clients[1].write_all(b"NONSENSE\r\n").unwrap();
        for client in &mut clients[..2] {
            client.read_to_end(&mut std::vec::Vec::new()).unwrap();
        }
        drop(clients);
        links(0);
        assert_eq!(server.statistics().connections, 0);
    }
}
