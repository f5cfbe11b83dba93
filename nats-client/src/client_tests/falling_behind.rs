//! Subscribers that are slower than the driver, and are waited for as long as they are not much slower.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use futures_core::Stream;

use super::rig::{Rig, pass, virtual_now};
use crate::testing::{Peer, block_on, options};
use crate::{Subscriber, WhenFull};

/// Messages after which a subscriber is behind, and what one read may bring besides.
const BEHIND: std::ops::Range<u64> = 8_192..9_000;

const MILLISECOND: Duration = Duration::from_millis(1);

const MIB: usize = 1024 * 1024;

/// A subscription that is to hold so many messages and bytes.
fn subscribed(capacity: usize, bytes: usize, when_full: WhenFull) -> (Rig, Peer, Subscriber) {
    let rig = Rig::with_clock(options(), virtual_now);
    let mut peer = rig.connect();
    let subscription =
        rig.client.subscription("a").capacity(capacity).byte_capacity(bytes).when_full(when_full);
    let subscriber = block_on(subscription.into_future()).expect("a subscription");
    rig.drive();
    peer.expect("SUB a 1\r\n");
    (rig, peer, subscriber)
}

fn usual() -> (Rig, Peer, Subscriber) {
    subscribed(64 * 1024, 64 * 1024 * 1024, WhenFull::DropNewest)
}

fn send(rig: &Rig, peer: &Peer, messages: usize, size: usize) {
    peer.send(&format!("MSG a 1 {size}\r\n{}\r\n", "x".repeat(size)).repeat(messages));
    rig.drive();
}

/// Takes the next message, if there is one: it may have to let others run before.
fn take(subscriber: &mut Subscriber) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    (0..2).any(|_| Pin::new(&mut *subscriber).poll_next(&mut cx).is_ready())
}

fn received(rig: &Rig) -> u64 {
    rig.client.delivery_statistics().messages_in
}

#[test]
fn nothing_is_lost_of_more_than_may_wait_if_the_subscriber_takes_it_as_it_comes() {
    const MESSAGES: u64 = 200_000;
    let (rig, peer, mut subscriber) = usual();
    send(&rig, &peer, MESSAGES as usize, 1);
    let first = received(&rig);
    assert!(BEHIND.contains(&first), "{first}");
    for taken in 1..=MESSAGES {
        assert!(take(&mut subscriber), "after {taken}");
        let left = subscriber.statistics().pending_messages;
        assert!(left > 3_800 || rig.bell.rung() > 0 || received(&rig) == MESSAGES, "not woken");
        let before = received(&rig);
        rig.drive();
        assert!(left <= 4_096 || received(&rig) == before, "{left} messages were left");
        assert!(subscriber.statistics().pending_messages < BEHIND.end);
    }
    assert_eq!(subscriber.statistics().dropped, 0);
}

#[test]
fn a_few_large_messages_are_much_as_well() {
    let (rig, peer, mut subscriber) = usual();
    send(&rig, &peer, 20, 300_000);
    assert_eq!(received(&rig), 7, "those that make up 2 MiB");
    for _ in 0..20 {
        assert!(take(&mut subscriber));
        rig.drive();
    }
}

#[test]
fn half_of_what_may_wait_is_much_as_well() {
    for (capacity, bytes, size, much) in [
        (8_192, 64 * MIB, 1, 4_096),
        (10_000, 64 * MIB, 1, 5_000),
        // With the subject, they have 1 KiB.
        (65_536, 2 * MIB, 1_023, 1_024),
    ] {
        let (rig, peer, mut subscriber) = subscribed(capacity, bytes, WhenFull::DropNewest);
        for _ in 0..much {
            send(&rig, &peer, 1, size);
        }
        assert_eq!(received(&rig), much);
        send(&rig, &peer, 1, size);
        assert_eq!(received(&rig), much, "of {capacity} messages or {bytes} bytes");
        while take(&mut subscriber) {}
        rig.drive();
        assert_eq!(received(&rig), much + 1);
    }
}

#[test]
fn who_is_not_there_in_time_is_not_waited_for() {
    let (rig, peer, subscriber) = usual();
    send(&rig, &peer, 30_000, 1);
    pass(MILLISECOND);
    rig.drive();
    assert!(BEHIND.contains(&received(&rig)));
    pass(MILLISECOND);
    while rig.bell.rung() == 0 {
        thread::yield_now();
    }
    rig.drive();
    assert_eq!(received(&rig), 30_000);
    drop(subscriber);
}

#[test]
fn somebody_who_never_catches_up_keeps_others_waiting_less_than_a_hundredth_of_the_time() {
    const WARM_UP: u64 = 2_000;
    const TIME: u64 = 10_000;
    let (rig, peer, subscriber) = usual();
    send(&rig, &peer, 30_000, 1);
    let mut waits = 0;
    for millisecond in 0..WARM_UP + TIME {
        pass(MILLISECOND);
        let before = received(&rig);
        send(&rig, &peer, 1, 1);
        waits += u64::from(millisecond >= WARM_UP && received(&rig) == before);
    }
    assert!(waits > 0, "it is tried again");
    assert!(waits < TIME / 100, "{waits} of {TIME} ms");
    drop(subscriber);
}

#[test]
fn who_catches_up_in_time_is_waited_for_as_soon_as_before() {
    let (rig, peer, mut subscriber) = usual();
    for _ in 0..3 {
        for _ in 0..3 {
            send(&rig, &peer, 30_000, 1);
            pass(2 * MILLISECOND);
            rig.drive();
            while take(&mut subscriber) {}
            rig.drive();
        }
        pass(1_000 * MILLISECOND);
        for _ in 0..2 {
            let before = received(&rig);
            send(&rig, &peer, 30_000, 1);
            let came = received(&rig) - before;
            assert!(BEHIND.contains(&came), "{came}");
            while take(&mut subscriber) {
                rig.drive();
            }
            assert_eq!(received(&rig) - before, 30_000);
        }
    }
}

#[test]
fn who_has_gone_or_ended_is_not_waited_for() {
    for unsubscribes in [false, true] {
        let (rig, peer, mut subscriber) = usual();
        send(&rig, &peer, 30_000, 1);
        if unsubscribes {
            block_on(subscriber.unsubscribe()).expect("a live client");
        } else {
            drop(subscriber);
        }
        assert!(rig.bell.rung() > 0, "the driver is woken");
        rig.drive();
        let statistics = rig.client.delivery_statistics();
        assert_eq!(statistics.messages_in + statistics.unroutable, 30_000);
    }
}

#[test]
fn nobody_is_waited_for_while_there_is_no_link() {
    let (rig, peer, subscriber) = usual();
    send(&rig, &peer, 30_000, 1);
    block_on(rig.client.force_reconnect()).expect("a live client");
    drop(peer);
    // It would be dialled again at once, and nobody answers.
    rig.drive();
    let mut peer = rig.server.accept();
    pass(10 * MILLISECOND);
    // Were it still to wait for a moment that is over, it would never rest.
    thread::sleep(10 * MILLISECOND);
    rig.drive();
    assert_eq!(rig.client.delivery_statistics().connects, 1);
    drop(subscriber);
    peer.send("INFO {\"server_id\":\"x\"}\r\n");
    rig.drive();
    peer.expect("CONNECT ");
}

#[test]
fn a_subscriber_that_holds_up_all_others_is_waited_for_for_longer() {
    let (rig, mut peer, subscriber) = usual();
    let strict = rig.client.subscription("b").capacity(1).when_full(WhenFull::Block);
    let mut strict = block_on(strict.into_future()).expect("a subscription");
    rig.drive();
    peer.expect("SUB b 2\r\n");
    let message = "MSG a 1 1\r\nx\r\n";
    peer.send(&[&message.repeat(8_191), "MSG b 2 1\r\nx\r\n", &message.repeat(20_000)].concat());
    rig.drive();
    let first = received(&rig);
    assert!(BEHIND.contains(&first), "{first}");
    pass(10 * MILLISECOND);
    thread::sleep(10 * MILLISECOND);
    rig.drive();
    assert_eq!(received(&rig), first);
    assert!(take(&mut strict));
    rig.drive();
    pass(2 * MILLISECOND);
    rig.drive();
    assert_eq!(received(&rig), 28_192);
    drop(subscriber);
}

#[test]
fn who_wants_few_or_the_newest_messages_is_not_waited_for() {
    for (capacity, bytes, when_full) in [
        (8_191, 64 * MIB, WhenFull::DropNewest),
        (65_536, 2 * MIB - 1, WhenFull::DropNewest),
        (65_536, 64 * MIB, WhenFull::DropOldest),
    ] {
        let (rig, peer, subscriber) = subscribed(capacity, bytes, when_full);
        send(&rig, &peer, 30_000, 1);
        assert_eq!(received(&rig), 30_000);
        drop(subscriber);
    }
}

#[test]
fn others_get_theirs_at_once_however_much_comes_for_somebody_who_wants_few() {
    let (rig, mut peer, mut subscriber) = subscribed(100, 64 * MIB, WhenFull::DropNewest);
    let mut other = block_on(rig.client.subscribe("b")).expect("a subscription");
    rig.drive();
    peer.expect("SUB b 2\r\n");
    for millisecond in 0..100 {
        pass(MILLISECOND);
        peer.send(&format!("{}MSG b 2 1\r\nx\r\n", "MSG a 1 1\r\nx\r\n".repeat(300)));
        rig.drive();
        assert!(take(&mut other), "not in millisecond {millisecond}");
        // Hard at work, and fast enough to catch up with half of what may wait in two of these.
        for _ in 0..80 {
            take(&mut subscriber);
        }
        rig.drive();
    }
}

#[test]
fn who_catches_up_while_another_one_does_not_is_waited_for_as_soon_as_before() {
    let (rig, mut peer, mut fast) = usual();
    let slow = block_on(rig.client.subscribe("b")).expect("a subscription");
    rig.drive();
    peer.expect("SUB b 2\r\n");
    send(&rig, &peer, 8_191, 1);
    peer.send(&"MSG b 2 1\r\nx\r\n".repeat(8_191));
    rig.drive();
    peer.send("MSG a 1 1\r\nx\r\nMSG b 2 1\r\nx\r\n");
    rig.drive();
    assert_eq!(received(&rig), 2 * 8_192, "both at once");
    send(&rig, &peer, 1, 1);
    assert_eq!(received(&rig), 2 * 8_192, "somebody is waited for");
    while take(&mut fast) {}
    rig.drive();
    assert_eq!(received(&rig), 2 * 8_192, "the other one is waited for");
    pass(2 * MILLISECOND);
    rig.drive();
    let before = received(&rig);
    assert_eq!(before, 2 * 8_192 + 1, "nobody is waited for");
    send(&rig, &peer, 30_000, 1);
    let came = received(&rig) - before;
    assert!(BEHIND.contains(&came), "{came}");
    drop(slow);
}
