//! A connection, driven by any sequence of operations, with any bytes for a server.

mod checks;
mod rare;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nats_proto::connection::{
    AuthSource, DialError, DialId, DisconnectReason, EndReason, FlushId, PendingPolicy, RequestId,
    SubscriptionId, TlsMode,
};
use nats_proto::wire::{ClientDecoder, ClientOp, ClientOps, Limits, OutBuf};
use nats_proto::{Config, Connection, Event, HeaderMap, Instant, Outgoing, ServerAddr, State};

use crate::Choices;

/// What a server might say; `*` stands for a number that is chosen.
const PHRASES: [&str; 20] = [
    "INFO {\"server_id\":\"A\",\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n",
    "INFO {\"max_payload\":8,\"proto\":1}\r\n",
    "INFO {\"headers\":true,\"max_payload\":64,\"connect_urls\":[\"b:1\",\"c:2\",\"[::1]:3\"]}\r\n",
    "INFO {\"ldm\":true,\"tls_required\":true,\"auth_required\":true,\"connect_urls\":[]}\r\n",
    "PING\r\n",
    "PONG\r\n",
    "+OK\r\n",
    "-ERR 'Stale Connection'\r\n",
    "-ERR 'Authorization Violation'\r\n",
    "-ERR 'Permissions Violation for Subscription to \"s.*\"'\r\n",
    "-ERR 'Permissions Violation for Publish to \"s.1\"'\r\n",
    "MSG s.* * 2\r\nhi\r\n",
    "MSG s.* * reply.to 0\r\n\r\n",
    "HMSG s.* * 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
    "HMSG s.* * 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    "nonsense\r\n",
    "INFO {\"tls_available\":true,\"auth_required\":true,\"nonce\":\"abc\",\"proto\":1}\r\n",
    "INFO {\"ldm\":true,\"proto\":1,\"max_payload\":-1}\r\n",
    "-ERR 'User Authentication Expired'\r\n",
    "-ERR 'maximum connections exceeded'\r\n",
];

/// Stands behind the two bytes of settings if there are two more, and operations that go with them.
const MORE: u8 = 0xff;

/// The first of the bytes that are those operations then.
const RARE: u8 = 0xe0;

/// Operations on a connection: the first bytes choose the settings, and every byte after them what happens.
///
/// At any time the counters add up, what is written is what a server can read, and a deadline that has come
/// is gone after it was handled.
pub fn connection_ops(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut run = Run::new(&mut choices);
    while !choices.is_empty() {
        run.step(&mut choices);
        run.check();
    }
    run.finish();
}

fn server(text: &str) -> ServerAddr {
    text.parse().expect("the address is right")
}

struct Run {
    connection: Connection,
    now: Instant,
    /// Publishes and requests that were accepted.
    accepted: u64,
    /// Whether there are more settings and operations.
    more: bool,
    dial: Option<DialId>,
    /// Who has asked for TLS, and for credentials.
    tls: Option<DialId>,
    auth: Option<DialId>,
    /// The pool, if a server of it is to be chosen.
    choice: Option<Vec<ServerAddr>>,
    /// Whether there is a stream.
    open: bool,
    hangup: bool,
    closed: bool,
    out: OutBuf,
    input: BytesMut,
    /// The server's end of the stream.
    server: ClientDecoder,
    server_input: BytesMut,
    /// PINGs that the server has not answered.
    pings: u32,
    /// Where the replies to requests are expected.
    replies: Vec<String>,
    subscriptions: Vec<SubscriptionId>,
    /// Those that the server is asked for, and neither confirmed nor ended.
    confirming: Vec<SubscriptionId>,
    requests: Vec<RequestId>,
    flushes: Vec<FlushId>,
    /// Nothing is read.
    paused: bool,
    /// By when draining must be over.
    ends_by: Option<Instant>,
}

impl Run {
    fn new(choices: &mut Choices<'_>) -> Self {
        let (flags, sizes) = (choices.byte(), choices.byte());
        let mut servers = vec![server("nats://a:4222")];
        if flags & 1 != 0 {
            servers.push(server("nats://user:password@b:4222"));
        }
        let mut config = Config::new(servers);
        config.verbose = flags & 2 != 0;
        config.reconnect = flags & 4 == 0;
        config.retry_on_initial_connect = flags & 8 != 0;
        config.max_reconnects = (flags & 16 == 0).then_some(3);
        config.ping_interval = Duration::from_secs(u64::from(flags & 32));
        config.pending_policy = match flags >> 6 {
            0 => PendingPolicy::Wait,
            1 => PendingPolicy::Error,
            _ => PendingPolicy::DropOldest,
        };
        config.pending_limit = usize::from(sizes & 0xf) * 64;
        config.send_limit = usize::from(sizes >> 4) * 1024;
        let more = choices.data.first() == Some(&MORE);
        if more {
            choices.byte();
            rare::settings(&mut config, choices);
        }
        let connection = Connection::new(Arc::new(config), [7; 32], Instant::ZERO)
            .expect("the settings are right");
        Self {
            connection,
            now: Instant::ZERO,
            accepted: 0,
            more,
            dial: None,
            tls: None,
            auth: None,
            choice: None,
            open: false,
            hangup: false,
            closed: false,
            out: OutBuf::new(),
            input: BytesMut::new(),
            server: ClientDecoder::new(Limits::default()),
            server_input: BytesMut::new(),
            pings: 0,
            replies: Vec::new(),
            subscriptions: Vec::new(),
            confirming: Vec::new(),
            requests: Vec::new(),
            flushes: Vec::new(),
            paused: false,
            ends_by: None,
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let what = choices.byte();
        if self.more && what >= RARE {
            return self.rare_step(what, choices);
        }
        match what % 24 {
            0 => self.poll_events(),
            1 | 2 => {
                self.poll_events();
                self.answer_dial(Ok(()));
            }
            3 => self.answer_dial(Err(DialError::Io("refused".into()))),
            4 => self.handshake(),
            5 => self.say(choices),
            6 => {
                let len = usize::from(choices.byte() % 64);
                self.receive(choices.bytes(len));
            }
            7 => self.answer_pings(),
            8 => self.transmit(usize::from(choices.byte())),
            9 => self.transmit(usize::MAX),
            10 => self.disconnect(),
            11 => {
                self.now = self.connection.poll_timeout().unwrap_or(self.now).max(self.now);
                self.connection.handle_timeout(self.now);
            }
            12 => {
                self.now = self.now + Duration::from_millis(u64::from(choices.word()));
                self.connection.handle_timeout(self.now);
            }
            13 | 14 => self.publish(choices),
            15 => self.request(choices),
            16 => self.subscribe(choices),
            17 => self.end_subscription(choices),
            18 => self.flush(choices),
            19 => self.cancel(choices),
            20 => self.connection.handle_drained(self.now),
            21 => self.connection.force_reconnect(self.now),
            22 => drop(self.connection.take_wake()),
            _ => match choices.byte() {
                0..4 => self.connection.drain(self.now),
                wait @ 4..8 => self.connection.close(self.now, Duration::from_secs(wait.into())),
                _ => drop(self.connection.new_inbox()),
            },
        }
    }

    /// Does as an event loop would.
    fn poll_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            let answer = matches!(event, Event::Flushed { .. });
            assert!(!self.closed || answer, "{event:?} after the end");
            match event {
                Event::Dial { id, .. } => {
                    assert!(!self.open, "a stream is open");
                    self.dial = Some(id);
                }
                Event::StartTls { id, .. } => {
                    assert!(self.connection.config().tls != TlsMode::Unavailable);
                    self.tls = Some(id);
                }
                Event::Authenticate { id, .. } => {
                    assert!(matches!(self.connection.config().auth, AuthSource::Ask));
                    self.auth = Some(id);
                }
                Event::ChooseServer { servers, .. } => {
                    assert!(self.connection.config().choose_server && !self.open);
                    assert!(!servers.is_empty());
                    self.choice = Some(servers.into_iter().map(|server| server.addr).collect());
                }
                Event::LameDuck | Event::Connected { .. } => assert!(!self.closed),
                Event::ServersDiscovered(servers) => {
                    assert!(!self.connection.config().ignore_discovered_servers);
                    assert!(!servers.is_empty());
                }
                Event::Hangup => self.hangup = true,
                Event::Closed { .. } => self.closed = true,
                Event::SubscriptionConfirmed { subscription } => {
                    assert!(self.was_confirming(subscription), "confirmed twice, or unasked");
                }
                Event::SubscriptionEnded { subscription, reason } => {
                    let confirming = self.was_confirming(subscription);
                    assert!(confirming || reason != EndReason::Unconfirmed, "nobody asked");
                    self.subscriptions.retain(|other| *other != subscription);
                }
                Event::Reply { request, .. } | Event::RequestFailed { request, .. } => {
                    self.requests.retain(|other| *other != request);
                }
                Event::Flushed { flush, .. } => self.flushes.retain(|other| *other != flush),
                _ => {}
            }
        }
        if self.hangup {
            self.disconnect();
        }
    }

    fn answer_dial(&mut self, result: Result<(), DialError>) {
        let Some(id) = self.dial.take() else {
            return;
        };
        let opened = result.is_ok();
        self.connection.handle_dial(self.now, id, result);
        if opened && self.connection.state() == State::AwaitInfo {
            self.open = true;
            self.server = ClientDecoder::new(Limits::default());
            self.server_input.clear();
            self.input.clear();
            self.pings = 0;
        }
    }

    fn disconnect(&mut self) {
        if !self.open && !self.hangup {
            return;
        }
        self.open = false;
        self.hangup = false;
        self.paused = false;
        (self.dial, self.tls, self.auth) = (None, None, None);
        let unsent = std::mem::take(&mut self.out);
        self.connection.handle_disconnect(self.now, DisconnectReason::Eof, unsent);
    }

    /// From nothing to a connection, if nothing stands in the way.
    fn handshake(&mut self) {
        self.poll_events();
        self.answer_dial(Ok(()));
        self.receive(PHRASES[0].as_bytes());
        if self.more {
            self.poll_events();
            self.answer_tls(2);
            self.poll_events();
            self.answer_auth(1);
        }
        self.transmit(usize::MAX);
        self.answer_pings();
    }

    fn say(&mut self, choices: &mut Choices<'_>) {
        let phrase = PHRASES[usize::from(choices.byte()) % PHRASES.len()];
        let number = (choices.byte() % 8).to_string();
        self.receive(phrase.replace('*', &number).as_bytes());
        if let Some(reply) = self.replies.pop() {
            self.receive(format!("MSG {reply} 1 0\r\n\r\n").as_bytes());
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        if self.open && !self.paused {
            self.input.extend_from_slice(bytes);
            self.connection.receive(self.now, &mut self.input);
        }
    }

    fn answer_pings(&mut self) {
        if self.paused {
            return;
        }
        for _ in 0..std::mem::take(&mut self.pings) {
            self.receive(b"PONG\r\n");
        }
    }

    /// Writes so many bytes, which the server reads.
    fn transmit(&mut self, count: usize) {
        if !self.open || (self.out.is_empty() && !self.connection.poll_transmit(&mut self.out)) {
            return;
        }
        let mut left = count;
        for chunk in self.out.chunks() {
            let chunk = &chunk[..chunk.len().min(left)];
            self.server_input.extend_from_slice(chunk);
            left -= chunk.len();
        }
        self.out.advance(count);
        let mut ops = ClientOps::new();
        let result = self.server.decode(&mut self.server_input, &mut ops);
        assert_eq!(result, Ok(()), "the server cannot read what is written");
        for op in &ops.items {
            match op {
                ClientOp::Ping => self.pings += 1,
                ClientOp::Publish(frame) => {
                    let reply = frame.reply.of(&ops.chunk);
                    if !reply.is_empty() {
                        self.replies.push(String::from_utf8_lossy(reply).into_owned());
                    }
                }
                _ => {}
            }
        }
    }

    fn publish(&mut self, choices: &mut Choices<'_>) {
        let flags = choices.byte();
        let subject = ["s.1", "s.2", "bad subject", ""][usize::from(flags & 3)];
        let len = match flags & 0x30 {
            0x10 => OutBuf::SEGMENT_THRESHOLD,
            _ => usize::from(choices.byte()),
        };
        let payload = Bytes::from(vec![b'x'; len]);
        let mut headers = HeaderMap::new();
        headers.append("a", "b");
        let accepted = self.connection.publish(Outgoing {
            subject,
            reply: (flags & 4 != 0).then_some("reply.to"),
            headers: (flags & 8 != 0).then_some(&headers),
            payload: &payload,
        });
        if accepted.is_ok() {
            self.accepted += 1;
        }
    }

    fn request(&mut self, choices: &mut Choices<'_>) {
        let deadline = self.now + Duration::from_millis(u64::from(choices.byte()));
        let payload = Bytes::from_static(b"hello");
        let message = Outgoing::new("s.1", &payload);
        if let Ok(request) = self.connection.request(message, deadline) {
            self.accepted += 1;
            self.requests.push(request);
        }
    }

    fn subscribe(&mut self, choices: &mut Choices<'_>) {
        let flags = choices.byte();
        let subject = ["s.*", "s.>", "s..1", "s. 1"][usize::from(flags & 3)];
        let queue = (flags & 4 != 0).then_some("q");
        if let Ok(subscription) = self.connection.subscribe(subject, queue) {
            self.subscriptions.push(subscription);
        }
    }

    fn end_subscription(&mut self, choices: &mut Choices<'_>) {
        let (which, how) = (usize::from(choices.byte()), choices.byte());
        if self.subscriptions.is_empty() {
            return;
        }
        let index = which % self.subscriptions.len();
        let subscription = self.subscriptions[index];
        // An error means that it has ended, and that the event is waiting.
        match how & 3 {
            0 => {
                let _ = self.connection.unsubscribe(subscription);
                self.subscriptions.swap_remove(index);
            }
            1 => drop(self.connection.drain_subscription(subscription)),
            _ => drop(self.connection.unsubscribe_after(subscription, u64::from(how >> 2))),
        }
    }

    fn flush(&mut self, choices: &mut Choices<'_>) {
        let wait = u64::from(choices.byte());
        let deadline = (wait > 0).then(|| self.now + Duration::from_millis(wait));
        let flush = self.connection.flush(deadline);
        self.flushes.push(flush);
    }

    fn cancel(&mut self, choices: &mut Choices<'_>) {
        if choices.byte() & 1 == 0 {
            if let Some(request) = self.requests.pop() {
                self.connection.cancel_request(request);
            }
        } else if let Some(flush) = self.flushes.pop() {
            self.connection.cancel_flush(flush);
        }
    }
}
