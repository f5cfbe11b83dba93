//! The largest payload that a server takes: what is refused by it, and what is given up when it changes.

use bytes::Bytes;
use nats_proto::connection::PublishError;
use nats_proto::wire::OutBuf;
use nats_proto::{Event, HeaderMap, Outgoing};

use crate::support::{INFO, Wire, config};

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

/// As of an account or a user whose limit is zero.
#[test]
fn a_limit_of_zero_lets_only_empty_messages_through() {
    let mut wire = Wire::connected(config());
    wire.feed("INFO {\"max_payload\":0,\"headers\":true}\r\n");
    wire.publish("a", "").expect("as large as allowed");
    let error = wire.publish("a", "x").expect_err("one more");
    assert_eq!(error, PublishError::MaxPayloadExceeded { size: 1, limit: 0 });
    wire.publish("a", "").expect("the short way");
    assert_eq!(wire.written(), "PUB a 0\r\n\r\nPUB a 0\r\n\r\n");
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
fn a_server_that_sends_no_limit_is_given_what_the_decoder_would_take() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed("INFO {}\r\n");
    assert_eq!(wire.connection.max_payload(), 64 * 1024 * 1024);
    assert!(INFO.contains("1048576"));
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
fn what_is_given_up_counts_as_dropped_even_if_the_server_has_confirmed_it_unseen() {
    let mut wire = Wire::connected(config());
    for payload in ["small", "too large"] {
        wire.publish("a", payload).expect("room");
    }
    wire.connection.flush(None);
    wire.feed("PONG\r\n");
    assert_eq!(wire.statistics().confirmed, 2, "the server says so");
    wire.events();
    wire.feed("INFO {\"max_payload\":5,\"headers\":true}\r\n");
    let events = wire.events();
    assert!(matches!(events[..], [Event::Dropped { count: 1 }]), "{events:?}");
    let statistics = wire.statistics();
    assert_eq!((statistics.confirmed, statistics.dropped, statistics.pending), (1, 1, 0));
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
