//! From the first dial to the first PONG.

use std::time::Duration;

use nats_proto::auth::Auth;
use nats_proto::connection::{
    AuthSource, ConfigError, ConnectError, DisconnectReason, SetServerPoolError,
};
use nats_proto::{Connection, Event, Instant, ServerError, State};

use crate::support::{INFO, Wire, addr, config};

/// What CONNECT says, as JSON text.
fn connect_line(config: nats_proto::Config) -> String {
    let mut wire = Wire::new(config);
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.written()
}

fn failed_with(events: &[Event]) -> Vec<&ConnectError> {
    let failures = events.iter().filter_map(|event| match event {
        Event::ConnectFailed { error, .. } => Some(error),
        _ => None,
    });
    failures.collect()
}

#[test]
fn a_handshake_goes_through_every_state() {
    let mut wire = Wire::new(config());
    assert_eq!(wire.connection.state(), State::Dialing);
    assert_eq!(wire.dialled(), addr("nats://a:4222"));
    wire.accept();
    assert_eq!(wire.connection.state(), State::AwaitInfo);
    assert_eq!(wire.written(), "");
    wire.feed(format!("INFO {INFO}\r\n"));
    assert_eq!(wire.connection.state(), State::AwaitPong);
    wire.written();
    wire.feed("PONG\r\n");
    assert_eq!(wire.connection.state(), State::Connected);
    let events = wire.events();
    assert!(
        matches!(&events[..], [Event::Connected { first: true, info }] if info.version == "2.15.1")
    );
}

#[test]
fn connect_sends_every_flag_whose_default_on_the_server_is_true() {
    // Left out, the server takes verbose, pedantic and echo for true.
    let line = connect_line(config());
    for field in [
        r#""verbose":false"#,
        r#""pedantic":false"#,
        r#""echo":true"#,
        r#""protocol":1"#,
        r#""headers":true"#,
        r#""no_responders":true"#,
        r#""lang":"rust""#,
    ] {
        assert!(line.contains(field), "{field} is not in {line}");
    }
    assert!(!line.contains("pass"));
}

#[test]
fn a_server_without_headers_is_asked_for_nothing_that_needs_them() {
    // It closes the connection of who wants to hear of missing responders, which is a header.
    for info in ["{\"proto\":1,\"headers\":false}", "{\"proto\":1}"] {
        let mut wire = Wire::new(config());
        wire.dialled();
        wire.accept();
        wire.feed(format!("INFO {info}\r\n"));
        let line = wire.written();
        assert!(line.contains(r#""headers":false"#), "{line}");
        assert!(line.contains(r#""no_responders":false"#), "{line}");
    }
}

#[test]
fn credentials_of_the_settings_are_sent() {
    let mut with_password = config();
    with_password.auth = AuthSource::user_password("u", "p");
    let line = connect_line(with_password);
    assert!(line.contains(r#""user":"u""#) && line.contains(r#""pass":"p""#), "{line}");
    let mut with_token = config();
    with_token.auth = AuthSource::token("t");
    assert!(connect_line(with_token).contains(r#""auth_token":"t""#));
}

#[test]
fn credentials_of_the_url_come_first_and_a_lone_user_is_a_token() {
    let mut with_url = config();
    with_url.auth = AuthSource::token("other");
    with_url.servers = vec![addr("nats://u:p@a")];
    let line = connect_line(with_url);
    assert!(line.contains(r#""user":"u""#) && line.contains(r#""pass":"p""#), "{line}");
    assert!(!line.contains("auth_token"));
    let mut lone = config();
    lone.servers = vec![addr("nats://t@a")];
    assert!(connect_line(lone).contains(r#""auth_token":"t""#));
    let mut nameless = config();
    nameless.auth = AuthSource::user_password("u", "other");
    nameless.servers = vec![addr("nats://:p@a")];
    let line = connect_line(nameless);
    assert!(line.contains(r#""pass":"p""#) && !line.contains(r#""user""#), "{line}");
}

#[test]
fn credentials_of_the_url_come_instead_of_a_key_and_beside_a_jwt() {
    for jwt in [None, Some("j")] {
        for server in ["nats://u:p@a", "nats://t@a"] {
            let mut config = config();
            config.auth = AuthSource::Fixed(Auth {
                jwt: jwt.map(String::from),
                nkey: Some("UKEY".into()),
                signature: Some(vec![1; 64]),
                ..Auth::new()
            });
            config.servers = vec![addr(server)];
            let line = connect_line(config);
            assert!(!line.contains("nkey"), "{line}");
            assert_eq!(line.contains(r#""sig":"#), jwt.is_some(), "{line}");
            assert_eq!(line.contains(r#""jwt":"j""#), jwt.is_some(), "{line}");
        }
    }
}

#[test]
fn ok_may_come_before_the_first_pong_and_info_after_it() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.written();
    wire.feed("+OK\r\n+OK\r\nPONG\r\nINFO {\"max_payload\":100,\"headers\":true}\r\n");
    assert_eq!(wire.connection.state(), State::Connected);
    assert_eq!(wire.connection.max_payload(), 100);
}

#[test]
fn a_ping_during_the_handshake_is_answered() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\nPING\r\n"));
    assert!(wire.written().ends_with("PING\r\nPONG\r\n"));
}

#[test]
fn a_ping_before_connect_is_answered_behind_it() {
    let mut config = config();
    config.auth = AuthSource::Ask;
    let mut wire = Wire::new(config);
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\nPING\r\n"));
    let events = wire.events();
    let [Event::Authenticate { id, .. }] = events[..] else { panic!("{events:?}") };
    wire.feed("PING\r\n");
    assert_eq!(wire.written(), "", "the server takes nothing before CONNECT");
    wire.connection.handle_auth(id, Ok(Auth::new()));
    let written = wire.written();
    assert!(written.starts_with("CONNECT {"), "{written}");
    assert!(written.ends_with("}\r\nPING\r\nPONG\r\nPONG\r\n"), "{written}");
}

#[test]
fn one_deadline_covers_the_way_from_dialling_to_the_first_pong() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.pass(Duration::from_secs(2));
    wire.accept();
    wire.pass(Duration::from_secs(2));
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.pass(Duration::from_millis(999));
    assert_eq!(wire.connection.state(), State::AwaitPong);
    wire.pass(Duration::from_millis(1));
    let events = wire.hang_up();
    assert_eq!(failed_with(&events), [&ConnectError::TimedOut]);
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn a_dial_that_never_ends_times_out() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.pass(Duration::from_secs(5));
    let events = wire.hang_up();
    assert_eq!(failed_with(&events), [&ConnectError::TimedOut]);
}

#[test]
fn refused_credentials_end_the_first_connect() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    wire.written();
    wire.feed("-ERR 'Authorization Violation'\r\n");
    let events = wire.hang_up();
    let error = ConnectError::Authorization(ServerError::AuthorizationViolation);
    assert_eq!(failed_with(&events), [&error]);
    assert!(
        matches!(events.last(), Some(Event::Closed { error: Some(last), .. }) if *last == error)
    );
}

/// It says more than that others could not be reached, and is what somebody has to mend.
#[test]
fn refused_credentials_are_why_the_first_connect_failed_whichever_server_was_last() {
    let mut config = config();
    config.servers.push("nats://b".parse().expect("an address"));
    for refused_first in [true, false] {
        let mut wire = Wire::new(config.clone());
        let mut events = Vec::new();
        for refuses in [refused_first, !refused_first] {
            wire.dialled();
            if refuses {
                wire.accept();
                wire.feed(format!("INFO {INFO}\r\n-ERR 'Authorization Violation'\r\n"));
                events = wire.hang_up();
            } else {
                events = wire.refuse();
            }
        }
        let Some(Event::Closed { error: Some(error), .. }) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!(*error, ConnectError::Authorization(ServerError::AuthorizationViolation));
    }
}

#[test]
fn a_server_that_requires_tls_is_refused_before_anything_is_sent() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed("INFO {\"tls_required\":true}\r\n");
    assert_eq!(wire.written(), "");
    assert_eq!(failed_with(&wire.hang_up()), [&ConnectError::TlsRequired]);
}

#[test]
fn an_address_that_requires_tls_is_never_spoken_to_in_plain_text() {
    let mut with_tls = config();
    with_tls.servers = vec![addr("tls://u:p@a")];
    let mut wire = Wire::new(with_tls);
    wire.dialled();
    wire.accept();
    wire.feed(format!("INFO {INFO}\r\n"));
    assert_eq!(wire.written(), "");
    assert_eq!(failed_with(&wire.hang_up()), [&ConnectError::TlsRequired]);
}

#[test]
fn no_echo_needs_a_server_that_knows_it() {
    let mut no_echo = config();
    no_echo.no_echo = true;
    let mut wire = Wire::new(no_echo.clone());
    wire.dialled();
    wire.accept();
    wire.feed("INFO {\"proto\":0}\r\n");
    assert_eq!(failed_with(&wire.hang_up()), [&ConnectError::NoEchoUnsupported]);
    assert!(connect_line(no_echo).contains(r#""echo":false"#));
}

#[test]
fn garbage_instead_of_info_is_a_protocol_error() {
    let mut wire = Wire::new(config());
    wire.dialled();
    wire.accept();
    wire.feed("HTTP/1.1 400 Bad Request\r\n\r\n");
    let events = wire.hang_up();
    let failures = failed_with(&events);
    assert!(
        matches!(failures[..], [ConnectError::Lost(DisconnectReason::Protocol(_))]),
        "{failures:?}"
    );
}

#[test]
fn every_server_gets_one_chance_at_the_first_connect() {
    let mut two = config();
    two.servers.push(addr("nats://b:4222"));
    let mut wire = Wire::new(two);
    assert_eq!(wire.dialled().host(), "a");
    assert_eq!(failed_with(&wire.refuse()).len(), 1);
    assert_eq!(wire.dialled().host(), "b");
    let events = wire.refuse();
    assert!(matches!(
        events.last(),
        Some(Event::Closed { error: Some(ConnectError::Dial(_)), .. })
    ));
    assert_eq!(wire.connection.state(), State::Closed);
    assert_eq!(wire.connection.poll_timeout(), None);
}

#[test]
fn a_small_number_of_attempts_takes_no_server_its_chance() {
    let mut four = config();
    four.max_reconnects = Some(1);
    four.servers.extend(["b", "c", "d"].map(|host| host.parse().expect("an address")));
    let mut wire = Wire::new(four);
    for host in ["a", "b", "c"] {
        assert_eq!(wire.dialled().host(), host);
        wire.refuse();
    }
    assert_eq!(wire.dialled().host(), "d");
    wire.connect();
}

#[test]
fn a_first_connect_is_retried_when_asked_for() {
    let mut retry = config();
    retry.retry_on_initial_connect = true;
    let mut wire = Wire::new(retry);
    for _ in 0..3 {
        wire.dialled();
        wire.refuse();
        assert_eq!(wire.connection.state(), State::Backoff);
        wire.pass(Duration::from_secs(2));
    }
    let events = wire.connect();
    assert!(matches!(events[..], [Event::Connected { first: true, .. }]));
}

#[test]
fn an_answer_to_an_earlier_dial_is_ignored() {
    let mut retry = config();
    retry.retry_on_initial_connect = true;
    let mut wire = Wire::new(retry);
    let Some(Event::Dial { id: first, .. }) = wire.connection.poll_event() else {
        panic!("no dial");
    };
    wire.connection.force_reconnect(wire.now);
    wire.hang_up();
    wire.connection.handle_dial(wire.now, first, Ok(()));
    assert_eq!(wire.connection.state(), State::Dialing);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused =
        |config| Connection::new(std::sync::Arc::new(config), [0; 32], Instant::ZERO).err();
    assert_eq!(
        refused(nats_proto::Config::new(vec![])),
        Some(ConfigError::Servers(SetServerPoolError::Empty))
    );
    let mut with_prefix = config();
    with_prefix.inbox_prefix = "a b".into();
    assert!(matches!(refused(with_prefix.clone()), Some(ConfigError::InvalidInboxPrefix(_))));
    with_prefix.inbox_prefix = "a.*".into();
    let error = refused(with_prefix.clone());
    assert_eq!(error, Some(ConfigError::WildcardInboxPrefix("a.*".into())));
    with_prefix.inbox_prefix = "a".repeat(2_049);
    let error = refused(with_prefix.clone());
    assert_eq!(error, Some(ConfigError::InboxPrefixTooLong { len: 2_049, limit: 2_048 }));
    with_prefix.inbox_prefix.pop();
    assert_eq!(refused(with_prefix), None);
    let mut mixed = config();
    mixed.servers = vec![addr("nats://u:canary@a:1"), addr("wss://b:2")];
    let error = refused(mixed).expect("one transport in a pool");
    assert!(matches!(error, ConfigError::Servers(SetServerPoolError::MixedSchemes { .. })));
    let text = error.to_string();
    assert!(
        text.contains("a:1") && text.contains("wss://b:2") && !text.contains("canary"),
        "{text}"
    );
}
