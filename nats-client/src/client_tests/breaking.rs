//! Streams that break while something is written to them.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use nats_proto::connection::FlushError as Core;

use super::next;
use super::publishing::accounts;
use super::rig::{Rig, expect_numbers, pass, poll_for, virtual_now};
use crate::Client;
use crate::client::FlushError;
use crate::connection::State;
use crate::link::LAST_WORDS;
use crate::testing::{block_on, options};

#[test]
fn an_error_that_a_publisher_meets_is_told_by_the_driver_and_nothing_is_lost() {
    let (rig, peer) = Rig::connected(options());
    drop(peer);
    let count = rig.publish_up_to(1_000, 100);
    assert!(rig.bell.rung() > 0, "told of the error");
    assert_eq!(rig.client.connection_state(), State::Connected, "nobody has looked");
    let mut peer = rig.connect();
    let accounts = accounts(&rig.client);
    assert_eq!((accounts.connects, accounts.uncertain), (2, 0));
    assert_eq!((accounts.replayed, accounts.pending), (count as u64, count as u64));
    expect_numbers(&mut peer, 0..count);
}

#[test]
fn a_stream_that_takes_nothing_is_given_up_however_much_comes_from_it() {
    let (rig, peer) = Rig::connected(options());
    peer.refuse();
    // What a server has said before it closed the stream comes first, as far as that goes.
    let message = format!("MSG a 1 10000\r\n{}\r\n", "x".repeat(10_000));
    peer.send(&message.repeat(2 * LAST_WORDS / message.len()));
    let sent = peer.unread();
    let count = rig.publish_up_to(1_000, 100);
    let mut next = rig.connect();
    assert!(peer.unread() > 0, "all was read");
    assert!(sent - peer.unread() >= LAST_WORDS, "{} of {sent} bytes left", peer.unread());
    let accounts = accounts(&rig.client);
    assert_eq!((accounts.connects, accounts.pending), (2, count as u64));
    expect_numbers(&mut next, 0..count);
}

#[test]
fn what_a_broken_stream_still_has_is_read_when_it_has_let_others_run() {
    let (rig, mut peer) = Rig::connected(options());
    let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
    rig.drive();
    peer.expect("SUB a 1\r\n");
    peer.refuse();
    peer.send("MSG a 1 2\r\nhi\r\n");
    peer.hesitate();
    rig.publish_up_to(1_000, 100);
    let _next = rig.connect();
    assert_eq!(rig.client.delivery_statistics().messages_in, 1);
    assert_eq!(next(&mut subscriber).expect("the last words").payload, "hi");
}

#[test]
fn a_stream_that_takes_no_byte_and_does_not_wait_is_given_up() {
    let (rig, peer) = Rig::connected(options());
    peer.fall_mute();
    let count = rig.publish_up_to(1_000, 100);
    // A few times: who goes on with such a stream never comes to an end.
    for _ in 0..3 {
        let _ = poll_for(&rig.bell, &mut *rig.driver.lock().expect("no panic"));
    }
    assert_eq!(rig.client.connection_state(), State::Disconnected);
    let mut peer = rig.connect();
    assert_eq!(accounts(&rig.client).uncertain, 0);
    expect_numbers(&mut peer, 0..count);
}

#[test]
fn a_call_that_a_signal_interrupts_is_made_again() {
    let (rig, mut peer) = Rig::connected(options());
    let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
    rig.drive();
    peer.expect("SUB a 1\r\n");
    peer.interrupt();
    peer.send("MSG a 1 2\r\nhi\r\n");
    block_on(rig.client.publish("b", "ho".into())).expect("room");
    rig.drive();
    peer.expect("PUB b 2\r\nho\r\n");
    assert_eq!(next(&mut subscriber).expect("a message").payload, "hi");
    assert_eq!(accounts(&rig.client).connects, 1);
}

#[test]
fn what_went_out_whole_before_an_error_is_uncertain_and_the_rest_is_kept() {
    let (rig, mut peer) = Rig::connected(options());
    // Frames of 112 bytes: ten, and a part of the next.
    peer.take(10 * 112 + 50);
    let count = rig.publish_up_to(1_000, 100);
    expect_numbers(&mut peer, 0..10);
    drop(peer);
    let mut peer = rig.connect();
    let accounts = accounts(&rig.client);
    assert_eq!((accounts.uncertain, accounts.pending), (10, count as u64 - 10));
    expect_numbers(&mut peer, 10..count);
}

/// How many messages are uncertain, as `error` says.
fn uncertain(error: &FlushError) -> u64 {
    match error.source().and_then(|source| source.downcast_ref::<Core>()) {
        Some(Core::Uncertain { count }) => *count,
        other => panic!("{error}, because of {other:?}"),
    }
}

/// How many a flush tells of without waiting; `None` if it waits for the server.
fn told_at_once(rig: &Rig, client: &Client) -> Option<u64> {
    match poll_for(&rig.bell, &mut pin!(client.flush())) {
        Poll::Ready(result) => Some(uncertain(&result.expect_err("the server did not answer"))),
        Poll::Pending => None,
    }
}

#[test]
fn what_a_link_has_lost_is_told_by_the_next_flush_through_each_handle_once() {
    let (rig, mut peer) = Rig::connected(options());
    let other = rig.client.clone();
    for lost in [3, 2] {
        assert_eq!(rig.publish_up_to(lost, 100), lost);
        rig.drive();
        peer.expect(&format!("\r\n{:0>8} ", lost - 1));
        drop(peer);
        rig.drive();
        assert_eq!(accounts(&rig.client).pending, 0);
        assert_eq!(told_at_once(&rig, &rig.client), Some(lost as u64));
        assert_eq!(told_at_once(&rig, &rig.client), None, "told before");
        peer = rig.connect();
        assert!(poll_for(&rig.bell, &mut pin!(other.rtt())).is_pending(), "it asks for the time");
        assert_eq!(told_at_once(&rig, &other), Some(lost as u64), "however late");
        assert_eq!(told_at_once(&rig, &rig.client.clone()), None, "it was not there");
    }
}

#[test]
fn a_flush_tells_of_what_was_published_before_it_and_the_next_of_the_rest() {
    let (rig, mut peer) = Rig::connected(options());
    rig.publish_up_to(3, 100);
    let mut flush = pin!(rig.client.flush());
    assert!(poll_for(&rig.bell, &mut flush).is_pending());
    rig.publish_up_to(2, 100);
    rig.drive();
    expect_numbers(&mut peer, 0..3);
    drop(peer);
    rig.drive();
    let Poll::Ready(Err(error)) = poll_for(&rig.bell, &mut flush) else {
        panic!("the link is gone");
    };
    assert_eq!(uncertain(&error), 3);
    assert_eq!(told_at_once(&rig, &rig.client), Some(2));
    assert_eq!(told_at_once(&rig, &rig.client), None);
}

#[test]
fn an_outage_is_no_round_trip() {
    let refused = |result: Poll<Result<Duration, FlushError>>| match result {
        Poll::Ready(Err(error)) => {
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotConnected), "{error}");
        }
        other => panic!("{other:?}"),
    };
    let rig = Rig::with_clock(options(), virtual_now);
    let mut peer = rig.connect();
    let mut rtt = pin!(rig.client.rtt());
    assert!(poll_for(&rig.bell, &mut rtt).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    drop(peer);
    rig.drive();
    refused(poll_for(&rig.bell, &mut pin!(rig.client.rtt())));
    // The PING goes out again, and is answered, on another link.
    let mut peer = rig.connect();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    refused(poll_for(&rig.bell, &mut rtt));
    // It takes as long as it takes.
    let mut rtt = pin!(rig.client.rtt());
    assert!(poll_for(&rig.bell, &mut rtt).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    pass(Duration::from_millis(7));
    peer.send("PONG\r\n");
    rig.drive();
    match poll_for(&rig.bell, &mut rtt) {
        Poll::Ready(Ok(took)) => assert_eq!(took, Duration::from_millis(7)),
        other => panic!("{other:?}"),
    }
}
