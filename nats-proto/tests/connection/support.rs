//! A connection and the other end of its wire.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nats_proto::connection::{DialError, DisconnectReason, PublishError, Statistics};
use nats_proto::wire::OutBuf;
use nats_proto::{Config, Connection, DialId, Event, Instant, Outgoing, ServerAddr};

pub(crate) const INFO: &str =
    r#"{"server_id":"A","version":"2.15.1","proto":1,"headers":true,"max_payload":1048576}"#;

/// Bytes of a publish of one byte to `a`.
pub(crate) const FRAME: usize = "PUB a 1\r\n1\r\n".len();

/// A connection, its time, and what was said to the caller.
pub(crate) struct Wire {
    pub(crate) connection: Connection,
    pub(crate) now: Instant,
    input: BytesMut,
    dial: Option<(DialId, ServerAddr)>,
    hung_up: bool,
}

pub(crate) fn addr(text: &str) -> ServerAddr {
    text.parse().expect("a valid address")
}

pub(crate) fn config() -> Config {
    let mut config = Config::new(vec![addr("nats://a:4222")]);
    config.reconnect_jitter = Duration::ZERO;
    config.retain_servers_order = true;
    config
}

/// Settings with these servers.
pub(crate) fn pool(servers: &[&str]) -> Config {
    let mut config = config();
    config.servers = servers.iter().map(|server| addr(server)).collect();
    config
}

impl Wire {
    pub(crate) fn new(config: Config) -> Self {
        let now = Instant::from_millis(1_000);
        let connection = Connection::new(Arc::new(config), [7; 32], now).expect("valid settings");
        Self { connection, now, input: BytesMut::new(), dial: None, hung_up: false }
    }

    /// A connection that is up, with nothing left to write or to tell.
    pub(crate) fn connected(config: Config) -> Self {
        let mut wire = Self::new(config);
        wire.connect();
        wire
    }

    /// Goes from `Dial` to the first PONG.
    pub(crate) fn connect(&mut self) -> Vec<Event> {
        self.dialled();
        self.accept();
        self.feed(format!("INFO {INFO}\r\n"));
        let written = self.written();
        assert!(written.starts_with("CONNECT {"), "{written}");
        assert!(written.ends_with("}\r\nPING\r\n"), "{written}");
        self.feed("PONG\r\n");
        // So old that a loss is no reason to wait.
        self.now = self.now + Duration::from_secs(2);
        self.events()
    }

    /// The server that the connection wants to reach.
    pub(crate) fn dialled(&mut self) -> ServerAddr {
        let events = self.events();
        self.dial.clone().unwrap_or_else(|| panic!("no dial, but {events:?}")).1
    }

    pub(crate) fn accept(&mut self) {
        let (id, _) = self.dial.take().expect("a dial");
        self.connection.handle_dial(self.now, id, Ok(()));
    }

    pub(crate) fn refuse(&mut self) -> Vec<Event> {
        let (id, _) = self.dial.take().expect("a dial");
        let error = DialError::Io("refused".into());
        self.connection.handle_dial(self.now, id, Err(error));
        self.events()
    }

    pub(crate) fn feed(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.extend_from_slice(bytes.as_ref());
        self.connection.receive(self.now, &mut self.input);
    }

    /// Everything there is to tell; notes dials and hang-ups.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Dial { id, server } => self.dial = Some((id, server)),
                Event::Hangup => self.hung_up = true,
                event => events.push(event),
            }
        }
        events
    }

    /// Writes everything there is to write.
    pub(crate) fn written(&mut self) -> String {
        let mut out = OutBuf::new();
        let mut bytes = Vec::new();
        while self.connection.poll_transmit(&mut out) {
            out.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
            out.advance(out.len());
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Breaks the link after `count` bytes of the next buffer.
    pub(crate) fn cut_after(&mut self, count: usize) -> Vec<Event> {
        let mut out = OutBuf::new();
        self.connection.poll_transmit(&mut out);
        out.advance(count);
        self.disconnect(out)
    }

    pub(crate) fn cut(&mut self) -> Vec<Event> {
        self.disconnect(OutBuf::new())
    }

    pub(crate) fn disconnect(&mut self, unsent: OutBuf) -> Vec<Event> {
        self.input.clear();
        self.connection.handle_disconnect(self.now, DisconnectReason::Eof, unsent);
        self.events()
    }

    /// Whether the caller is to close the stream.
    pub(crate) fn was_told_to_hang_up(&self) -> bool {
        self.hung_up
    }

    /// Answers a hang-up.
    pub(crate) fn hang_up(&mut self) -> Vec<Event> {
        let mut events = self.events();
        assert!(std::mem::take(&mut self.hung_up), "no hang-up, but {events:?}");
        events.extend(self.cut());
        events
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.connection.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.connection.handle_timeout(self.now);
            let next = self.connection.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "the deadline {next:?} made no progress"
            );
        }
        self.now = end;
    }

    /// Publishes until there is no room. Says how many there are.
    pub(crate) fn fill(&mut self, subject: &str, payload: &str) -> usize {
        const MANY: usize = 10_000;
        let queued = (0..MANY).take_while(|_| self.publish(subject, payload).is_ok()).count();
        assert!(queued < MANY, "there is always room");
        queued
    }

    pub(crate) fn publish(&mut self, subject: &str, payload: &str) -> Result<(), PublishError> {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        self.connection.publish(Outgoing::new(subject, &payload))
    }

    /// The counters, which must add up at any time.
    pub(crate) fn statistics(&self) -> Statistics {
        let s = self.connection.statistics();
        assert_eq!(s.published, s.confirmed + s.uncertain + s.dropped + s.pending, "{s:?}");
        s
    }
}
