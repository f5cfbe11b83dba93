//! Streams that break while something is written to them.

use super::publishing::accounts;
use super::rig::{Rig, expect_numbers};
use crate::connection::State;
use crate::link::LAST_WORDS;
use crate::testing::options;

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
