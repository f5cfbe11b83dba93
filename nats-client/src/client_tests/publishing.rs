//! Publishers: those that wait, those that write by themselves, and what the driver does with what they leave.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use nats_proto::{OutboundMessage, connection};

use super::rig::{Bell, Rig, expect_numbers, poll, poll_for};
use crate::connection::State;
use crate::testing::{FakeServer, block_on, options};
use crate::{Client, PendingPolicy, Subscriber};

/// More than a publisher may write before the driver gets its turn, with all that may be queued besides.
const MORE_THAN_A_TURN: usize = 2 * 1024 * 1024;

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
fn a_publisher_that_never_has_to_wait_lets_others_run_now_and_then() {
    let dropping = options().pending_policy(PendingPolicy::DropOldest).pending_limit(1_000);
    let refusing = options().pending_policy(PendingPolicy::Error).pending_limit(1_000);
    for options in [dropping, refusing] {
        let rig = Rig::new(options);
        let task = Arc::new(Bell::default());
        for _ in 0..3 {
            let mut publish = (0..10_000)
                .map(|_| rig.client.publish("a", "hi".into()))
                .find_map(|mut publish| {
                    poll_for(&task, &mut publish).is_pending().then_some(publish)
                })
                .expect("others may run");
            assert_eq!(task.rung(), 1, "it goes on by itself");
            assert_eq!(rig.client.waiting_for_room(), 0);
            assert!(poll_for(&task, &mut publish).is_ready());
        }
    }
}

#[test]
fn a_publisher_whose_driver_is_faster_lets_others_run_now_and_then() {
    let (rig, _peer) = Rig::connected(options());
    let task = Arc::new(Bell::default());
    let mut publish = (0..10_000)
        .map(|_| rig.client.publish("a", "hi".into()))
        .find_map(|mut publish| {
            rig.drive();
            poll_for(&task, &mut publish).is_pending().then_some(publish)
        })
        .expect("others may run");
    assert_eq!(task.rung(), 1, "it goes on by itself");
    assert!(poll_for(&task, &mut publish).is_ready());
}

#[test]
fn a_publisher_whose_turn_is_over_waits_and_is_woken() {
    let (rig, mut peer) = Rig::connected(options());
    let done = rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    assert!(done < MORE_THAN_A_TURN / 100, "the driver must get its turn");
    let bell = Arc::new(Bell::default());
    let mut waiting = rig.client.publish("late", Bytes::new());
    assert!(poll_for(&bell, &mut waiting).is_pending());
    assert_eq!(rig.client.waiting_for_room(), 1);
    rig.drive();
    assert_eq!(bell.rung(), 1);
    assert!(matches!(poll_for(&bell, &mut waiting), Poll::Ready(Ok(()))));
    drop(waiting);
    assert_eq!(rig.client.waiting_for_room(), 0);
    // A new turn has begun.
    assert_eq!(rig.publish_up_to(1_000, 100), 1_000);
    rig.drive();
    expect_numbers(&mut peer, 0..done);
    peer.expect("PUB late 0\r\n\r\n");
    expect_numbers(&mut peer, 0..1_000);
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
fn large_messages_take_turns_as_well() {
    let (rig, mut peer) = Rig::connected(options());
    let size = 100_000;
    let done = rig.publish_up_to(MORE_THAN_A_TURN / size, size);
    assert!(done < MORE_THAN_A_TURN / size, "the driver must get its turn");
    rig.drive();
    expect_numbers(&mut peer, 0..done);
}

#[test]
fn those_who_never_wait_for_their_turn_find_the_buffer_full_without_the_driver() {
    let (rig, mut peer) = Rig::connected(options());
    let payload = Bytes::from(vec![b'x'; 1_000]);
    let tried = (0..MORE_THAN_A_TURN / 1_000)
        .take_while(|_| rig.client.try_publish("a", payload.clone()).is_ok())
        .count();
    assert!(tried < MORE_THAN_A_TURN / 1_000, "the driver must get its turn");
    let mut sink = rig.client.clone();
    let mut cx = Context::from_waker(Waker::noop());
    let message = OutboundMessage { subject: "b".into(), reply: None, payload, headers: None };
    Sink::start_send(Pin::new(&mut sink), message).expect("it is kept");
    assert!(Sink::poll_ready(Pin::new(&mut sink), &mut cx).is_pending());
    rig.drive();
    assert!(Sink::poll_ready(Pin::new(&mut sink), &mut cx).is_ready());
    rig.drive();
    peer.expect("PUB b ");
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
fn a_turn_that_is_not_taken_goes_to_the_next() {
    // Nobody is passed over for being slow. A timer may ring all the same: it goes by real time.
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let done = rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    let too_large = Bytes::from(vec![b'x'; 2 * 1024 * 1024]);
    let payloads = [Bytes::new(), Bytes::new(), too_large, Bytes::new()];
    let mut waiting: Vec<_> = payloads
        .into_iter()
        .map(|payload| {
            let (bell, mut publish) = (Arc::new(Bell::default()), rig.client.publish("b", payload));
            assert!(poll_for(&bell, &mut publish).is_pending());
            Some((bell, publish))
        })
        .collect();
    let rung = |waiting: &[Option<(Arc<Bell>, _)>]| -> Vec<usize> {
        waiting.iter().flatten().map(|(bell, _)| bell.rung()).collect()
    };
    rig.drive();
    assert_eq!(rung(&waiting), [1, 0, 0, 0]);
    waiting[0] = None;
    assert!(rig.bell.rung() > 0, "nobody else tells the driver");
    rig.drive();
    assert_eq!(rung(&waiting), [1, 0, 0]);
    let (_, mut second) = waiting[1].take().expect("it waits");
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(()))));
    assert!(rig.bell.rung() > 0);
    rig.drive();
    assert_eq!(rung(&waiting), [1, 0]);
    let (_, mut third) = waiting[2].take().expect("it waits");
    assert!(matches!(poll(&mut third), Poll::Ready(Err(_))));
    assert!(rig.bell.rung() > 0, "nobody else tells the driver");
    rig.drive();
    assert_eq!(rung(&waiting), [1]);
    let (_, mut fourth) = waiting[3].take().expect("it waits");
    assert!(poll(&mut fourth).is_ready());
    rig.drive();
    expect_numbers(&mut peer, 0..done);
    peer.expect("PUB b 0\r\n\r\nPUB b 0\r\n\r\n");
}

#[test]
fn a_publisher_that_is_not_polled_holds_nobody_up() {
    let (rig, mut peer) = Rig::connected(options());
    let done = rig.publish_up_to(MORE_THAN_A_TURN / 100, 100);
    // As the branch of a `select!` while another branch publishes.
    let mut left_alone = rig.client.publish("left.alone", Bytes::new());
    assert!(poll(&mut left_alone).is_pending());
    let bell = Arc::new(Bell::default());
    let mut publish = rig.client.publish("b", Bytes::new());
    assert!(poll_for(&bell, &mut publish).is_pending());
    rig.drive();
    // The driver comes by again by itself.
    while bell.rung() == 0 {
        std::thread::yield_now();
        if rig.bell.rung() > 0 {
            rig.drive();
        }
    }
    assert!(poll(&mut publish).is_ready());
    rig.drive();
    expect_numbers(&mut peer, 0..done);
    peer.expect("PUB b 0\r\n\r\n");
    assert!(poll(&mut left_alone).is_ready());
}

#[test]
fn a_large_message_is_not_overtaken_again_and_again() {
    let (rig, mut peer) = Rig::connected(options().send_buffer_limit(1_000));
    // The driver is to write one, and has not come by.
    assert_eq!(rig.publish_up_to(1, 100), 1);
    let (large_bell, small_bell) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let mut large = rig.client.publish("large", Bytes::from(vec![b'x'; 2_000]));
    assert!(poll_for(&large_bell, &mut large).is_pending());
    let mut small = rig.client.publish("small", Bytes::new());
    assert!(poll_for(&small_bell, &mut small).is_pending());
    rig.drive();
    assert_eq!((large_bell.rung(), small_bell.rung()), (1, 1));
    assert!(poll(&mut large).is_ready());
    assert!(poll(&mut small).is_pending(), "no room beside it");
    rig.drive();
    assert!(poll(&mut small).is_ready());
    rig.drive();
    peer.expect("PUB large 2000\r\n");
    peer.expect("PUB small 0\r\n");
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
fn threads_that_publish_keep_their_order_and_come_to_an_end() {
    const THREADS: usize = 8;
    const EACH: usize = 10_000;
    let (_server, mut peer, client) = super::connect(options());
    let publish = |thread: usize| {
        for number in 0..EACH {
            // One in a thousand is larger than the buffer.
            let rest = if number % 1_000 == thread { 200_000 } else { number % 200 };
            let payload = Bytes::from(format!("{thread} {number} {}", ".".repeat(rest)));
            block_on(client.publish("a", payload)).expect("a live client");
        }
    };
    let sent = thread::scope(|scope| {
        let publish = &publish;
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || publish(thread))).collect();
        // It takes one piece after the other.
        while !threads.iter().all(|thread| thread.is_finished()) {
            peer.take(50_000);
            thread::yield_now();
        }
        peer.stall(false);
        scope.spawn(|| block_on(client.flush()).expect("a fence"));
        let sent = peer.expect("PING\r\n");
        peer.send("PONG\r\n");
        sent
    });
    let mut expected = [0; THREADS];
    let mut lines = sent.lines();
    while let (Some(head), Some(body)) = (lines.next(), lines.next()) {
        assert!(head.starts_with("PUB a "), "{head:?}");
        let mut words = body.split(' ').map(str::parse::<usize>);
        let (Some(Ok(thread)), Some(Ok(number))) = (words.next(), words.next()) else {
            panic!("no numbers: {body:?}");
        };
        assert_eq!(expected.get(thread), Some(&number), "of thread {thread}");
        expected[thread] += 1;
    }
    assert_eq!(expected, [EACH; THREADS]);
    assert_eq!(client.waiting_for_room(), 0);
    assert_eq!(accounts(&client).confirmed, (THREADS * EACH) as u64);
}
