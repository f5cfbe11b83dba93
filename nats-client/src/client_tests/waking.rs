//! What the driver must be woken for.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rig::{Bell, Rig, poll_for};
use super::{next, poll};
use crate::Request;
use crate::client::RequestErrorKind;
use crate::testing::{block_on, options};

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
