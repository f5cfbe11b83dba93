//! Life and death of the peer.

use std::time::Duration;

use bytes::BytesMut;
use nats_proto::connection::DisconnectReason;
use nats_proto::wire::{ServerDecoder, ServerOps};
use nats_proto::{Event, State};

use crate::support::{Wire, config};

const INTERVAL: Duration = Duration::from_secs(120);

#[test]
fn a_silent_server_is_stale_after_three_intervals() {
    let mut wire = Wire::connected(config());
    wire.pass(INTERVAL);
    assert_eq!(wire.written(), "PING\r\n");
    wire.pass(INTERVAL);
    assert_eq!(wire.written(), "PING\r\n");
    wire.pass(INTERVAL);
    let events = wire.hang_up();
    assert!(matches!(events[..], [Event::Disconnected { reason: DisconnectReason::Stale }]));
}

#[test]
fn publishing_is_no_sign_of_life_of_the_server() {
    let mut wire = Wire::connected(config());
    for _ in 0..360 {
        wire.publish("a", "x").expect("room");
        wire.written();
        wire.pass(Duration::from_secs(1));
    }
    wire.hang_up();
}

#[test]
fn a_server_that_answers_or_only_drips_bytes_is_alive() {
    let mut wire = Wire::connected(config());
    for round in 0..20 {
        wire.pass(INTERVAL);
        assert_eq!(wire.written(), "PING\r\n");
        wire.feed(if round % 2 == 0 { "PO" } else { "NG\r\n" });
    }
    assert_eq!(wire.connection.state(), State::Connected);
}

#[test]
fn the_servers_probe_is_answered_at_once() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "x").expect("room");
    wire.feed("PING\r\nPING\r\n");
    assert_eq!(wire.written(), "PONG\r\nPONG\r\nPUB a 1\r\nx\r\n");
}

#[test]
fn a_server_that_probes_without_reading_does_not_fill_memory() {
    let mut wire = Wire::connected(config());
    for _ in 0..100_000 {
        wire.feed("PING\r\n");
    }
    let answered = wire.written().matches("PONG\r\n").count();
    assert_eq!(answered, 1024);
    wire.feed("PING\r\n");
    assert_eq!(wire.written(), "PONG\r\n", "there is room again");
}

#[test]
fn where_no_probe_may_be_outstanding_none_is_sent_and_silence_is_an_interval_long() {
    let mut unasked = config();
    unasked.max_pings_outstanding = 0;
    let mut wire = Wire::connected(unasked);
    for _ in 0..40 {
        wire.pass(INTERVAL / 4);
        wire.feed("+OK\r\n");
    }
    assert_eq!(wire.written(), "");
    wire.pass(INTERVAL * 2);
    let events = wire.hang_up();
    assert!(matches!(events[..], [Event::Disconnected { reason: DisconnectReason::Stale }]));
}

#[test]
fn a_zero_interval_means_no_probes() {
    let mut off = config();
    off.ping_interval = Duration::ZERO;
    let wire = Wire::connected(off);
    assert_eq!(wire.connection.poll_timeout(), None);
}

#[test]
fn while_nothing_is_read_a_server_that_takes_everything_is_alive() {
    let mut wire = Wire::connected(config());
    wire.connection.handle_pause();
    for _ in 0..10 {
        wire.pass(INTERVAL);
        assert_eq!(wire.written(), "PING\r\n");
    }
    assert_eq!(wire.connection.state(), State::Connected);
    // From now on it is to be heard again, and has all of the time for it.
    wire.connection.handle_resume(wire.now);
    wire.pass(INTERVAL * 2);
    assert_eq!(wire.connection.state(), State::Connected);
    wire.pass(INTERVAL);
    wire.hang_up();
}

#[test]
fn while_nothing_is_read_a_server_that_takes_nothing_is_stale() {
    let mut wire = Wire::connected(config());
    wire.connection.handle_pause();
    wire.pass(INTERVAL * 3);
    let events = wire.hang_up();
    assert!(matches!(events[..], [Event::Disconnected { reason: DisconnectReason::Stale }]));
}

#[test]
fn a_read_of_nothing_is_no_sign_of_life() {
    let mut wire = Wire::connected(config());
    for _ in 0..2 {
        wire.pass(INTERVAL);
        wire.connection.handle_inbound(0);
    }
    wire.pass(INTERVAL);
    wire.hang_up();
}

#[test]
fn a_batch_of_operations_is_a_sign_of_life_and_an_empty_one_is_none() {
    let mut wire = Wire::connected(config());
    let mut decoder = ServerDecoder::new(wire.connection.config().limits);
    let (mut input, mut ops) = (BytesMut::new(), ServerOps::new());
    let mut batch = |wire: &mut Wire, bytes: &str| {
        input.extend_from_slice(bytes.as_bytes());
        decoder.decode(&mut input, &mut ops).expect("valid operations");
        wire.connection.handle_ops(wire.now, &mut ops, &mut Vec::new());
        ops.clear();
    };
    for _ in 0..10 {
        wire.pass(INTERVAL);
        assert_eq!(wire.written(), "PING\r\n");
        batch(&mut wire, "PONG\r\n");
    }
    assert_eq!(wire.connection.state(), State::Connected);
    for _ in 0..2 {
        wire.pass(INTERVAL);
        batch(&mut wire, "");
    }
    wire.pass(INTERVAL);
    wire.hang_up();
}
