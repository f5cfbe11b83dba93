//! The way to a good end.

use std::time::Duration;

use nats_proto::connection::{EndReason, PublishError, SubscribeError, Unfinished};
use nats_proto::{Event, State};

use crate::support::{Wire, config};

const TIMEOUT: Duration = Duration::from_secs(2);

fn closed(events: &[Event]) -> Unfinished {
    match events.last() {
        Some(Event::Closed { error: None, unfinished }) => *unfinished,
        _ => panic!("{events:?}"),
    }
}

impl Wire {
    /// Closes while a dial is under way.
    pub(crate) fn refuse_after_close(&mut self) -> Vec<Event> {
        self.connection.close(self.now, TIMEOUT);
        self.hang_up()
    }
}

#[test]
fn a_drain_unsubscribes_waits_for_the_application_flushes_and_closes() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.written();
    wire.connection.drain(wire.now);
    assert_eq!(wire.connection.state(), State::Draining);
    assert_eq!(wire.written(), "UNSUB 1\r\nPING\r\n");
    assert_eq!(wire.connection.subscribe("b", None), Err(SubscribeError::Draining));
    // What the server had on its way still comes.
    wire.feed("MSG a 1 1\r\nx\r\nPONG\r\n");
    let events = wire.events();
    assert!(
        matches!(
            events[..],
            [
                Event::Draining,
                Event::Message { .. },
                Event::SubscriptionEnded { reason: EndReason::Drained, .. },
                Event::SubscriptionsDrained
            ]
        ),
        "{events:?}"
    );
    assert!(wire.connection.drain_subscription(id).is_err());
    // The application may answer what it has got.
    wire.publish("answer", "1").expect("still open");
    wire.connection.handle_drained(wire.now);
    assert_eq!(wire.publish("late", "1"), Err(PublishError::Draining));
    assert_eq!(wire.written(), "PUB answer 1\r\n1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
    assert_eq!(wire.statistics().confirmed, 1);
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn a_drain_ends_at_its_deadline_with_what_is_left() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("a", None).expect("a subscription");
    wire.publish("a", "1").expect("room");
    wire.connection.drain(wire.now);
    wire.written();
    wire.pass(Duration::from_secs(30));
    assert_eq!(closed(&wire.hang_up()), Unfinished { unsent: 0, uncertain: 1 });
}

#[test]
fn a_drain_without_a_link_waits_for_the_next_to_flush() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.publish("a", "1").expect("room");
    wire.connection.drain(wire.now);
    wire.events();
    wire.connection.handle_drained(wire.now);
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
}

#[test]
fn a_link_that_breaks_while_draining_takes_the_subscriptions_with_it() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.drain(wire.now);
    let events = wire.cut();
    assert!(events.iter().any(|event| matches!(event, Event::SubscriptionsDrained)), "{events:?}");
    wire.connect();
    assert_eq!(wire.written(), "");
}

#[test]
fn a_drained_subscription_gets_what_was_on_its_way() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.drain_subscription(id).expect("it exists");
    assert_eq!(wire.written(), "SUB a 1\r\nUNSUB 1\r\nPING\r\n");
    wire.feed("MSG a 1 1\r\nx\r\nPONG\r\n");
    let events = wire.events();
    assert!(
        matches!(
            events[..],
            [Event::Message { .. }, Event::SubscriptionEnded { reason: EndReason::Drained, .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_subscription_drained_without_a_link_ends_at_once() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.cut();
    wire.connection.drain_subscription(id).expect("it exists");
    assert!(matches!(
        wire.events()[..],
        [Event::SubscriptionEnded { reason: EndReason::Drained, .. }]
    ));
}

#[test]
fn a_close_flushes_first() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.close(wire.now, TIMEOUT);
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
    assert_eq!(wire.statistics().confirmed, 1);
}

#[test]
fn a_close_while_the_link_is_given_up_is_the_end() {
    let mut wire = Wire::connected(config());
    wire.connection.force_reconnect(wire.now);
    wire.connection.close(wire.now, TIMEOUT);
    closed(&wire.hang_up());
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn a_close_that_the_server_does_not_answer_ends_in_time() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.close(wire.now, TIMEOUT);
    wire.pass(TIMEOUT);
    // It was never handed out.
    assert_eq!(closed(&wire.hang_up()), Unfinished { unsent: 1, uncertain: 0 });
}

#[test]
fn everything_that_waits_ends_with_the_connection() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("a", None).expect("a subscription");
    let payload = bytes::Bytes::new();
    let deadline = wire.now + Duration::from_secs(60);
    wire.connection.request(nats_proto::Outgoing::new("svc", &payload), deadline).expect("room");
    wire.cut();
    wire.connection.flush(None);
    let events = wire.refuse_after_close();
    let ended = |which: fn(&Event) -> bool| events.iter().filter(|event| which(event)).count();
    assert_eq!(ended(|event| matches!(event, Event::SubscriptionEnded { .. })), 1);
    assert_eq!(ended(|event| matches!(event, Event::RequestFailed { .. })), 1);
    assert_eq!(ended(|event| matches!(event, Event::Flushed { result: Err(_), .. })), 1);
    closed(&events);
    assert_eq!(wire.connection.poll_timeout(), None);
    assert_eq!(wire.connection.pending_requests(), 0);
}

#[test]
fn a_closed_connection_answers_everything_and_does_nothing() {
    let mut wire = Wire::connected(config());
    wire.connection.close(wire.now, TIMEOUT);
    wire.feed("PONG\r\n");
    wire.hang_up();
    wire.connection.drain(wire.now);
    wire.connection.close(wire.now, TIMEOUT);
    wire.connection.force_reconnect(wire.now);
    wire.connection.handle_timeout(wire.now);
    assert!(wire.connection.subscribe("a", None).is_err());
    wire.connection.flush(None);
    let events = wire.events();
    assert!(matches!(events[..], [Event::Flushed { result: Err(_), .. }]), "{events:?}");
    assert!(!wire.was_told_to_hang_up() && wire.connection.state() == State::Closed);
    assert_eq!(wire.written(), "");
}

#[test]
fn nothing_is_accepted_while_the_last_link_ends() {
    let mut wire = Wire::connected(config());
    wire.connection.close(wire.now, TIMEOUT);
    wire.written();
    wire.pass(TIMEOUT);
    assert_eq!(wire.connection.state(), State::HangingUp);
    assert_eq!(wire.publish("a", "1"), Err(PublishError::Closed));
    assert_eq!(wire.connection.subscribe("a", None), Err(SubscribeError::Closed));
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
}

#[test]
fn a_drain_with_nothing_to_flush_ends_with_the_link_that_is_hung_up_on() {
    let mut wire = Wire::connected(config());
    wire.connection.force_reconnect(wire.now);
    wire.connection.drain(wire.now);
    wire.connection.handle_drained(wire.now);
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
}

#[test]
fn what_is_uncertain_since_the_drain_began_is_told_at_the_end() {
    let mut wire = Wire::connected(config());
    wire.connection.drain(wire.now);
    wire.publish("a", "1").expect("room");
    wire.written();
    wire.publish("a", "2").expect("room");
    wire.cut();
    wire.connection.handle_drained(wire.now);
    // An attempt that fails and a link that goes well change nothing about it.
    wire.dialled();
    wire.accept();
    wire.cut();
    wire.pass(TIMEOUT);
    wire.connect();
    wire.written();
    wire.feed("PONG\r\n");
    let unfinished = closed(&wire.hang_up());
    assert_eq!(unfinished, Unfinished { unsent: 0, uncertain: 1 });
}

#[test]
fn what_is_uncertain_since_the_drain_began_is_told_at_its_deadline() {
    let mut wire = Wire::connected(config());
    wire.connection.drain(wire.now);
    wire.publish("a", "1").expect("room");
    wire.written();
    wire.cut();
    wire.connect();
    // The application never says that it is done.
    wire.pass(Duration::from_secs(60));
    assert_eq!(closed(&wire.hang_up()), Unfinished { unsent: 0, uncertain: 1 });
}

#[test]
fn what_an_earlier_link_lost_is_not_told_at_the_end() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.written();
    wire.cut();
    wire.connect();
    wire.publish("a", "2").expect("room");
    wire.connection.close(wire.now, TIMEOUT);
    wire.written();
    wire.feed("PONG\r\n");
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
    assert_eq!(wire.statistics().uncertain, 1);
    // With no other link since, it is.
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.written();
    wire.cut();
    assert_eq!(closed(&wire.refuse_after_close()), Unfinished { unsent: 0, uncertain: 1 });
}

#[test]
fn requests_that_wait_get_their_replies_before_the_inbox_is_closed() {
    let mut wire = Wire::connected(config());
    let deadline = wire.now + Duration::from_secs(1);
    let payload = Default::default();
    let mut ask = || {
        let question = nats_proto::Outgoing::new("question", &payload);
        wire.connection.request(question, deadline).expect("an open connection")
    };
    let (_replied, _times_out, cancelled) = (ask(), ask(), ask());
    let written = wire.written();
    wire.connection.drain(wire.now);
    wire.feed("PONG\r\n");
    wire.events();
    wire.connection.handle_drained(wire.now);
    assert_eq!(wire.publish("late", "1"), Err(PublishError::Draining));
    wire.connection.cancel_request(cancelled);
    let inbox = written.split(' ').nth(4).expect("a reply subject");
    wire.feed(format!("MSG {inbox} 1 2\r\nhi\r\n"));
    assert!(matches!(wire.events()[..], [Event::Reply { .. }]));
    assert_eq!(wire.written(), "PING\r\n", "the one of the drain alone");
    wire.pass(Duration::from_secs(1));
    assert!(matches!(wire.events()[..], [Event::RequestFailed { .. }]));
    assert_eq!(wire.written(), "UNSUB 1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
}

#[test]
fn a_drain_without_a_link_ends_with_the_last_request_that_it_waits_for() {
    let mut wire = Wire::connected(config());
    let payload = Default::default();
    let question = nats_proto::Outgoing::new("question", &payload);
    let request =
        wire.connection.request(question, wire.now + TIMEOUT).expect("an open connection");
    wire.written();
    wire.connection.drain(wire.now);
    wire.feed("PONG\r\n");
    wire.connection.handle_drained(wire.now);
    wire.cut();
    wire.dialled();
    wire.refuse();
    assert_eq!(wire.connection.state(), State::Backoff);
    wire.connection.cancel_request(request);
    assert_eq!(closed(&wire.events()), Unfinished::default());
    assert!(!wire.was_told_to_hang_up());
}

#[test]
fn a_second_drain_can_only_bring_the_end_nearer() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.drain_within(wire.now, Duration::from_secs(5));
    wire.connection.drain(wire.now);
    assert_eq!(wire.connection.poll_timeout(), Some(wire.now + Duration::from_secs(5)));
    wire.connection.drain_within(wire.now, TIMEOUT);
    assert_eq!(wire.connection.poll_timeout(), Some(wire.now + TIMEOUT));
}

#[test]
fn a_close_that_must_not_wait_wakes_a_loop_whose_socket_is_full() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "x").expect("room");
    assert!(wire.connection.take_wake(), "there is something to write");
    assert!(!wire.connection.take_wake(), "once is enough");
    wire.connection.close(wire.now, Duration::ZERO);
    assert!(wire.connection.take_wake(), "the deadline has come");
}

#[test]
fn a_close_can_only_bring_the_end_of_a_drain_nearer() {
    let later = TIMEOUT * 2;
    for flushing in [false, true] {
        for (drain, close) in [(TIMEOUT, later), (later, TIMEOUT)] {
            let mut wire = Wire::connected(config());
            wire.connection.drain_within(wire.now, drain);
            if flushing {
                wire.feed("PONG\r\n");
                wire.connection.handle_drained(wire.now);
            }
            wire.written();
            wire.events();
            wire.connection.take_wake();
            wire.connection.close(wire.now, close);
            assert_eq!(wire.connection.poll_timeout(), Some(wire.now + TIMEOUT));
            assert!(wire.connection.take_wake(), "the deadline is another one");
        }
    }
}

#[test]
fn an_end_with_nothing_left_to_flush_looks_for_no_other_server() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.close(wire.now, TIMEOUT);
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPING\r\n");
    assert_eq!(closed(&wire.cut()), Unfinished { unsent: 0, uncertain: 1 });
    // What was not written can still go out on the next link.
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.close(wire.now, TIMEOUT);
    wire.cut();
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPING\r\n");
}

#[test]
fn an_end_that_has_begun_calls_off_the_move_to_another_server() {
    let mut config = config();
    config.servers.push("nats://b:4222".parse().expect("an address"));
    config.leave_lame_duck = true;
    let mut wire = Wire::connected(config);
    wire.connection.subscribe("a", None).expect("a subscription");
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert_eq!(wire.written(), "SUB a 1\r\nPING\r\n");
    wire.connection.drain(wire.now);
    assert_eq!(wire.written(), "UNSUB 1\r\nPING\r\n");
    wire.publish("answer", "1").expect("nobody moves any more");
    wire.feed("PONG\r\n");
    wire.pass(Duration::from_secs(10));
    assert!(!wire.was_told_to_hang_up());
    wire.feed("MSG a 1 1\r\nx\r\nPONG\r\n");
    let events = wire.events();
    assert!(events.iter().any(|event| matches!(event, Event::Message { .. })), "{events:?}");
    wire.connection.handle_drained(wire.now);
    assert_eq!(wire.written(), "PUB answer 1\r\n1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    assert_eq!(closed(&wire.hang_up()), Unfinished::default());
}
