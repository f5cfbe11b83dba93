//! A short life of a connection, with a server that consists of a few literal lines.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use nats_proto::auth::{KeyPair, sign_nonce};
use nats_proto::connection::DisconnectReason;
use nats_proto::wire::OutBuf;
use nats_proto::{Config, Connection, Event, Instant, Outgoing, ServerAddr, State, SubscriptionId};

const INFO: &[u8] =
    b"INFO {\"server_id\":\"A\",\"version\":\"2.10.26\",\"proto\":1,\"headers\":true,\
    \"max_payload\":1048576}\r\n";

/// More rounds than any step needs; a connection that makes no progress fails instead of looping for ever.
const MAX_ROUNDS: usize = 16;

/// What the connection told, as far as the scenario looks at it.
#[derive(Default)]
struct Seen {
    dialled: bool,
    connected: bool,
    hung_up: bool,
    closed: bool,
    messages: Vec<(SubscriptionId, Bytes)>,
}

/// The connection, and the bytes it has sent.
struct Peer {
    connection: Connection,
    now: Instant,
    sent: Vec<u8>,
    seen: Seen,
}

/// Opens, uses and closes a connection, after having signed something.
///
/// # Errors
/// Says which step did not go as it should.
pub(crate) fn run() -> Result<(), &'static str> {
    let seed = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
    let key_pair = KeyPair::from_seed(seed).map_err(|_| "the seed was refused")?;
    let signature = sign_nonce(&key_pair, "PXoWU7zWAMt75FY");
    ensure(signature.starts_with("bnxg5G8aOV2LQdSE_lcM9"), "it did not sign the nonce")?;

    let server: ServerAddr =
        "nats://127.0.0.1:4222".parse().map_err(|_| "the address was refused")?;
    let config = Arc::new(Config::new(Vec::from([server])));
    let now = Instant::ZERO;
    let connection =
        Connection::new(config, [7; 32], now).map_err(|_| "the settings were refused")?;
    let mut peer = Peer { connection, now, sent: Vec::new(), seen: Seen::default() };

    peer.turn();
    ensure(peer.seen.dialled, "it did not dial")?;
    peer.receive(INFO);
    ensure(peer.has_sent(b"CONNECT {"), "it did not send CONNECT")?;
    ensure(peer.answer_pings() == 1, "it did not send PING")?;
    ensure(peer.seen.connected, "it did not connect")?;
    ensure(peer.connection.state() == State::Connected, "it does not know that it is connected")?;

    let subscription =
        peer.connection.subscribe("greet.*", None).map_err(|_| "the subscription was refused")?;
    peer.turn();
    ensure(peer.has_sent(b"SUB greet.* "), "it did not send SUB")?;
    // The server knows the subscription by its number on the wire.
    let message = alloc::format!("MSG greet.joe {} 5\r\nhello\r\n", subscription.sid());
    peer.receive(message.as_bytes());
    ensure(
        peer.seen.messages == [(subscription, Bytes::from_static(b"hello"))],
        "it did not hand over the message",
    )?;

    let payload = Bytes::from_static(b"hi there");
    peer.connection
        .publish(Outgoing::new("greet.sue", &payload))
        .map_err(|_| "the publish was refused")?;
    peer.turn();
    ensure(peer.has_sent(b"PUB greet.sue 8\r\nhi there\r\n"), "it did not send PUB")?;

    peer.connection.close(peer.now, Duration::from_secs(5));
    for _ in 0..MAX_ROUNDS {
        peer.turn();
        peer.answer_pings();
    }
    ensure(peer.seen.hung_up, "it did not hang up")?;
    ensure(peer.seen.closed, "it did not close")?;
    ensure(peer.connection.statistics().confirmed == 1, "it does not know that its publish arrived")
}

fn ensure(condition: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(otherwise) }
}

impl Peer {
    /// Bytes from the server, in one piece.
    fn receive(&mut self, bytes: &[u8]) {
        let mut input = BytesMut::from(bytes);
        self.connection.receive(self.now, &mut input);
        self.turn();
    }

    /// Whether the connection has sent `expected`, which is taken out, since the last time this was asked.
    fn has_sent(&mut self, expected: &[u8]) -> bool {
        let found = self.sent.windows(expected.len()).position(|window| window == expected);
        if let Some(start) = found {
            self.sent.drain(start..start + expected.len());
        }
        found.is_some()
    }

    /// A PONG for each PING there is; says how many.
    fn answer_pings(&mut self) -> usize {
        let mut count = 0;
        while self.has_sent(b"PING\r\n") {
            self.receive(b"PONG\r\n");
            count += 1;
        }
        count
    }

    /// What every caller's loop does: takes out bytes and events until there are no more. A millisecond goes by.
    fn turn(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        if self.connection.poll_timeout().is_some_and(|at| at <= self.now) {
            self.connection.handle_timeout(self.now);
        }
        while let Some(event) = self.connection.poll_event() {
            self.note(event);
        }
        let mut out = OutBuf::new();
        while self.connection.poll_transmit(&mut out) {
            let mut written = 0;
            for chunk in out.chunks() {
                self.sent.extend_from_slice(chunk);
                written += chunk.len();
            }
            out.advance(written);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Dial { id, .. } => {
                self.seen.dialled = true;
                self.connection.handle_dial(self.now, id, Ok(()));
            }
            Event::Connected { first, .. } => self.seen.connected = first,
            Event::Message { subscription, message } => {
                self.seen.messages.push((subscription, message.payload))
            }
            Event::Hangup => {
                self.seen.hung_up = true;
                let reason = DisconnectReason::Requested;
                self.connection.handle_disconnect(self.now, reason, OutBuf::new());
            }
            Event::Closed { error, .. } => self.seen.closed = error.is_none(),
            _ => {}
        }
    }
}
