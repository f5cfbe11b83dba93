//! Subscribers, and the tasks that poll them.

use std::future::IntoFuture;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;

use super::rig::{Bell, Rig, pass, poll_for, virtual_now};
use crate::client::{ConfirmError, Request, RequestErrorKind};
use crate::connection::State;
use crate::testing::{Peer, block_on, options};
use crate::{Client, WhenFull};

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

/// Subscribes, and gives that up, again and again.
async fn come_and_go(client: Client) {
    loop {
        drop(client.subscribe("a").await.expect("a subscription"));
    }
}

#[test]
fn who_subscribes_again_and_again_lets_the_driver_run() {
    const MOST: usize = 1_000;
    let (connected, _peer) = Rig::connected(options());
    for rig in [connected, Rig::new(options())] {
        let (bell, mut task) =
            (Arc::new(Bell::default()), Box::pin(come_and_go(rig.client.clone())));
        for _ in 0..10 {
            let _: Poll<()> = poll_for(&bell, &mut task);
            assert_eq!(bell.rung(), 1, "it goes on by itself");
            let changes = rig.shared.lock().changes.len();
            assert!(changes < MOST, "{changes} are to be looked at");
            assert!(rig.bell.rung() > 0 || rig.client.connection_state() == State::Pending);
            rig.drive();
        }
    }
}

/// A client with a full buffer, whose stream takes nothing.
fn full() -> (Rig, Peer) {
    let rig = Rig::with_clock(options().send_buffer_limit(10_000), virtual_now);
    let peer = rig.connect();
    peer.stall(true);
    while rig.client.try_publish("a", "hi".into()).is_ok() {}
    rig.drive();
    while rig.client.try_publish("a", "hi".into()).is_ok() {}
    while !rig.shared.lock().conn.is_full() {
        drop(block_on(rig.client.subscribe("a")).expect("a subscription"));
    }
    (rig, peer)
}

#[test]
fn who_subscribes_waits_for_room_and_leaves_nothing_if_that_is_given_up() {
    let (rig, peer) = full();
    let buffered = rig.shared.lock().conn.buffered();
    assert!(buffered < 11_000, "{buffered} bytes");
    let (bell, subscriptions) = (Arc::new(Bell::default()), rig.client.subscriptions());
    let mut given_up = Box::pin(rig.client.subscribe("given.up"));
    let mut waiting = Box::pin(rig.client.subscription("waiting").into_future());
    assert!(poll_for(&bell, &mut given_up).is_pending());
    assert!(poll_for(&bell, &mut waiting).is_pending());
    assert_eq!((bell.rung(), rig.client.waiting_for_room()), (0, 2));
    drop(given_up);
    assert_eq!(rig.client.waiting_for_room(), 1);
    assert_eq!(rig.client.subscriptions(), subscriptions);
    assert_eq!(rig.shared.lock().conn.buffered(), buffered);
    peer.stall(false);
    rig.drive();
    assert_eq!(bell.rung(), 1);
    let Poll::Ready(Ok(_waiting)) = poll_for(&bell, &mut waiting) else { panic!("it waits") };
    assert_eq!(rig.client.subscriptions(), subscriptions + 1);
    assert_eq!(rig.client.waiting_for_room(), 0);
}

#[test]
fn who_sets_a_maximum_waits_for_room() {
    let (rig, peer) = full();
    peer.stall(false);
    rig.drive();
    let mut subscriber = block_on(rig.client.subscribe("a")).expect("a subscription");
    assert_eq!(rig.client.subscriptions(), 1);
    peer.stall(true);
    rig.drive();
    let bell = Arc::new(Bell::default());
    let set = (1_u64..).find(|max| {
        let mut set = pin!(subscriber.unsubscribe_after(*max));
        poll_for(&bell, &mut set).is_pending()
    });
    let buffered = rig.shared.lock().conn.buffered();
    assert!(buffered < 11_000 && set > Some(100), "{buffered} bytes, {set:?}");
    let mut set = pin!(subscriber.unsubscribe_after(0));
    assert!(poll_for(&bell, &mut set).is_pending());
    assert_eq!(rig.client.subscriptions(), 0, "it holds at once");
    peer.stall(false);
    rig.drive();
    assert!(bell.rung() > 0);
    assert!(poll_for(&bell, &mut set).is_ready());
}

#[test]
fn who_waits_for_room_before_it_subscribes_is_told_in_time() {
    let (rig, _peer) = full();
    let (bell, second) = (Arc::default(), Duration::from_secs(1));
    let inbox = Request::new().inbox("inbox".into()).timeout(Some(second));
    let mut request = Box::pin(rig.client.send_request("svc", inbox));
    let many = rig.client.request_many().max_wait(Some(second));
    let mut many = Box::pin(many.send("svc", "".into()));
    let mut confirmed = Box::pin(rig.client.subscription("a").confirmed());
    assert!(poll_for(&bell, &mut request).is_pending());
    assert!(poll_for(&bell, &mut many).is_pending());
    assert!(poll_for(&bell, &mut confirmed).is_pending());
    pass(Duration::from_secs(3600));
    let Poll::Ready(Err(error)) = poll_for(&bell, &mut request) else { panic!("it waits") };
    assert_eq!(error.kind(), RequestErrorKind::TimedOut, "{error}");
    let Poll::Ready(Err(error)) = poll_for(&bell, &mut many) else { panic!("it waits") };
    assert_eq!(error.kind(), RequestErrorKind::TimedOut, "{error}");
    let Poll::Ready(Err(error)) = poll_for(&bell, &mut confirmed) else { panic!("it waits") };
    assert!(matches!(error, ConfirmError::TimedOut { .. }), "{error}");
    drop((request, many, confirmed));
    assert_eq!((rig.client.subscriptions(), rig.client.waiting_for_room()), (0, 0));
}
