//! From INFO to PONG, and what later INFOs change.

use alloc::boxed::Box;
use alloc::string::String;

use super::event::{DialId, Event};
use super::fences::Purpose;
use super::state::{Link, Next};
use super::{AuthError, AuthSource, ConnectError, Connection, DisconnectReason, TlsError, TlsMode};
use crate::auth::{Auth, encode_signature};
use crate::faults::fault;
use crate::servers::Source;
use crate::wire::{OutBuf, encoder};
use crate::{ConnectInfo, Instant, Protocol, Scheme, ServerAddr, ServerError, ServerInfo};

/// Whether the server of this link is about to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LameDuck {
    No,
    /// It said so.
    Announced,
    /// We would move to another one, which is not to be dialled before then: this one is better than none.
    Staying {
        until: Instant,
    },
    /// We move to another one as soon as it has confirmed what it has got, or by then: publishers wait.
    Leaving {
        deadline: Instant,
    },
}

impl LameDuck {
    /// When there is something to do about it.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Staying { until } => Some(until),
            Self::Leaving { deadline } => Some(deadline),
            Self::No | Self::Announced => None,
        }
    }

    /// Whether publishers are to wait for the next link.
    pub(super) fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving { .. })
    }
}

/// What encryption asks for once the server has spoken.
enum TlsStep {
    /// Nothing (more).
    Go,
    /// A handshake.
    Encrypt(ServerAddr),
    /// Something that one of the two sides cannot do.
    Refuse,
}

impl Connection {
    /// The first INFO of a link is answered with CONNECT and PING; any may tell of the cluster.
    pub(super) fn handle_info(&mut self, now: Instant, info: Box<ServerInfo>) {
        if !self.config.ignore_discovered_servers {
            let (retain, source) = (self.config.retain_servers_order, self.source_of(&info));
            let added = self.pool.discover(&info.connect_urls, source, retain, &mut self.rng);
            if !added.is_empty() {
                self.emit(Event::ServersDiscovered(added));
            }
        }
        if info.lame_duck_mode && self.lame_duck == LameDuck::No {
            self.lame_duck = LameDuck::Announced;
            self.emit(Event::LameDuck);
        }
        let deadline = match self.link {
            Link::AwaitInfo { deadline } => deadline,
            Link::Connected => {
                self.gate.close();
                self.info = Some(info);
                return self.leave_lame_duck(now);
            }
            _ => {
                self.greeting = Some(info);
                return;
            }
        };
        if self.config.no_echo && info.proto < 1 {
            return self.refuse(ConnectError::NoEchoUnsupported);
        }
        let offered = info.tls_required || info.tls_available;
        let demanded = info.tls_required;
        self.greeting = Some(info);
        match self.tls_step(offered, demanded) {
            TlsStep::Go => self.authenticate(deadline),
            TlsStep::Encrypt(server) => {
                self.link = Link::AwaitTls { deadline };
                self.emit(Event::StartTls { id: DialId(self.dials), server });
            }
            TlsStep::Refuse => self.refuse(ConnectError::TlsRequired),
        }
    }

    /// Who may have written an INFO that comes now.
    fn source_of(&self, info: &ServerInfo) -> Source {
        let before_tls = matches!(self.link, Link::AwaitInfo { .. })
            && self.pool.current().is_some_and(|server| {
                !self.is_encrypted(server) && (info.tls_required || self.config.wants_tls(server))
            });
        match before_tls {
            true => Source::Anybody,
            false => self.source,
        }
    }

    /// What is to be done about encryption before anything is said.
    fn tls_step(&self, offered: bool, demanded: bool) -> TlsStep {
        let Some(server) = self.pool.current() else {
            return TlsStep::Refuse;
        };
        if self.is_encrypted(server) || fault!(SpeaksBeforeTls) {
            return TlsStep::Go;
        }
        let wanted = self.config.wants_tls(server) || server.scheme_kind() == Scheme::Wss;
        // A WebSocket is encrypted from its beginning, or not at all.
        let demanded = demanded && !server.is_websocket();
        match self.config.tls {
            _ if !wanted && !demanded => TlsStep::Go,
            _ if server.is_websocket() => TlsStep::Refuse,
            TlsMode::Unavailable | TlsMode::First => TlsStep::Refuse,
            // An address that says tls is not asked what it offers: a man in the middle would answer that it offers
            // nothing. The handshake will tell.
            TlsMode::Available => TlsStep::Encrypt(server.clone()),
            TlsMode::Required if offered || server.tls_required() => {
                TlsStep::Encrypt(server.clone())
            }
            TlsMode::Required => TlsStep::Refuse,
        }
    }

    /// Whether the stream was encrypted before it was handed over.
    pub(super) fn is_encrypted(&self, server: &ServerAddr) -> bool {
        match server.scheme_kind() {
            // Where nothing can be encrypted, this is not either, whatever the address says.
            Scheme::Wss => self.config.tls != TlsMode::Unavailable,
            Scheme::Ws => false,
            Scheme::Nats | Scheme::Tls => self.config.tls == TlsMode::First,
        }
    }

    /// The answer to [`Event::StartTls`]. An answer for an attempt that is not the latest is ignored.
    pub fn handle_tls(&mut self, id: DialId, result: Result<(), TlsError>) {
        let Link::AwaitTls { deadline } = self.link else {
            return;
        };
        if id != DialId(self.dials) {
            return;
        }
        match result {
            Ok(()) => {
                self.source = Source::Encrypted;
                self.authenticate(deadline);
            }
            Err(_) if fault!(TlsFailureIsIgnored) => self.authenticate(deadline),
            Err(error) => self.refuse(ConnectError::Tls(error)),
        }
    }

    /// Looks for credentials.
    fn authenticate(&mut self, deadline: Instant) {
        let nonce = self.greeting.as_ref().map_or("", |info| &info.nonce);
        let auth = match &self.config.auth {
            AuthSource::None => Auth::new(),
            AuthSource::Fixed(auth) => auth.clone(),
            #[cfg(feature = "nkeys")]
            AuthSource::Key(key) => key.auth(nonce),
            #[cfg(feature = "nkeys")]
            AuthSource::Credentials(credentials) => credentials.auth(nonce),
            AuthSource::Ask => {
                let nonce = String::from(nonce);
                if let Some(server) = self.pool.current().cloned() {
                    self.link = Link::AwaitAuth { deadline };
                    self.emit(Event::Authenticate { id: DialId(self.dials), server, nonce });
                }
                return;
            }
        };
        self.introduce(deadline, auth);
    }

    /// The answer to [`Event::Authenticate`]. An answer for an attempt that is not the latest is ignored.
    pub fn handle_auth(&mut self, id: DialId, result: Result<Auth, AuthError>) {
        let Link::AwaitAuth { deadline } = self.link else {
            return;
        };
        if id != DialId(self.dials) && !fault!(OldAuthIsTaken) {
            return;
        }
        match result {
            Ok(auth) => self.introduce(deadline, auth),
            Err(error) => self.refuse(ConnectError::Auth(error)),
        }
    }

    /// Says who we are, and asks for the answer.
    fn introduce(&mut self, deadline: Instant, auth: Auth) {
        let mut hello = OutBuf::new();
        encoder::connect(&mut hello, &self.connect_info(auth));
        let size = hello.len().saturating_sub("CONNECT \r\n".len());
        let limit = self.config.max_control_line;
        // The server would close the connection: CONNECT is a control line to it, like any other.
        if size > limit {
            return self.refuse(ConnectError::ConnectTooLong { size, limit });
        }
        encoder::ping(&mut hello);
        for _ in 0..self.pongs {
            encoder::pong(&mut hello);
        }
        self.urgent.append(&mut hello);
        self.link = Link::AwaitPong { deadline };
        self.wake.transmit();
    }

    /// We do not want this server.
    pub(super) fn refuse(&mut self, error: ConnectError) {
        self.hang_up(DisconnectReason::Requested, Some(error), Next::Reconnect);
    }

    fn connect_info(&self, auth: Auth) -> ConnectInfo {
        let config = &self.config;
        let server = self.pool.current();
        let greeting = self.greeting.as_ref();
        let upgraded = greeting.is_some_and(|info| info.tls_required)
            || server.is_some_and(|server| config.wants_tls(server));
        // A server that takes no headers closes the connection of a client that wants to hear of missing responders.
        let headers = greeting.is_none_or(|info| info.headers);
        let mut connect = ConnectInfo {
            verbose: config.verbose,
            pedantic: config.pedantic,
            echo: !config.no_echo,
            tls_required: upgraded,
            user_jwt: auth.jwt,
            nkey: auth.nkey,
            signature: auth.signature.as_deref().map(encode_signature),
            user: auth.username,
            pass: auth.password,
            auth_token: auth.token,
            name: config.name.clone(),
            lang: config.lang.clone(),
            version: config.version.clone(),
            protocol: Protocol::Dynamic,
            headers,
            no_responders: headers,
        };
        // What the URL carries comes first; a lone user name in it is a token, and a lone password goes alone.
        let url = server.map(|server| (server.username(), server.password()));
        let url = url.map(|(user, password)| (user.map(String::from), password.map(String::from)));
        (connect.user, connect.pass, connect.auth_token) = match url {
            None | Some((None, None)) => return connect,
            Some((token, None)) => (None, None, token),
            Some((user, password)) => (user, password, None),
        };
        // Of a client that names an nkey, a server that has users and nkeys looks at nothing else.
        connect.nkey = None;
        if connect.user_jwt.is_none() {
            connect.signature = None;
        }
        connect
    }

    /// Moves to another server, if this one is about to shut down and the settings say so; or calls that off, if there
    /// is no other any more.
    ///
    /// What has been accepted is confirmed first, and publishers wait meanwhile: nothing becomes uncertain. But they do
    /// not wait for ever for a server that does not answer.
    pub(super) fn leave_lame_duck(&mut self, now: Instant) {
        let leaves = self.config.leave_lame_duck
            && self.config.reconnect
            && self.ending.is_none()
            && self.has_refuge();
        self.lame_duck = match self.lame_duck {
            LameDuck::No => return,
            _ if !leaves => LameDuck::Announced,
            LameDuck::Leaving { .. } => return,
            LameDuck::Announced | LameDuck::Staying { .. } => match self.next_dial_if_left(now) {
                until if until > now => LameDuck::Staying { until },
                _ => LameDuck::Leaving { deadline: now + self.config.connect_timeout },
            },
        };
        if self.lame_duck.is_leaving() {
            self.gate.close();
            // A server that changes its mind again and again gets no more PINGs than there are publishes between.
            if !self.fences.has(Purpose::Leave, self.ledger.head()) {
                self.ping(Purpose::Leave);
            }
            if fault!(LeavesInHaste) {
                self.leave();
            }
        }
    }

    /// Whether there is another server to leave for. One that is about to shut down does not tell of itself any more, and if it
    /// tells of nobody, what was learned before may be more addresses of its own.
    fn has_refuge(&self) -> bool {
        match self.info.as_ref().is_some_and(|info| info.connect_urls.is_empty()) {
            true => self.pool.has_other_given(),
            false => self.pool.has_other(),
        }
    }

    /// The end has begun: nobody moves to another server any more.
    pub(super) fn stay_to_the_end(&mut self) {
        if self.lame_duck != LameDuck::No {
            self.lame_duck = LameDuck::Announced;
        }
    }

    /// The time has come to leave, or to think of it again.
    pub(super) fn act_on_lame_duck(&mut self, now: Instant) {
        match self.lame_duck {
            LameDuck::Leaving { .. } => self.leave(),
            _ => self.leave_lame_duck(now),
        }
    }

    /// Lets go of the server.
    ///
    /// The next one is dialled as after any loss: at once if its time has come. Servers that all are about to shut down
    /// are not dialled in turns without pause.
    pub(super) fn leave(&mut self) {
        self.hang_up(DisconnectReason::LameDuck, None, Next::Reconnect);
    }

    /// An -ERR came.
    pub(super) fn handle_server_error(&mut self, error: ServerError) {
        let closes = error.closes_connection();
        let pending = !self.is_up();
        self.emit(Event::ServerError(error.clone()));
        // Before CONNECT nothing was asked of the server that it could refuse. Without encryption, which may be about to
        // begin, somebody else may say so, and the client would not come back.
        let introduced = !pending || matches!(self.link, Link::AwaitPong { .. });
        if !pending {
            self.refuse_subscriptions(&error);
            self.refuse_requests(&error);
        }
        if closes || pending {
            let refusal = (introduced && error.is_authorization())
                .then(|| ConnectError::Authorization(error.clone()));
            self.hang_up(DisconnectReason::Server(error), refusal, Next::Reconnect);
        }
    }
}
