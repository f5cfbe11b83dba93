//! A broker with several clients that say anything.

use std::time::Duration;

use bytes::BytesMut;
use nats_broker::{Auth, Broker, BrokerEvent, Config, SessionId};
use nats_proto::wire::{Limits, OutBuf, ServerDecoder, ServerOps};
use nats_proto::{DecodeError, Instant};

use crate::Choices;

/// What a client might say; `*` stands for a number that is chosen.
const PHRASES: [&str; 24] = [
    "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n",
    "CONNECT {\"user\":\"ann\",\"pass\":\"secret\",\"echo\":false,\"verbose\":false,\"protocol\":1}\r\n",
    "CONNECT {\"pedantic\":true,\"no_responders\":true}\r\n",
    "CONNECT {}\r\n",
    "SUB s.* *\r\n",
    "SUB s.> q *\r\n",
    "SUB s.1 *\r\n",
    "SUB s..1 *\r\n",
    "UNSUB *\r\n",
    "UNSUB * 2\r\n",
    "UNSUB * 18446744073709551615\r\n",
    "PUB s.1 2\r\nhi\r\n",
    "PUB s.* reply.to 0\r\n\r\n",
    "PUB nobody.* s.1 0\r\n\r\n",
    "HPUB s.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "HPUB nobody s.1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
    "HPUB s.2 20 19\r\n",
    "PUB s.1 5000\r\n",
    "PUB a b c d\r\n",
    "PING\r\n",
    "PONG\r\n",
    "INFO {}\r\n",
    "nonsense\r\n",
    "SUB s.2 * *\r\n",
];

/// Operations on a broker: the first byte chooses the settings, and every byte after it what happens.
///
/// At any time, what the broker writes is what a client can read, and a deadline that has come is gone after it was
/// handled; when all clients are gone, nothing is left of them.
pub fn broker_sessions(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut run = Run::new(choices.byte());
    while !choices.is_empty() {
        run.step(&mut choices);
        run.check();
    }
    run.finish();
}

/// A client, as far as the broker can tell.
struct Client {
    id: SessionId,
    input: BytesMut,
    out: OutBuf,
    decoder: ServerDecoder,
    received: BytesMut,
}

struct Run {
    broker: Broker,
    now: Instant,
    clients: Vec<Client>,
}

impl Run {
    fn new(flags: u8) -> Self {
        let mut config = Config::default();
        if flags & 1 != 0 {
            config.auth = Auth::user("ann", "secret");
        }
        if flags & 2 != 0 {
            config.max_pending = 1024;
        }
        if flags & 4 != 0 {
            (config.max_connections, config.max_subscriptions) = (2, 2);
        }
        if flags & 8 != 0 {
            config.connect_urls = vec!["a:1".into(), "b:2".into()];
        }
        config.max_payload = if flags & 16 == 0 { 1 << 20 } else { 8 };
        config.max_control_line = if flags & 32 == 0 { 4096 } else { 64 };
        config.ping_interval = Duration::from_secs(u64::from(flags >> 6));
        Self { broker: Broker::new(config, [7; 32]), now: Instant::ZERO, clients: Vec::new() }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0 if self.clients.len() < 8 => self.connect(),
            0..=5 => {
                let (which, phrase, number) = (choices.byte(), choices.byte(), choices.byte() % 8);
                let phrase = PHRASES[usize::from(phrase) % PHRASES.len()];
                self.say(which, phrase.replace('*', &number.to_string()).as_bytes());
            }
            6 => {
                let (which, len) = (choices.byte(), choices.byte() % 64);
                self.say(which, choices.bytes(usize::from(len)));
            }
            7 => self.poll(usize::MAX),
            8 => self.poll(usize::from(choices.byte())),
            9 => {
                self.now = self.broker.poll_timeout().unwrap_or(self.now).max(self.now);
                self.broker.handle_timeout(self.now);
            }
            10 => {
                self.now = self.now + Duration::from_millis(u64::from(choices.word()));
                self.broker.handle_timeout(self.now);
            }
            11 => {
                let which = usize::from(choices.byte());
                if !self.clients.is_empty() {
                    let client = self.clients.swap_remove(which % self.clients.len());
                    self.broker.handle_disconnect(client.id);
                }
            }
            12 => self.broker.set_connect_urls(vec!["c:3".into(); usize::from(choices.byte() % 4)]),
            13 if choices.byte() == 0 => self.broker.lame_duck(self.now),
            14 if choices.byte() == 0 => self.broker.disconnect_all(),
            15 if choices.bytes(2) == [0, 0] => self.broker.shutdown(),
            _ => self.connect(),
        }
    }

    fn connect(&mut self) {
        if self.clients.len() < 8 {
            let id = self.broker.handle_connect(self.now, "127.0.0.1");
            self.clients.push(Client {
                id,
                input: BytesMut::new(),
                out: OutBuf::new(),
                decoder: ServerDecoder::new(Limits::default()),
                received: BytesMut::new(),
            });
        }
    }

    fn say(&mut self, which: u8, bytes: &[u8]) {
        if self.clients.is_empty() {
            self.connect();
        }
        let index = usize::from(which) % self.clients.len();
        let client = &mut self.clients[index];
        client.input.extend_from_slice(bytes);
        self.broker.handle_input(self.now, client.id, &mut client.input);
        let _ = self.broker.is_stalled(client.id);
    }

    /// Does as a server loop would; `count` bytes are written at a time.
    fn poll(&mut self, count: usize) {
        while let Some(event) = self.broker.poll_event() {
            match event {
                BrokerEvent::Transmit(id) => self.transmit(id, count),
                BrokerEvent::Hangup(id) => {
                    self.transmit(id, usize::MAX);
                    self.disconnect(id);
                }
                BrokerEvent::Abort(id) => self.disconnect(id),
                _ => {}
            }
        }
        let ids: Vec<SessionId> = self.clients.iter().map(|client| client.id).collect();
        ids.into_iter().for_each(|id| self.transmit(id, count));
    }

    fn disconnect(&mut self, id: SessionId) {
        self.clients.retain(|client| client.id != id);
        self.broker.handle_disconnect(id);
    }

    fn transmit(&mut self, id: SessionId, count: usize) {
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else {
            return;
        };
        if !self.broker.poll_transmit(id, &mut client.out) {
            return;
        }
        let mut left = count;
        for chunk in client.out.chunks() {
            let chunk = &chunk[..chunk.len().min(left)];
            client.received.extend_from_slice(chunk);
            left -= chunk.len();
        }
        client.out.advance(count.min(client.out.len()));
        let result = client.decoder.decode(&mut client.received, &mut ServerOps::new());
        // A client may give a subscription any name, and gets it back; this one's are numbers.
        let odd_name =
            matches!(result, Err(DecodeError::BadNumber { what: "subscription identifier", .. }));
        assert!(odd_name || result.is_ok(), "a client cannot read what is written: {result:?}");
    }

    /// What holds at any time.
    fn check(&mut self) {
        let sessions = self.broker.sessions().count();
        assert_eq!(sessions, self.clients.len());
        let open = self.broker.sessions().filter(|id| self.broker.is_open(*id)).count();
        let statistics = self.broker.statistics();
        assert_eq!(statistics.connections, open);
        let subscriptions: usize =
            self.broker.sessions().map(|id| self.broker.subscriptions(id)).sum();
        assert_eq!(statistics.subscriptions, subscriptions);
        for _ in 0..16 {
            match self.broker.poll_timeout() {
                Some(deadline) if deadline <= self.now => self.broker.handle_timeout(self.now),
                _ => return,
            }
        }
        panic!("a deadline stays although it was handled");
    }

    fn finish(mut self) {
        self.broker.disconnect_all();
        self.poll(usize::MAX);
        assert!(self.clients.is_empty(), "a client was not hung up on");
        let statistics = self.broker.statistics();
        assert_eq!((statistics.connections, statistics.subscriptions), (0, 0));
        assert_eq!(self.broker.sessions().count(), 0);
    }
}
