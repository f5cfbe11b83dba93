//! The server of the tour: somebody's, or a broker inside of this program.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nats_broker::{ServerConfig, ServerHandle, serve};

use super::{Runtime, nats};

/// Where the client connects.
pub(crate) enum Server {
    Real(String),
    Embedded(ServerHandle),
    /// The embedded broker before its life, and between two lives.
    Stopped(SocketAddr),
}

impl Server {
    /// A broker inside of this program, on a free port.
    pub(crate) async fn embedded() -> io::Result<Self> {
        Self::Stopped((Ipv4Addr::LOCALHOST, 0).into()).come_back().await
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Real(url) => url.clone(),
            Self::Embedded(broker) => broker.url(),
            Self::Stopped(addr) => format!("nats://{addr}"),
        }
    }

    /// Stops the embedded broker. A real server belongs to others: only this client's connection is cut.
    pub(crate) async fn break_link(self, client: &nats::Client) -> Result<Self, nats::Error> {
        let Self::Embedded(broker) = self else {
            println!(
                "   (the server stays up: this client gives up its connection and makes a new one)"
            );
            client.force_reconnect().await?;
            return Ok(self);
        };
        println!("   stopping the broker");
        let addr = broker.addr();
        broker.shutdown().await;
        Ok(Self::Stopped(addr))
    }

    /// Starts a broker that is stopped, on its old port if it had one.
    pub(crate) async fn come_back(self) -> io::Result<Self> {
        let Self::Stopped(addr) = self else {
            return Ok(self);
        };
        let mut config = ServerConfig::default();
        config.addr = addr;
        config.broker.server_name = Some("the embedded broker".to_owned());
        let mut patience = 50;
        loop {
            match serve::<Runtime>(config.clone()).await {
                Ok(broker) => return Ok(Self::Embedded(broker)),
                // Its old port may have been given to somebody's outgoing connection meanwhile.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && patience > 0 => {
                    patience -= 1;
                    <Runtime as nats::Runtime>::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
