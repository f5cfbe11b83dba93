//! What the driver must be woken for.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;

use super::rig::{Bell, Rig, poll_for};
use super::{next, poll};
use crate::client::{Remainder, RequestErrorKind};
use crate::testing::{block_on, options};
use crate::timers::Timer;
use crate::{PendingPolicy, Request};

#[test]
fn each_lone_request_that_nobody_answers_ends_in_its_own_time() {
    const TIMEOUT: Duration = Duration::from_millis(5);
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let clock = || *START + Duration::from_millis(PASSED.load(Ordering::SeqCst));
    let rig = Rig::with_clock(options(), clock);
    let _peer = rig.connect();
    for _ in 0..3 {
        let request = rig.client.send_request("svc", Request::new().timeout(Some(TIMEOUT)));
        let mut request = Box::pin(request);
        assert!(poll(request.as_mut()).is_pending());
        // The driver would have slept until it is time for a PING.
        assert!(rig.bell.rung() > 0);
        rig.drive();
        PASSED.fetch_add(5, Ordering::SeqCst);
        while rig.bell.rung() == 0 {
            thread::yield_now();
        }
        rig.drive();
        let Poll::Ready(Err(error)) = poll(request.as_mut()) else { panic!("it waits") };
        assert_eq!(error.kind(), RequestErrorKind::TimedOut, "{error}");
    }
}

#[test]
fn a_drain_that_waits_for_a_request_goes_on_when_that_is_dropped() {
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let mut request = Box::pin(rig.client.request("svc", Bytes::new()));
    assert!(poll(request.as_mut()).is_pending());
    let drained = Arc::new(Bell::default());
    let mut drain = Box::pin(rig.client.drain_within(Duration::from_secs(60)));
    assert!(poll_for(&drained, &mut drain).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    rig.bell.rung();
    drop(request);
    assert!(rig.bell.rung() > 0);
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    let Poll::Ready(Ok(left)) = poll_for(&drained, &mut drain) else { panic!("it goes on") };
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_drain_waits_for_what_an_unsubscribed_subscriber_still_has_to_give_out() {
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
    rig.drive();
    peer.send(&"MSG a 1 1\r\nx\r\n".repeat(3));
    rig.drive();
    block_on(subscriber.unsubscribe()).expect("a live client");
    let mut drain = Box::pin(rig.client.drain_within(Duration::from_secs(60)));
    assert!(poll_for(&rig.bell, &mut drain).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    for _ in 0..3 {
        // Who works on a message may still answer.
        rig.client.try_publish("answer", Bytes::new()).expect("not the end yet");
        assert!(next(&mut subscriber).is_some());
    }
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    rig.drive();
    let Poll::Ready(Ok(left)) = poll_for(&rig.bell, &mut drain) else { panic!("it goes on") };
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_publish_that_is_done_is_done_once() {
    let (rig, _peer) = Rig::connected_outside_of_time(options());
    let mut publish = rig.client.publish("a", Bytes::new());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut publish).poll(&mut cx).is_ready());
    assert!(Pin::new(&mut publish).poll(&mut cx).is_pending());
    assert_eq!(rig.client.delivery_statistics().published, 1);
}

#[test]
fn what_is_given_up_in_the_handshake_is_told_at_once() {
    let dropping = options().pending_policy(PendingPolicy::DropOldest).pending_limit(80_000);
    let rig = Rig::new(dropping);
    rig.drive();
    let mut peer = rig.server.accept();
    let mut request = Box::pin(rig.client.request("svc", Bytes::new()));
    assert!(poll(request.as_mut()).is_pending());
    peer.send("INFO {\"server_id\":\"x\",\"headers\":true,\"max_payload\":1048576}\r\n");
    rig.drive();
    peer.expect("PING\r\n");
    // More than a publisher would write by itself, and then too much.
    while rig.client.delivery_statistics().dropped == 0 {
        rig.bell.rung();
        rig.drive();
        rig.publish_up_to(1, 1_000);
    }
    assert!(rig.bell.rung() > 0);
    rig.drive();
    let Poll::Ready(Err(error)) = poll(request.as_mut()) else { panic!("it waits") };
    assert_eq!(error.kind(), RequestErrorKind::Other, "{error}");
}

#[test]
fn a_lone_request_is_written_by_its_caller_and_those_that_are_answered_together_go_out_together() {
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let ask = || Box::pin(rig.client.send_request("svc", Request::new().timeout(None)));
    let mut first = ask();
    assert!(poll(first.as_mut()).is_pending());
    assert!(peer.arrived() > 0 && rig.bell.rung() == 0, "left to the driver");
    let (arrived, mut second) = (peer.arrived(), ask());
    assert!(poll(second.as_mut()).is_pending());
    assert!(peer.arrived() == arrived && rig.bell.rung() > 0, "not left to the driver");
    rig.drive();
    for _ in 0..2 {
        peer.expect("PUB svc ");
        let inbox = peer.expect(" 0\r\n");
        peer.send(&format!("MSG {inbox} 1 0\r\n\r\n"));
    }
    rig.drive();

    // The first to see its reply asks again, and so will the other.
    let arrived = peer.arrived();
    let mut again = [first, second].map(|mut request| {
        assert!(matches!(poll(request.as_mut()), Poll::Ready(Ok(_))));
        let mut again = ask();
        assert!(poll(again.as_mut()).is_pending());
        assert_eq!(peer.arrived(), arrived, "written on its own");
        again
    });
    assert!(rig.bell.rung() > 0);
    rig.drive();
    again.iter_mut().for_each(|_| drop(peer.expect("PUB svc ")));

    // Nobody else is about to ask: what is given up does not count.
    drop(again);
    rig.drive();
    let arrived = peer.arrived();
    let mut last = ask();
    assert!(poll(last.as_mut()).is_pending());
    assert!(peer.arrived() > arrived && rig.bell.rung() == 0, "left to the driver");
}

/// Else each of its writes would leave a little for the driver, and stop it from writing again.
#[test]
fn a_publisher_gets_out_what_a_stream_takes_in_several_writes() {
    let (rig, peer) = Rig::connected_outside_of_time(options());
    peer.take_at_once(40_000);
    // The message that is one too many for the buffer.
    let mut count = 0;
    while peer.arrived() == 0 {
        count += rig.publish_up_to(1, 1_000);
    }
    assert_eq!(peer.arrived(), count * "PUB a 1000\r\n\r\n".len() + count * 1_000);
    // A write that is left in part is the driver's.
    peer.take_at_once(10);
    let before = peer.arrived();
    while peer.arrived() == before {
        rig.publish_up_to(1, 1_000);
    }
    assert_eq!(peer.arrived() - before, 40);
    assert!(rig.bell.rung() > 0);
}

#[test]
fn at_the_end_no_publisher_waits_for_its_turn_and_no_time_is_over() {
    let (rig, _peer) = Rig::connected_outside_of_time(options());
    rig.client.try_publish("a", Bytes::new()).expect("room");
    let mut core = rig.shared.lock();
    let over = (0..100).filter(|_| core.turn_is_over(true)).count();
    assert!(over > 0, "as many collisions as that end a turn");
    core.ended = Some(Remainder::default());
    assert_eq!((0..100).filter(|_| core.turn_is_over(true)).count(), 0, "nobody comes by");
    drop(core);
    // What it goes with ends then, and knows better why.
    let deadline = rig.shared.now() + Duration::from_secs(1);
    let mut timer = Timer::new(&*rig.shared, deadline);
    assert!(timer.poll(&Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_drain_without_any_time_writes_what_the_stream_takes_at_once() {
    for (room, unsent) in [(usize::MAX, 0), (0, 3)] {
        let (rig, mut peer) = Rig::connected(options());
        rig.publish_up_to(3, 9);
        peer.take(room);
        let mut drain = Box::pin(rig.client.drain_within(Duration::ZERO));
        assert!(poll(drain.as_mut()).is_pending());
        rig.drive();
        let left = block_on(drain).expect("the first drain");
        assert_eq!((left.unsent, left.uncertain), (unsent, 3 - unsent));
        assert_eq!(peer.expect_close().matches("PUB a ").count() as u64, 3 - unsent);
    }
}

#[test]
fn nothing_is_kept_of_futures_that_are_dropped() {
    let (rig, peer) = Rig::connected(options());
    let kept = || {
        let core = rig.shared.lock();
        let requests = core.requests.waiters.len();
        let flushes = (core.flushes.waiters.len(), core.flushes.keys.len());
        let confirms = (core.confirms.waiters.len(), core.confirms.keys.len());
        (requests, flushes, confirms, core.timers.first().is_some())
    };
    {
        let bell = Arc::default();
        let replies = rig.client.request_many().max_wait(Some(Duration::from_secs(1)));
        let mut replies = block_on(replies.send("svc", Bytes::new())).expect("a live client");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut replies).poll_next(&mut cx).is_pending());
        let mut request = Box::pin(rig.client.request("svc", Bytes::new()));
        assert!(poll_for(&bell, &mut request).is_pending());
        let mut flush = Box::pin(rig.client.flush());
        assert!(poll_for(&bell, &mut flush).is_pending());
        let mut confirmed = Box::pin(rig.client.subscription("a").confirmed());
        assert!(poll_for(&bell, &mut confirmed).is_pending());
        assert_eq!(kept(), (1, (1, 1), (1, 1), true));
    }
    assert_eq!(kept(), (0, (0, 0), (0, 0), false));
    rig.drive();
    peer.send(&"PONG\r\n".repeat(2));
    rig.drive();
    assert_eq!(kept(), (0, (0, 0), (0, 0), false));
}

#[test]
fn a_subscription_that_has_all_that_it_wants_is_confirmed_by_that() {
    let (rig, mut peer) = Rig::connected(options());
    let bell = Arc::default();
    let mut confirmed = Box::pin(rig.client.subscription("a").max_messages(1).confirmed());
    assert!(poll_for(&bell, &mut confirmed).is_pending());
    rig.drive();
    peer.expect("SUB a 1\r\n");
    peer.send("MSG a 1 1\r\nx\r\n");
    rig.drive();
    let Poll::Ready(Ok(subscriber)) = poll_for(&bell, &mut confirmed) else {
        panic!("the server has had it");
    };
    assert_eq!(subscriber.statistics().pending_messages, 1);
}
