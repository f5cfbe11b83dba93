//! Publishers: those that wait, those that write by themselves, and what the driver does with what they leave.

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::connection;

use super::rig::{Bell, Rig, expect_numbers, poll, poll_for};
use crate::connection::State;
use crate::testing::{FakeServer, block_on, options};
use crate::{Client, Subscriber};

/// More than a publisher may write before the driver gets its turn, with all that may be queued besides.
pub(super) const MORE_THAN_A_TURN: usize = 2 * 1024 * 1024;

/// What has become of everything that was published.
pub(super) fn accounts(client: &Client) -> connection::Statistics {
    let statistics = client.delivery_statistics();
    let connection::Statistics { published, confirmed, uncertain, dropped, pending, .. } =
        statistics;
    assert_eq!(published, confirmed + uncertain + dropped + pending);
    statistics
}

#[test]
fn a_publisher_waits_for_a_connection_when_the_buffer_is_full() {
    let server = FakeServer::new();
    let options = options().retry_on_initial_connect().pending_limit(64);
    let client = block_on(options.connect(server.url())).expect("a handle at once");
    assert_eq!(client.connection_state(), State::Pending);
    let payload = Bytes::from(vec![b'x'; 40]);
    block_on(client.publish("a", payload.clone())).expect("room for one");
    let refused = client.try_publish("a", payload.clone()).expect_err("full");
    assert!(refused.is_full());
    assert_eq!(refused.payload, payload);
    {
        let mut given_up = pin!(client.publish("given.up", payload.clone()));
        assert!(poll(&mut given_up).is_pending());
        assert_eq!(client.waiting_for_room(), 1);
    }
    assert_eq!(client.waiting_for_room(), 0);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(client.publish("b", payload.clone())));
        let mut peer = server.accept();
        peer.greet();
        assert!(!peer.expect("PUB b ").contains("given.up"));
        waiting.join().expect("no panic").expect("published");
    });
}

#[test]
fn what_a_publisher_writes_is_counted_before_the_driver_runs() {
    let (rig, peer) = Rig::connected(options());
    let counters = rig.client.statistics();
    let counted = || {
        let (out, messages) = (&counters.out_bytes, &counters.out_messages);
        (out.load(Ordering::Relaxed), messages.load(Ordering::Relaxed))
    };
    let (before, _) = counted();
    let mut published = 0;
    while peer.arrived() == 0 {
        published += rig.publish_up_to(1, 100) as u64;
    }
    assert_eq!(counted(), (before + peer.arrived() as u64, published));
}

#[test]
fn messages_that_nobody_wants_any_more_are_counted_as_received() {
    let (rig, peer) = Rig::connected(options());
    let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
    rig.drive();
    block_on(subscriber.unsubscribe()).expect("a live client");
    rig.drive();
    peer.send(&"MSG a 1 1\r\nx\r\n".repeat(2));
    rig.drive();
    assert_eq!(rig.client.statistics().in_messages.load(Ordering::Relaxed), 2);
    assert_eq!(rig.client.delivery_statistics().unroutable, 2);
}

#[test]
fn a_publisher_writes_what_it_has_queued_without_the_driver() {
    let (rig, mut peer) = Rig::connected(options());
    let count = rig.publish_up_to(2_000, 100);
    assert_eq!(count, 2_000);
    assert!(peer.arrived() >= 64 * 1024, "{} bytes", peer.arrived());
    rig.drive();
    expect_numbers(&mut peer, 0..count);
    assert_eq!(peer.arrived(), 0);
}

#[test]
fn little_is_left_to_the_driver() {
    let (rig, mut peer) = Rig::connected(options());
    rig.publish_up_to(100, 100);
    assert_eq!(peer.arrived(), 0);
    assert_eq!(rig.bell.rung(), 1, "once is enough");
    rig.drive();
    expect_numbers(&mut peer, 0..100);
}

#[test]
fn what_the_stream_does_not_take_is_finished_by_the_driver() {
    let (rig, mut peer) = Rig::connected(options());
    // The driver parks, to be woken by the publisher that leaves something.
    rig.publish_up_to(1, 100);
    rig.drive();
    expect_numbers(&mut peer, 0..1);
    peer.take(10_000);
    let count = rig.publish_up_to(1_000, 100);
    assert_eq!(peer.arrived(), 10_000);
    assert!(rig.bell.rung() > 0, "told of what is left");
    rig.drive();
    // Its waker has replaced that of the publisher.
    peer.stall(false);
    assert!(rig.bell.rung() > 0, "told of room");
    rig.drive();
    expect_numbers(&mut peer, 0..count);
}

#[test]
fn a_publisher_that_is_dropped_while_it_waits_has_published_nothing() {
    let (rig, mut peer) = Rig::connected(options());
    let done = rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    let mut given_up = rig.client.publish("given.up", Bytes::new());
    assert!(poll(&mut given_up).is_pending());
    drop(given_up);
    assert_eq!(rig.client.waiting_for_room(), 0);
    assert_eq!(accounts(&rig.client).published, done as u64);
    rig.drive();
    expect_numbers(&mut peer, 0..done);
    assert_eq!(peer.arrived(), 0);
}

#[test]
fn a_message_beyond_all_limits_leaves_room_for_the_next() {
    let small = options().send_buffer_limit(1_000).pending_limit(0);
    let (rig, mut peer) = Rig::connected(small);
    for round in 0..3 {
        let mut large = rig.client.publish("large", Bytes::from(vec![b'x'; 1024 * 1024]));
        assert!(poll(&mut large).is_ready(), "round {round}");
        let bell = Arc::new(Bell::default());
        let mut next = rig.client.publish("next", Bytes::new());
        if poll_for(&bell, &mut next).is_pending() {
            rig.drive();
            assert_eq!(bell.rung(), 1);
            assert!(poll(&mut next).is_ready());
        }
        rig.drive();
        peer.expect("PUB next 0\r\n");
    }
}

#[test]
fn nobody_waits_for_as_long_as_there_is_room_when_the_stream_takes_nothing() {
    let (rig, mut peer) = Rig::connected(options().send_buffer_limit(1_000_000));
    let done = rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    peer.stall(true);
    rig.drive();
    assert_eq!(rig.publish_up_to(8_000, 100), 8_000);
    peer.stall(false);
    rig.drive();
    expect_numbers(&mut peer, 0..done);
    expect_numbers(&mut peer, 0..8_000);
}

#[test]
fn lone_requests_are_written_without_the_driver_however_many_they_are() {
    let (rig, mut peer) = Rig::connected(options());
    for number in 0..100 {
        let mut request = pin!(rig.client.request("svc", Bytes::new()));
        assert!(poll_for(&rig.bell, &mut request.as_mut()).is_pending());
        peer.expect("PUB svc ");
        let inbox = peer.expect(" 0\r\n\r\n");
        assert_eq!(rig.bell.rung(), 0, "request {number}");
        peer.send(&format!("MSG {inbox} 1 0\r\n\r\n"));
        rig.drive();
        assert!(poll_for(&rig.bell, &mut request.as_mut()).is_ready());
    }
    assert_eq!(rig.publish_up_to(1_000, 100), 1_000, "nobody's turn is over");
}

#[test]
fn a_request_that_needs_no_driver_wakes_it_for_those_who_wait() {
    let (rig, _peer) = Rig::connected(options());
    // Somebody comes to wait between the request's being queued and its being written, and cannot see that the driver
    // was not told of it.
    let old = rig.shared.lock().turns.turn.register(&mut None, Waker::noop());
    assert!(old.is_none());
    let mut request = pin!(rig.client.request("svc", Bytes::new()));
    assert!(poll_for(&Arc::default(), &mut request.as_mut()).is_pending());
    assert_eq!(rig.bell.rung(), 1);
    rig.drive();
    assert_eq!(rig.client.waiting_for_room(), 0);
}

/// Does something when it is woken.
struct OnWake(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        let action = self.0.lock().expect("no panic").take();
        action.into_iter().for_each(|action| action());
    }
}

#[test]
fn an_event_does_not_hide_that_the_driver_has_nothing_to_write() {
    let (rig, mut peer) = Rig::connected(options());
    let mut ending: Subscriber = block_on(rig.client.subscribe("ending")).expect("a subscription");
    let mut other = block_on(rig.client.subscribe("other")).expect("a subscription");
    rig.drive();
    peer.send("MSG ending 1 1\r\n1\r\n");
    rig.drive();
    block_on(ending.drain()).expect("a live client");
    rig.drive();
    peer.expect("UNSUB 1\r\nPING\r\n");
    // Between two rounds of the driver, the first of which has something to write, a subscription ends: that is
    // an event, and nothing to write.
    let action = move || block_on(ending.unsubscribe_after(1)).expect("a live client");
    let waker = Waker::from(Arc::new(OnWake(Mutex::new(Some(Box::new(action))))));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut other).poll_next(&mut cx).is_pending());
    let done = rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    peer.send("MSG other 2 1\r\n1\r\n");
    rig.drive();
    expect_numbers(&mut peer, 0..done);
    assert!(poll(&mut rig.client.publish("a", Bytes::new())).is_ready(), "nobody would wake it");
}

#[test]
fn a_driver_that_panics_leaves_nobody_waiting() {
    let (rig, peer) = Rig::connected(options());
    rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    let bell = Arc::new(Bell::default());
    let mut waiting = rig.client.publish("late", Bytes::new());
    assert!(poll_for(&bell, &mut waiting).is_pending());
    peer.rot();
    let mut driver = rig.driver.into_inner().expect("no panic");
    let panicking = std::panic::AssertUnwindSafe(move || block_on(&mut driver));
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(bell.rung(), 1);
    assert!(matches!(poll(&mut waiting), Poll::Ready(Err(_))));
    let headers = crate::HeaderMap::new();
    let mut another = rig.client.publish_with_headers("a", headers, Bytes::new());
    assert!(matches!(poll(&mut another), Poll::Ready(Err(_))));
    assert!(block_on(rig.client.request("a", Bytes::new())).is_err());
    assert_eq!(rig.client.connection_state(), State::Disconnected);
}

#[test]
fn nothing_is_taken_for_a_driver_that_has_panicked() {
    let (rig, peer) = Rig::connected(options());
    // The second goes the short way, as all that follow would.
    assert_eq!(rig.publish_up_to(2, 100), 2);
    peer.rot_for_readers();
    let mut driver = rig.driver.into_inner().expect("no panic");
    let panicking = std::panic::AssertUnwindSafe(move || block_on(&mut driver));
    assert!(std::panic::catch_unwind(panicking).is_err());
    let error = block_on(rig.client.publish("a", Bytes::new())).expect_err("the end");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&connection::PublishError::Closed));
    let headers = crate::HeaderMap::new();
    let mut full = rig.client.publish_with_headers("a", headers, Bytes::new());
    assert!(matches!(poll(&mut full), Poll::Ready(Err(_))));
    assert_eq!(accounts(&rig.client).published, 2);
    assert_eq!(rig.shared.lock().conn.buffered(), 0, "what nobody will write takes no memory");
}

#[test]
fn before_the_first_connection_the_limit_is_what_servers_mostly_have() {
    let rig = Rig::new(options());
    assert_eq!(rig.client.max_payload(), 1024 * 1024);
}
