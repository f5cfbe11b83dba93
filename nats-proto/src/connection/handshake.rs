//! From INFO to PONG, and what later INFOs change.

use alloc::boxed::Box;

use super::event::Event;
use super::state::{Link, Next};
use super::{Auth, ConnectError, Connection, DisconnectReason};
use crate::wire::encoder;
use crate::{ConnectInfo, ServerAddr, ServerError, ServerInfo};

impl Connection {
    /// The first INFO of a link is answered with CONNECT and PING; any may tell of the cluster.
    pub(super) fn handle_info(&mut self, info: Box<ServerInfo>) {
        if !self.config.ignore_discovered_servers {
            let retain = self.config.retain_servers_order;
            let added = self.pool.discover(&info.connect_urls, retain, &mut self.rng);
            if !added.is_empty() {
                self.emit(Event::ServersDiscovered(added));
            }
        }
        if info.lame_duck_mode && !self.lame_duck {
            self.lame_duck = true;
            self.emit(Event::LameDuck);
        }
        self.gate.close();
        let (max_payload, headers) = (self.max_payload(), self.headers_supported());
        let info = self.info.insert(info);
        let deadline = match self.link {
            Link::AwaitInfo { deadline } => deadline,
            // Behind the first PONG comes an INFO with the limits of the account, while what was kept for this
            // link is still queued. Only stricter limits matter: looking through the queue takes time, and
            // INFO may come as often as a server likes.
            Link::Connected => {
                if self.max_payload() < max_payload || headers && !self.headers_supported() {
                    self.recheck_queued();
                }
                return;
            }
            _ => return,
        };
        let tls_required =
            info.tls_required || self.pool.current().is_some_and(ServerAddr::tls_required);
        if tls_required {
            return self.refuse(ConnectError::TlsRequired);
        }
        if self.config.no_echo && info.proto < 1 {
            return self.refuse(ConnectError::NoEchoUnsupported);
        }
        let connect = self.connect_info();
        encoder::connect(&mut self.urgent, &connect);
        encoder::ping(&mut self.urgent);
        self.link = Link::AwaitPong { deadline };
        self.wake.transmit();
    }

    /// We do not want this server.
    fn refuse(&mut self, error: ConnectError) {
        self.hang_up(DisconnectReason::Requested, Some(error), Next::Reconnect);
    }

    fn connect_info(&self) -> ConnectInfo {
        let config = &self.config;
        let mut connect = ConnectInfo {
            verbose: config.verbose,
            pedantic: config.pedantic,
            echo: !config.no_echo,
            name: config.name.clone(),
            lang: config.lang.clone(),
            version: config.version.clone(),
            protocol: 1,
            headers: true,
            no_responders: true,
            ..ConnectInfo::default()
        };
        // What the URL carries comes first; a lone user name in it is a token.
        let server = self.pool.current();
        let user = server.and_then(ServerAddr::username);
        match (user, server.and_then(ServerAddr::password), &config.auth) {
            (Some(user), Some(password), _) => {
                connect.user = Some(user.into());
                connect.pass = Some(password.into());
            }
            (Some(token), None, _) => connect.auth_token = Some(token.into()),
            (None, _, Auth::UserPassword { user, password }) => {
                connect.user = Some(user.clone());
                connect.pass = Some(password.clone());
            }
            (None, _, Auth::Token(token)) => connect.auth_token = Some(token.clone()),
            (None, _, Auth::None) => {}
        }
        connect
    }

    /// An -ERR came.
    pub(super) fn handle_server_error(&mut self, error: ServerError) {
        let closes = error.closes_connection();
        let pending = matches!(self.link, Link::AwaitInfo { .. } | Link::AwaitPong { .. });
        self.emit(Event::ServerError(error.clone()));
        self.refuse_subscriptions(&error);
        if closes || pending {
            let refusal =
                error.is_authorization().then(|| ConnectError::Authorization(error.clone()));
            self.hang_up(DisconnectReason::Server(error), refusal, Next::Reconnect);
        }
    }
}
