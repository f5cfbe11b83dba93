//! What a flush confirms, and what it must not.

use std::time::Duration;

use nats_proto::connection::{DisconnectReason, FlushError};
use nats_proto::{Event, FlushId};

use crate::support::{FRAME, Wire, config};

#[test]
fn a_flush_confirms_what_was_published_before_it() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    let flush = wire.connection.flush(None);
    wire.publish("a", "2").expect("room");
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPING\r\nPUB a 1\r\n2\r\n");
    wire.feed("PONG\r\n");
    let events = wire.events();
    assert!(matches!(&events[..], [Event::Flushed { flush: id, result: Ok(()) }] if *id == flush));
    let statistics = wire.statistics();
    assert_eq!((statistics.confirmed, statistics.pending), (1, 1));
}

#[test]
fn flushes_and_probes_share_one_queue() {
    let mut wire = Wire::connected(config());
    wire.pass(Duration::from_secs(120));
    let flush = wire.connection.flush(None);
    assert_eq!(wire.written(), "PING\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert!(wire.events().is_empty());
    wire.feed("PONG\r\n");
    assert!(matches!(&wire.events()[..], [Event::Flushed { flush: id, .. }] if *id == flush));
}

#[test]
fn a_flush_has_a_deadline() {
    let mut wire = Wire::connected(config());
    let deadline = wire.now + Duration::from_secs(10);
    wire.connection.flush(Some(deadline));
    wire.pass(Duration::from_secs(10));
    let events = wire.events();
    assert!(matches!(events[..], [Event::Flushed { result: Err(FlushError::TimedOut), .. }]));
    // Its PONG still takes its place in the queue.
    wire.publish("a", "1").expect("room");
    wire.connection.flush(None);
    wire.feed("PONG\r\n");
    assert!(wire.events().is_empty());
    assert_eq!(wire.statistics().confirmed, 0);
}

/// Three publishes, a flush behind the second; the link breaks after `count` bytes.
fn cut_at(count: usize) -> (Wire, Vec<Event>) {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.publish("a", "2").expect("room");
    wire.connection.flush(None);
    wire.publish("a", "3").expect("room");
    let events = wire.cut_after(count);
    (wire, events)
}

#[test]
fn a_link_that_breaks_at_any_byte_leaves_every_publish_accounted_for() {
    for count in 0..=(3 * FRAME + 6) {
        let (mut wire, _) = cut_at(count);
        // The PING behind the second publish is no publish.
        let without_ping =
            if count > 2 * FRAME { count.saturating_sub(6).max(2 * FRAME) } else { count };
        let whole = (without_ping / FRAME) as u64;
        let statistics = wire.statistics();
        assert_eq!(
            (statistics.uncertain, statistics.pending),
            (whole, 3 - whole),
            "cut at {count}"
        );
        wire.connect();
        let written = wire.written();
        let replayed = written.matches("PUB a 1\r\n").count() as u64;
        assert_eq!(replayed, 3 - whole, "cut at {count}: {written}");
        wire.connection.flush(None);
        wire.feed("PONG\r\nPONG\r\n");
        let statistics = wire.statistics();
        assert_eq!((statistics.confirmed, statistics.pending), (3 - whole, 0), "cut at {count}");
    }
}

#[test]
fn a_flush_never_succeeds_over_a_link_that_lost_what_it_covers() {
    let (_, events) = cut_at(FRAME);
    assert!(
        matches!(events[0], Event::Flushed { result: Err(FlushError::Uncertain { count: 1 }), .. }),
        "{events:?}"
    );
}

#[test]
fn a_flush_that_lost_nothing_goes_on_with_the_next_link() {
    let (mut wire, events) = cut_at(FRAME - 1);
    assert!(
        matches!(events[..], [Event::Disconnected { reason: DisconnectReason::Eof }]),
        "{events:?}"
    );
    wire.connect();
    assert!(wire.written().ends_with("PUB a 1\r\n3\r\nPING\r\n"));
    wire.feed("PONG\r\n");
    assert!(matches!(wire.events()[..], [Event::Flushed { result: Ok(()), .. }]));
}

#[test]
fn a_pong_that_nobody_asked_for_confirms_nothing() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.feed("PONG\r\nPONG\r\n");
    assert_eq!(wire.statistics().confirmed, 0);
}

#[test]
fn a_flush_asked_for_after_a_hang_up_does_not_succeed_for_what_the_link_lost() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.written();
    wire.connection.force_reconnect(wire.now);
    wire.connection.flush(None);
    let events = wire.hang_up();
    assert!(
        matches!(events[0], Event::Flushed { result: Err(FlushError::Uncertain { count: 1 }), .. }),
        "{events:?}"
    );
}

#[test]
fn a_flush_answers_only_for_what_was_accepted_before_it() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.connection.flush(None);
    wire.publish("a", "1").expect("room");
    wire.connect();
    // Its PING stands behind the publish that came later, and both are lost.
    wire.written();
    let events = wire.cut();
    assert!(!events.iter().any(|event| matches!(event, Event::Flushed { .. })), "{events:?}");
    assert_eq!(wire.statistics().uncertain, 1);
    wire.connect();
    wire.written();
    wire.feed("PONG\r\n");
    let events = wire.events();
    assert!(matches!(events[..], [Event::Flushed { result: Ok(()), .. }]), "{events:?}");
}

#[test]
fn a_flush_counts_no_loss_but_its_own() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.flush(None);
    wire.publish("a", "2").expect("room");
    wire.publish("a", "3").expect("room");
    wire.written();
    let events = wire.cut();
    assert!(
        matches!(events[0], Event::Flushed { result: Err(FlushError::Uncertain { count: 1 }), .. }),
        "{events:?}"
    );
    assert_eq!(wire.statistics().uncertain, 3);
}

#[test]
fn what_is_given_up_behind_a_ping_takes_nothing_from_it() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "small").expect("room");
    wire.connection.flush(None);
    wire.written();
    wire.publish("a", "too large").expect("room");
    wire.feed("INFO {\"max_payload\":5,\"headers\":true}\r\n");
    assert_eq!(wire.statistics().dropped, 1);
    wire.feed("PONG\r\n");
    assert_eq!(wire.statistics().confirmed, 1);
}

#[test]
fn a_flush_does_not_survive_a_loss_because_others_were_given_up() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "small").expect("room");
    wire.connection.flush(None);
    wire.written();
    wire.publish("a", "too large").expect("room");
    wire.feed("INFO {\"max_payload\":5,\"headers\":true}\r\n");
    let events = wire.cut();
    assert!(
        events.iter().any(|event| matches!(
            event,
            Event::Flushed { result: Err(FlushError::Uncertain { count: 1 }), .. }
        )),
        "{events:?}"
    );
}

#[test]
fn a_flush_that_is_given_up_is_not_told_of() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    let flush = wire.connection.flush(None);
    wire.connection.cancel_flush(flush);
    wire.written();
    wire.feed("PONG\r\n");
    assert!(wire.events().is_empty());
    assert_eq!(wire.statistics().confirmed, 1, "its PONG confirms all the same");
}

/// The flushes that were answered, all of them well.
fn flushed(wire: &mut Wire) -> Vec<FlushId> {
    let events = wire.events().into_iter();
    events
        .map(|event| match event {
            Event::Flushed { flush, result: Ok(()) } => flush,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn flushes_with_nothing_between_them_share_a_ping_that_is_not_written() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    let first: Vec<FlushId> = (0..1_000).map(|_| wire.connection.flush(None)).collect();
    wire.publish("a", "2").expect("room");
    let second: Vec<FlushId> = (0..2).map(|_| wire.connection.flush(None)).collect();
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPING\r\nPUB a 1\r\n2\r\nPING\r\n");
    // Written, it may be answered any time, and proves less than the next would.
    let third = wire.connection.flush(None);
    assert_eq!(wire.written(), "PING\r\n");
    // Whose PING it is may be gone.
    wire.connection.cancel_flush(first[0]);
    wire.feed("PONG\r\n");
    assert_eq!(flushed(&mut wire), first[1..]);
    assert_eq!(wire.statistics().confirmed, 1);
    wire.feed("PONG\r\n");
    assert_eq!(flushed(&mut wire), second);
    wire.feed("PONG\r\n");
    assert_eq!(flushed(&mut wire), [third]);
}

#[test]
fn a_flush_shares_no_ping_if_others_wait_between() {
    let mut wire = Wire::connected(config());
    let early = wire.connection.flush(None);
    let id = wire.connection.subscribe_confirmed("s", None, None).expect("a subscription");
    wire.cut();
    // There the flush comes last.
    wire.connect();
    let late = wire.connection.flush(None);
    let written = wire.written();
    assert_eq!(written.matches("PING\r\n").count(), 4, "{written}");
    wire.feed("PONG\r\n".repeat(2));
    let events = wire.events();
    let [Event::SubscriptionConfirmed { subscription }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*subscription, id);
    for flush in [early, late] {
        wire.feed("PONG\r\n");
        assert_eq!(flushed(&mut wire), [flush]);
    }
}

#[test]
fn flushes_that_are_given_up_fill_no_memory() {
    let mut wire = Wire::connected(config());
    for _ in 0..100_000 {
        let flush = wire.connection.flush(None);
        wire.connection.cancel_flush(flush);
    }
    assert_eq!(wire.connection.buffered(), "PING\r\n".len());
}

#[test]
fn a_flush_shares_no_ping_over_what_is_said_of_subscriptions() {
    for cancelled in [false, true] {
        let mut wire = Wire::connected(config());
        let first = wire.connection.flush(None);
        if cancelled {
            wire.connection.cancel_flush(first);
        }
        let id = wire.connection.subscribe("s", None).expect("a subscription");
        let second = wire.connection.flush(None);
        wire.connection.unsubscribe(id).expect("it is there");
        let third = wire.connection.flush(None);
        assert_eq!(wire.written(), "PING\r\nSUB s 1\r\nPING\r\nUNSUB 1\r\nPING\r\n");
        for flush in [first, second, third] {
            wire.feed("PONG\r\n");
            let expected = (!cancelled || flush != first).then_some(flush);
            assert_eq!(flushed(&mut wire), Vec::from_iter(expected));
        }
    }
}

#[test]
fn a_ping_that_is_answered_unseen_serves_for_no_other_flush() {
    let mut wire = Wire::connected(config());
    let first = wire.connection.flush(None);
    wire.feed("PONG\r\n");
    assert_eq!(flushed(&mut wire), [first]);
    let second = wire.connection.flush(None);
    assert_eq!(wire.written(), "PING\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert_eq!(flushed(&mut wire), [second]);
}

/// By the number of bytes that are queued with it, a PING is known from others only for as long as it is queued itself.
#[test]
fn a_ping_that_is_written_serves_for_no_flush_behind_as_many_bytes() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    let first = wire.connection.flush(None);
    let before = wire.written();
    assert_eq!(before, "PUB a 1\r\n1\r\nPING\r\n");
    wire.publish("a", "1234567").expect("room");
    assert_eq!(wire.connection.buffered(), before.len());
    let second = wire.connection.flush(None);
    assert_eq!(wire.written(), "PUB a 7\r\n1234567\r\nPING\r\n");
    for flush in [first, second] {
        wire.feed("PONG\r\n");
        assert_eq!(flushed(&mut wire), [flush]);
    }
}
