//! Subscriptions that have ended, and whose places others have before the driver comes by.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use nats_proto::connection::EndReason;

use super::publishing::accounts;
use super::rig::{Bell, Rig, pass, virtual_now};
use crate::testing::{Peer, block_on, options};
use crate::{Client, Subscriber};

fn subscribe(client: &Client, subject: &'static str) -> Subscriber {
    block_on(client.subscribe(subject)).expect("a subscription")
}

/// How many messages a subscriber has, and whether its stream is over behind them.
fn rest(subscriber: &mut Subscriber) -> (usize, bool) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut count = 0;
    loop {
        match Pin::new(&mut *subscriber).poll_next(&mut cx) {
            Poll::Ready(Some(_)) => count += 1,
            Poll::Ready(None) => return (count, true),
            Poll::Pending => return (count, false),
        }
    }
}

/// A subscriber that has got three messages and wanted no more, and one that has its place. The driver knows of neither.
fn replaced() -> (Rig, Peer, Subscriber, Subscriber) {
    let (rig, mut peer) = Rig::connected(options());
    let mut first = subscribe(&rig.client, "a");
    rig.drive();
    peer.expect("SUB a 1\r\n");
    peer.send(&"MSG a 1 1\r\nx\r\n".repeat(3));
    rig.drive();
    block_on(first.unsubscribe_after(3)).expect("a live client");
    let second = subscribe(&rig.client, "b");
    assert_eq!(second.id().index(), first.id().index());
    (rig, peer, first, second)
}

#[test]
fn who_has_got_all_that_it_wanted_ends_though_another_has_its_place() {
    let (rig, mut peer, mut first, mut second) = replaced();
    rig.drive();
    peer.expect("SUB b 2\r\n");
    peer.send("MSG b 2 1\r\ny\r\n");
    rig.drive();
    assert_eq!(rest(&mut first), (3, true));
    assert_eq!(first.end_reason(), Some(EndReason::MaxReached));
    assert_eq!(rest(&mut second), (1, false));
    assert_eq!(second.end_reason(), None);
}

#[test]
fn who_waits_for_more_is_woken_though_another_has_its_place() {
    let (rig, _peer, mut first, _second) = replaced();
    assert_eq!(rest(&mut first), (3, false));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(Pin::new(&mut first).poll_next(&mut Context::from_waker(&waker)).is_pending());
    rig.drive();
    assert_eq!(bell.rung(), 1);
    assert_eq!(rest(&mut first), (0, true));
}

#[test]
fn who_is_drained_without_a_connection_ends_though_another_has_its_place() {
    let rig = Rig::new(options());
    let mut first = subscribe(&rig.client, "a");
    rig.drive();
    block_on(first.drain()).expect("a live client");
    let mut second = subscribe(&rig.client, "b");
    assert_eq!(second.id().index(), first.id().index());
    rig.drive();
    assert_eq!(rest(&mut first), (0, true));
    assert_eq!(first.end_reason(), Some(EndReason::Drained));
    assert_eq!(rest(&mut second), (0, false));
}

#[test]
fn many_who_want_nothing_end_though_all_had_the_same_place() {
    let rig = Rig::new(options());
    let nothing = || block_on(rig.client.subscription("a").max_messages(0).into_future());
    let mut ended: Vec<_> = (0..10).map(|_| nothing().expect("a subscription")).collect();
    let mut last = subscribe(&rig.client, "b");
    assert!(ended.iter().all(|subscriber| subscriber.id().index() == last.id().index()));
    rig.drive();
    for subscriber in &mut ended {
        assert_eq!(rest(subscriber), (0, true));
        assert_eq!(subscriber.end_reason(), Some(EndReason::MaxReached));
    }
    assert_eq!(rest(&mut last), (0, false));
}

#[test]
fn a_close_ends_all_who_had_a_place() {
    let (rig, mut peer, mut first, mut second) = replaced();
    let mut close = Box::pin(rig.client.close());
    assert!(super::poll(close.as_mut()).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    assert!(super::poll(close.as_mut()).is_ready());
    assert_eq!((rest(&mut first), rest(&mut second)), ((3, true), (0, true)));
}

#[test]
fn a_driver_that_is_dropped_ends_all_who_had_a_place() {
    let (rig, _peer, mut first, mut second) = replaced();
    drop(rig.driver);
    assert_eq!((rest(&mut first), rest(&mut second)), ((3, true), (0, true)));
    let left = rig.shared.lock().ended.expect("the end");
    assert_eq!((left.undelivered, left.undrained), (3, 1), "nothing more came for the first");
}

#[test]
fn a_driver_that_is_dropped_says_what_it_has_not_written() {
    let (rig, peer) = Rig::connected(options());
    assert_eq!(rig.publish_up_to(1, 100), 1);
    rig.drive();
    peer.stall(true);
    // The driver takes the next two over, and writes neither; nobody has taken over the last.
    assert_eq!(rig.publish_up_to(2, 100), 2);
    rig.drive();
    assert_eq!(rig.publish_up_to(1, 100), 1);
    drop(rig.driver);
    let left = rig.shared.lock().ended.expect("the end");
    assert_eq!((left.unsent, left.uncertain), (3, 1));
    let accounts = accounts(&rig.client);
    assert_eq!((accounts.dropped, accounts.uncertain, accounts.pending), (3, 1, 0));
}

#[test]
fn a_drain_that_is_not_confirmed_says_for_whom_more_may_have_come() {
    let rig = Rig::with_clock(options(), virtual_now);
    let mut peer = rig.connect();
    let mut first = subscribe(&rig.client, "a");
    let _second = subscribe(&rig.client, "b");
    rig.drive();
    peer.send("MSG a 1 1\r\nx\r\n");
    rig.drive();
    let mut drained = pin!(rig.client.drain_within(Duration::from_secs(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(drained.as_mut().poll(&mut cx).is_pending());
    rig.drive();
    peer.expect("UNSUB ");
    assert_eq!(rest(&mut first), (1, false));
    pass(Duration::from_secs(1));
    rig.drive();
    let Poll::Ready(Ok(left)) = drained.as_mut().poll(&mut cx) else {
        panic!("the time is over");
    };
    assert_eq!((left.undelivered, left.undrained), (0, 2));
    assert_eq!((left.unsent, left.uncertain), (0, 0));
}

#[test]
fn a_drain_waits_for_who_had_a_place_to_take_what_came() {
    let (rig, mut peer, mut first, _second) = replaced();
    block_on(rig.client.drain()).expect("a live client");
    let mut closed = pin!(rig.client.closed());
    assert!(super::poll(closed.as_mut()).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    assert_eq!(peer.arrived(), 0, "the last flush waits");
    assert_eq!(rest(&mut first), (3, true));
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    assert!(super::poll(closed.as_mut()).is_ready());
}

#[test]
fn who_wants_no_reconnect_is_closed_by_the_end_of_the_link() {
    let (rig, peer) = Rig::connected(options().no_reconnect());
    drop(peer);
    rig.drive();
    rig.drive();
    let mut closed = pin!(rig.client.closed());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(closed.as_mut().poll(&mut cx).is_ready());
    assert!(rig.server.is_left_alone());
}
