//! Requests on one inbox.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nats_proto::connection::{PendingPolicy, RequestError};
use nats_proto::{Connection, Event, HeaderMap, Instant, Outgoing, RequestId};

use crate::support::{Wire, config};

/// Sends a request and says what its reply subject is.
fn request(wire: &mut Wire, seconds: u64) -> (RequestId, String) {
    let payload = Bytes::from_static(b"q");
    let deadline = wire.now + Duration::from_secs(seconds);
    let id = wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
    let written = wire.written();
    let line = written.lines().find(|line| line.starts_with("PUB svc ")).expect("a request");
    (id, line.split(' ').nth(2).expect("a reply subject").to_owned())
}

#[test]
fn all_requests_share_one_inbox() {
    let mut wire = Wire::connected(config());
    let payload = Bytes::new();
    let deadline = wire.now + Duration::from_secs(1);
    wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
    wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
    let written = wire.written();
    assert_eq!(written.matches("SUB _INBOX.").count(), 1, "{written}");
    assert!(written.lines().next().is_some_and(|line| line.ends_with(".* 1")), "{written}");
    assert_eq!(written.matches("PUB svc _INBOX.").count(), 2, "{written}");
}

#[test]
fn replies_find_their_requests_in_any_order() {
    let mut wire = Wire::connected(config());
    let (a, subject_a) = request(&mut wire, 10);
    let (b, subject_b) = request(&mut wire, 10);
    wire.feed(format!("MSG {subject_b} 1 1\r\nb\r\nMSG {subject_a} 1 1\r\na\r\n"));
    let events = wire.events();
    let [Event::Reply { request: first, message }, Event::Reply { request: second, .. }] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*first, *second), (b, a));
    assert_eq!(message.payload, "b");
    assert_eq!(wire.connection.pending_requests(), 0);
}

#[test]
fn a_second_reply_goes_nowhere() {
    let mut wire = Wire::connected(config());
    let (_, subject) = request(&mut wire, 10);
    wire.feed(format!("MSG {subject} 1 1\r\na\r\nMSG {subject} 1 1\r\na\r\n"));
    assert_eq!(wire.events().len(), 1);
    assert_eq!(wire.statistics().unroutable, 1);
}

#[test]
fn a_late_reply_in_the_inbox_is_not_taken_for_that_of_another_request() {
    let mut wire = Wire::connected(config());
    let (late, subject) = request(&mut wire, 10);
    wire.connection.cancel_request(late);
    request(&mut wire, 10);
    wire.feed(format!("MSG {subject} 1 2\r\nhi\r\n"));
    assert!(wire.events().is_empty());
}

#[test]
fn nobody_listening_is_told_apart_from_silence() {
    let mut wire = Wire::connected(config());
    let (a, subject) = request(&mut wire, 10);
    let (b, _) = request(&mut wire, 10);
    wire.feed(format!("HMSG {subject} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"));
    wire.pass(Duration::from_secs(10));
    let events = wire.events();
    let [
        Event::RequestFailed { request: first, error: RequestError::NoResponders },
        Event::RequestFailed { request: second, error: RequestError::TimedOut },
    ] = events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((first, second), (a, b));
}

/// A server tells one subscription of a client alone, and where there are wildcards it is not that for replies.
#[test]
fn nobody_listening_is_told_whichever_subscription_hears_of_it() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("_INBOX.>", None).expect("open");
    wire.written();
    let (asked, subject) = request(&mut wire, 10);
    let (other, _) = request(&mut wire, 10);
    let nobody = format!("HMSG {subject} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    // What says the same of something else is no concern of a request, and what is said twice counts once.
    wire.feed("HMSG _INBOX.x 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n".to_owned() + &nobody + &nobody);
    let events = wire.events();
    let heard = |event: &&Event| matches!(event, Event::Message { subscription, .. } if *subscription == id);
    assert_eq!(events.iter().filter(heard).count(), 3, "{events:?}");
    let failed = events.iter().filter_map(|event| match event {
        Event::RequestFailed { request, error } => Some((*request, *error)),
        _ => None,
    });
    assert_eq!(failed.collect::<Vec<_>>(), [(asked, RequestError::NoResponders)]);
    assert_eq!(wire.connection.pending_requests(), 1);
    wire.connection.cancel_request(other);
}

#[test]
fn requests_fail_at_once_where_the_inbox_is_refused_and_later_ones_ask_again() {
    let mut wire = Wire::connected(config());
    for named_by_number in [false, true] {
        let id = wire.connection.subscribe("other", None).expect("open");
        wire.written();
        let payload = Bytes::new();
        let deadline = wire.now + Duration::from_secs(10);
        wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
        let written = wire.written();
        let mut words = written.split([' ', '\r']);
        assert_eq!(words.next(), Some("SUB"), "{written}");
        let (inbox, sid) = (words.next().expect("an inbox"), words.next().expect("a number"));
        request(&mut wire, 10);
        // What is refused besides is no concern of theirs.
        wire.feed("-ERR 'Permissions Violation for Subscription to \"other\"'\r\n");
        let events = wire.events();
        assert!(
            matches!(events[..], [Event::ServerError(_), Event::SubscriptionEnded { subscription, .. }] if subscription == id),
            "{events:?}"
        );
        let number = if named_by_number { format!(" (sid \"{sid}\")") } else { String::new() };
        wire.feed(format!(
            "-ERR 'Permissions Violation for Subscription to \"{inbox}\"{number}'\r\n"
        ));
        let events = wire.events();
        let error = RequestError::InboxRefused;
        assert!(
            matches!(
                events[..],
                [
                    Event::ServerError(_),
                    Event::RequestFailed { error: first, .. },
                    Event::RequestFailed { error: second, .. }
                ] if first == error && second == error
            ),
            "{events:?}"
        );
        assert_eq!(wire.connection.pending_requests(), 0);
        wire.pass(Duration::from_secs(10));
        assert!(wire.events().is_empty(), "there is no deadline left");
    }
}

#[test]
fn requests_fail_at_once_to_a_subject_that_may_not_be_published_to() {
    let mut wire = Wire::connected(config());
    let deadline = wire.now + Duration::from_secs(10);
    let payload = Bytes::new();
    let long = "s".repeat(1_000);
    let ask = |wire: &mut Wire, subject: &str| {
        wire.connection.request(Outgoing::new(subject, &payload), deadline).expect("room")
    };
    let (first, other, again) =
        (ask(&mut wire, "sv\"c"), ask(&mut wire, &long), ask(&mut wire, "sv\"c"));
    wire.feed("-ERR 'Permissions Violation for Publish to \"sv\\\"c\"'\r\n");
    let events = wire.events();
    let error = RequestError::PublishRefused;
    assert!(
        matches!(
            events[..],
            [
                Event::ServerError(_),
                Event::RequestFailed { request: a, error: first_error },
                Event::RequestFailed { request: b, error: second_error }
            ] if (a, b) == (first, again) && first_error == error && second_error == error
        ),
        "{events:?}"
    );
    // A slot is not known by what its request before asked; and it is told of each refusal, to nobody if nobody waits.
    let next = ask(&mut wire, "sv");
    wire.feed("-ERR 'Permissions Violation for Publish to \"sv\\\"c\"'\r\n");
    wire.feed("-ERR 'Permissions Violation for Publish to \"svsv\"'\r\n");
    assert!(matches!(wire.events()[..], [Event::ServerError(_), Event::ServerError(_)]));
    for (subject, id) in [(&*long, other), ("sv", next)] {
        wire.feed(format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n"));
        let events = wire.events();
        assert!(
            matches!(events[..], [_, Event::RequestFailed { request, .. }] if request == id),
            "{events:?}"
        );
    }
    assert_eq!(wire.connection.pending_requests(), 0);
    wire.pass(Duration::from_secs(10));
    assert!(wire.events().is_empty(), "there is no deadline left");
}

/// What the status means is what the message itself says it does: no other reading of its header block.
#[test]
fn a_header_block_says_that_nobody_listens_where_the_message_does() {
    for (block, nobody) in [
        ("NATS/1.0 503\r\n\r\n", true),
        ("NATS/1.0 503\r\nNats-Subject: svc\r\n\r\n", true),
        ("NATS/1.0 503 No Responders\r\n\r\n", true),
        ("NATS/1.0  503\r\n\r\n", true),
        ("NATS/1.0\t503\r\n\r\n", true),
        ("NATS/1.0 404\r\n\r\n", false),
        ("NATS/1.0 5031\r\n\r\n", false),
        ("NATS/1.0503\r\n\r\n", false),
        ("NATS/1.0 503\r\nno colon\r\n\r\n", true),
        ("NATS/1.0 503\r\n", true),
        ("NATS/1.0 503\n\r\n", false),
        ("NATS/1.0 503", false),
        ("NATS/1.0\r\nStatus: 503\r\n\r\n", false),
    ] {
        let mut wire = Wire::connected(config());
        let (_, subject) = request(&mut wire, 10);
        let len = block.len();
        wire.feed(format!("HMSG {subject} 1 {len} {len}\r\n{block}\r\n"));
        let events = wire.events();
        let told = match &events[..] {
            [Event::RequestFailed { error: RequestError::NoResponders, .. }] => true,
            [Event::Reply { message, .. }] => {
                assert!(!message.is_no_responders(), "{block:?}");
                false
            }
            events => panic!("{block:?}: {events:?}"),
        };
        assert_eq!(told, nobody, "{block:?}");
    }
}

#[test]
fn a_request_whose_message_makes_room_for_newer_ones_ends_at_once() {
    let mut dropping = config();
    dropping.pending_policy = PendingPolicy::DropOldest;
    dropping.pending_limit = 200;
    let mut wire = Wire::connected(dropping);
    wire.cut();
    let payload = Bytes::from_static(b"q");
    let deadline = wire.now + Duration::from_secs(10);
    let ask = |wire: &mut Wire| {
        wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room")
    };
    // Each takes 40 bytes or so. The sixth makes room for itself, and takes no place of one that goes.
    let ids: Vec<RequestId> = (0..6).map(|_| ask(&mut wire)).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
    let failed = |wire: &mut Wire| -> Vec<RequestId> {
        let events = wire.events();
        let failed = events.iter().filter_map(|event| match event {
            Event::RequestFailed { request, error: RequestError::Dropped } => Some(*request),
            Event::Dropped { .. } => None,
            other => panic!("{other:?}"),
        });
        failed.collect()
    };
    let gone = failed(&mut wire);
    assert_eq!(gone.len() as u64, wire.statistics().dropped);
    assert_eq!(gone, ids[..gone.len()]);
    assert!(!gone.is_empty());
    assert_eq!(wire.connection.pending_requests(), 6 - gone.len());
    while wire.connection.pending_requests() > 0 {
        wire.publish("a", "x").expect("room");
    }
    assert_eq!(failed(&mut wire).last(), ids.last());
    // The places are free again, each once.
    let again: Vec<usize> = (0..4).map(|_| ask(&mut wire).index()).collect();
    assert_eq!(again.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    wire.connect();
    wire.pass(Duration::from_secs(10));
    assert_eq!(wire.connection.pending_requests(), 0);
}

#[test]
fn a_request_that_the_next_server_would_not_take_ends_at_once() {
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    for (info, small) in [
        (r#"INFO {"headers":true,"max_payload":4}"#, true),
        (r#"INFO {"headers":false,"max_payload":1000}"#, false),
    ] {
        let mut wire = Wire::connected(config());
        wire.cut();
        let deadline = wire.now + Duration::from_secs(10);
        let (few, many) = (Bytes::from_static(b"1234"), Bytes::from_static(b"12345"));
        let mut message = Outgoing::new("svc", &many);
        if !small {
            message.headers = Some(&headers);
        }
        let unsent = wire.connection.request(message, deadline).expect("room");
        let sent = wire.connection.request(Outgoing::new("svc", &few), deadline).expect("room");
        wire.dialled();
        wire.accept();
        wire.feed(format!("{info}\r\nPONG\r\n"));
        let events = wire.events();
        let failed: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::RequestFailed { request, error } => Some((*request, *error)),
                _ => None,
            })
            .collect();
        assert_eq!(failed, [(unsent, RequestError::Dropped)], "{info}");
        assert_eq!(wire.connection.pending_requests(), 1);
        wire.connection.cancel_request(sent);
    }
}

/// The end waits for replies, and none is missing any more.
#[test]
fn an_end_does_not_wait_for_a_request_that_is_not_sent() {
    let mut dropping = config();
    dropping.pending_policy = PendingPolicy::DropOldest;
    dropping.pending_limit = 100;
    dropping.send_limit = 0;
    let mut wire = Wire::connected(dropping);
    wire.feed("-ERR 'Stale Connection'\r\n");
    let payload = Bytes::from_static(&[b'q'; 20]);
    let deadline = wire.now + Duration::from_secs(100);
    wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
    wire.publish("a", &"x".repeat(60)).expect("room");
    wire.connection.drain(wire.now);
    wire.connection.handle_drained(wire.now);
    wire.hang_up();
    assert_eq!(wire.connection.pending_requests(), 0);
    wire.connect();
    assert!(wire.written().ends_with("PING\r\n"), "the last flush");
    wire.feed("PONG\r\n");
    wire.hang_up();
    assert_eq!(wire.connection.state(), nats_proto::State::Closed);
}

#[test]
fn a_status_with_a_payload_is_a_reply() {
    let mut wire = Wire::connected(config());
    let (_, subject) = request(&mut wire, 10);
    wire.feed(format!("HMSG {subject} 1 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n"));
    assert!(matches!(wire.events()[..], [Event::Reply { .. }]));
}

#[test]
fn deadlines_are_met_in_their_order() {
    let mut wire = Wire::connected(config());
    let (late, _) = request(&mut wire, 5);
    let (early, _) = request(&mut wire, 2);
    assert_eq!(wire.connection.poll_timeout(), Some(wire.now + Duration::from_secs(2)));
    wire.pass(Duration::from_secs(5));
    let events = wire.events();
    let [Event::RequestFailed { request: first, .. }, Event::RequestFailed { request: second, .. }] =
        events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((first, second), (early, late));
}

#[test]
fn a_cancelled_request_leaves_nothing() {
    let mut wire = Wire::connected(config());
    let idle = wire.connection.poll_timeout();
    for _ in 0..1_000 {
        let (id, _) = request(&mut wire, 1);
        wire.connection.cancel_request(id);
    }
    assert_eq!(wire.connection.pending_requests(), 0);
    assert_eq!(wire.connection.poll_timeout(), idle);
    wire.pass(Duration::from_secs(2));
    assert!(wire.events().is_empty());
}

#[test]
fn a_nearer_deadline_wakes_a_loop_that_is_busy_writing() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "x").expect("room");
    assert!(wire.connection.take_wake());
    // The loop was told to write and has not got to it; the deadline is news all the same.
    let payload = Bytes::new();
    let deadline = wire.now + Duration::from_millis(1);
    wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
    assert!(wire.connection.take_wake());
}

#[test]
fn a_request_lives_on_through_a_reconnect() {
    let mut wire = Wire::connected(config());
    let (id, subject) = request(&mut wire, 10);
    wire.cut();
    wire.connect();
    assert!(wire.written().starts_with("SUB _INBOX."));
    wire.feed(format!("MSG {subject} 1 2\r\nok\r\n"));
    assert!(matches!(wire.events()[..], [Event::Reply { request, .. }] if request == id));
}

#[test]
fn a_refused_request_takes_no_slot() {
    let mut wire = Wire::connected(config());
    let payload = Bytes::new();
    let deadline = wire.now + Duration::from_secs(1);
    assert!(wire.connection.request(Outgoing::new("a b", &payload), deadline).is_err());
    assert_eq!(wire.connection.pending_requests(), 0);
}

#[test]
fn the_inbox_prefix_is_the_applications() {
    let mut custom = config();
    custom.inbox_prefix = "MINE.x".into();
    let mut wire = Wire::connected(custom);
    assert!(wire.connection.new_inbox().starts_with("MINE.x."));
    let (_, subject) = request(&mut wire, 1);
    assert!(subject.starts_with("MINE.x."), "{subject}");
}

#[test]
fn connections_with_the_same_seed_have_the_same_inboxes() {
    let inboxes = |seed| {
        let mut connection =
            Connection::new(Arc::new(config()), seed, Instant::ZERO).expect("good");
        [connection.new_inbox(), connection.new_inbox()]
    };
    assert_eq!(inboxes([7; 32]), inboxes([7; 32]));
    assert!(inboxes([7; 32]).iter().all(|inbox| !inboxes([8; 32]).contains(inbox)));
}

#[test]
fn inboxes_are_unique() {
    let mut wire = Wire::connected(config());
    let inboxes: std::collections::BTreeSet<String> =
        (0..1_000).map(|_| wire.connection.new_inbox()).collect();
    assert_eq!(inboxes.len(), 1_000);
    assert!(inboxes.iter().all(|inbox| inbox.len() == "_INBOX.".len() + 22));
}

#[test]
fn an_inbox_that_may_have_been_one_subscription_too_many_is_asked_for_again() {
    let mut wire = Wire::connected(config());
    let ask = |wire: &mut Wire| {
        let payload = Bytes::new();
        let deadline = wire.now + Duration::from_secs(10);
        wire.connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
        wire.written()
    };
    let first = ask(&mut wire);
    let subscribe = first.lines().next().expect("the inbox").to_owned();
    assert!(subscribe.starts_with("SUB _INBOX."), "{first}");
    // The server does not say which one it has refused. Whatever it has under this number, it keeps.
    for _ in 0..2 {
        wire.feed("-ERR 'maximum subscriptions exceeded'\r\n");
        let again = ask(&mut wire);
        assert_eq!(again.lines().next(), Some(&*subscribe), "{again}");
        let later = ask(&mut wire);
        assert!(!later.contains("SUB "), "{later}");
    }
    // When something has come through it, no error is about it.
    let reply = first.split(' ').rev().nth(1).expect("a reply subject");
    wire.feed(format!("MSG {reply} 1 2\r\nok\r\n-ERR 'maximum subscriptions exceeded'\r\n"));
    let later = ask(&mut wire);
    assert!(!later.contains("SUB "), "{later}");
}

#[test]
fn requests_fail_at_once_where_the_inbox_has_too_many_tokens() {
    let mut wire = Wire::connected(config());
    let (id, reply) = request(&mut wire, 10);
    let inbox = reply.rsplit_once('.').expect("tokens").0;
    wire.feed(format!(
        "-ERR 'Permissions Violation for Subscription to \"{inbox}.*\", too many tokens'\r\n"
    ));
    let events = wire.events();
    assert!(
        matches!(
            events.last(),
            Some(Event::RequestFailed { request, error: RequestError::InboxRefused }) if *request == id
        ),
        "{events:?}"
    );
}
