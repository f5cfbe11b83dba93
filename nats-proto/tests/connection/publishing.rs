//! What is accepted, what is refused, and what becomes of it.

use bytes::Bytes;
use nats_proto::connection::{FlushError, PendingPolicy, PublishError, SubscribeError, Unfinished};
use nats_proto::wire::OutBuf;
use nats_proto::{Event, HeaderMap, InvalidSubject, Outgoing};
use std::time::Duration;

use crate::support::{FRAME, INFO, Wire, config};

#[test]
fn publishes_go_out_in_the_order_of_their_calls() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.subscribe("s", None).expect("a subscription");
    wire.publish("b", "22").expect("room");
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nSUB s 1\r\nPUB b 2\r\n22\r\n");
}

#[test]
fn headers_and_reply_are_encoded() {
    let mut wire = Wire::connected(config());
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    let payload = Bytes::from_static(b"x");
    let mut message = Outgoing::new("a", &payload);
    message.reply = Some("r");
    message.headers = Some(&headers);
    wire.connection.publish(message).expect("room");
    assert_eq!(wire.written(), "HPUB a r 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n");
}

#[test]
fn subjects_that_would_inject_protocol_are_refused() {
    let mut wire = Wire::connected(config());
    for subject in ["", "a b", "a\r\nPUB b 0", "a\tb"] {
        let error = wire.publish(subject, "x").expect_err(subject);
        assert!(matches!(error, PublishError::InvalidSubject(_)), "{error:?}");
    }
    let payload = Bytes::new();
    let mut message = Outgoing::new("a", &payload);
    message.reply = Some("r 0\r\n\r\nPUB b");
    let error = wire.connection.publish(message).expect_err("a bad reply subject");
    assert!(matches!(error, PublishError::InvalidReply(_)), "{error:?}");
    assert_eq!(wire.written(), "");
    assert_eq!(wire.statistics().published, 0);
}

#[test]
fn subjects_that_no_control_line_can_hold_are_refused() {
    let mut wire = Wire::connected(config());
    let (fits, too_long) = ("a".repeat(4064), "a".repeat(4065));
    let error = InvalidSubject::TooLong { len: 4065, limit: 4064 };
    assert!(wire.publish(&fits, "x").is_ok());
    assert_eq!(wire.publish(&too_long, "x"), Err(PublishError::InvalidSubject(error.clone())));
    assert!(wire.connection.subscribe(&fits, None).is_ok());
    let refused = wire.connection.subscribe(&too_long, None);
    assert_eq!(refused, Err(SubscribeError::InvalidSubject(error.clone())));
    let refused = wire.connection.subscribe("a", Some(&fits));
    assert_eq!(refused, Err(SubscribeError::InvalidSubject(error)));
}

#[test]
fn the_payload_limit_is_exact_and_counts_headers() {
    let mut wire = Wire::connected(config());
    wire.feed("INFO {\"max_payload\":20,\"headers\":true}\r\n");
    wire.publish("a", &"x".repeat(20)).expect("as large as allowed");
    let error = wire.publish("a", &"x".repeat(21)).expect_err("one more");
    assert_eq!(error, PublishError::MaxPayloadExceeded { size: 21, limit: 20 });
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    let payload = Bytes::from_static(b"xx");
    let mut message = Outgoing::new("a", &payload);
    message.headers = Some(&headers);
    assert!(wire.connection.publish(message).is_ok());
    let payload = Bytes::from_static(b"xxx");
    message.payload = &payload;
    let error = wire.connection.publish(message).expect_err("headers count");
    assert_eq!(error, PublishError::MaxPayloadExceeded { size: 21, limit: 20 });
}

#[test]
fn headers_need_a_server_that_knows_them() {
    let mut wire = Wire::connected(config());
    wire.feed("INFO {\"headers\":false}\r\n");
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    let payload = Bytes::new();
    let mut message = Outgoing::new("a", &payload);
    message.headers = Some(&headers);
    assert_eq!(wire.connection.publish(message), Err(PublishError::HeadersUnsupported));
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
fn the_short_way_goes_as_far_as_there_is_room() {
    let mut small = config();
    small.send_limit = 1_000;
    let mut wire = Wire::connected(small);
    let payload = Bytes::from_static(&[b'x'; 100]);
    assert!(!wire.connection.publish_again("a", &payload), "nothing was checked yet");
    wire.publish("a", "").expect("room");
    let mut short = 0;
    while short < 100 && wire.connection.publish_again("a", &payload) {
        short += 1;
    }
    // It reckons with longer lines than there are.
    let long = wire.fill("a", "");
    assert!((4..=8).contains(&short) && long > 0, "{short} the short way, {long} the long one");
    assert!((980..=1_000).contains(&wire.connection.buffered()));
}

#[test]
fn headers_and_reply_subjects_go_the_short_way_as_well() {
    let mut wire = Wire::connected(config());
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    let payload = Bytes::from_static(b"x");
    let full =
        Outgoing { reply: Some("r"), headers: Some(&headers), ..Outgoing::new("a", &payload) };
    assert!(!wire.connection.publish_full_again(&full), "nothing was checked yet");
    wire.publish("a", "").expect("room");
    assert!(wire.connection.publish_full_again(&full));
    let refused = Outgoing { reply: Some("r r"), ..full };
    assert!(!wire.connection.publish_full_again(&refused));
    let refused = Outgoing { subject: "a b", ..full };
    assert!(!wire.connection.publish_full_again(&refused));
    let block = "NATS/1.0\r\nA: b\r\n\r\n";
    assert_eq!(wire.written(), format!("PUB a 0\r\n\r\nHPUB a r 18 19\r\n{block}x\r\n"));
    wire.feed("INFO {\"headers\":true,\"max_payload\":18}\r\n");
    wire.publish("a", "").expect("room");
    assert!(!wire.connection.publish_full_again(&full), "headers count");
    assert!(wire.connection.publish_full_again(&Outgoing { headers: None, ..full }));
    wire.feed("INFO {\"headers\":false}\r\n");
    wire.publish("a", "").expect("room");
    assert!(!wire.connection.publish_full_again(&full));
    assert_eq!(wire.written(), "PUB a 0\r\n\r\nPUB a r 1\r\nx\r\nPUB a 0\r\n\r\n");
}

#[test]
fn the_short_way_takes_no_room_that_requests_have_taken() {
    let mut small = config();
    small.send_limit = 1_000;
    let mut wire = Wire::connected(small);
    // Opens the short way for as much as there is room.
    wire.publish("a", "").expect("room");
    let payload = Bytes::from_static(&[b'x'; 100]);
    let deadline = wire.now + Duration::from_secs(1);
    let mut request = || wire.connection.request(Outgoing::new("a", &payload), deadline).is_ok();
    assert!((0..100).any(|_| !request()), "there is always room");
    wire.fill("a", "");
    assert!(wire.connection.buffered() <= 1_000, "{} bytes", wire.connection.buffered());
}

#[test]
fn nothing_goes_the_short_way_past_a_message_without_room() {
    let mut small = config();
    small.send_limit = 100;
    let mut wire = Wire::connected(small);
    wire.publish("a", "").expect("room");
    wire.publish("a", &"x".repeat(100)).expect_err("no room");
    let empty = Bytes::new();
    assert!(!wire.connection.publish_again("a", &empty));
    wire.publish("a", "").expect("room, the long way");
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
fn what_is_kept_is_checked_against_the_next_servers_limits() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.publish("a", "small").expect("room");
    wire.publish("a", "too large").expect("room");
    wire.dialled();
    wire.accept();
    wire.feed("INFO {\"max_payload\":5,\"headers\":true}\r\n");
    wire.written();
    wire.feed("PONG\r\n");
    let events = wire.events();
    assert!(matches!(events[0], Event::Dropped { count: 1 }), "{events:?}");
    assert_eq!(wire.written(), "PUB a 5\r\nsmall\r\n");
    assert_eq!(wire.statistics().dropped, 1);
}

#[test]
fn an_info_behind_the_first_pong_may_lower_the_limit_for_what_is_queued() {
    let mut wire = Wire::connected(config());
    wire.cut();
    let id = wire.connection.subscribe("s", None).expect("a subscription");
    wire.publish("a", "too large").expect("room");
    wire.publish("a", "small").expect("room");
    wire.connection.flush(None);
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.written();
    wire.feed("PONG\r\n");
    wire.connection.unsubscribe(id).expect("it exists");
    wire.feed("INFO {\"max_payload\":5,\"headers\":true}\r\n");
    assert_eq!(wire.written(), "SUB s 1\r\nPUB a 5\r\nsmall\r\nPING\r\nUNSUB 1\r\n");
    wire.publish("a", "later").expect("room");
    wire.feed("PONG\r\n");
    // The flush is over, and does not confirm what came after it.
    assert!(
        wire.events().iter().any(|event| matches!(event, Event::Flushed { result: Ok(()), .. }))
    );
    let statistics = wire.statistics();
    assert_eq!((statistics.dropped, statistics.confirmed, statistics.pending), (1, 1, 1));
}

#[test]
fn closing_tells_what_was_not_sent() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.publish("a", "1").expect("room");
    let events = wire.refuse_after_close();
    let Some(Event::Closed { unfinished, error: None }) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(*unfinished, Unfinished { unsent: 1, uncertain: 0 });
    assert_eq!(wire.statistics().dropped, 1);
    assert_eq!(wire.publish("a", "2"), Err(PublishError::Closed));
}

#[test]
fn a_thousand_publishes_cost_one_wake() {
    let mut wire = Wire::connected(config());
    wire.written();
    let wakes = (0..1_000).filter(|_| {
        wire.publish("a", "1").expect("room");
        wire.connection.take_wake()
    });
    assert_eq!(wakes.count(), 1);
    wire.written();
    wire.publish("a", "1").expect("room");
    assert!(wire.connection.take_wake());
}

#[test]
fn a_server_that_sends_no_limit_is_given_what_the_decoder_would_take() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed("INFO {}\r\n");
    assert_eq!(wire.connection.max_payload(), 64 * 1024 * 1024);
    assert!(INFO.contains("1048576"));
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
fn subjects_of_any_length_are_checked_at_every_byte_also_by_the_short_way() {
    for len in 1..=40 {
        for position in 0..len {
            let mut subject = "s".repeat(len);
            let mut wire = Wire::connected(config());
            wire.publish(&subject, "x").expect("room");
            for bad in [" ", "\t", "\r", "\n"] {
                subject.replace_range(position..=position, bad);
                let refused = wire.publish(&subject, "x");
                assert!(matches!(refused, Err(PublishError::InvalidSubject(_))), "{subject:?}");
                let payload = Bytes::new();
                let mut message = Outgoing::new("s", &payload);
                message.reply = Some(&subject);
                let refused = wire.connection.publish(message);
                assert!(matches!(refused, Err(PublishError::InvalidReply(_))), "{subject:?}");
            }
            subject.replace_range(position..=position, "\u{e9}");
            wire.publish(&subject, "x").expect("a subject that is not ASCII");
        }
    }
}

#[test]
fn what_a_server_no_longer_takes_is_given_up_before_it_is_written() {
    let mut wire = Wire::connected(config());
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    let payload = Bytes::from_static(b"x");
    let mut message = Outgoing::new("a", &payload);
    message.headers = Some(&headers);
    wire.connection.publish(message).expect("room");
    wire.publish("b", "x").expect("room");
    wire.feed(format!("INFO {}\r\n", INFO.replace("\"headers\":true", "\"headers\":false")));
    let events = wire.events();
    assert!(matches!(events[..], [Event::Dropped { count: 1 }]), "{events:?}");
    assert_eq!(wire.written(), "PUB b 1\r\nx\r\n");
}

/// A server names the limit of the account behind the first PONG, when what was kept may be under way already. It ends
/// the link then, and the next one begins with the larger limit again.
#[test]
fn what_comes_back_from_a_link_is_checked_against_the_limit_that_it_named_last() {
    let mut wire = Wire::new(config());
    wire.publish("a", &"x".repeat(200)).expect("room");
    wire.publish("a", "x").expect("room");
    wire.connect();
    let mut out = OutBuf::new();
    assert!(wire.connection.poll_transmit(&mut out));
    // The server has read the line, and that is enough for it.
    out.advance(20);
    wire.feed("INFO {\"max_payload\":100}\r\n-ERR 'Maximum Payload Violation'\r\n");
    let mut events = wire.events();
    assert!(wire.was_told_to_hang_up());
    events.extend(wire.disconnect(out));
    assert!(events.iter().any(|event| matches!(event, Event::Dropped { count: 1 })), "{events:?}");
    let statistics = wire.statistics();
    assert_eq!((statistics.dropped, statistics.uncertain, statistics.pending), (1, 0, 1));
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\nx\r\n");
}

#[test]
fn of_several_limits_in_one_read_the_last_one_counts_for_what_is_queued() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "too large").expect("room");
    let info = |limit| format!("INFO {{\"max_payload\":{limit},\"headers\":true}}\r\n");
    wire.feed(info(5) + &info(100));
    assert_eq!(wire.statistics().dropped, 0);
    // Also when the short way follows, and again with every read.
    wire.publish("b", "small").expect("room");
    let (subject, payload) = ("c", Bytes::from_static(b"larger"));
    assert!(wire.connection.publish_again(subject, &payload));
    for (limit, dropped) in [(9, 0), (6, 1), (100, 1), (5, 2), (4, 3)] {
        wire.feed(info(limit));
        assert_eq!(wire.statistics().dropped, dropped, "{limit}");
    }
    assert_eq!(wire.written(), "");
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
