//! From one link to the next.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use nats_proto::connection::{ConnectError, DisconnectReason, TlsMode};
use nats_proto::{Event, Instant, ServerError, State};

use crate::support::{INFO, Wire, addr, config, pool};

const WAIT: Duration = Duration::from_secs(2);

#[test]
fn a_lost_link_is_replaced_at_once_and_a_failed_attempt_after_a_wait() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.dialled();
    wire.refuse();
    assert_eq!(wire.connection.state(), State::Backoff);
    assert_eq!(wire.connection.poll_timeout(), Some(wire.now + WAIT));
    wire.pass(WAIT);
    let events = wire.connect();
    assert!(matches!(events[..], [Event::Connected { first: false, .. }]));
    assert_eq!(wire.statistics().connects, 2);
}

#[test]
fn what_a_link_left_behind_is_not_read_at_the_beginning_of_the_next() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.dialled();
    wire.accept();
    // The buffer of a caller who never empties it.
    let mut input = BytesMut::from("HTTP/1.1 400\r\n");
    wire.connection.receive(wire.now, &mut input);
    assert_eq!(wire.connection.state(), State::HangingUp);
    input.extend_from_slice(b"Connection: close\r\n\r\n");
    wire.connection.receive(wire.now, &mut input);
    wire.hang_up();
    wire.pass(WAIT);
    wire.dialled();
    wire.accept();
    input.extend_from_slice(format!("INFO {INFO}\r\nPONG\r\n").as_bytes());
    wire.connection.receive(wire.now, &mut input);
    assert_eq!(wire.connection.state(), State::Connected);
}

#[test]
fn a_link_that_is_lost_at_once_waits_like_a_failed_attempt() {
    let mut wire = Wire::connected(config());
    wire.cut();
    wire.connect();
    let (lost, old_enough) = (Instant::from_nanos(wire.now.as_nanos() - 500_000_000), wire.now);
    wire.now = lost;
    wire.cut();
    assert_eq!(wire.connection.poll_timeout(), Some(old_enough));
}

#[test]
fn jitter_spreads_the_first_attempt_too() {
    let mut jittery = config();
    jittery.reconnect_jitter = Duration::from_millis(100);
    let mut wire = Wire::connected(jittery);
    wire.cut();
    assert_eq!(wire.connection.state(), State::Backoff);
    let wait = wire.connection.poll_timeout().expect("a deadline") - wire.now;
    assert!(wait < Duration::from_millis(100), "{wait:?}");
}

#[test]
fn subscriptions_come_before_the_publishes_that_were_kept() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.subscribe("b", Some("q")).expect("a subscription");
    wire.written();
    wire.cut();
    wire.publish("p", "1").expect("room");
    wire.connection.subscribe("c", None).expect("a subscription");
    wire.connect();
    assert_eq!(wire.written(), "SUB a 1\r\nSUB b q 2\r\nSUB c 3\r\nPUB p 1\r\n1\r\n");
}

#[test]
fn a_subscription_that_ended_without_a_link_is_not_restored() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.cut();
    wire.connection.unsubscribe(id).expect("it exists");
    wire.connect();
    assert_eq!(wire.written(), "");
}

#[test]
fn what_is_left_of_a_maximum_is_restored() {
    let mut wire = Wire::connected(config());
    let id = wire.connection.subscribe("a", None).expect("a subscription");
    wire.connection.unsubscribe_after(id, 5).expect("it exists");
    assert_eq!(wire.written(), "SUB a 1\r\nUNSUB 1 5\r\n");
    wire.feed("MSG a 1 1\r\nx\r\nMSG a 1 1\r\nx\r\n");
    wire.cut();
    wire.connect();
    assert_eq!(wire.written(), "SUB a 1\r\nUNSUB 1 3\r\n");
    // A later change is told in the count of the link.
    wire.feed("MSG a 1 1\r\nx\r\n");
    wire.connection.unsubscribe_after(id, 4).expect("it exists");
    assert_eq!(wire.written(), "UNSUB 1 2\r\n");
}

#[test]
fn servers_take_turns_and_discovered_ones_join() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed("INFO {\"connect_urls\":[\"b:4222\",\"a:4222\"]}\r\n");
    let events = wire.events();
    assert!(
        matches!(&events[..], [Event::ServersDiscovered(added)] if *added == [addr("b:4222")]),
        "{events:?}"
    );
    wire.written();
    wire.feed("PONG\r\n");
    wire.cut();
    assert_eq!(wire.dialled().host(), "b");
    wire.refuse();
    wire.pass(WAIT);
    assert_eq!(wire.dialled().host(), "a");
}

#[test]
fn discovered_servers_can_be_ignored() {
    let mut ignoring = config();
    ignoring.ignore_discovered_servers = true;
    let mut wire = Wire::connected(ignoring);
    wire.feed("INFO {\"connect_urls\":[\"b:4222\"]}\r\n");
    assert!(wire.events().is_empty());
    assert_eq!(wire.connection.servers().len(), 1);
}

#[test]
fn a_server_is_given_up_after_the_maximum() {
    let mut twice = config();
    twice.max_reconnects = Some(2);
    let mut wire = Wire::connected(twice);
    wire.cut();
    for _ in 0..2 {
        wire.pass(WAIT);
        wire.dialled();
        wire.refuse();
    }
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn without_reconnects_a_lost_link_is_the_end() {
    for off in [0, 1] {
        let mut none = config();
        if off == 0 {
            none.reconnect = false;
        } else {
            none.max_reconnects = Some(0);
        }
        let mut wire = Wire::connected(none);
        let events = wire.cut();
        assert!(
            matches!(
                events[..],
                [Event::Disconnected { .. }, Event::Closed { error: Some(_), .. }]
            ),
            "{events:?}"
        );
    }
}

#[test]
fn the_delay_is_the_applications_if_it_wants() {
    let mut custom = config();
    custom.reconnect_delay = Some(Arc::new(|attempt| Duration::from_secs(10 * attempt as u64)));
    let mut wire = Wire::connected(custom);
    wire.cut();
    for attempt in 1..4 {
        let wait = wire.connection.poll_timeout().expect("a deadline") - wire.now;
        assert_eq!(wait, Duration::from_secs(10 * attempt));
        wire.pass(wait);
        wire.dialled();
        wire.refuse();
    }
}

#[test]
fn the_applications_delay_is_for_servers_that_have_had_their_first_attempt() {
    let mut custom = config();
    custom.servers.push("nats://b:4222".parse().expect("an address"));
    custom.retry_on_initial_connect = true;
    custom.reconnect_delay = Some(Arc::new(|attempt| Duration::from_secs(10 * attempt as u64)));
    let mut wire = Wire::new(custom);
    for _ in 0..2 {
        wire.dialled();
        wire.refuse();
    }
    assert_eq!(wire.connection.poll_timeout(), Some(wire.now + Duration::from_secs(30)));
}

#[test]
fn the_same_refusal_twice_ends_the_reconnecting() {
    let mut wire = Wire::connected(config());
    wire.cut();
    let refused = |wire: &mut Wire| {
        wire.dialled();
        wire.accept();
        wire.feed(format!("INFO {INFO}\r\n-ERR 'Authorization Violation'\r\n"));
        wire.hang_up()
    };
    refused(&mut wire);
    assert_eq!(wire.connection.state(), State::Backoff);
    wire.pass(WAIT);
    let events = refused(&mut wire);
    let Some(Event::Closed { error: Some(error), .. }) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(*error, ConnectError::Authorization(ServerError::AuthorizationViolation));
}

#[test]
fn an_error_that_closes_the_connection_is_not_waited_for() {
    let mut wire = Wire::connected(config());
    wire.feed("-ERR 'Maximum Payload Violation'\r\n");
    let events = wire.hang_up();
    assert!(
        matches!(
            &events[..],
            [Event::ServerError(error), Event::Disconnected { reason: DisconnectReason::Server(reason) }]
                if error == reason
        ),
        "{events:?}"
    );
}

#[test]
fn an_error_that_does_not_close_the_connection_is_told() {
    let mut wire = Wire::connected(config());
    wire.feed("-ERR 'Permissions Violation for Publish to \"a\"'\r\n-ERR\r\n");
    let events = wire.events();
    assert!(matches!(events[..], [Event::ServerError(_), Event::ServerError(_)]), "{events:?}");
    assert_eq!(wire.connection.state(), State::Connected);
}

#[test]
fn bytes_that_break_the_protocol_break_the_link() {
    let mut wire = Wire::connected(config());
    wire.connection.subscribe("a", None).expect("a subscription");
    wire.feed("MSG a 1 1\r\nx\r\nMSG a 1 99999999999999999999\r\n");
    let events = wire.hang_up();
    assert!(
        matches!(
            events[..],
            [Event::Message { .. }, Event::Disconnected { reason: DisconnectReason::Protocol(_) }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_server_that_refuses_us_sets_no_limits() {
    let mut two = config();
    two.servers.push(addr("b"));
    let mut wire = Wire::connected(two);
    wire.cut();
    let small = "INFO {\"server_id\":\"B\",\"headers\":true,\"max_payload\":2}\r\n";
    assert_eq!(wire.dialled(), addr("b"));
    wire.accept();
    wire.feed(small);
    wire.publish("a", "large").expect("kept for whichever server is connected next");
    wire.feed("-ERR 'Authorization Violation'\r\n");
    wire.hang_up();
    assert_eq!(wire.connection.server_info().map(|info| &*info.server_id), Some("A"));
    wire.publish("a", "large").expect("kept as well");
    assert_eq!(wire.statistics().dropped, 0);
    assert_eq!(wire.dialled(), addr("a"));
    wire.refuse();
    wire.pass(WAIT);
    // Once it is the one, it does.
    assert_eq!(wire.dialled(), addr("b"));
    wire.accept();
    wire.feed(small);
    wire.written();
    wire.publish("a", "1").expect("room");
    wire.feed("PONG\r\n");
    assert_eq!(wire.connection.server_info().map(|info| &*info.server_id), Some("B"));
    assert_eq!(wire.connection.max_payload(), 2);
    assert_eq!((wire.written(), wire.statistics().dropped), ("PUB a 1\r\n1\r\n".into(), 2));
}

#[test]
fn bytes_without_a_link_break_nothing() {
    let mut choosing = config();
    choosing.servers.push(addr("b"));
    choosing.choose_server = true;
    for (config, state) in [(choosing, State::Choosing), (config(), State::Backoff)] {
        let mut wire = Wire::new(config);
        wire.connection.handle_choice(wire.now, None);
        wire.connect();
        wire.cut();
        if state == State::Backoff {
            wire.dialled();
            wire.feed("nonsense\r\n");
            assert_eq!(wire.connection.state(), State::Dialing);
            wire.refuse();
        }
        wire.feed("nonsense\r\n");
        assert_eq!(wire.connection.state(), state);
        assert!(wire.events().is_empty());
    }
}

#[test]
fn what_no_link_was_up_for_is_not_sent_again() {
    let mut wire = Wire::connected(config());
    wire.publish("a", "1").expect("room");
    wire.cut();
    wire.publish("a", "2").expect("room");
    for _ in 0..3 {
        wire.dialled();
        wire.accept();
        wire.cut();
        wire.pass(WAIT);
    }
    assert_eq!(wire.statistics().replayed, 1);
    wire.connect();
    assert_eq!(wire.written(), "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\n");
}

#[test]
fn a_server_is_dialled_by_the_address_that_the_pool_has_for_it_by_then() {
    let mut encrypted = config();
    encrypted.tls = TlsMode::First;
    encrypted.reconnect_jitter_tls = Duration::ZERO;
    let learned = "INFO {\"headers\":true,\"connect_urls\":[\"10.0.0.2:4222\"]}\r\nPONG\r\n";
    for forced in [false, true] {
        let mut wire = Wire::new(encrypted.clone());
        wire.dialled();
        wire.accept();
        wire.feed(learned);
        wire.now = wire.now + WAIT;
        wire.cut();
        assert_eq!(wire.dialled().tls_name(), "a");
        wire.refuse();
        wire.dialled();
        wire.refuse();
        assert_eq!(wire.connection.state(), State::Backoff);
        let given = vec![addr("10.0.0.2:4222"), addr("a:4222")];
        wire.connection.set_server_pool(wire.now, given).expect("a pool");
        match forced {
            true => wire.connection.force_reconnect(wire.now),
            false => wire.pass(WAIT),
        }
        let dialled = wire.dialled();
        assert_eq!((dialled.host(), dialled.tls_name()), ("10.0.0.2", "10.0.0.2"));
    }
}

#[test]
fn the_next_link_begins_with_a_fresh_decoder() {
    let mut wire = Wire::connected(config());
    wire.feed("MSG a 1 100\r\nhalf a mess");
    wire.cut();
    let events = wire.connect();
    assert!(matches!(events[..], [Event::Connected { .. }]), "{events:?}");
}

#[test]
fn lame_duck_is_told_once_a_link() {
    let mut wire = Wire::connected(config());
    wire.feed("INFO {\"ldm\":true}\r\nINFO {\"ldm\":true}\r\n");
    let events = wire.events();
    assert!(matches!(events[..], [Event::LameDuck]), "{events:?}");
    wire.cut();
    wire.connect();
    wire.feed("INFO {\"ldm\":true}\r\n");
    assert!(matches!(wire.events()[..], [Event::LameDuck]));
}

#[test]
fn a_stream_that_ends_by_itself_needs_no_hang_up_any_more() {
    let mut wire = Wire::connected(config());
    wire.feed("-ERR 'Stale Connection'\r\n");
    // The caller has read the end of the stream before it looks at what the connection wants.
    let events = wire.cut();
    assert!(!wire.was_told_to_hang_up());
    assert!(matches!(events[..], [Event::ServerError(_), Event::Disconnected { .. }]));
    wire.connect();
    assert_eq!(wire.statistics().connects, 2);
}

#[test]
fn a_link_may_be_lost_for_its_reader_and_for_its_writer() {
    let mut wire = Wire::connected(pool(&["a", "b"]));
    wire.cut();
    assert_eq!(wire.dialled(), addr("b"));
    assert!(wire.cut().is_empty(), "the next stream is not open yet");
    assert_eq!(wire.connection.state(), State::Dialing);
    wire.connect();
    assert_eq!(wire.connection.state(), State::Connected);
}
