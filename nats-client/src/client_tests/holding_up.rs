//! A subscriber that holds up the connection until it catches up.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use super::rig::{Rig, poll, poll_for};
use crate::testing::{Peer, block_on, options};
use crate::{Subscriber, WhenFull};

const SECOND: Duration = Duration::from_secs(1);

/// A subscription for which two messages may wait, with four there and more on their way.
fn blocked() -> (Rig, Peer, Subscriber) {
    let (rig, mut peer) = Rig::connected(options().subscription_policy(WhenFull::Block));
    let subscriber = block_on(rig.client.subscription("a").capacity(2).into_future());
    let subscriber = subscriber.expect("a subscription");
    rig.drive();
    peer.expect("SUB a 1\r\n");
    peer.send(&"MSG a 1 1\r\nx\r\n".repeat(4));
    rig.drive();
    peer.send(&"MSG a 1 1\r\ny\r\n".repeat(3));
    rig.drive();
    assert_eq!(received(&rig), 4, "what one read brought is taken in, and nothing else");
    (rig, peer, subscriber)
}

fn received(rig: &Rig) -> u64 {
    rig.client.delivery_statistics().messages_in
}

fn take(subscriber: &mut Subscriber) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    matches!(Pin::new(subscriber).poll_next(&mut cx), Poll::Ready(Some(_)))
}

#[test]
fn reading_goes_on_when_the_subscriber_catches_up() {
    let (rig, _peer, mut subscriber) = blocked();
    assert!(take(&mut subscriber) && take(&mut subscriber));
    rig.drive();
    assert_eq!(received(&rig), 4);
    rig.bell.rung();
    assert!(take(&mut subscriber) && take(&mut subscriber));
    assert!(rig.bell.rung() > 0, "the driver is woken");
    rig.drive();
    assert_eq!(received(&rig), 7);
    assert!(take(&mut subscriber) && take(&mut subscriber) && take(&mut subscriber));
    let statistics = subscriber.statistics();
    assert_eq!((statistics.delivered, statistics.dropped), (7, 0));
}

#[test]
fn reading_goes_on_without_a_subscriber_that_is_dropped_or_unsubscribes() {
    let (rig, mut peer, subscriber) = blocked();
    drop(subscriber);
    assert!(rig.bell.rung() > 0, "the driver is woken");
    rig.drive();
    peer.expect("UNSUB 1\r\n");
    assert_eq!(rig.client.delivery_statistics().unroutable, 3);

    let (rig, mut peer, mut subscriber) = blocked();
    block_on(subscriber.unsubscribe()).expect("a live client");
    rig.drive();
    peer.expect("UNSUB 1\r\n");
    assert_eq!(rig.client.delivery_statistics().unroutable, 3);
    assert_eq!((0..9).filter(|_| take(&mut subscriber)).count(), 4);
}

#[test]
fn publishing_goes_on_meanwhile() {
    let (rig, mut peer, _subscriber) = blocked();
    assert!(poll(&mut rig.client.publish("b", "hi".into())).is_ready());
    rig.drive();
    peer.expect("PUB b 2\r\nhi\r\n");
}

#[test]
fn a_close_does_not_wait_for_the_subscriber() {
    let (rig, mut peer, _subscriber) = blocked();
    let mut close = Box::pin(rig.client.close());
    assert!(poll_for(&rig.bell, &mut close).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    assert!(poll_for(&rig.bell, &mut close).is_ready());
}

#[test]
fn a_stream_that_breaks_meanwhile_is_replaced() {
    let (rig, peer, mut subscriber) = blocked();
    drop(peer);
    rig.drive();
    // What is still to be read would tell; it is not read before the subscriber catches up, or a write fails.
    assert!(poll(&mut rig.client.publish("b", "hi".into())).is_ready());
    rig.drive();
    let mut peer = rig.connect();
    peer.expect("SUB a 1\r\n");
    peer.send("MSG a 1 1\r\nz\r\n");
    rig.drive();
    assert_eq!(received(&rig), 4, "nor is it read from the next one");
    while take(&mut subscriber) {}
    rig.drive();
    assert!(take(&mut subscriber));
    assert_eq!(rig.client.delivery_statistics().connects, 2);
}

#[test]
fn the_reply_to_a_lone_request_is_read_as_soon_as_half_is_taken() {
    // The driver wakes by itself in time for the request, but not for its reply.
    let options = options().subscription_policy(WhenFull::Block).ping_interval(SECOND);
    let (rig, mut peer) = Rig::connected_outside_of_time(options);
    let subscriber = block_on(rig.client.subscription("a").capacity(16).into_future());
    let mut subscriber = subscriber.expect("a subscription");
    rig.drive();
    peer.send(&"MSG a 1 1\r\nx\r\n".repeat(16));
    rig.drive();
    assert!((0..8).all(|_| take(&mut subscriber)));
    assert_eq!(rig.bell.rung(), 0, "the subscriber tells when it takes more");
    let mut request = Box::pin(rig.client.request("svc", Bytes::new()));
    assert!(super::poll(request.as_mut()).is_pending());
    assert!(rig.bell.rung() > 0, "the driver is woken");
    rig.drive();
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 0\r\n");
    peer.send(&format!("MSG {inbox} 2 2\r\nhi\r\n"));
    rig.drive();
    assert!(super::poll(request.as_mut()).is_ready());
}
