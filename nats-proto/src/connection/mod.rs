//! The connection state machine.

mod config;
mod dialling;
mod drain;
mod error;
mod event;
mod fences;
mod garbage;
mod gate;
mod handshake;
mod incoming;
mod keepalive;
mod ledger;
mod losing;
mod outgoing;
mod queued;
mod requests;
mod room;
mod state;
mod statistics;
mod subscribing;
mod subscriptions;
mod timers;
mod wake;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

pub use crate::servers::{ReconnectToServer, Server, SetServerPoolError};
pub use config::{AuthSource, Config, ConfigError, PendingPolicy, ReconnectDelay, TlsMode};
pub use error::{
    AuthError, ConnectError, DialError, DisconnectReason, FlushError, PublishError, RequestError,
    SubscribeError, TlsError, UnknownSubscription,
};
pub use event::{
    Delivery, DialId, EndReason, Event, FlushId, RequestId, Route, SubscriptionId, Unfinished,
};
pub use statistics::Statistics;

use crate::servers::{Pool, Source};
use crate::wire::OutBuf;
use crate::{Instant, Rng, ServerAddr, ServerInfo};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// A [`ChooseServer`](Event::ChooseServer) is out.
    Choosing,
    /// Waiting before the next attempt.
    Backoff,
    /// A [`Dial`](Event::Dial) is under way.
    Dialing,
    /// The stream is open; INFO is awaited.
    AwaitInfo,
    /// A [`StartTls`](Event::StartTls) is out; [`handle_tls`](Connection::handle_tls) is awaited.
    AwaitTls,
    /// An [`Authenticate`](Event::Authenticate) is out; [`handle_auth`](Connection::handle_auth) is awaited.
    AwaitAuth,
    /// CONNECT and PING are out; PONG is awaited.
    AwaitPong,
    /// Up.
    Connected,
    /// Up, and on the way to the end.
    Draining,
    /// A [`Hangup`](Event::Hangup) is out; [`handle_disconnect`](Connection::handle_disconnect) is awaited.
    HangingUp,
    /// At the end.
    Closed,
}

/// A NATS client connection that never does I/O. See the [crate's front page](crate) for the loop that
/// drives it.
pub struct Connection {
    config: Arc<Config>,
    rng: Rng,
    link: state::Link,
    ending: Option<drain::Ending>,
    pool: Pool,
    /// What the server of the link that is up, or was last, said of itself.
    info: Option<Box<ServerInfo>>,
    /// What the server of the attempt under way says of itself.
    greeting: Option<Box<ServerInfo>>,
    /// Who may have written what comes on this link.
    source: Source,
    lame_duck: handshake::LameDuck,
    /// Attempts since the last connection that came up.
    attempts: usize,
    dials: u64,
    connects: u64,
    input: incoming::Input,
    /// Handshake, restored subscriptions and PONGs: goes out before `outgoing`.
    urgent: OutBuf,
    /// PONGs in `urgent`, or that will be there with CONNECT.
    pongs: u32,
    /// Everything else, in the order in which it was accepted. Without a link it holds only publishes.
    outgoing: OutBuf,
    queued: queued::Queued,
    /// What is handed out for writing, until the caller comes back for more.
    handed_out: room::Load,
    garbage: garbage::Garbage,
    gate: gate::Gate,
    ledger: ledger::Ledger,
    /// Publishes that became uncertain with the last link that was up, or since the end began.
    lost_last: u64,
    fences: fences::Fences,
    keepalive: keepalive::Keepalive,
    subscriptions: subscriptions::Subscriptions,
    requests: requests::Requests,
    events: VecDeque<Event>,
    wake: wake::Wake,
    bytes_in: u64,
    bytes_out: u64,
    messages_in: u64,
    unroutable: u64,
}

impl Connection {
    /// A connection that wants to dial at once: the first [`poll_event`](Self::poll_event) gives
    /// [`Event::Dial`].
    ///
    /// `seed` is all the randomness it will ever have (jitter, server order, inbox names): take it from the
    /// operating system, or fix it to make a run repeatable. Two connections with the same seed have the same inboxes, and
    /// on one server get each other's replies: what a process or a container knows of itself is no seed.
    ///
    /// # Errors
    ///
    /// The settings cannot work.
    pub fn new(config: Arc<Config>, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut rng = Rng::from_seed(seed);
        let pool = Pool::new(&config, &mut rng);
        let requests = requests::Requests::new(&config.inbox_prefix, &mut rng);
        let keepalive =
            keepalive::Keepalive::new(config.ping_interval, config.max_pings_outstanding);
        let mut connection = Self {
            config,
            rng,
            link: state::Link::Closed,
            ending: None,
            pool,
            info: None,
            greeting: None,
            source: Source::Plain,
            lame_duck: handshake::LameDuck::No,
            attempts: 0,
            dials: 0,
            connects: 0,
            input: incoming::Input::default(),
            urgent: OutBuf::new(),
            pongs: 0,
            outgoing: OutBuf::new(),
            queued: queued::Queued::default(),
            handed_out: room::Load::default(),
            garbage: garbage::Garbage::default(),
            gate: gate::Gate::default(),
            ledger: ledger::Ledger::default(),
            lost_last: 0,
            fences: fences::Fences::new(),
            keepalive,
            subscriptions: subscriptions::Subscriptions::default(),
            requests,
            events: VecDeque::new(),
            wake: wake::Wake::default(),
            bytes_in: 0,
            bytes_out: 0,
            messages_in: 0,
            unroutable: 0,
        };
        connection.next_server(now);
        Ok(connection)
    }

    /// The next thing to know or to do, in the order in which it happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.wake.attention_polled();
        }
        event
    }

    /// Whether the loop that drives the connection must be woken because of what was called since it last
    /// looked: there is something to write, an event, or a nearer deadline. True once until the loop looks
    /// again (with [`poll_transmit`](Self::poll_transmit), and [`poll_event`](Self::poll_event) until
    /// `None`), so that a thousand publishes cost one wake.
    ///
    /// For callers whose loop sleeps in another task than the one that publishes; others need not ask.
    pub fn take_wake(&mut self) -> bool {
        self.wake.take()
    }

    /// What the connected (or last connected) server says of itself.
    pub fn server_info(&self) -> Option<&ServerInfo> {
        self.info.as_deref()
    }

    /// The server of the current connection or attempt.
    pub fn current_server(&self) -> Option<&ServerAddr> {
        self.pool.current()
    }

    /// The servers known, given and discovered: the one of the current connection or attempt, if it is still one of them, and
    /// then those to be tried next, in their order.
    pub fn servers(&self) -> Vec<ServerAddr> {
        self.pool.addrs()
    }

    /// The [servers](Self::servers), in the same order, and what is known of them.
    pub fn server_pool(&self) -> Vec<Server> {
        self.pool.servers()
    }

    /// The largest sum of headers and payload that the connected (or last connected) server accepts. As long as there
    /// was none, [`Limits::payload`](crate::wire::Limits::payload).
    pub fn max_payload(&self) -> usize {
        self.info.as_ref().map_or(self.config.limits.payload, |info| info.max_payload)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes queued for writing, without those handed out.
    pub fn buffered(&self) -> usize {
        self.urgent.len().saturating_add(self.outgoing.len())
    }

    /// Subscriptions that exist, without the one for replies.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Requests that wait.
    pub fn pending_requests(&self) -> usize {
        self.requests.len()
    }

    /// Counters.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            published: self.ledger.published,
            confirmed: self.ledger.confirmed,
            uncertain: self.ledger.uncertain,
            dropped: self.ledger.dropped,
            pending: self.ledger.pending(),
            replayed: self.ledger.replayed,
            bytes_out: self.bytes_out,
            bytes_in: self.bytes_in,
            messages_in: self.messages_in,
            unroutable: self.unroutable,
            connects: self.connects,
        }
    }

    fn emit(&mut self, event: Event) {
        self.events.push_back(event);
        self.wake.attention();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("state", &self.state())
            .field("server", &self.current_server())
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
