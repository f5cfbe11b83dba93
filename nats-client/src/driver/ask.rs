//! What the driver asks the application: credentials, and which server comes next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use nats_proto::connection::{self, AuthError};
use nats_proto::{Auth, DialId, ServerInfo};

use crate::panics::caught;
use crate::server_addr::{ReconnectToServer, Server};

type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Gives the credentials for a nonce.
pub(crate) type AuthCallback =
    Arc<dyn Fn(Vec<u8>) -> Answering<Result<Auth, AuthError>> + Send + Sync>;

/// Gives the server to dial.
pub(crate) type ServerCallback =
    Arc<dyn Fn(Vec<Server>, ServerInfo) -> Answering<Option<ReconnectToServer>> + Send + Sync>;

/// Whom the driver asks.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) auth: Option<AuthCallback>,
    pub(crate) server: Option<ServerCallback>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("auth", &self.auth.is_some())
            .field("server", &self.server.is_some())
            .finish()
    }
}

/// What the application answered.
pub(super) enum Answer {
    Auth(DialId, Result<Auth, AuthError>),
    /// The choice, and whether it is in the pool that was shown.
    Server(Option<connection::ReconnectToServer>, bool),
}

/// A question under way. The core limits its time; dropping it gives up.
pub(super) type Question = Answering<Answer>;

impl Hooks {
    /// Asks for the credentials of an attempt.
    pub(super) fn ask_auth(&self, id: DialId, nonce: String) -> Question {
        let callback = self.auth.clone();
        Box::pin(async move {
            let auth = match callback {
                Some(ask) => match caught(|| ask(nonce.into_bytes())).await {
                    Ok(answer) => answer,
                    // What it said may have a secret in it.
                    Err(_) => Err(AuthError::new("the callback panicked")),
                },
                // Settings that have the core ask have a callback.
                None => Ok(Auth::new()),
            };
            Answer::Auth(id, auth)
        })
    }

    /// Asks for the next server.
    pub(super) fn ask_server(
        &self,
        servers: Vec<connection::Server>,
        info: ServerInfo,
    ) -> Question {
        let servers: Vec<Server> = servers.into_iter().map(Server::from).collect();
        let addrs: Vec<_> = servers.iter().map(|server| server.addr.clone()).collect();
        let callback = self.server.clone();
        Box::pin(async move {
            let choice = match callback {
                // Without an answer the pool decides.
                Some(ask) => caught(|| ask(servers, info)).await.ok().flatten(),
                None => None,
            };
            let known = choice.as_ref().is_none_or(|choice| addrs.contains(&choice.addr));
            Answer::Server(choice.map(Into::into), known)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    /// Whether an answer is in the pool that was shown: a server that was given, and one that it told of.
    fn knows(choice: &'static str) -> bool {
        let given: nats_proto::ServerAddr = "tls://nats.example".parse().expect("an address");
        let told = given.discovered("10.0.0.2:4222").expect("an address");
        let servers = [given, told].map(|addr| connection::Server {
            addr,
            failed_attempts: 0,
            did_connect: false,
            is_discovered: false,
            last_error: None,
        });
        let server: ServerCallback = Arc::new(move |_, _| {
            let addr = choice.parse().expect("an address");
            Box::pin(async { Some(ReconnectToServer { addr, delay: None }) })
        });
        let hooks = Hooks { auth: None, server: Some(server) };
        match block_on(hooks.ask_server(servers.into(), ServerInfo::default())) {
            Answer::Server(Some(_), known) => known,
            _ => panic!("not the answer to that"),
        }
    }

    #[test]
    fn a_server_of_the_pool_can_be_chosen_by_its_text() {
        assert!(knows("tls://NATS.example:4222"));
        assert!(knows("tls://10.0.0.2"));
        assert!(!knows("tls://10.0.0.3"));
        assert!(!knows("nats://10.0.0.2"));
    }
}
