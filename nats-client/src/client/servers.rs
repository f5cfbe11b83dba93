//! The servers that a client knows.

use super::{
    Client, ServerPoolError, ServerPoolErrorKind, SetServerPoolError, SetServerPoolErrorKind,
};
use crate::server_addr::{Server, ServerAddr};
use crate::to_server_addrs::ToServerAddrs;

const CLOSED: &str = "the client is closed";

/// The servers.
impl Client {
    /// The addresses of the servers that are known, given and discovered, those to be tried next first.
    pub fn servers(&self) -> Vec<ServerAddr> {
        let servers = self.handle.lock().conn.servers();
        servers.into_iter().map(ServerAddr::from).collect()
    }

    /// The servers that are known and what is known of them, those to be tried next first. If the future is dropped,
    /// nothing changes: it only looks.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn server_pool(&self) -> Result<Vec<Server>, ServerPoolError> {
        let core = self.handle.lock();
        if core.ended.is_some() {
            return Err(ServerPoolError::with_source(ServerPoolErrorKind::Send, CLOSED));
        }
        let servers = core.conn.server_pool();
        drop(core);
        Ok(servers.into_iter().map(Server::from).collect())
    }

    /// Replaces the servers, given and discovered. What is known of those that stay is kept, and attempts are counted
    /// anew.
    ///
    /// It counts for the next connection. The one that is up stays, even if its server is not among the new ones;
    /// [`force_reconnect`](Self::force_reconnect) moves it. If the future is dropped before its only poll, the
    /// servers are those of before.
    ///
    /// # Errors
    ///
    /// An address is not one, there is none, WebSocket addresses are mixed with others, or the client is closed.
    /// Nothing has changed then.
    pub async fn set_server_pool<A: ToServerAddrs>(
        &self,
        addrs: A,
    ) -> Result<(), SetServerPoolError> {
        let servers = addrs
            .to_server_addrs()
            .map_err(|error| {
                SetServerPoolError::with_source(SetServerPoolErrorKind::InvalidAddress, error)
            })?
            .map(Into::into)
            .collect();
        let now = self.handle.now();
        self.handle.change(|core| {
            if core.ended.is_some() {
                return Err(SetServerPoolError::with_source(SetServerPoolErrorKind::Send, CLOSED));
            }
            core.conn.set_server_pool(now, servers).map_err(SetServerPoolError::from)
        })
    }
}
