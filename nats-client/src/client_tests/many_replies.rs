//! Requests with many replies.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::Message;

use super::rig::{Bell, Rig, pass, poll_for, virtual_now};
use crate::WhenFull;
use crate::client::{RequestErrorKind, Responses, ResponsesEnd};
use crate::testing::{Peer, block_on, options};

const MAX_WAIT: Duration = Duration::from_secs(1);

fn poll(replies: &mut Responses) -> Poll<Option<Message>> {
    Pin::new(replies).poll_next(&mut Context::from_waker(Waker::noop()))
}

/// The payload of a reply that is there.
fn taken(replies: &mut Responses) -> Option<Bytes> {
    match poll(replies) {
        Poll::Ready(reply) => reply.map(|reply| reply.payload),
        Poll::Pending => panic!("it waits"),
    }
}

/// Asks, and gives the inbox to which replies go.
fn ask(rig: &Rig, peer: &mut Peer) -> (Responses, String) {
    let request = rig.client.request_many().max_wait(Some(MAX_WAIT));
    let replies = block_on(request.send("svc", Bytes::new())).expect("a live client");
    rig.drive();
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 0\r\n");
    (replies, inbox)
}

#[test]
fn however_many_replies_have_come_before_a_close_they_are_given_out() {
    const REPLIES: usize = 3_000;
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let (mut replies, inbox) = ask(&rig, &mut peer);
    peer.send(&format!("MSG {inbox} 1 1\r\na\r\n").repeat(REPLIES));
    rig.drive();
    let mut close = Box::pin(rig.client.close());
    assert!(poll_for(&rig.bell, &mut close).is_pending());
    rig.drive();
    peer.send("PONG\r\n");
    rig.drive();
    assert!(poll_for(&rig.bell, &mut close).is_ready());
    let reader = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&reader));
    let mut cx = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut replies).poll_next(&mut cx) {
            Poll::Ready(Some(_)) => {}
            Poll::Ready(None) => break,
            Poll::Pending => assert_eq!(reader.rung(), 1, "it lets others run"),
        }
    }
    assert_eq!((replies.received(), replies.end()), (REPLIES, Some(ResponsesEnd::Closed)));
}

#[test]
fn the_time_in_all_ends_replies_that_come_faster_than_they_are_taken() {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let clock = || *START + Duration::from_millis(PASSED.load(Ordering::SeqCst));
    let rig = Rig::with_clock(options(), clock);
    let mut peer = rig.connect();
    let (mut replies, inbox) = ask(&rig, &mut peer);
    let reply = |payload: &str| peer.send(&format!("MSG {inbox} 1 1\r\n{payload}\r\n"));
    let mut came = 0;
    for _ in 0..100 {
        // The second of two that come for each that is taken waits for ever.
        reply("a");
        reply("a");
        came += 2;
        rig.drive();
        assert_eq!(taken(&mut replies).as_deref(), Some(&b"a"[..]));
        PASSED.fetch_add(10, Ordering::SeqCst);
    }
    let mut late = 0;
    while let Some(payload) = taken(&mut replies) {
        assert_eq!(&payload[..], b"a", "it came when the time was over");
        reply("b");
        late += 1;
        rig.drive();
    }
    assert_eq!((replies.end(), late), (Some(ResponsesEnd::TimedOut), came - 100));
    assert_eq!(replies.received(), came, "all that came in time were given out");
    peer.expect("UNSUB 1\r\n");
}

#[test]
fn replies_that_have_ended_have_no_inbox_any_more() {
    let (rig, mut peer) = Rig::connected(options());
    let request = rig.client.request_many().max_messages(1);
    let mut replies = block_on(request.send("svc", Bytes::new())).expect("a live client");
    rig.drive();
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 0\r\n");
    peer.send(&format!("MSG {inbox} 1 1\r\na\r\n"));
    rig.drive();
    assert_eq!(taken(&mut replies).as_deref(), Some(&b"a"[..]));
    assert_eq!(taken(&mut replies), None);
    assert_eq!(replies.end(), Some(ResponsesEnd::Complete));
    // They are still held: to ask why they have ended, for one.
    assert_eq!(rig.client.subscriptions(), 0);
    rig.drive();
    peer.expect("UNSUB 1\r\n");
}

/// Sees to it that a client for whom no time passes is drained: nobody is waited for.
fn expect_drain(rig: &Rig, peer: &mut Peer) {
    let mut drain = Box::pin(rig.client.drain_within(Duration::from_secs(60)));
    assert!(poll_for(&rig.bell, &mut drain).is_pending());
    for _ in 0..2 {
        rig.drive();
        assert!(peer.arrived() > 0, "it waits");
        peer.expect("PING\r\n");
        peer.send("PONG\r\n");
    }
    rig.drive();
    let Poll::Ready(Ok(left)) = poll_for(&rig.bell, &mut drain) else { panic!("it waits") };
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn replies_beyond_the_last_one_that_is_wanted_hold_up_nobody() {
    for when_full in [WhenFull::DropNewest, WhenFull::Block] {
        let options = options().subscription_policy(when_full).subscription_capacity(3);
        let (rig, mut peer) = Rig::connected_outside_of_time(options);
        let request = rig.client.request_many().max_messages(1);
        let mut replies = block_on(request.send("svc", Bytes::new())).expect("a live client");
        rig.drive();
        peer.expect("PUB svc ");
        let inbox = peer.expect(" 0\r\n");
        peer.send(&format!("MSG {inbox} 1 1\r\na\r\n").repeat(3));
        rig.drive();
        assert_eq!(taken(&mut replies).as_deref(), Some(&b"a"[..]));
        // Nobody asks for another one.
        assert_eq!((replies.received(), replies.end()), (1, Some(ResponsesEnd::Complete)));
        expect_drain(&rig, &mut peer);
        assert_eq!(taken(&mut replies), None);
    }
}

#[test]
fn replies_behind_the_last_one_keep_no_drain_waiting() {
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let request = rig.client.request_many().until_empty();
    let mut replies = block_on(request.send("svc", Bytes::new())).expect("a live client");
    rig.drive();
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 0\r\n");
    peer.send(&format!("MSG {inbox} 1 0\r\n\r\n").repeat(3));
    rig.drive();
    assert_eq!(taken(&mut replies), None);
    assert_eq!((replies.received(), replies.end()), (0, Some(ResponsesEnd::Sentinel)));
    expect_drain(&rig, &mut peer);
}

#[test]
fn the_time_in_all_ends_a_wait_for_replies() {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let clock = || *START + Duration::from_millis(PASSED.load(Ordering::SeqCst));
    let rig = Rig::with_clock(options(), clock);
    let mut peer = rig.connect();
    let (mut replies, _) = ask(&rig, &mut peer);
    assert!(poll(&mut replies).is_pending());
    PASSED.store(1_000, Ordering::SeqCst);
    assert_eq!(taken(&mut replies), None);
    assert_eq!(replies.end(), Some(ResponsesEnd::TimedOut));
}

#[test]
fn the_time_without_a_reply_begins_anew_with_each() {
    const STALL: Duration = Duration::from_millis(100);
    let rig = Rig::with_clock(options(), virtual_now);
    let mut peer = rig.connect();
    let request = rig.client.request_many().max_wait(None).stall_wait(STALL);
    let mut replies = block_on(request.send("svc", Bytes::new())).expect("a live client");
    rig.drive();
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 0\r\n");
    for _ in 0..5 {
        assert!(poll(&mut replies).is_pending(), "{:?}", replies.end());
        peer.send(&format!("MSG {inbox} 1 1\r\na\r\n"));
        rig.drive();
        assert_eq!(taken(&mut replies).as_deref(), Some(&b"a"[..]));
        assert!(poll(&mut replies).is_pending());
        pass(STALL * 3 / 5);
    }
    pass(STALL * 2 / 5);
    assert_eq!(taken(&mut replies), None);
    assert_eq!((replies.received(), replies.end()), (5, Some(ResponsesEnd::Stalled)));
}

#[test]
fn the_time_without_a_reply_counts_behind_the_first_and_if_it_is_some() {
    const STALL: Duration = Duration::from_millis(100);
    for (stall, end) in [
        (STALL, ResponsesEnd::Stalled),
        (Duration::ZERO, ResponsesEnd::TimedOut),
        (MAX_WAIT, ResponsesEnd::TimedOut),
    ] {
        let rig = Rig::with_clock(options(), virtual_now);
        let mut peer = rig.connect();
        let request = rig.client.request_many().max_wait(Some(MAX_WAIT)).stall_wait(stall);
        // That is any number.
        let request = request.max_messages(0);
        let mut replies = block_on(request.send("svc", Bytes::new())).expect("a live client");
        rig.drive();
        peer.expect("PUB svc ");
        let inbox = peer.expect(" 0\r\n");
        assert!(poll(&mut replies).is_pending());
        pass(MAX_WAIT / 2);
        assert!(poll(&mut replies).is_pending(), "{stall:?}: {:?}", replies.end());
        peer.send(&format!("MSG {inbox} 1 1\r\na\r\n"));
        rig.drive();
        assert_eq!(taken(&mut replies).as_deref(), Some(&b"a"[..]));
        assert!(poll(&mut replies).is_pending(), "{stall:?}: {:?}", replies.end());
        pass(if end == ResponsesEnd::Stalled { STALL } else { MAX_WAIT / 2 });
        assert_eq!(taken(&mut replies), None);
        assert_eq!(replies.end(), Some(end), "{stall:?}");
    }
}

#[test]
fn a_request_for_which_there_is_no_room_in_time_is_given_up() {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let clock = || *START + Duration::from_millis(PASSED.load(Ordering::SeqCst));
    let options = options().pending_limit(64).request_timeout(Some(MAX_WAIT));
    let rig = Rig::with_clock(options, clock);
    let client = &rig.client;
    client.try_publish("a", Bytes::from(vec![b'x'; 50])).expect("room for one");
    for wait in [Some(MAX_WAIT), None] {
        let request = client.request_many().max_wait(wait);
        let mut sent = Box::pin(request.send("svc", Bytes::new()));
        assert!(super::poll(sent.as_mut()).is_pending());
        PASSED.fetch_add(1_000, Ordering::SeqCst);
        let Poll::Ready(Err(error)) = super::poll(sent.as_mut()) else { panic!("it waits") };
        assert_eq!(error.kind(), RequestErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("no room in the buffer within 1s"), "{error}");
        drop(sent);
        assert_eq!((client.subscriptions(), client.waiting_for_room()), (0, 0));
    }
}

#[test]
fn a_client_that_ends_first_is_told_from_time_that_is_over() {
    let (rig, mut peer) = Rig::connected_outside_of_time(options());
    let (mut replies, inbox) = ask(&rig, &mut peer);
    peer.send(&format!("MSG {inbox} 1 1\r\na\r\n"));
    rig.drive();
    let Rig { driver, client: _client, .. } = rig;
    drop(driver);
    assert_eq!(taken(&mut replies).as_deref(), Some(&b"a"[..]));
    assert_eq!(taken(&mut replies), None);
    assert_eq!(replies.end(), Some(ResponsesEnd::Closed));
}
