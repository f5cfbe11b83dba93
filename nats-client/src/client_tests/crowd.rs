//! More publishers that wait for room than it can serve at a time.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::rig::{Bell, Rig, poll_for};
use crate::client::{Plain, Publish};
use crate::testing::{Peer, options};

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
