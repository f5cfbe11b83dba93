//! What a client may do to make a broker work for more than its bytes are worth. Each takes a number, and is to cost in
//! proportion to it.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use nats_broker::{Broker, Config, SessionId};
use nats_proto::Instant;

use super::Work;

pub(super) const WORK: &[(&str, Work)] = &[
    ("hostile: subscriptions to one subject of a client that leaves", subscriptions),
    ("hostile: queue groups on one subject", queue_groups),
    ("hostile: clients of a lame duck that closes them all at once", lame_duck),
];

/// A client that has introduced itself.
fn connect(broker: &mut Broker) -> SessionId {
    let client = broker.handle_connect(Instant::ZERO, "");
    feed(broker, client, "CONNECT {\"verbose\":false,\"protocol\":1}\r\n");
    client
}

fn feed(broker: &mut Broker, client: SessionId, text: &str) {
    broker.handle_input(Instant::ZERO, client, &mut BytesMut::from(text));
    while let Some(event) = broker.poll_event() {
        black_box(event);
    }
}

/// They end in the order of their names, which is that of their age: whatever else there is would have to move up.
fn subscriptions(count: usize) {
    let mut broker = Broker::new(Config::default(), [1; 32]);
    let client = connect(&mut broker);
    let text: String = (0..count).map(|sid| format!("SUB a {sid:09}\r\n")).collect();
    feed(&mut broker, client, &text);
    assert_eq!(broker.statistics().subscriptions, count);
    broker.handle_disconnect(client);
    black_box(broker);
}

/// All of them have members with a wildcard as well.
fn queue_groups(count: usize) {
    let mut broker = Broker::new(Config::default(), [1; 32]);
    let client = connect(&mut broker);
    let mut text = String::new();
    for number in 0..count {
        let _ = write!(text, "SUB a q{number} a{number}\r\nSUB * q{number} b{number}\r\n");
    }
    feed(&mut broker, client, &(text + "PUB a 0\r\n\r\n"));
    assert_eq!(broker.statistics().out_messages, count as u64);
    black_box(broker);
}

fn lame_duck(count: usize) {
    let mut config = Config::default();
    config.lame_duck_duration = Duration::ZERO;
    let mut broker = Broker::new(config, [1; 32]);
    for _ in 0..count {
        connect(&mut broker);
    }
    broker.lame_duck(Instant::ZERO);
    broker.handle_timeout(Instant::from_millis(60_000));
    assert_eq!(broker.statistics().connections, 0);
    black_box(broker);
}
