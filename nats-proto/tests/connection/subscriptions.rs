//! Subscriptions and how they end.

use nats_proto::connection::{EndReason, SubscribeError};
use nats_proto::wire::{Chunk, ServerDecoder, ServerOp, ServerOps};
use nats_proto::{Event, Message, State, StatusCode};

use bytes::BytesMut;

use crate::support::{Wire, config};

#[test]
fn messages_reach_the_subscription_that_the_server_names() {
    let mut wire = Wire::connected(config());
    let a = wire.connection.subscribe("a.*", None).expect("a subscription");
    let b = wire.connection.subscribe(">", Some("q")).expect("a subscription");
    assert_eq!(wire.written(), "SUB a.* 1\r\nSUB > q 2\r\n");
    wire.feed("MSG a.b 2 r 2\r\nhi\r\nHMSG a.c 1 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n");
    let events = wire.events();
    let [
        Event::Message { subscription: first, message },
        Event::Message { subscription: second, message: with_headers },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*first, *second), (b, a));
    assert_eq!((&*message.subject, message.reply.as_deref()), ("a.b", Some("r")));
    assert_eq!(message.payload, "hi");
    let headers = with_headers.headers.as_ref().expect("headers");
    assert_eq!(headers.get("A").map(|value| value.as_str()), Some("b"));
}

#[test]
fn subjects_and_queue_groups_are_checked() {
    let mut wire = Wire::connected(config());
    for subject in ["", "a b", "a..b", "a.", ".a", "a.b*", "a.>.b", "a\r\n"] {
        let error = wire.connection.subscribe(subject, None).expect_err(subject);
        assert!(matches!(error, SubscribeError::InvalidSubject(_)), "{error:?}");
    }
    for queue in ["", "a b", "a\n"] {
        let error = wire.connection.subscribe("a", Some(queue)).expect_err(queue);
        assert!(matches!(error, SubscribeError::InvalidQueueGroup(_)), "{error:?}");
    }
    assert_eq!(wire.written(), "");
    assert_eq!(wire.connection.subscriptions(), 0);
}

#[test]
fn after_an_unsubscribe_nothing_is_delivered() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.unsubscribe(id).expect("it exists");
    assert_eq!(wire.written(), "SUB a 1\r\nUNSUB 1\r\n");
    wire.feed("MSG a 1 1\r\nx\r\n");
    assert!(wire.events().is_empty());
    assert_eq!(wire.statistics().unroutable, 1);
    assert!(wire.connection.unsubscribe(id).is_err());
}

/// A server ignores a SUB whose number is in use, and may have messages for the former owner under way.
#[test]
fn numbers_of_subscriptions_are_never_used_again() {
    let mut wire = Wire::connected(config());
    for sid in 1..=3 {
        let id = wire.connection.subscribe("a", None).expect("a subscription");
        wire.connection.unsubscribe(id).expect("it exists");
        assert_eq!(wire.written(), format!("SUB a {sid}\r\nUNSUB {sid}\r\n"));
    }
}

#[test]
fn a_maximum_ends_the_subscription_behind_its_last_message() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.unsubscribe_after(id, 2).expect("it exists");
    wire.feed("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\nMSG a 1 1\r\n3\r\n");
    let events = wire.events();
    assert!(
        matches!(
            events[..],
            [
                Event::Message { .. },
                Event::Message { .. },
                Event::SubscriptionEnded { reason: EndReason::MaxReached, .. }
            ]
        ),
        "{events:?}"
    );
    assert_eq!(wire.statistics().unroutable, 1);
}

/// A server does not count what it says by itself, nor towards the maximum what another account exports, and so does not always
/// end the subscription where we do.
#[test]
fn a_maximum_that_is_reached_is_followed_by_an_end() {
    let mut wire = Wire::connected(config());
    let nobody = "HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.unsubscribe_after(id, 3).expect("it exists");
    wire.feed(nobody);
    // The next server counts anew.
    wire.cut();
    wire.connect();
    assert_eq!(wire.written(), "SUB a 1\r\nUNSUB 1 2\r\n");
    wire.feed("MSG a 1 1\r\nx\r\n");
    assert_eq!(wire.written(), "");
    wire.feed("MSG a 1 1\r\nx\r\n");
    assert_eq!(wire.written(), "UNSUB 1\r\n");
    let last = wire.events().pop();
    assert!(
        matches!(last, Some(Event::SubscriptionEnded { reason: EndReason::MaxReached, .. })),
        "{last:?}"
    );
}

#[test]
fn a_maximum_that_is_reached_while_draining_tells_the_server_nothing_new() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.unsubscribe_after(id, 1).expect("it exists");
    wire.connection.drain_subscription(id).expect("it exists");
    assert_eq!(wire.written(), "SUB a 1\r\nUNSUB 1 1\r\nUNSUB 1\r\nPING\r\n");
    wire.feed("MSG a 1 1\r\nx\r\n");
    assert_eq!(wire.written(), "");
}

#[test]
fn a_maximum_that_is_reached_already_ends_the_subscription_at_once() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.feed("MSG a 1 1\r\n1\r\n");
    wire.events();
    wire.written();
    wire.connection.unsubscribe_after(id, 1).expect("it exists");
    assert_eq!(wire.written(), "UNSUB 1\r\n");
    let events = wire.events();
    assert!(matches!(events[..], [Event::SubscriptionEnded { reason: EndReason::MaxReached, .. }]));
}

#[test]
fn a_refused_subscription_is_told_so() {
    let mut wire = Wire::connected(config());
    let refused = wire.connection.subscribe("secret.*", None).expect("a subscription");
    wire.connection.subscribe("open", None).expect("a subscription");
    wire.feed("-ERR 'Permissions Violation for Subscription to \"secret.*\"'\r\n");
    let events = wire.events();
    let [Event::ServerError(_), Event::SubscriptionEnded { subscription, reason }] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(*subscription, refused);
    assert!(matches!(reason, EndReason::Refused(_)));
    assert_eq!(wire.connection.subscriptions(), 1);
}

#[test]
fn of_several_to_one_subject_only_the_one_that_is_named_by_number_is_refused() {
    let mut wire = Wire::connected(config());
    let [_, named, _] =
        [0; 3].map(|_| wire.connection.subscribe("a", None).expect("a subscription"));
    wire.feed("-ERR 'Permissions Violation for Subscription to \"a\" (sid \"2\")'\r\n");
    let events = wire.events();
    let [Event::ServerError(_), Event::SubscriptionEnded { subscription, .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((subscription, wire.connection.subscriptions()), (named, 2));
}

#[test]
fn a_batch_gives_its_messages_without_events() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    let mut decoder = ServerDecoder::new(wire.connection.config().limits);
    let mut ops = ServerOps::new();
    let mut input = BytesMut::from("MSG a 1 1\r\nx\r\nPING\r\nMSG b 9 0\r\n\r\nMSG a 1 1\r\ny\r\n");
    decoder.decode(&mut input, &mut ops).expect("a good batch");
    let mut deliveries = Vec::new();
    wire.connection.handle_ops(wire.now, &mut ops, &mut deliveries);
    let mut chunk = Chunk::from(ops.chunk.clone());
    let mut payloads = Vec::new();
    for delivery in deliveries {
        assert_eq!(delivery.route, nats_proto::connection::Route::Subscription(id));
        let messages = ops.messages(delivery.messages);
        payloads.extend(messages.map(|frame| Message::from_frame(&mut chunk, frame).payload));
    }
    assert_eq!(payloads, ["x", "y"]);
    assert_eq!(ops.items[1], ServerOp::Ok, "it has been handled");
    assert!(wire.events().is_empty());
    assert!(wire.written().contains("PONG"));
}

#[test]
fn subscriptions_neither_bring_a_deadline_nor_an_event() {
    // What it takes to find that out is counted by `cargo xtask instructions`.
    let mut wire = Wire::connected(config());
    let idle = wire.connection.poll_timeout();
    for n in 0..10_000 {
        wire.connection.subscribe(&format!("s.{n}"), None).expect("a subscription");
    }
    wire.written();
    assert_eq!(wire.connection.poll_timeout(), idle);
    assert!(wire.connection.poll_event().is_none());
}

/// One digit more would end the subscription at once, and a smaller number before its time.
#[test]
fn a_maximum_that_no_server_can_read_is_not_sent() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.written();
    wire.connection.unsubscribe_after(id, 1_000_000_000).expect("it exists");
    assert_eq!(wire.written(), "");
    // Once the server has been told of one, the largest is the best that it can be told.
    wire.connection.unsubscribe_after(id, 999_999_999).expect("it exists");
    assert_eq!(wire.written(), "UNSUB 1 999999999\r\n");
    wire.connection.unsubscribe_after(id, 7).expect("it exists");
    wire.connection.unsubscribe_after(id, u64::MAX).expect("it exists");
    assert_eq!(wire.written(), "UNSUB 1 7\r\nUNSUB 1 999999999\r\n");
    // To tell it the same again would take room for nothing.
    for max in [7, 7, 8, 8] {
        wire.connection.unsubscribe_after(id, max).expect("it exists");
    }
    assert_eq!(wire.written(), "UNSUB 1 7\r\nUNSUB 1 8\r\n");
    wire.connection.unsubscribe_after(id, u64::MAX).expect("it exists");
    wire.written();
    // The next one has not been told of any.
    wire.cut();
    wire.connect();
    assert_eq!(wire.written(), "SUB a 1\r\n");
    wire.connection.unsubscribe_after(id, 2).expect("it exists");
    assert_eq!(wire.written(), "UNSUB 1 2\r\n");
}

#[test]
fn a_refusal_by_number_is_for_the_subject_that_it_names() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("x", None).expect("a subscription");
    let refuse = |wire: &mut Wire, subject: &str| {
        let target = format!("Subscription to \"{subject}\" (sid \"1\")");
        wire.feed(format!("-ERR 'Permissions Violation for {target}'\r\n"));
        wire.connection.subscriptions()
    };
    assert_eq!(refuse(&mut wire, "y"), 1);
    assert_eq!(refuse(&mut wire, "x"), 0);
}

#[test]
fn a_message_whose_header_block_is_too_long_comes_without_headers_and_the_link_stays() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("open");
    wire.written();
    for (len, status) in [(1 << 20, Some(StatusCode::NO_RESPONDERS)), ((1 << 20) + 1, None)] {
        let (begin, end) = ("NATS/1.0 503\r\nA: ", "\r\n\r\n");
        let block = [begin, &"x".repeat(len - begin.len() - end.len()), end].concat();
        wire.feed(format!("HMSG a 1 {len} {}\r\n{block}hi\r\nMSG a 1 4\r\nnext\r\n", len + 2));
        let events = wire.events();
        let [Event::Message { subscription, message }, Event::Message { message: next, .. }] =
            &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!((*subscription, &*message.payload), (id, &b"hi"[..]));
        assert_eq!((message.status, message.headers.is_some()), (status, status.is_some()));
        assert_eq!(next.payload, "next");
    }
    assert_eq!(wire.connection.state(), State::Connected);
}
