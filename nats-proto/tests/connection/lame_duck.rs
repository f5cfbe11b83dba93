//! Leaving a server that is about to go.

use std::sync::Arc;
use std::time::Duration;

use nats_proto::connection::{DisconnectReason, PublishError};
use nats_proto::{Event, State};

use crate::support::{INFO, Wire, addr, pool};

#[test]
fn a_server_that_is_about_to_go_is_left_without_losing_anything() {
    let mut config = pool(&["a", "b"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::connected(config);
    wire.publish("p", "1").expect("room");
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert!(matches!(wire.events()[..], [Event::LameDuck]));
    assert_eq!(wire.written(), "PUB p 1\r\n1\r\nPING\r\n");
    // Publishers wait for the next link.
    let full = wire.publish("p", "2");
    assert!(matches!(full, Err(PublishError::BufferFull { connected: true, .. })), "{full:?}");
    wire.feed("PONG\r\n");
    let events = wire.hang_up();
    assert!(
        matches!(&events[..], [Event::Disconnected { reason: DisconnectReason::LameDuck }]),
        "{events:?}"
    );
    assert_eq!(wire.dialled(), addr("b"));
    wire.publish("p", "2").expect("room");
    let statistics = wire.statistics();
    assert_eq!((statistics.confirmed, statistics.uncertain, statistics.pending), (1, 0, 1));
}

#[test]
fn a_server_that_is_about_to_go_is_kept_if_there_is_no_other_or_nobody_wished_to_leave() {
    let mut alone = pool(&["a"]);
    alone.leave_lame_duck = true;
    let stays = pool(&["a", "b"]);
    for config in [alone, stays] {
        let mut wire = Wire::connected(config);
        wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
        assert_eq!(wire.written(), "");
        assert_eq!(wire.connection.state(), State::Connected);
    }
    // Another one becomes known.
    let mut alone = pool(&["a"]);
    alone.leave_lame_duck = true;
    let mut wire = Wire::connected(alone);
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    wire.feed("INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"b:1\"]}\r\n");
    assert_eq!(wire.written(), "PING\r\n");
}

#[test]
fn a_server_that_is_about_to_go_is_not_left_for_another_address_of_its_own() {
    for given in [&["a"][..], &["a", "c"]] {
        let mut config = pool(given);
        config.leave_lame_duck = true;
        let mut wire = Wire::connected(config);
        wire.feed("INFO {\"headers\":true,\"connect_urls\":[\"a:4222\",\"10.0.0.1:4222\"]}\r\n");
        // Of others a server in a cluster would tell now.
        wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
        assert_eq!(wire.written().is_empty(), given.len() == 1);
    }
    let mut config = pool(&["a"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::connected(config);
    wire.feed("INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"b:4222\"]}\r\n");
    assert_eq!(wire.written(), "PING\r\n");
}

#[test]
fn a_server_reached_by_an_address_it_told_of_is_not_left_for_the_one_that_was_given() {
    for given in [&["a"][..], &["a", "c"]] {
        let mut config = pool(given);
        config.leave_lame_duck = true;
        let mut wire = Wire::connected(config);
        wire.feed("INFO {\"headers\":true,\"connect_urls\":[\"10.0.0.1:4222\"]}\r\n");
        for _ in given {
            wire.cut();
            wire.dialled();
            wire.accept();
            wire.feed(format!("INFO {INFO}\r\nPONG\r\n"));
        }
        wire.written();
        wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
        // One of two is not it.
        assert_eq!(wire.written().is_empty(), given.len() == 1);
    }
}

#[test]
fn a_server_that_is_about_to_go_is_left_when_the_application_names_another() {
    let mut alone = pool(&["a"]);
    alone.leave_lame_duck = true;
    let mut wire = Wire::connected(alone);
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert_eq!(wire.written(), "");
    wire.connection.set_server_pool(wire.now, vec![addr("a"), addr("b")]).expect("a good pool");
    assert_eq!(wire.written(), "PING\r\n");
    wire.feed("PONG\r\n");
    wire.hang_up();
    assert_eq!(wire.dialled(), addr("b"));
}

#[test]
fn a_server_that_is_about_to_go_when_it_is_reached_is_left_as_well() {
    let mut config = pool(&["a", "b"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::new(config);
    wire.dialled();
    wire.accept();
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    wire.written();
    wire.feed("PONG\r\n");
    let events = wire.events();
    assert!(matches!(events[..], [Event::LameDuck, Event::Connected { .. }]), "{events:?}");
    assert_eq!(wire.written(), "PING\r\n");
    wire.feed("PONG\r\n");
    wire.hang_up();
    assert_eq!(wire.dialled(), addr("b"));
}

#[test]
fn a_server_that_is_about_to_go_is_kept_when_the_application_takes_the_others_away() {
    let mut config = pool(&["a", "b"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::connected(config);
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert!(wire.publish("p", "1").is_err(), "publishers wait for the move");
    wire.connection.set_server_pool(wire.now, vec![addr("a")]).expect("a good pool");
    wire.publish("p", "1").expect("nobody moves any more");
    // The answer to what was asked for the first move is not one to the second.
    wire.connection.set_server_pool(wire.now, vec![addr("a"), addr("b")]).expect("a good pool");
    assert_eq!(wire.written(), "PING\r\nPUB p 1\r\n1\r\nPING\r\n");
    wire.feed("PONG\r\n");
    wire.events();
    assert!(!wire.was_told_to_hang_up());
    wire.feed("PONG\r\n");
    wire.hang_up();
    assert_eq!(wire.statistics().confirmed, 1);
    // Nor is there a deadline once the move is called off.
    wire.connect();
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    wire.connection.set_server_pool(wire.now, vec![addr("b")]).expect("a good pool");
    wire.written();
    wire.feed("PONG\r\n");
    wire.pass(Duration::from_secs(60));
    wire.events();
    assert!(!wire.was_told_to_hang_up(), "there is nowhere to go");
}

/// Connected to the second server just after the first has refused, and told that the second one is about to go.
fn told_by_the_only_server_that_answers() -> Wire {
    let mut config = pool(&["a", "b"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::new(config);
    assert_eq!(wire.dialled(), addr("a"));
    wire.refuse();
    assert_eq!(wire.dialled(), addr("b"));
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\nPONG\r\n"));
    wire.written();
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    wire
}

#[test]
fn a_server_that_is_about_to_go_is_kept_until_the_next_may_be_dialled() {
    let mut wire = told_by_the_only_server_that_answers();
    wire.pass(Duration::from_millis(1_999));
    wire.publish("p", "1").expect("room");
    assert_eq!(wire.written(), "PUB p 1\r\n1\r\n");
    // A word of the server changes nothing before that.
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert_eq!(wire.written(), "");
    wire.pass(Duration::from_millis(1));
    assert_eq!(wire.written(), "PING\r\n");
    let full = wire.publish("p", "2");
    assert!(matches!(full, Err(PublishError::BufferFull { connected: true, .. })), "{full:?}");
    wire.feed("PONG\r\n");
    wire.hang_up();
    assert_eq!(wire.dialled(), addr("a"));
    assert_eq!(wire.statistics().uncertain, 0);
}

#[test]
fn a_server_that_is_about_to_go_may_go_before_the_next_may_be_dialled() {
    let mut wire = told_by_the_only_server_that_answers();
    wire.pass(Duration::from_secs(1));
    wire.cut();
    assert_eq!(wire.connection.state(), State::Backoff);
    wire.pass(Duration::from_secs(1));
    assert_eq!(wire.dialled(), addr("a"));
    // The other one may also be taken out of the pool, or the application may want to end.
    let mut wire = told_by_the_only_server_that_answers();
    wire.connection.set_server_pool(wire.now, vec![addr("b")]).expect("it is open");
    wire.pass(Duration::from_secs(10));
    assert_eq!((wire.written(), wire.connection.state()), (String::new(), State::Connected));
    let mut wire = told_by_the_only_server_that_answers();
    wire.connection.drain_within(wire.now, Duration::from_secs(60));
    wire.written();
    wire.pass(Duration::from_secs(10));
    assert_eq!((wire.written(), wire.was_told_to_hang_up()), (String::new(), false));
}

#[test]
fn a_pool_with_a_server_that_may_be_dialled_sooner_wakes_the_loop() {
    let mut config = pool(&["a", "b", "c"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::new(config);
    // a may be tried again before b.
    for _ in ["a", "b"] {
        wire.dialled();
        wire.refuse();
        wire.now = wire.now + Duration::from_millis(500);
    }
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.written();
    wire.feed("PONG\r\n");
    let pool = |list: [&str; 3]| list.map(addr).to_vec();
    wire.connection.set_server_pool(wire.now, pool(["c", "b", "a"])).expect("it is open");
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    wire.events();
    wire.written();
    let late = wire.connection.poll_timeout();
    assert!(!wire.connection.take_wake());
    wire.connection.set_server_pool(wire.now, pool(["c", "a", "b"])).expect("it is open");
    assert!(wire.connection.poll_timeout() < late);
    assert!(wire.connection.take_wake(), "the deadline is nearer");
}

#[test]
fn who_chooses_servers_or_delays_leaves_at_once() {
    for chooses in [true, false] {
        let mut config = pool(&["a", "b"]);
        config.leave_lame_duck = true;
        config.choose_server = chooses;
        if !chooses {
            config.reconnect_delay = Some(Arc::new(|_| Duration::ZERO));
        }
        let mut wire = Wire::new(config);
        if chooses {
            wire.events();
            wire.connection.handle_choice(wire.now, None);
        }
        assert_eq!(wire.dialled(), addr("a"));
        wire.refuse();
        if chooses {
            wire.connection.handle_choice(wire.now, None);
        }
        assert_eq!(wire.dialled(), addr("b"));
        wire.accept();
        wire.feed(format!("INFO {INFO}\r\nPONG\r\n"));
        wire.written();
        wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
        assert_eq!(wire.written(), "PING\r\n");
    }
}

#[test]
fn servers_that_all_are_about_to_go_are_not_dialled_without_pause() {
    let about_to_go = "INFO {\"headers\":true,\"ldm\":true}\r\n";
    let info = format!("INFO {INFO}\r\n");
    // They say so at once, or later.
    for (first, later) in [(about_to_go, "+OK\r\n"), (&*info, about_to_go)] {
        let mut config = pool(&["a", "b"]);
        config.leave_lame_duck = true;
        let mut wire = Wire::new(config);
        let (mut dials, mut steps_connected) = (0, 0);
        for _ in 0..100 {
            while wire.connection.state() == State::Dialing {
                dials += 1;
                wire.dialled();
                wire.accept();
                wire.feed(first);
                wire.written();
                wire.feed(format!("PONG\r\n{later}"));
                leave_if_asked(&mut wire);
            }
            steps_connected += usize::from(wire.connection.state() == State::Connected);
            wire.pass(Duration::from_millis(100));
            leave_if_asked(&mut wire);
        }
        // Each of them every two seconds, and a connection meanwhile.
        assert_eq!((dials, steps_connected), (10, 100));
    }
}

fn leave_if_asked(wire: &mut Wire) {
    if wire.written().ends_with("PING\r\n") {
        wire.feed("PONG\r\n");
        wire.hang_up();
    }
}

#[test]
fn a_server_that_is_about_to_go_and_does_not_answer_is_left_in_time() {
    let mut config = pool(&["a", "b"]);
    config.leave_lame_duck = true;
    let mut wire = Wire::connected(config.clone());
    wire.publish("p", "1").expect("room");
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    wire.written();
    // It says other things all the time, but not that it has got the message.
    for _ in 0..5 {
        assert!(wire.publish("p", "2").is_err());
        wire.pass(config.connect_timeout / 5);
        wire.feed("PING\r\n");
    }
    wire.hang_up();
    assert_eq!(wire.dialled(), addr("b"));
    wire.publish("p", "2").expect("room");
    let statistics = wire.statistics();
    assert_eq!((statistics.uncertain, statistics.pending), (1, 1));
}

#[test]
fn who_does_not_reconnect_does_not_leave_either() {
    let mut config = pool(&["a", "b"]);
    (config.leave_lame_duck, config.reconnect) = (true, false);
    let mut wire = Wire::connected(config);
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    assert_eq!((wire.written(), wire.connection.state()), (String::new(), State::Connected));
}

#[test]
fn a_server_that_changes_its_mind_makes_nothing_grow() {
    let mut alone = pool(&["a"]);
    alone.leave_lame_duck = true;
    let mut wire = Wire::connected(alone);
    wire.feed("INFO {\"headers\":true,\"ldm\":true}\r\n");
    for _ in 0..1_000 {
        wire.feed("INFO {\"headers\":true,\"connect_urls\":[\"b:1\"]}\r\n");
        wire.feed("INFO {\"headers\":true,\"connect_urls\":[\"a:4222\"]}\r\n");
        wire.events();
    }
    assert_eq!(wire.written(), "PING\r\n");
    // One that makes up its mind is left all the same.
    wire.feed("INFO {\"headers\":true,\"connect_urls\":[\"b:1\"]}\r\nPONG\r\n");
    wire.hang_up();
    assert_eq!(wire.dialled(), addr("b:1"));
}
