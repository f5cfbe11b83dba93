//! Subscribers, and the tasks that poll them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::rig::{Bell, Rig};
use crate::WhenFull;
use crate::connection::State;
use crate::testing::{block_on, options};

#[test]
fn a_subscriber_that_always_has_a_next_message_lets_others_run_now_and_then() {
    const MESSAGES: usize = 20_000;
    // Many to a page, few to a page, and none in one.
    for size in [0, 1, 400, 600] {
        // All of it is read at once.
        let (rig, mut peer) = Rig::connected(options().subscription_policy(WhenFull::Block));
        let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
        rig.drive();
        peer.expect("SUB a 1\r\n");
        peer.send(&format!("MSG a 1 {size}\r\n{}\r\n", "x".repeat(size)).repeat(MESSAGES));
        rig.drive();
        let reader = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&reader));
        let mut cx = Context::from_waker(&waker);
        let (mut taken, mut in_a_row) = (0, 0);
        while taken < MESSAGES {
            match Pin::new(&mut subscriber).poll_next(&mut cx) {
                Poll::Ready(message) => {
                    assert_eq!(message.expect("a live client").payload.len(), size);
                    (taken, in_a_row) = (taken + 1, in_a_row + 1);
                    assert!(in_a_row < 4_000, "nobody else runs");
                }
                Poll::Pending => {
                    assert_eq!(reader.rung(), 1, "it goes on by itself");
                    assert!(in_a_row > 1_000, "it is expensive");
                    assert_eq!(subscriber.statistics().pending_messages, (MESSAGES - taken) as u64);
                    in_a_row = 0;
                }
            }
        }
        assert!(Pin::new(&mut subscriber).poll_next(&mut cx).is_pending());
        assert_eq!(reader.rung(), 0, "nothing waits");
        assert_eq!(subscriber.statistics().delivered, MESSAGES as u64);
    }
}

#[test]
fn unsubscribing_wakes_a_task_that_waits_for_the_next_message() {
    let (rig, _peer) = Rig::connected(options());
    let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
    let reader = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&reader));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut subscriber).poll_next(&mut cx).is_pending());
    block_on(subscriber.unsubscribe()).expect("a live client");
    assert_eq!(reader.rung(), 1);
    assert!(matches!(Pin::new(&mut subscriber).poll_next(&mut cx), Poll::Ready(None)));
}

#[test]
fn a_message_may_be_as_large_as_the_options_say_and_no_larger() {
    for (options, largest) in [
        (options(), 64 << 20),
        (options().max_message_size(100), 100),
        (options().max_message_size(65 << 20), 65 << 20),
    ] {
        for (size, state) in [(largest, State::Connected), (largest + 1, State::Disconnected)] {
            let (rig, peer) = Rig::connected(options.clone());
            peer.send(&format!("HMSG a 1 {size} {size}\r\n"));
            rig.drive();
            assert_eq!(rig.client.connection_state(), state, "{size} of {largest}");
        }
    }
}
