//! Subscriptions that the server is asked to confirm.

use std::collections::BTreeSet;
use std::time::Duration;

use nats_proto::connection::EndReason;
use nats_proto::{Event, ServerError};

use crate::support::{Wire, config};

fn ended(events: &[Event]) -> Vec<(u64, &EndReason)> {
    let ended = events.iter().filter_map(|event| match event {
        Event::SubscriptionEnded { subscription, reason } => Some((subscription.sid(), reason)),
        _ => None,
    });
    ended.collect()
}

fn confirmed(events: &[Event]) -> Vec<u64> {
    let confirmed = events.iter().filter_map(|event| match event {
        Event::SubscriptionConfirmed { subscription } => Some(subscription.sid()),
        _ => None,
    });
    confirmed.collect()
}

#[test]
fn a_subscription_is_confirmed_by_the_pong_behind_it() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe_confirmed("a", Some("q"), None).expect("a subscription");
    assert_eq!(wire.written(), "PING\r\nSUB a q 1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert!(wire.events().is_empty());
    wire.feed("PONG\r\n");
    assert_eq!(confirmed(&wire.events()), [id.sid()]);
    assert_eq!(wire.connection.subscriptions(), 1);
}

#[test]
fn an_error_that_names_no_subscription_is_about_the_one_that_is_asked_for() {
    for text in ["maximum subscriptions exceeded", "Invalid Subject"] {
        let mut wire = Wire::connected(config());
        wire.connection.subscribe("before", None).expect("a subscription");
        let id = wire.connection.subscribe_confirmed("a", None, None).expect("a subscription");
        wire.connection.subscribe("behind", None).expect("a subscription");
        let error = format!("-ERR '{text}'\r\n");
        // The first and the last are about the others.
        wire.feed(format!("{error}PONG\r\n{error}PONG\r\n{error}"));
        let events = wire.events();
        let reason = EndReason::Refused(ServerError::parse(text));
        assert_eq!(ended(&events), [(id.sid(), &reason)]);
        assert!(confirmed(&events).is_empty());
        assert_eq!(wire.connection.subscriptions(), 2);
    }
}

#[test]
fn an_error_that_names_the_subscription_refuses_it() {
    for text in [
        "Permissions Violation for Subscription to \"a.b\"",
        "Permissions Violation for Subscription to \"a.b\" (sid \"1\")",
        "Permissions Violation for Subscription to \"a.b\", too many tokens",
    ] {
        let mut wire = Wire::connected(config());
        wire.connection.subscribe_confirmed("a.b", None, None).expect("a subscription");
        wire.feed(format!("PONG\r\n-ERR '{text}'\r\nPONG\r\n"));
        let events = wire.events();
        assert_eq!(ended(&events), [(1, &EndReason::Refused(ServerError::parse(text)))]);
        assert!(confirmed(&events).is_empty());
    }
}

#[test]
fn an_error_finds_its_subscription_among_those_that_came_and_went_since_the_last() {
    let mut wire = Wire::connected(config());
    let keep = wire.connection.subscribe("keep", None).expect("a subscription");
    for number in 0..50 {
        let name = format!("s.{}", number % 7);
        let gone = wire.connection.subscribe(&name, None).expect("a subscription");
        let refused = wire.connection.subscribe(&name, None).expect("a subscription");
        if number % 3 > 0 {
            wire.connection.unsubscribe(gone).expect("it exists");
        }
        wire.feed(format!("-ERR 'Permissions Violation for Subscription to \"{name}\"'\r\n"));
        let events = wire.events();
        let sids: BTreeSet<u64> = ended(&events).into_iter().map(|(sid, _)| sid).collect();
        match number % 3 {
            0 => assert_eq!(sids, [gone.sid(), refused.sid()].into()),
            _ => assert_eq!(sids, [refused.sid()].into()),
        }
        assert_eq!(wire.connection.subscriptions(), 1);
    }
    wire.connection.unsubscribe(keep).expect("it exists");
}

#[test]
fn a_new_server_is_asked_again() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("other", None).expect("a subscription");
    wire.connection.subscribe_confirmed("a", None, None).expect("a subscription");
    let gone = wire.connection.subscribe_confirmed("gone", None, None).expect("a subscription");
    wire.connection.unsubscribe(gone).expect("it exists");
    wire.written();
    wire.feed("PONG\r\n");
    wire.cut();
    wire.publish("x", "kept").expect("room");
    wire.connect();
    let written = wire.written();
    let asked = "SUB other 1\r\nPING\r\nSUB a 2\r\nPING\r\nPUB x 4\r\nkept\r\n";
    assert_eq!(written, asked);
    wire.events();
    wire.feed("PONG\r\nPONG\r\n");
    assert_eq!(confirmed(&wire.events()), [2]);
    assert_eq!(wire.statistics().confirmed, 0, "the publish stands behind it");
    // Once is enough.
    wire.cut();
    wire.connect();
    assert_eq!(wire.written(), "SUB other 1\r\nSUB a 2\r\n");
    wire.events();
    wire.feed("PONG\r\n");
    assert!(wire.events().is_empty());
}

#[test]
fn at_the_deadline_it_is_given_up() {
    let mut wire = Wire::connected(config());
    let deadline = wire.now + core::time::Duration::from_secs(1);
    wire.connection.subscribe_confirmed("a", None, Some(deadline)).expect("a subscription");
    wire.written();
    assert_eq!(wire.connection.poll_timeout(), Some(deadline));
    wire.now = deadline;
    wire.connection.handle_timeout(wire.now);
    assert_eq!(ended(&wire.events()), [(1, &EndReason::Unconfirmed)]);
    assert_eq!(wire.written(), "UNSUB 1\r\n");
    wire.feed("PONG\r\nPONG\r\n");
    assert!(wire.events().is_empty());
}

#[test]
fn one_that_ends_before_it_is_confirmed_leaves_no_deadline_and_nobody_who_waits() {
    let mut wire = Wire::connected(config());
    let before = wire.connection.poll_timeout();
    let deadline = wire.now + core::time::Duration::from_secs(1);
    for max in [None, Some(0)] {
        let id = wire.connection.subscribe_confirmed("a", None, Some(deadline));
        let id = id.expect("a subscription");
        assert_eq!(wire.connection.poll_timeout(), Some(deadline));
        let ended = match max {
            None => wire.connection.unsubscribe(id),
            Some(max) => wire.connection.unsubscribe_after(id, max),
        };
        assert_eq!((ended, wire.connection.poll_timeout()), (Ok(()), before));
    }
    wire.feed("PONG\r\nPONG\r\nPONG\r\nPONG\r\n");
    assert!(confirmed(&wire.events()).is_empty());
}

#[test]
fn draining_puts_no_confirmation_off() {
    let mut wire = Wire::connected(config());
    let deadline = wire.now + Duration::from_millis(10);
    let id = wire.connection.subscribe_confirmed("a", None, Some(deadline)).expect("room");
    let other = wire.connection.subscribe_confirmed("b", None, Some(deadline)).expect("room");
    wire.connection.drain(wire.now);
    let written = wire.written();
    assert!(written.ends_with("UNSUB 1\r\nUNSUB 2\r\nPING\r\n"), "{written}");
    // The server has the first, and falls silent.
    wire.feed("PONG\r\nPONG\r\n");
    assert_eq!(confirmed(&wire.events()), [id.sid()]);
    wire.now = deadline;
    wire.connection.handle_timeout(deadline);
    assert_eq!(ended(&wire.events()), [(other.sid(), &EndReason::Unconfirmed)]);
    assert_eq!(wire.written(), "", "it was told before");
    wire.feed("PONG\r\nPONG\r\nPONG\r\n");
    assert_eq!(ended(&wire.events()), [(id.sid(), &EndReason::Drained)]);
}
