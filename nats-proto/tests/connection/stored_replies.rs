//! Requests that are answered with a stored message, under the subject of that.

use std::time::Duration;

use bytes::Bytes;
use nats_proto::connection::RequestError;
use nats_proto::{Event, Outgoing, RequestId};

use crate::support::{Wire, config};

const PULL: &str = "$JS.API.CONSUMER.MSG.NEXT.S.C";
const STORED: &str = "MSG orders.new 1 $JS.ACK.S.C.1.1.1.1.0 2\r\nhi\r\n";

/// Sends a request that waits for so many seconds and says what its reply subject is.
fn ask(wire: &mut Wire, subject: &str, seconds: u64) -> (RequestId, String) {
    let payload = Bytes::new();
    let deadline = wire.now + Duration::from_secs(seconds);
    let id = wire.connection.request(Outgoing::new(subject, &payload), deadline).expect("room");
    let written = wire.written();
    let line = written.lines().find(|line| line.starts_with("PUB ")).expect("a request");
    (id, line.split(' ').nth(2).expect("a reply subject").to_owned())
}

/// The requests that were answered.
fn answered(wire: &mut Wire) -> Vec<RequestId> {
    let events = wire.events();
    let answered = events.iter().map(|event| match event {
        Event::Reply { request, message } => {
            assert_eq!(message.payload, "hi");
            *request
        }
        other => panic!("{other:?}"),
    });
    answered.collect()
}

#[test]
fn a_stored_message_is_for_the_one_request_that_waits() {
    let mut wire = Wire::connected(config());
    let (id, _) = ask(&mut wire, PULL, 10);
    wire.feed(STORED);
    let events = wire.events();
    assert!(
        matches!(&events[..], [Event::Reply { request, message }] if *request == id && &*message.subject == "orders.new"),
        "{events:?}"
    );
    // With none or several it cannot be told whose it is.
    wire.feed(STORED);
    let (a, subject) = ask(&mut wire, PULL, 10);
    let (b, _) = ask(&mut wire, "$JS.hub.API.CONSUMER.MSG.NEXT.S.C", 10);
    wire.feed(STORED);
    assert!(wire.events().is_empty());
    assert_eq!(wire.statistics().unroutable, 2);
    wire.feed(format!("MSG {subject} 1 2\r\nhi\r\n{STORED}"));
    assert_eq!(answered(&mut wire), [a, b]);
}

#[test]
fn a_request_that_asks_for_no_stored_message_gets_none() {
    let mut wire = Wire::connected(config());
    for subject in ["payments.charge", "$JSX.API", "$SYS.REQ.USER.INFO"] {
        let (id, reply) = ask(&mut wire, subject, 10);
        wire.feed(STORED);
        assert!(wire.events().is_empty(), "{subject}");
        wire.feed(format!("MSG {reply} 1 2\r\nhi\r\n"));
        assert_eq!(answered(&mut wire), [id], "{subject}");
    }
    assert_eq!(wire.statistics().unroutable, 3);
}

#[test]
fn the_late_reply_of_a_request_that_has_ended_is_given_to_no_other_one() {
    for next in ["payments.charge", PULL] {
        for times_out in [true, false] {
            let mut wire = Wire::connected(config());
            let (late, _) = ask(&mut wire, PULL, 1);
            if times_out {
                wire.pass(Duration::from_secs(1));
                let events = wire.events();
                assert!(
                    matches!(events[..], [Event::RequestFailed { request, error: RequestError::TimedOut }] if request == late),
                    "{events:?}"
                );
            } else {
                wire.connection.cancel_request(late);
            }
            let (id, reply) = ask(&mut wire, next, 10);
            wire.feed(STORED);
            assert!(wire.events().is_empty(), "{next}");
            assert_eq!(wire.connection.pending_requests(), 1);
            assert_eq!(wire.statistics().unroutable, 1);
            // Nor is any later one, which may be that of the first, too.
            wire.feed(STORED);
            assert_eq!(wire.statistics().unroutable, 2);
            wire.feed(format!("MSG {reply} 1 2\r\nhi\r\n"));
            assert_eq!(answered(&mut wire), [id]);
        }
    }
}

#[test]
fn requests_that_end_otherwise_leave_no_doubt_about_a_stored_message() {
    let mut wire = Wire::connected(config());
    // One that is no request for a stored message.
    let (cancelled, _) = ask(&mut wire, "payments.charge", 10);
    wire.connection.cancel_request(cancelled);
    // One that was answered, and is not ended once more.
    let (answered_before, _) = ask(&mut wire, PULL, 10);
    wire.feed(STORED);
    assert_eq!(answered(&mut wire), [answered_before]);
    wire.connection.cancel_request(answered_before);
    let (id, _) = ask(&mut wire, PULL, 10);
    wire.feed(STORED);
    assert_eq!(answered(&mut wire), [id]);
}

/// The subject of the inbox subscription that a link begins with.
fn restored(wire: &mut Wire) -> String {
    wire.connect();
    let written = wire.written();
    let line = written.lines().find(|line| line.starts_with("SUB _INBOX.")).expect("an inbox");
    line.split(' ').nth(1).expect("a subject").to_owned()
}

#[test]
fn a_link_that_begins_while_no_request_waits_has_an_inbox_without_doubt() {
    let mut wire = Wire::connected(config());
    let (late, old) = ask(&mut wire, PULL, 1);
    wire.connection.cancel_request(late);
    wire.cut();
    let inbox = restored(&mut wire);
    let (id, reply) = ask(&mut wire, PULL, 10);
    let prefix = inbox.strip_suffix('*').expect("a wildcard");
    assert!(reply.starts_with(prefix) && !old.starts_with(prefix), "{old} {reply} {inbox}");
    wire.feed(STORED);
    assert_eq!(answered(&mut wire), [id]);
    // Without doubt there is no reason for another one.
    wire.cut();
    assert_eq!(restored(&mut wire), inbox);
}

#[test]
fn the_late_reply_of_a_request_is_given_to_no_other_one_on_the_next_link_either() {
    let mut wire = Wire::connected(config());
    let (late, _) = ask(&mut wire, PULL, 10);
    let (waits, reply) = ask(&mut wire, "payments.charge", 60);
    wire.connection.cancel_request(late);
    wire.cut();
    // The inbox of the one that waits is still the one that the pull names.
    let inbox = restored(&mut wire);
    assert!(reply.starts_with(inbox.trim_end_matches('*')));
    wire.feed(format!("MSG {reply} 1 2\r\nhi\r\n"));
    assert_eq!(answered(&mut wire), [waits]);
    let (id, reply) = ask(&mut wire, PULL, 10);
    wire.feed(STORED);
    assert_eq!(wire.statistics().unroutable, 1);
    wire.feed(format!("MSG {reply} 1 2\r\nhi\r\n"));
    assert_eq!(answered(&mut wire), [id]);
}
