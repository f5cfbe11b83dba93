//! Links that are replaced because the application wants it.

use std::sync::Arc;
use std::time::Duration;

use nats_proto::connection::{DisconnectReason, ReconnectToServer};
use nats_proto::{Event, State};

use crate::support::{INFO, Wire, addr, config};

const WAIT: Duration = Duration::from_secs(2);

#[test]
fn a_forced_reconnect_waits_for_nothing() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.connection.force_reconnect(wire.now);
    let events = wire.hang_up();
    assert!(matches!(events[..], [Event::Disconnected { reason: DisconnectReason::Requested }]));
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\n");
    // In the middle of a wait as well.
    wire.cut();
    wire.dialled();
    wire.refuse();
    assert_eq!(wire.connection.state(), State::Backoff);
    wire.connection.force_reconnect(wire.now);
    assert_eq!(wire.connection.state(), State::Dialing);
}

#[test]
fn a_forced_reconnect_does_not_wait_for_the_applications_delay_either() {
    let mut custom = config();
    custom.reconnect_delay = Some(Arc::new(|_| Duration::from_secs(10)));
    let mut wire = Wire::connected(custom);
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    assert_eq!(wire.connection.state(), State::Dialing);
}

#[test]
fn a_forced_reconnect_waits_for_nothing_behind_a_hang_up_either() {
    let mut custom = config();
    custom.reconnect_delay = Some(Arc::new(|_| Duration::from_secs(10)));
    let mut wire = Wire::connected(custom);
    wire.feed("-ERR 'Stale Connection'\r\n");
    assert_eq!(wire.connection.state(), State::HangingUp);
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    assert_eq!(wire.connection.state(), State::Dialing);
    // An end that has begun is not called off.
    wire.connect();
    wire.connection.close(wire.now, Duration::ZERO);
    wire.pass(Duration::ZERO);
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn a_forced_reconnect_waits_for_nothing_but_the_choice_of_a_server() {
    let mut choosing = config();
    choosing.servers.push(addr("b"));
    choosing.choose_server = true;
    choosing.reconnect_delay = Some(Arc::new(|_| Duration::from_secs(10)));
    let mut wire = Wire::new(choosing);
    wire.connection.handle_choice(wire.now, None);
    wire.connect();
    let choose = |delay| Some(ReconnectToServer { addr: addr("b"), delay });
    for (choice, state) in [
        (None, State::Dialing),
        (choose(None), State::Dialing),
        (choose(Some(WAIT)), State::Backoff),
    ] {
        // While a choice is awaited, and before.
        for forced_before in [false, true] {
            if forced_before {
                wire.connection.force_reconnect(wire.now);
                wire.hang_up();
            } else {
                wire.cut();
                wire.connection.force_reconnect(wire.now);
            }
            assert_eq!(wire.connection.state(), State::Choosing);
            wire.connection.handle_choice(wire.now, choice.clone());
            assert_eq!(wire.connection.state(), state, "{choice:?} {forced_before}");
            wire.pass(WAIT);
            wire.connect();
        }
    }
}

#[test]
fn a_forced_reconnect_makes_no_failed_attempt_a_better_one() {
    let mut two = config();
    two.servers.push(addr("b"));
    let mut wire = Wire::new(two);
    for host in ["a", "b"] {
        assert_eq!(wire.dialled().host(), host);
        wire.accept();
        wire.feed(format!("INFO {INFO}\r\n-ERR 'Authorization Violation'\r\n"));
        wire.connection.force_reconnect(wire.now);
        wire.hang_up();
    }
    assert_eq!(wire.connection.state(), State::Closed, "every server had its chance");
    assert!(wire.connection.server_pool().iter().all(|server| server.failed_attempts == 1));
}

#[test]
fn what_the_application_breaks_off_is_no_failed_attempt() {
    for closes in [false, true] {
        let mut retries = config();
        retries.retry_on_initial_connect = true;
        let mut wire = Wire::new(retries);
        wire.dialled();
        wire.accept();
        match closes {
            true => wire.connection.close(wire.now, Duration::from_secs(1)),
            false => wire.connection.force_reconnect(wire.now),
        }
        let events = wire.hang_up();
        assert!(
            !events.iter().any(|event| matches!(event, Event::ConnectFailed { .. })),
            "{events:?}"
        );
        assert!(wire.connection.server_pool().iter().all(|server| server.last_error.is_none()));
        assert_eq!(wire.connection.state() == State::Closed, closes);
    }
}

#[test]
fn what_fails_before_the_application_breaks_it_off_is_a_failed_attempt() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed("+NONSENSE\r\n");
    assert_eq!(wire.connection.state(), State::HangingUp);
    wire.connection.close(wire.now, Duration::from_secs(1));
    let events = wire.hang_up();
    assert!(
        matches!(events[..], [Event::ConnectFailed { .. }, Event::Closed { .. }]),
        "{events:?}"
    );
    let [server] = &wire.connection.server_pool()[..] else { panic!("one server") };
    assert!(server.failed_attempts == 1 && server.last_error.is_some(), "{server:?}");
}

#[test]
fn a_forced_reconnect_takes_no_other_server_its_chance_at_the_first_connect() {
    let mut two = config();
    two.servers.push(addr("b"));
    let mut wire = Wire::new(two);
    assert_eq!(wire.dialled().host(), "a");
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    assert_eq!(wire.dialled().host(), "b");
    wire.refuse();
    assert_eq!(wire.dialled().host(), "a");
    wire.refuse();
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn without_reconnects_a_forced_one_is_the_end() {
    let mut none = config();
    none.reconnect = false;
    let mut wire = Wire::connected(none);
    wire.connection.force_reconnect(wire.now);
    let events = wire.hang_up();
    assert!(
        matches!(events[..], [Event::Disconnected { .. }, Event::Closed { error: Some(_), .. }]),
        "{events:?}"
    );
}

#[test]
fn a_forced_reconnect_is_no_failure_of_the_first_connect() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    assert_eq!(wire.connection.state(), State::Dialing);
    wire.connect();
}

#[test]
fn attempts_that_are_broken_off_do_not_count_against_a_server() {
    let mut config = config();
    config.max_reconnects = Some(1);
    let mut wire = Wire::connected(config);
    wire.cut();
    for _ in 0..3 {
        wire.dialled();
        wire.connection.force_reconnect(wire.now);
        wire.hang_up();
        assert_eq!(wire.connection.state(), State::Dialing);
    }
    wire.connect();
}
