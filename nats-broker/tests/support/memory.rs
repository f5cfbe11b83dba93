//! The broker's core with clients in memory and a clock that is a number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::BytesMut;
use nats_broker::{Auth, Broker, BrokerEvent, Config, SessionId};
use nats_proto::Instant;
use nats_proto::wire::OutBuf;

use super::script::{Script, World};

/// The settings that a script wants.
pub(crate) fn config(script: &Script) -> Config {
    let mut config = Config::default();
    for (name, value) in &script.options {
        let number = || value.parse().expect("a number");
        let millis = || Duration::from_millis(value.parse().expect("a number of milliseconds"));
        match name.as_str() {
            "token" => config.auth = Auth::Token(value.clone()),
            "user" => {
                let (user, password) = value.split_once(':').expect("user:password");
                config.auth = Auth::user(user, password);
            }
            "max_payload" => config.max_payload = number(),
            "max_subscriptions" => config.max_subscriptions = number(),
            "max_subscription_tokens" => config.max_subscription_tokens = number(),
            "max_connections" => config.max_connections = number(),
            "max_control_line" => config.max_control_line = number(),
            "ping_interval" => config.ping_interval = millis(),
            "ping_max" => config.max_pings_out = number(),
            // A server for this script alone, which it spoils for others.
            "own_server" => {}
            other => panic!("unknown option {other}"),
        }
    }
    config
}

/// A broker and its clients, with nothing in between.
pub(crate) struct Memory {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    sessions: BTreeMap<char, SessionId>,
    outputs: BTreeMap<SessionId, Vec<u8>>,
    inputs: BTreeMap<SessionId, BytesMut>,
    closed: BTreeSet<SessionId>,
    /// Give input to the broker in pieces of so many bytes.
    piece: usize,
}

impl Memory {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            broker: Broker::new(config, [1; 32]),
            now: Instant::ZERO,
            sessions: BTreeMap::new(),
            outputs: BTreeMap::new(),
            inputs: BTreeMap::new(),
            closed: BTreeSet::new(),
            piece: usize::MAX,
        }
    }

    /// A broker as `script` wants it. Input is given to it in pieces of so many bytes.
    pub(crate) fn for_script(script: &Script, piece: usize) -> Self {
        Self { piece, ..Self::new(config(script)) }
    }

    pub(crate) fn session(&self, client: char) -> SessionId {
        self.sessions[&client]
    }

    /// What a client has got since it was last asked.
    pub(crate) fn output(&mut self, client: char) -> Vec<u8> {
        self.settle();
        let id = self.sessions[&client];
        self.outputs.remove(&id).unwrap_or_default()
    }

    /// Sends, without looking at what comes back.
    pub(crate) fn input(&mut self, client: char, bytes: &[u8]) {
        let id = self.sessions[&client];
        for piece in bytes.chunks(self.piece) {
            let input = self.inputs.entry(id).or_default();
            input.extend_from_slice(piece);
            self.broker.handle_input(self.now, id, input);
            self.settle();
        }
    }

    /// Does all that the broker wants done.
    pub(crate) fn settle(&mut self) {
        while let Some(event) = self.broker.poll_event() {
            let (BrokerEvent::Transmit(id) | BrokerEvent::Hangup(id) | BrokerEvent::Abort(id)) =
                event
            else {
                panic!("unknown event {event:?}");
            };
            let mut out = OutBuf::new();
            while self.broker.poll_transmit(id, &mut out) {
                let output = self.outputs.entry(id).or_default();
                for chunk in out.chunks() {
                    output.extend_from_slice(chunk);
                }
                out.advance(out.len());
            }
            if !matches!(event, BrokerEvent::Transmit(_)) {
                self.broker.handle_disconnect(id);
                self.closed.insert(id);
            }
        }
    }

    /// Lets time pass, with a visit to the broker at each of its deadlines.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.broker.poll_timeout().filter(|deadline| *deadline <= end) {
            assert!(deadline >= self.now, "a deadline that has been handled comes back");
            self.now = deadline;
            self.broker.handle_timeout(deadline);
            self.settle();
            assert!(self.broker.poll_timeout().is_none_or(|next| next > deadline), "no progress");
        }
        self.now = end;
    }
}

impl World for Memory {
    fn is(&self, server: &str) -> bool {
        matches!(server, "broker" | "new")
    }

    fn connect(&mut self, client: char) {
        let id = self.broker.handle_connect(self.now, "127.0.0.1");
        self.sessions.insert(client, id);
        self.settle();
    }

    fn send(&mut self, client: char, bytes: &[u8]) {
        self.input(client, bytes);
    }

    fn receive(&mut self, client: char, into: &mut Vec<u8>) -> bool {
        let output = self.output(client);
        into.extend_from_slice(&output);
        !output.is_empty()
    }

    fn is_closed(&mut self, client: char) -> bool {
        self.closed.contains(&self.sessions[&client])
    }

    fn wait(&mut self, millis: u64) {
        self.advance(Duration::from_millis(millis));
    }

    fn lame_duck(&mut self) {
        self.broker.lame_duck(self.now);
        self.settle();
    }
}
