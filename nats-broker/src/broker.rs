//! The broker's state and its public methods.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use nats_proto::wire::{ClientDecoder, ClientOps, Limits, OutBuf, encoder};
use nats_proto::{Instant, Rng, ServerInfo};

use crate::config::Config;
use crate::delivery::FanOut;
use crate::event::{BrokerEvent, SessionId};
use crate::keepalive::LameDuck;
use crate::operations::error_text;
use crate::routing::Routes;
use crate::session::{Phase, Session};
use crate::statistics::Statistics;
use crate::subscriptions::Subscriptions;

/// Why a client gets INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It has come, or something else is new.
    News,
    /// It has introduced itself, and its first PING was answered.
    Introduced,
    /// Lame duck mode begins. As in the real server, no later INFO says so: clients act on it each time.
    LameDuck,
}

/// A Core NATS broker without sockets, clock, locks and entropy.
///
/// See the [crate documentation](crate) for how to drive it. A session that is unknown (any more) is ignored by
/// every method: a driver need not keep track of who was hung up on first.
#[derive(Debug)]
pub struct Broker {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) routes: Routes,
    pub(crate) timers: BTreeSet<(Instant, SessionId)>,
    pub(crate) events: VecDeque<BrokerEvent>,
    pub(crate) fan_out: FanOut,
    pub(crate) statistics: Statistics,
    pub(crate) lame_duck: Option<LameDuck>,
    shut_down: bool,
    server_id: String,
    next_session: u64,
    pub(crate) ops: ClientOps,
    /// How many subscriptions, and places where there may be some, were looked at so far.
    pub(crate) steps: u64,
}

impl Broker {
    /// A broker without clients. It is determined by `config`, `seed` and what it is told from now on.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut server_id = String::from("N");
        rng.fill_base62(&mut server_id, 55);
        // Of the letters and digits of base 32 alone, as the real server's is.
        let server_id = server_id
            .chars()
            .map(|char| match char.to_ascii_uppercase() {
                '0' => 'O',
                '1' => 'L',
                '8' => 'B',
                '9' => 'P',
                char => char,
            })
            .collect();
        Self {
            config,
            rng,
            sessions: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            routes: Routes::new(),
            timers: BTreeSet::new(),
            events: VecDeque::new(),
            fan_out: FanOut::default(),
            statistics: Statistics::default(),
            lame_duck: None,
            shut_down: false,
            server_id,
            next_session: 1,
            ops: ClientOps::new(),
            steps: 0,
        }
    }

    /// A client's stream was accepted. It gets INFO at once.
    ///
    /// `client_ip` is what INFO tells the client of its own address; empty if unknown. The session exists until
    /// [`handle_disconnect`](Self::handle_disconnect), even if it is refused (too many connections, lame duck
    /// mode, shut down), which a [`BrokerEvent::Hangup`] says.
    pub fn handle_connect(&mut self, now: Instant, client_ip: &str) -> SessionId {
        let id = SessionId(self.next_session);
        self.next_session = self.next_session.saturating_add(1);
        let mut limits = Limits::default();
        limits.control_line = self.config.max_control_line;
        limits.info = self.config.max_control_line;
        limits.header_block = self.config.largest_payload();
        limits.payload = self.config.largest_payload();
        let decoder = ClientDecoder::new(limits);
        let is_full = self.statistics.connections >= self.config.max_connections;
        self.statistics.connections = self.statistics.connections.saturating_add(1);
        self.sessions.insert(id, Session::new(id, now, client_ip, decoder));
        self.statistics.total_connections = self.statistics.total_connections.saturating_add(1);
        self.send_info(id, Occasion::News);
        if self.shut_down || self.lame_duck.is_some() {
            self.hang_up(id);
        } else if is_full {
            self.refuse(id, error_text::MAXIMUM_CONNECTIONS);
        } else {
            if self.config.auth.is_required() {
                self.await_introduction(id, now);
            }
            self.schedule_probe(id, now);
        }
        id
    }

    /// A client's stream is closed, by whichever side. Forgets the session and what it subscribed to.
    pub fn handle_disconnect(&mut self, session: SessionId) {
        self.close(session);
        self.sessions.remove(&session);
    }

    /// The deadline that [`poll_timeout`](Self::poll_timeout) gave has come. Calls at other times do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_timers(now);
    }

    /// Begins lame duck mode: no client is accepted any more, those that are there are told so with INFO, and
    /// their connections are closed one by one, in the time that the configuration gives.
    pub fn lame_duck(&mut self, now: Instant) {
        if self.lame_duck.is_some() || self.shut_down {
            return;
        }
        self.lame_duck = Some(LameDuck::new(now, &self.config, self.sessions.len()));
        self.send_info_to_all(Occasion::LameDuck);
    }

    /// Hangs up on every client; no further one is accepted.
    pub fn shutdown(&mut self) {
        self.shut_down = true;
        self.disconnect_all();
    }

    /// Hangs up on every client that is there now. They may come back.
    pub fn disconnect_all(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.hang_up(id);
        }
    }

    /// Changes which other servers (`host:port`) INFO tells clients of, and sends them the new INFO.
    pub fn set_connect_urls(&mut self, connect_urls: Vec<String>) {
        self.config.connect_urls = connect_urls;
        self.send_info_to_all(Occasion::News);
    }

    /// Gives `out`, if it is empty, all bytes that wait for this client, by swapping the buffers. Says whether
    /// `out` has something to write.
    ///
    /// Call it again after every write, with the same buffer: from what is still in it, the broker knows how
    /// much a client lags behind.
    pub fn poll_transmit(&mut self, session: SessionId, out: &mut OutBuf) -> bool {
        self.sessions.get_mut(&session).is_some_and(|to| to.transmit(out))
    }

    /// What to do next, if anything. Poll until `None` after every `handle_*` method and verb.
    pub fn poll_event(&mut self) -> Option<BrokerEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = self.timers.first().map(|(deadline, _)| *deadline);
        let lame_duck = self.lame_duck.as_ref().and_then(LameDuck::deadline);
        session.into_iter().chain(lame_duck).min()
    }

    /// Whether this client's latest input was delivered to another one for whom more than half of
    /// [`Config::max_pending`] waits to be written.
    ///
    /// A driver then does well to wait some milliseconds before it reads more from this client, so that a fast
    /// publisher does not make slow consumers of all who listen to it; and not to give
    /// [`handle_input`](Self::handle_input) more at a time than makes a part of `max_pending` for any of them.
    pub fn is_stalled(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|from| from.stalled.is_some())
    }

    /// Whether the session exists and was not hung up on.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|session| !session.is_closing())
    }

    /// The sessions that exist, also those that were hung up on, from the oldest to the newest.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.keys().copied()
    }

    /// How many subscriptions a client has.
    pub fn subscriptions(&self, session: SessionId) -> usize {
        self.sessions.get(&session).map_or(0, |session| session.subscriptions.len())
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        Statistics { subscriptions: self.subscriptions.len(), ..self.statistics }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Buffers bytes for a client, and cuts it off if too many wait.
    pub(crate) fn send(&mut self, id: SessionId, encode: impl FnOnce(&mut OutBuf)) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.is_closing())
        else {
            return;
        };
        if session.queue(self.config.max_pending, &mut self.events, encode).is_err() {
            self.cut_off(id);
        }
    }

    pub(crate) fn send_info(&mut self, id: SessionId, occasion: Occasion) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let info = ServerInfo {
            server_id: self.server_id.clone(),
            server_name: self.config.server_name.clone().unwrap_or_else(|| self.server_id.clone()),
            // Clients conclude from the version what a server can do.
            version: String::from(crate::NATS_SERVER_VERSION),
            proto: 1,
            host: self.config.host.clone(),
            port: self.config.port,
            headers: true,
            auth_required: self.config.auth.is_required(),
            max_payload: self.config.largest_payload(),
            client_id: id.as_u64(),
            client_ip: session.client_ip.clone(),
            connect_urls: self.config.connect_urls.clone(),
            lame_duck_mode: occasion == Occasion::LameDuck,
            connect_info: occasion == Occasion::Introduced,
            ..ServerInfo::default()
        };
        self.send(id, |out| encoder::info(out, &info));
    }

    /// INFO goes unasked only to clients that said they understand it, and not before their first PONG.
    fn send_info_to_all(&mut self, occasion: Occasion) {
        let ids: Vec<SessionId> = self
            .sessions
            .values()
            .filter(|session| session.phase == Phase::Settled && session.wishes.async_info)
            .map(|session| session.id)
            .collect();
        for id in ids {
            self.send_info(id, occasion);
        }
    }

    /// Sends -ERR and hangs up.
    pub(crate) fn refuse(&mut self, id: SessionId, text: &str) {
        self.send(id, |out| encoder::err(out, text));
        self.hang_up(id);
    }

    /// Lets the driver write what is buffered, and close.
    pub(crate) fn hang_up(&mut self, id: SessionId) {
        if self.close(id) {
            self.events.push_back(BrokerEvent::Hangup(id));
        }
    }

    /// Closes without another byte: the client does not read.
    pub(crate) fn cut_off(&mut self, id: SessionId) {
        if self.close(id) {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.discard();
            }
            self.statistics.slow_consumers = self.statistics.slow_consumers.saturating_add(1);
            self.events.push_back(BrokerEvent::Abort(id));
        }
    }

    /// Ends a session; whether it was open.
    fn close(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.is_closing())
        else {
            return false;
        };
        session.phase = Phase::Closing;
        session.undone = None;
        self.statistics.connections = self.statistics.connections.saturating_sub(1);
        self.clear_deadlines(id);
        self.unsubscribe_all(id);
        true
    }
}
