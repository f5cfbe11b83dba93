//! More publishers that wait for room than it can serve at a time.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::rig::{Bell, Rig, pass, poll_for, virtual_now};
use crate::client::{Plain, Publish};
use crate::testing::{Peer, block_on, options};

const TASKS: usize = 2_000;

/// Room is made for about so many messages of this size at a time.
const SIZE: usize = 1_000;
const PIECE: usize = 64 * SIZE;

type Waiting<'a> = (Arc<Bell>, Option<Publish<'a, &'static str, Plain>>);

/// Tasks that wait to publish one message each, while the stream takes nothing.
fn crowd<'a>(rig: &'a Rig, peer: &Peer) -> Vec<Waiting<'a>> {
    peer.stall(true);
    rig.publish_up_to(TASKS, SIZE);
    // Nobody waits for a turn once the driver has seen that.
    rig.drive();
    let payload = Bytes::from(vec![b'x'; SIZE]);
    let mut crowd = Vec::new();
    for _ in 0..TASKS {
        let (bell, mut publish) =
            (Arc::new(Bell::default()), rig.client.publish("a", payload.clone()));
        assert!(poll_for(&bell, &mut publish).is_pending());
        if bell.rung() > 0 {
            // It has only let others run.
            assert!(poll_for(&bell, &mut publish).is_pending());
        }
        crowd.push((bell, Some(publish)));
    }
    assert_eq!(rig.shared.lock().turns.room.len(), TASKS);
    crowd
}

#[test]
fn publishers_that_wait_for_room_are_woken_a_few_times_each_and_in_order() {
    let (rig, peer) = Rig::connected(options().send_buffer_limit(2 * PIECE));
    let mut crowd = crowd(&rig, &peer);
    let (mut wakes, mut next) = (0, 0);
    while next < TASKS {
        peer.take(PIECE);
        rig.drive();
        for (number, (bell, publish)) in crowd.iter_mut().enumerate() {
            let rung = bell.rung();
            wakes += rung;
            if rung > 0
                && let Some(waiting) = publish.as_mut()
                && let Poll::Ready(result) = poll_for(bell, waiting)
            {
                result.expect("a live client");
                *publish = None;
                assert_eq!(number, next, "it has overtaken another one");
                next += 1;
            }
        }
    }
    assert_eq!(rig.client.waiting_for_room(), 0);
    assert!(wakes <= 4 * TASKS, "{wakes} wakes of {TASKS} tasks");
}

#[test]
fn publishers_that_are_told_of_room_and_leave_it_keep_it_from_nobody() {
    for drops in [true, false] {
        let (rig, peer) = Rig::connected(options().send_buffer_limit(2 * PIECE));
        let mut crowd = crowd(&rig, &peer);
        peer.stall(false);
        rig.drive();
        // The last one goes on, though nobody before it does anything but give up, or not even that.
        let (bell, mut last) = crowd.pop().expect("a crowd");
        while bell.rung() == 0 {
            if drops {
                crowd.retain(|(bell, _)| bell.rung() == 0);
            }
            if rig.bell.rung() > 0 {
                rig.drive();
            }
            std::thread::yield_now();
        }
        let last = last.as_mut().expect("it waits");
        assert!(matches!(poll_for(&bell, last), Poll::Ready(Ok(()))));
    }
}

#[test]
fn nobody_is_told_of_room_before_there_is_a_connection() {
    const WAITING: usize = 300;
    const INFO: &str = "INFO {\"server_id\":\"x\",\"max_payload\":1048576}\r\n";
    let rig = Rig::with_clock(options().pending_limit(10 * SIZE), virtual_now);
    rig.drive();
    let mut peer = rig.server.accept();
    assert!(rig.publish_up_to(WAITING, SIZE) < 10, "all are kept");
    let mut crowd: Vec<Waiting<'_>> = Vec::new();
    for _ in 0..WAITING {
        let mut publish = rig.client.publish("a", Bytes::from(vec![b'x'; SIZE]));
        let bell = Arc::default();
        assert!(poll_for(&bell, &mut publish).is_pending());
        crowd.push((bell, Some(publish)));
    }
    // Those who are told try again. Says how many they are.
    let mut told = || {
        let mut count = 0;
        for (bell, waiting) in &mut crowd {
            if let Some(publish) = waiting
                && bell.rung() > 0
            {
                count += 1;
                if poll_for(bell, publish).is_ready() {
                    *waiting = None;
                }
            }
        }
        (count, crowd.iter().flat_map(|(_, waiting)| waiting).count())
    };
    rig.drive();
    told();
    for greeting in ["", INFO] {
        peer.send(greeting);
        for _ in 0..20 {
            pass(Duration::from_millis(1));
            rig.drive();
            assert_eq!(told(), (0, WAITING), "behind {greeting:?}");
        }
    }
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    let mut left = WAITING;
    while left > 0 {
        rig.drive();
        let (count, waiting) = told();
        assert!(count > 0, "{waiting} wait for ever");
        left = waiting;
    }
}

#[test]
fn nobody_is_told_of_room_by_what_else_happens_without_a_connection() {
    let delay = |_| Duration::from_secs(3600);
    let options = options().pending_limit(PIECE).reconnect_delay_callback(delay);
    let rig = Rig::with_clock(options, virtual_now);
    drop(rig.connect());
    rig.drive();
    rig.publish_up_to(TASKS, SIZE);
    let payload = Bytes::from(vec![b'x'; SIZE]);
    let mut publishes: Vec<_> =
        (0..TASKS).map(|_| rig.client.publish("a", payload.clone())).collect();
    let bell = Arc::new(Bell::default());
    for publish in &mut publishes {
        assert!(poll_for(&bell, publish).is_pending());
        if bell.rung() > 0 {
            // It has only let others run.
            assert!(poll_for(&bell, publish).is_pending());
        }
    }
    rig.drive();
    bell.rung();
    for _ in 0..10 {
        drop(block_on(rig.client.subscribe("a")).expect("a live client"));
        rig.drive();
    }
    assert_eq!(bell.rung(), 0);
    // The end is told to all of them.
    assert!(poll_for(&bell, &mut pin!(rig.client.close())).is_pending());
    rig.drive();
    assert!(bell.rung() >= TASKS);
    assert!(publishes.iter_mut().all(|publish| poll_for(&bell, publish).is_ready()));
}
