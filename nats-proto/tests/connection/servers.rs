//! Which server comes next: the pool, and the application's choice.

use std::time::Duration;

use nats_proto::connection::{
    ConnectError, DisconnectReason, ReconnectToServer, Server, SetServerPoolError,
};
use nats_proto::{Event, ServerAddr, State};

use crate::support::{INFO, Wire, addr, pool};

fn asked(wire: &mut Wire) -> Vec<ServerAddr> {
    match &wire.events()[..] {
        [.., Event::ChooseServer { servers, .. }] => {
            servers.iter().map(|server| server.addr.clone()).collect()
        }
        other => panic!("nobody was asked: {other:?}"),
    }
}

#[test]
fn the_application_chooses_the_next_server_and_its_delay() {
    let mut config = pool(&["a", "b", "c"]);
    config.choose_server = true;
    let mut wire = Wire::new(config);
    assert_eq!(wire.connection.state(), State::Choosing);
    assert_eq!(asked(&mut wire), [addr("a"), addr("b"), addr("c")]);
    let choice = ReconnectToServer { addr: addr("c"), delay: Some(Duration::from_secs(7)) };
    wire.connection.handle_choice(wire.now, Some(choice));
    assert_eq!(wire.connection.poll_timeout(), Some(wire.now + Duration::from_secs(7)));
    wire.pass(Duration::from_secs(7));
    assert_eq!(wire.dialled(), addr("c"));
    wire.refuse();
    // The one that failed is the last of the list.
    wire.connection.handle_choice(wire.now, None);
    assert_eq!(wire.dialled(), addr("a"));
}

#[test]
fn a_choice_that_is_not_in_the_pool_or_never_comes_leaves_it_to_the_pool() {
    let mut config = pool(&["a", "b"]);
    config.choose_server = true;
    let mut wire = Wire::new(config.clone());
    let choice = ReconnectToServer { addr: addr("x"), delay: None };
    wire.connection.handle_choice(wire.now, Some(choice));
    assert_eq!(wire.dialled(), addr("a"));
    let mut wire = Wire::new(config);
    asked(&mut wire);
    wire.pass(Duration::from_secs(5));
    assert_eq!(wire.dialled(), addr("a"));
    // Too late.
    let choice = ReconnectToServer { addr: addr("b"), delay: None };
    wire.connection.handle_choice(wire.now, Some(choice));
    assert_eq!(wire.connection.state(), State::Dialing);
}

#[test]
fn nobody_is_asked_once_the_connection_is_closed() {
    let mut config = pool(&["a", "b"]);
    config.choose_server = true;
    let mut wire = Wire::new(config);
    wire.connection.close(wire.now, Duration::ZERO);
    let events = wire.events();
    assert!(matches!(events[..], [Event::Closed { .. }]), "{events:?}");
}

#[test]
fn a_choice_whose_time_is_over_before_anybody_looked_is_not_asked_for() {
    let mut config = pool(&["a", "b"]);
    config.choose_server = true;
    let mut wire = Wire::new(config);
    wire.pass(Duration::from_secs(5));
    let events = wire.events();
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(wire.dialled(), addr("a"));
}

#[test]
fn closing_while_the_application_chooses_ends_at_once() {
    let mut config = pool(&["a", "b"]);
    config.choose_server = true;
    let mut wire = Wire::new(config);
    asked(&mut wire);
    wire.connection.close(wire.now, Duration::from_secs(1));
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn a_new_pool_counts_for_the_next_connection_and_keeps_what_is_known() {
    let mut wire = Wire::connected(pool(&["a", "b"]));
    let servers = vec![addr("c"), addr("b"), addr("c")];
    wire.connection.set_server_pool(wire.now, servers).expect("a pool");
    assert_eq!(wire.connection.state(), State::Connected);
    assert_eq!(wire.connection.servers(), [addr("c"), addr("b")]);
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    assert_eq!(wire.dialled(), addr("c"));
    wire.refuse();
    wire.connection.set_server_pool(wire.now, vec![addr("c"), addr("d")]).expect("a pool");
    let known: Vec<Server> = wire.connection.server_pool();
    let c = known.iter().find(|server| server.addr == addr("c")).expect("c");
    assert_eq!((c.failed_attempts, c.did_connect, c.is_discovered), (1, false, false));
    assert_eq!(c.last_error.as_deref(), Some("refused"));
}

#[test]
fn who_waits_for_a_server_that_is_taken_out_goes_on_to_the_next() {
    let mut wire = Wire::connected(pool(&["a"]));
    wire.cut();
    wire.dialled();
    wire.refuse();
    assert_eq!(wire.connection.state(), State::Backoff);
    wire.connection.set_server_pool(wire.now, vec![addr("z")]).expect("a pool");
    assert_eq!(wire.dialled(), addr("z"));
    assert_eq!(wire.connection.servers(), [addr("z")]);
}

#[test]
fn a_pool_that_cannot_be_one_is_refused_and_nothing_changes() {
    let mut wire = Wire::connected(pool(&["a"]));
    let mixed = vec![addr("nats://a"), addr("ws://b")];
    let set = |wire: &mut Wire, servers| wire.connection.set_server_pool(wire.now, servers);
    assert_eq!(set(&mut wire, vec![]), Err(SetServerPoolError::Empty));
    assert!(matches!(set(&mut wire, mixed), Err(SetServerPoolError::MixedSchemes { .. })));
    assert_eq!(wire.connection.servers(), [addr("a")]);
    wire.connection.close(wire.now, Duration::ZERO);
    wire.pass(Duration::ZERO);
    wire.hang_up();
    assert_eq!(set(&mut wire, vec![addr("b")]), Err(SetServerPoolError::Closed));
}

#[test]
fn repeated_refusals_go_on_if_the_settings_say_so() {
    let mut config = pool(&["a"]);
    config.ignore_repeated_auth_errors = true;
    config.retry_on_initial_connect = true;
    let mut wire = Wire::new(config);
    for _ in 0..3 {
        wire.dialled();
        wire.accept();
        wire.feed(format!("INFO {INFO}\r\n-ERR 'Authorization Violation'\r\n"));
        let events = wire.hang_up();
        let refused = |event: &Event| {
            matches!(event, Event::ConnectFailed { error: ConnectError::Authorization(_), .. })
        };
        assert!(events.iter().any(refused), "{events:?}");
        wire.pass(Duration::from_secs(2));
    }
    assert_eq!(wire.connection.state(), State::Dialing);
}

#[test]
fn jitter_is_larger_where_a_handshake_is_to_be_made() {
    for server in ["tls://a", "wss://a"] {
        let mut config = pool(&[server]);
        config.reconnect_jitter_tls = Duration::from_millis(900);
        config.tls = nats_proto::connection::TlsMode::Available;
        config.retry_on_initial_connect = true;
        let mut wire = Wire::new(config.clone());
        wire.dialled();
        wire.refuse();
        let wait = wire.connection.poll_timeout().expect("a deadline") - wire.now;
        assert!(wait > config.reconnect_wait, "{server}: {wait:?}");
        assert!(wait < config.reconnect_wait + config.reconnect_jitter_tls, "{server}: {wait:?}");
    }
}

#[test]
fn the_current_server_is_the_one_that_is_dialled_or_connected() {
    let mut wire = Wire::connected(pool(&["a", "b"]));
    assert_eq!(wire.connection.current_server(), Some(&addr("a")));
    wire.cut();
    wire.pass(Duration::from_secs(3));
    let dialled = wire.dialled();
    assert_eq!(dialled, addr("b"));
    assert_eq!(wire.connection.current_server(), Some(&dialled));
}

#[test]
fn of_what_many_servers_say_little_is_kept() {
    let mut config = pool(&["a", "b"]);
    config.retry_on_initial_connect = true;
    let mut wire = Wire::new(config);
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.written();
    wire.feed(format!("-ERR '{}'\r\n", "x".repeat(60_000)));
    let events = wire.hang_up();
    let told = events.iter().find_map(|event| match event {
        Event::ConnectFailed {
            error: ConnectError::Lost(DisconnectReason::Server(error)), ..
        } => Some(error.text()),
        _ => None,
    });
    assert!(told.is_some_and(|told| told.len() == 60_000), "it is told in full: {events:?}");
    let pool = wire.connection.server_pool();
    let kept = pool.iter().find_map(|server| server.last_error.as_ref()).expect("it failed");
    assert!(kept.contains("xxx") && kept.len() < 1_000, "{} bytes", kept.len());
}

/// Each server tells of the next one alone, of three or of as many as there are numbers, and hangs up: before the
/// connection is up, or as soon as it is.
#[test]
fn servers_that_send_on_to_each_other_are_not_dialled_without_pause() {
    let maxima = [None, Some(0), Some(1), Some(2)];
    let kinds = [(3, false), (3, true), (1_000, false), (1_000, true)];
    for (max, (servers, is_up)) in maxima.iter().flat_map(|max| kinds.map(|kind| (*max, kind))) {
        let mut config = pool(&["s0"]);
        config.max_reconnects = max;
        let mut wire = Wire::connected(config);
        wire.feed("INFO {\"connect_urls\":[\"s1:4222\"]}\r\n");
        wire.cut();
        for _ in 0..20 {
            let mut at_once = 0;
            while wire.connection.state() == State::Dialing {
                at_once += 1;
                let case = (max, servers, is_up);
                assert!(at_once <= 3, "dialled again and again at {:?}: {case:?}", wire.now);
                let number: usize = wire.dialled().host()[1..].parse().expect("a number");
                let next = (number + 1) % servers;
                wire.accept();
                wire.feed("INFO {}\r\n");
                if is_up {
                    wire.feed("PONG\r\n");
                }
                wire.feed(format!("INFO {{\"connect_urls\":[\"s{next}:4222\"]}}\r\n"));
                wire.cut();
            }
            wire.pass(Duration::from_secs(2));
        }
    }
}
