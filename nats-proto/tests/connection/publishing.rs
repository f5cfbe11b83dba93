//! What is accepted, what is refused, and what becomes of it.

use bytes::Bytes;
use nats_proto::connection::{PendingPolicy, PublishError, SubscribeError, Unfinished};
use nats_proto::wire::OutBuf;
use nats_proto::{Event, HeaderMap, InvalidSubject, Outgoing};
use std::time::Duration;

use crate::support::{Wire, config};

#[test]
fn publishes_go_out_in_the_order_of_their_calls() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.subscribe("s", None).expect("a subscription");
    wire.publish("b", "22").expect("room");
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nSUB s 1\r\nPUB b 2\r\n22\r\n");
}

#[test]
fn what_is_kept_is_handed_out_only_once_what_goes_before_it_is_written() {
    let mut wire = Wire::new(config());
    wire.connection.subscribe("s", None).expect("a subscription");
    wire.publish("a", "1").expect("room");
    wire.connect();
    let mut out = OutBuf::new();
    for expected in ["SUB s 1\r\n", "PUB a 1\r\n1\r\n"] {
        assert!(wire.connection.poll_transmit(&mut out));
        assert_eq!(out.chunks().collect::<Vec<_>>().concat(), expected.as_bytes());
        assert!(!wire.connection.poll_transmit(&mut out), "it is not written");
        assert!(!wire.connection.take_wake(), "asking again is all that tells of more");
        out.clear();
    }
    assert!(!wire.connection.poll_transmit(&mut out));
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
fn subjects_that_break_a_frame_are_refused_even_where_subjects_are_not_checked() {
    let mut config = config();
    config.skip_subject_validation = true;
    let mut wire = Wire::connected(config);
    wire.publish("a b", "x").expect("the caller answers for it");
    for subject in ["", "a\nb", "a\rb", "\r\n"] {
        for _ in 0..2 {
            let error = wire.publish(subject, "x").expect_err(subject);
            assert!(matches!(error, PublishError::InvalidSubject(_)), "{error:?}");
        }
    }
    assert_eq!(wire.written(), "PUB a b 1\r\nx\r\n");
}

#[test]
fn what_is_kept_is_found_again_where_subjects_are_not_checked() {
    let mut config = config();
    (config.skip_subject_validation, config.pending_limit) = (true, 40);
    config.pending_policy = PendingPolicy::DropOldest;
    let mut wire = Wire::new(config);
    for subject in ["a\nb", "a b", "c\r\nd", "e", "f"] {
        let _ = wire.publish(subject, "x");
    }
    wire.connect();
    assert_eq!(wire.written(), "PUB a b 1\r\nx\r\nPUB e 1\r\nx\r\nPUB f 1\r\nx\r\n");
    wire.publish("g", &"x".repeat(20)).expect("room");
    wire.cut();
    wire.publish("h", &"x".repeat(20)).expect("the oldest makes room");
    let statistics = wire.statistics();
    assert_eq!((statistics.pending, statistics.dropped, statistics.uncertain), (1, 1, 3));
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
    assert_eq!(refused, Err(SubscribeError::InvalidQueueGroup(error)));
}

#[test]
fn the_longer_of_two_words_is_the_one_that_is_too_long() {
    let mut wire = Wire::connected(config());
    let error = InvalidSubject::TooLong { len: 4065, limit: 4064 };
    let payload = Bytes::new();
    for (subject, other) in [(2_032, 2_033), (2_033, 2_032), (4_064, 1), (1, 4_064)] {
        let (long, subject, other) = (other > subject, "a".repeat(subject), "b".repeat(other));
        let refused = wire
            .connection
            .publish(Outgoing { reply: Some(&other), ..Outgoing::new(&subject, &payload) });
        let expected = match long {
            true => PublishError::InvalidReply(error.clone()),
            false => PublishError::InvalidSubject(error.clone()),
        };
        assert_eq!(refused, Err(expected));
        let refused = wire.connection.subscribe(&subject, Some(&other));
        let expected = match long {
            true => SubscribeError::InvalidQueueGroup(error.clone()),
            false => SubscribeError::InvalidSubject(error.clone()),
        };
        assert_eq!(refused, Err(expected));
    }
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
fn the_short_way_is_closed_until_a_message_has_gone_the_long_one() {
    let mut wire = Wire::connected(config());
    let empty = Bytes::new();
    wire.publish("a", "").expect("room");
    assert!(wire.connection.publish_again("a", &empty));
    wire.connection.close_short_way();
    assert!(!wire.connection.publish_again("a", &empty));
    wire.publish("a", "").expect("room");
    assert!(wire.connection.publish_again("a", &empty));
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
