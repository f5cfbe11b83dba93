//! How much may be queued, and what makes room when that is too much.

use std::time::Duration;

use bytes::Bytes;
use nats_proto::connection::{FlushError, PendingPolicy, PublishError};
use nats_proto::wire::OutBuf;
use nats_proto::{Event, Outgoing};

use crate::support::{FRAME, INFO, Wire, config, pool};

#[test]
fn a_refused_request_leaves_nothing_to_write() {
    let mut config = config();
    config.send_limit = 200;
    let mut wire = Wire::connected(config);
    let payload = Bytes::from_static(b"x");
    let ask = |wire: &mut Wire, subject| {
        let deadline = wire.now + Duration::from_secs(1);
        wire.connection.request(Outgoing::new(subject, &payload), deadline)
    };
    assert!(matches!(ask(&mut wire, "a b"), Err(PublishError::InvalidSubject(_))));
    assert_eq!(wire.written(), "");
    let filled = wire.fill("a", "0123456789");
    assert!(matches!(ask(&mut wire, "a"), Err(PublishError::BufferFull { .. })));
    assert_eq!(wire.written(), "PUB a 10\r\n0123456789\r\n".repeat(filled));
    // Who is admitted has an inbox before it sends.
    ask(&mut wire, "a").expect("room");
    let written = wire.written();
    assert!(written.starts_with("SUB _INBOX.") && written.contains("PUB a _INBOX."), "{written}");
}

#[test]
fn a_full_buffer_refuses_until_it_is_handed_out() {
    let mut small = config();
    small.send_limit = 30;
    let mut wire = Wire::connected(small);
    wire.publish("a", "0123456789").expect("room");
    let error = wire.publish("a", "0123456789").expect_err("no room");
    let full = PublishError::BufferFull { size: 22, buffered: 22, limit: 30, connected: true };
    assert_eq!(error, full);
    wire.written();
    wire.publish("a", "0123456789").expect("room again");
    // What is larger than the limit goes alone.
    wire.written();
    wire.publish("a", &"x".repeat(100)).expect("alone");
}

#[test]
fn a_buffer_is_full_when_it_is_to_be_written_before_anything_else_is_queued() {
    let mut small = config();
    small.send_limit = 30;
    let mut wire = Wire::new(small);
    wire.connection.subscribe("a.subject.of.some.length", None).expect("a subject");
    assert!(!wire.connection.is_full(), "without a link nothing of it is queued");
    wire.connect();
    wire.written();
    assert!(!wire.connection.is_full());
    wire.connection.subscribe("a", None).expect("a subject");
    assert!(!wire.connection.is_full(), "there is room left");
    wire.connection.subscribe("a.subject.of.some.length", None).expect("never refused");
    assert!(wire.connection.is_full());
    wire.written();
    assert!(!wire.connection.is_full());
}

#[test]
fn no_publish_goes_where_something_else_has_taken_the_room() {
    type Fill = fn(&mut Wire);
    let fills: [Fill; 3] = [
        |wire| drop(wire.connection.subscribe("a.subject.of.some.length", None)),
        |wire| {
            let id = wire.connection.subscribe("a", None).expect("a subscription");
            wire.connection.unsubscribe(id).expect("it exists");
        },
        |wire| {
            wire.connection.flush(None);
            // It has a PING of its own behind another subscription.
            drop(wire.connection.subscribe("a", None));
        },
    ];
    for fill in fills {
        let mut small = config();
        small.send_limit = 1_000;
        let mut wire = Wire::connected(small);
        wire.publish("a", "hi").expect("room");
        while !wire.connection.is_full() {
            fill(&mut wire);
        }
        let error = wire.publish("a", "hi").expect_err("no room");
        assert!(matches!(error, PublishError::BufferFull { .. }), "{error}");
    }
}

#[test]
fn a_large_payload_is_handed_out_where_it_lies() {
    let mut wire = Wire::connected(config());
    for size in [OutBuf::SEGMENT_THRESHOLD, 5_000, 64 * 1024, 1024 * 1024] {
        let payload = Bytes::from(vec![b'x'; size]);
        wire.connection.publish(Outgoing::new("a", &payload)).expect("room");
        let mut out = OutBuf::new();
        assert!(wire.connection.poll_transmit(&mut out));
        assert!(out.chunks().any(|chunk| chunk.as_ptr() == payload.as_ptr()), "{size} bytes");
    }
}

#[test]
fn payloads_that_are_not_copied_have_eight_times_the_room() {
    let mut small = config();
    small.send_limit = 10_000;
    let mut wire = Wire::connected(small);
    let large = "x".repeat(OutBuf::SEGMENT_THRESHOLD);
    let queued = wire.fill("a", &large);
    let error = wire.publish("a", &large).expect_err("no room");
    let buffered = wire.connection.buffered();
    assert_eq!(queued, 80_000 / (large.len() + "PUB a 4096\r\n\r\n".len()));
    let size = large.len() + "PUB a 4096\r\n\r\n".len();
    assert_eq!(error, PublishError::BufferFull { size, buffered, limit: 80_000, connected: true });
    // What is copied has its own share of that.
    let small = "x".repeat(1_000);
    wire.fill("a", &small);
    assert!((79_000..=80_000).contains(&wire.connection.buffered()));
    wire.written();
    wire.fill("a", &small);
    assert!((9_000..=10_000).contains(&wire.connection.buffered()));
    wire.publish("a", &large).expect("room for more that is not copied");
}

#[test]
fn a_frame_larger_than_the_limit_is_queued_while_another_is_written() {
    let mut small = config();
    small.send_limit = 100;
    let mut wire = Wire::connected(small);
    let mut out = OutBuf::new();
    let large = "x".repeat(100);
    for _ in 0..3 {
        wire.publish("a", &large).expect("alone in the buffer");
        assert!(wire.publish("a", &large).is_err());
        out.clear();
        assert!(wire.connection.poll_transmit(&mut out));
    }
}

#[test]
fn links_that_break_do_not_add_to_what_is_kept() {
    let mut small = config();
    small.send_limit = 100;
    small.pending_limit = 300;
    let mut wire = Wire::connected(small);
    wire.cut();
    let most = 300 + 2 * 100;
    for _ in 0..20 {
        wire.fill("a", "0123456789");
        wire.connect();
        // Handed out and never written; what comes meanwhile is queued behind it.
        let mut out = OutBuf::new();
        assert!(wire.connection.poll_transmit(&mut out));
        wire.fill("a", "0123456789");
        assert!(out.len() + wire.connection.buffered() <= most, "{} bytes", out.len());
        wire.disconnect(out);
    }
    // Once it is written there is room again.
    wire.connect();
    let mut out = OutBuf::new();
    wire.connection.poll_transmit(&mut out);
    assert!(wire.publish("a", "0123456789").is_err());
    out.advance(out.len());
    wire.connection.poll_transmit(&mut out);
    assert!(wire.publish("a", "0123456789").is_ok());
}

#[test]
fn hang_ups_do_not_add_to_what_is_kept() {
    for policy in [PendingPolicy::Wait, PendingPolicy::DropOldest] {
        let mut small = config();
        small.send_limit = 10;
        small.pending_limit = 300;
        small.pending_policy = policy;
        let mut wire = Wire::connected(small);
        wire.cut();
        for _ in 0..20 {
            for _ in 0..100 {
                let _ = wire.publish("a", "1");
            }
            wire.connect();
            let mut out = OutBuf::new();
            assert!(wire.connection.poll_transmit(&mut out));
            wire.connection.force_reconnect(wire.now);
            for _ in 0..100 {
                let _ = wire.publish("a", "2");
            }
            wire.disconnect(out);
            wire.statistics();
            let kept = wire.connection.buffered();
            assert!((300 - FRAME..=300).contains(&kept), "{policy:?}: {kept} bytes");
        }
        wire.connect();
        let newest = wire.written().ends_with("PUB a 1\r\n2\r\n");
        assert_eq!(newest, policy == PendingPolicy::DropOldest);
    }
}

#[test]
fn what_was_written_before_a_hang_up_takes_no_room() {
    let mut small = config();
    small.pending_limit = 2 * FRAME;
    let mut wire = Wire::connected(small);
    wire.publish("a", "1").expect("room");
    wire.publish("a", "2").expect("room");
    let mut out = OutBuf::new();
    wire.connection.poll_transmit(&mut out);
    wire.connection.force_reconnect(wire.now);
    let (buffered, limit) = (2 * FRAME, 2 * FRAME);
    let full = PublishError::BufferFull { size: FRAME, buffered, limit, connected: false };
    assert_eq!(wire.publish("a", "3"), Err(full));
    out.advance(FRAME);
    wire.disconnect(out);
    wire.publish("a", "3").expect("room for one more");
}

#[test]
fn without_a_link_publishes_are_kept_up_to_the_limit() {
    let mut small = config();
    small.pending_limit = 3 * FRAME;
    let mut wire = Wire::connected(small);
    wire.cut();
    for payload in ["1", "2", "3"] {
        wire.publish("a", payload).expect("room");
    }
    let error = wire.publish("a", "4").expect_err("no room");
    let limit = 3 * FRAME;
    let full = PublishError::BufferFull { size: FRAME, buffered: limit, limit, connected: false };
    assert_eq!(error, full);
    assert_eq!(wire.written(), "");
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n");
}

#[test]
fn a_pending_limit_of_zero_keeps_nothing() {
    let mut none = config();
    none.pending_limit = 0;
    let mut wire = Wire::connected(none);
    wire.cut();
    assert!(matches!(wire.publish("a", "1"), Err(PublishError::BufferFull { limit: 0, .. })));
}

#[test]
fn the_oldest_make_room_when_that_is_the_policy() {
    let mut dropping = config();
    dropping.pending_limit = 2 * FRAME;
    dropping.pending_policy = PendingPolicy::DropOldest;
    let mut wire = Wire::connected(dropping);
    wire.cut();
    for payload in ["1", "2", "3", "4"] {
        wire.publish("a", payload).expect("room is made");
    }
    // However many are dropped, there is one event until it is looked at.
    let events = wire.events();
    assert!(matches!(events[..], [Event::Dropped { count: 2 }]), "{events:?}");
    assert_eq!(wire.statistics().dropped, 2);
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\n3\r\nPUB a 1\r\n4\r\n");
}

#[test]
fn none_makes_room_for_what_is_larger_than_all_the_room() {
    let mut dropping = config();
    dropping.pending_limit = 2 * FRAME;
    dropping.pending_policy = PendingPolicy::DropOldest;
    let mut wire = Wire::connected(dropping);
    wire.cut();
    wire.publish("a", "1").expect("room");
    let size = "PUB a 20\r\n\r\n".len() + 20;
    let error = wire.publish("a", &"x".repeat(20)).expect_err("no room");
    let (buffered, limit) = (FRAME, 2 * FRAME);
    assert_eq!(error, PublishError::BufferFull { size, buffered, limit, connected: false });
    assert_eq!((wire.statistics().pending, wire.statistics().dropped), (1, 0));
}

#[test]
fn the_oldest_make_room_after_a_hang_up_without_touching_what_is_written() {
    let mut dropping = config();
    dropping.pending_limit = FRAME + "PING\r\n".len();
    dropping.pending_policy = PendingPolicy::DropOldest;
    let mut wire = Wire::connected(dropping);
    wire.publish("a", "1").expect("room");
    wire.connection.flush(None);
    wire.written();
    wire.publish("a", "2").expect("room");
    wire.connection.force_reconnect(wire.now);
    wire.publish("a", "3").expect("room is made");
    let events = wire.hang_up();
    assert!(
        events.iter().any(|event| matches!(
            event,
            Event::Flushed { result: Err(FlushError::Uncertain { count: 1 }), .. }
        )),
        "{events:?}"
    );
    let statistics = wire.statistics();
    assert_eq!((statistics.uncertain, statistics.dropped, statistics.pending), (1, 1, 1));
}

#[test]
fn the_oldest_is_given_up_for_no_more_than_there_must_be_room_for() {
    let mut small = config();
    small.pending_policy = PendingPolicy::DropOldest;
    small.pending_limit = 3 * FRAME;
    let mut wire = Wire::connected(small);
    wire.cut();
    for _ in 0..3 {
        wire.publish("a", "1").expect("room");
    }
    assert_eq!((wire.statistics().pending, wire.statistics().dropped), (3, 0));
    wire.publish("a", "2").expect("room is made");
    assert_eq!((wire.statistics().pending, wire.statistics().dropped), (3, 1));
}

#[test]
fn room_needs_a_link_that_is_up_and_not_about_to_be_left() {
    let mut leaving = pool(&["a", "b"]);
    leaving.leave_lame_duck = true;
    let mut wire = Wire::new(leaving);
    assert!(wire.connection.room_needs_link());
    wire.dialled();
    wire.accept();
    assert!(wire.connection.room_needs_link(), "the server has not spoken");
    wire.feed(format!("INFO {INFO}\r\nPONG\r\n"));
    assert!(!wire.connection.room_needs_link());
    // The other one may be dialled at once.
    wire.now = wire.now + Duration::from_secs(2);
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert!(wire.connection.room_needs_link(), "it is about to be left");
    wire.connection.drain(wire.now);
    assert!(!wire.connection.room_needs_link(), "it is kept to the end");
    wire.events();
    wire.cut();
    assert!(wire.connection.room_needs_link());
    wire.connection.handle_drained(wire.now);
    assert!(!wire.connection.room_needs_link(), "whoever waits is to be refused");
}

#[test]
fn only_a_publish_beyond_the_limit_goes_on_top_of_what_is_no_publish() {
    let mut small = config();
    small.send_limit = 30;
    let mut wire = Wire::connected(small);
    wire.connection.subscribe("a.subject.of.some.length", None).expect("a subject");
    wire.connection.flush(None);
    let error = wire.publish("a", "0123456789").expect_err("it would fit later");
    assert!(matches!(error, PublishError::BufferFull { connected: true, .. }), "{error:?}");
    wire.publish("a", &"x".repeat(1_000)).expect("no later moment is better");
    let error = wire.publish("a", &"x".repeat(1_000)).expect_err("one is enough");
    assert!(matches!(error, PublishError::BufferFull { connected: true, .. }), "{error:?}");
    assert!(wire.written().starts_with("SUB a.subject.of.some.length 1\r\nPING\r\nPUB a 1000\r\n"));
}
