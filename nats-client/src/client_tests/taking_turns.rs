//! Publishers at full speed: who goes on, and who waits meanwhile.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use bytes::Bytes;
use futures_sink::Sink;
use nats_proto::OutboundMessage;

use super::publishing::{MORE_THAN_A_TURN, accounts};
use super::rig::{Bell, Rig, expect_numbers, poll, poll_for};
use crate::driver::TURN;
use crate::testing::{block_on, options};
use crate::{Client, PendingPolicy};

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
fn a_driver_that_always_has_more_to_read_lets_others_run_now_and_then() {
    let (rig, peer) = Rig::connected(options());
    // For a subscription that is gone: it waits for nobody.
    let message = format!("MSG a 9 1000\r\n{}\r\n", "x".repeat(1_000));
    peer.send(&message.repeat(8 * TURN / message.len()));
    rig.bell.rung();
    let mut polls = 0;
    while peer.unread() > 0 {
        let before = peer.unread();
        assert!(poll_for(&rig.bell, &mut *rig.driver.lock().expect("no panic")).is_pending());
        let read = before - peer.unread();
        assert!((1..=TURN).contains(&read), "{read} bytes in one poll");
        assert!(rig.bell.rung() > 0 || peer.unread() == 0, "it goes on by itself");
        polls += 1;
    }
    assert!(polls >= 4, "{polls} polls");
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

/// Sees that a message which leaves no room for another one is published, though `others` run before it each time.
fn expect_large_among(mut others: impl FnMut(&Rig)) {
    // It takes its time to look again, and is not passed over for that.
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let client = rig.client.clone();
    let mut large = client.publish("large", Bytes::from(vec![b'x'; 1024 * 1024]));
    let bell = Arc::new(Bell::default());
    assert_eq!(rig.publish_up_to(1, 100), 1);
    assert!(poll_for(&bell, &mut large).is_pending());
    others(&rig);
    for _ in 0..3 {
        rig.drive();
        others(&rig);
        if bell.rung() > 0 && poll_for(&bell, &mut large).is_ready() {
            rig.drive();
            others(&rig);
            rig.drive();
            peer.expect("PUB large ");
            peer.expect("x\r\n");
            // Others go on.
            peer.expect("\r\n");
            return;
        }
    }
    panic!("it is overtaken again and again");
}

#[test]
fn a_large_message_is_not_overtaken_by_publishers_that_run_before_it() {
    let flood = |client: Client| async move {
        loop {
            client.publish("a", "hi".into()).await.expect("a live client");
        }
    };
    let (bell, mut task) = (Arc::new(Bell::default()), None);
    expect_large_among(|rig| {
        let runs = task.is_none() || bell.rung() > 0;
        let task = task.get_or_insert_with(|| Box::pin(flood(rig.client.clone())));
        let _: Option<Poll<()>> = runs.then(|| poll_for(&bell, task));
    });
}

#[test]
fn a_large_message_is_not_overtaken_by_a_sink_that_runs_before_it() {
    let mut sink = None;
    let mut cx = Context::from_waker(Waker::noop());
    expect_large_among(|rig| {
        let sink = sink.get_or_insert_with(|| rig.client.clone());
        while Sink::poll_ready(Pin::new(&mut *sink), &mut cx).is_ready() {
            let payload = Bytes::from_static(b"hi");
            let message =
                OutboundMessage { subject: "b".into(), reply: None, payload, headers: None };
            Sink::start_send(Pin::new(&mut *sink), message).expect("it is taken");
        }
    });
}

#[test]
fn a_large_message_is_not_overtaken_by_requests_that_run_before_it() {
    let request = |client: Client| async move { client.request("svc", Bytes::new()).await };
    let mut requests = Vec::new();
    expect_large_among(|rig| {
        // Two, for one alone would be written at once.
        requests.extend([(); 2].map(|()| Box::pin(request(rig.client.clone()))));
        for request in &mut requests {
            assert!(poll_for(&Arc::default(), request).is_pending());
        }
    });
}

#[test]
fn a_large_message_is_not_overtaken_by_those_who_subscribe_before_it() {
    let subscribe = |client: Client| async move { client.subscribe("a").await };
    let mut waiting = Vec::new();
    expect_large_among(|rig| {
        waiting.push(Box::pin(subscribe(rig.client.clone())));
        waiting.retain_mut(|subscribe| poll_for(&Arc::default(), subscribe).is_pending());
    });
}

#[test]
fn a_request_that_was_told_of_room_and_is_gone_keeps_it_from_nobody() {
    let (rig, _peer) = Rig::connected_outside_of_time(options().send_buffer_limit(1_000));
    assert_eq!(rig.publish_up_to(1, 100), 1);
    let large = Bytes::from(vec![b'x'; 2_000]);
    let mut request = Box::pin(rig.client.request("svc", large));
    assert!(poll_for(&rig.bell, &mut request).is_pending());
    rig.drive();
    assert!(rig.client.try_publish("a", Bytes::new()).is_ok(), "others are faster");
    assert!(poll_for(&rig.bell, &mut request).is_pending());
    rig.drive();
    let bell = Arc::new(Bell::default());
    let mut publish = rig.client.publish("a", Bytes::new());
    assert!(poll_for(&bell, &mut publish).is_pending(), "it is not overtaken again");
    drop(request);
    assert!(rig.bell.rung() > 0, "nobody else tells the driver");
    rig.drive();
    assert_eq!(bell.rung(), 1);
    assert!(poll(&mut publish).is_ready());
}

#[test]
fn one_that_is_faster_does_not_open_the_short_way_for_others() {
    let (rig, _peer) = Rig::connected_outside_of_time(options().send_buffer_limit(1_000));
    assert_eq!(rig.publish_up_to(1, 100), 1);
    let mut request = Box::pin(rig.client.request("svc", Bytes::from(vec![b'x'; 2_000])));
    assert!(poll_for(&rig.bell, &mut request).is_pending());
    rig.drive();
    assert!(rig.client.try_publish("a", Bytes::new()).is_ok(), "others are faster");
    assert!(poll_for(&rig.bell, &mut request).is_pending());
    rig.drive();
    // Subjects of this length go the short way if they may.
    let subject = "subject.long";
    assert!(rig.client.try_publish(subject, Bytes::new()).is_ok(), "it never waits");
    let mut publish = rig.client.publish(subject, Bytes::new());
    assert!(poll(&mut publish).is_pending(), "a request is overtaken");
}

#[test]
fn a_large_message_needs_no_moment_without_unsubscribes_and_flushes() {
    let (rig, _peer) = Rig::connected_outside_of_time(options());
    let subscribe = |_| block_on(rig.client.subscribe("s")).expect("a live client");
    let mut subscribers: Vec<_> = (0..20).map(subscribe).collect();
    rig.drive();
    let bell = Arc::new(Bell::default());
    let mut large = rig.client.publish("large", Bytes::from(vec![b'x'; 1 << 20]));
    assert_eq!(rig.publish_up_to(1, 100), 1);
    assert!(poll_for(&bell, &mut large).is_pending());
    let went = (0..20).any(|_| {
        rig.drive();
        subscribers.pop();
        assert!(poll_for(&rig.bell, &mut pin!(rig.client.flush())).is_pending());
        bell.rung() > 0 && poll_for(&bell, &mut large).is_ready()
    });
    assert!(went);
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
