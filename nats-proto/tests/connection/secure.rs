//! Encryption and credentials: what comes between INFO and CONNECT.

use nats_proto::connection::{AuthError, AuthSource, ConnectError, TlsError, TlsMode};
use nats_proto::{Auth, Config, DialId, Event, State};

use crate::support::{INFO, Wire, addr, config};

const TLS_INFO: &str = r#"INFO {"headers":true,"max_payload":99,"tls_required":true}"#;

fn with(tls: TlsMode, server: &str) -> Config {
    let mut config = config();
    config.tls = tls;
    config.servers = vec![addr(server)];
    config
}

/// A wire that has heard `info` and says what it wants.
fn after_info(config: Config, info: &str) -> (Wire, Vec<Event>) {
    let mut wire = Wire::new(config);
    wire.dialled();
    wire.accept();
    wire.feed(format!("{info}\r\n"));
    let events = wire.events();
    (wire, events)
}

fn tls_id(events: &[Event]) -> DialId {
    match events {
        [Event::StartTls { id, server }] => {
            assert_eq!((server.host(), server.tls_name()), ("a", "a"));
            *id
        }
        other => panic!("no StartTls, but {other:?}"),
    }
}

fn refusal(wire: &mut Wire) -> ConnectError {
    let events = wire.hang_up();
    assert_eq!(wire.written(), "", "something was said");
    match &events[..] {
        [Event::ConnectFailed { error, .. }, ..] => error.clone(),
        other => panic!("no failure, but {other:?}"),
    }
}

#[test]
fn a_server_that_requires_tls_gets_a_handshake_before_any_credentials() {
    let mut config = with(TlsMode::Available, "nats://u:secret@a");
    config.auth = AuthSource::token("t");
    let (mut wire, events) = after_info(config, TLS_INFO);
    let id = tls_id(&events);
    assert_eq!(wire.connection.state(), State::AwaitTls);
    assert_eq!(wire.written(), "");
    wire.connection.handle_tls(id, Ok(()));
    let written = wire.written();
    assert!(written.starts_with("CONNECT {"), "{written}");
    assert!(written.contains(r#""tls_required":true"#) && written.contains("secret"), "{written}");
}

#[test]
fn an_address_that_says_tls_wants_it_whatever_info_says() {
    let plain = format!("INFO {INFO}");
    let (_, events) = after_info(with(TlsMode::Available, "tls://a"), &plain);
    tls_id(&events);
}

#[test]
fn a_server_without_tls_is_refused_if_the_settings_require_it() {
    let plain = format!("INFO {INFO}");
    let (mut wire, _) = after_info(with(TlsMode::Required, "nats://a"), &plain);
    assert_eq!(refusal(&mut wire), ConnectError::TlsRequired);
    let offered = r#"INFO {"headers":true,"tls_available":true}"#;
    let (_, events) = after_info(with(TlsMode::Required, "nats://a"), offered);
    tls_id(&events);
}

#[test]
fn who_cannot_do_tls_refuses_a_server_that_requires_it() {
    let (mut wire, _) = after_info(with(TlsMode::Unavailable, "nats://a"), TLS_INFO);
    assert_eq!(refusal(&mut wire), ConnectError::TlsRequired);
    let plain = format!("INFO {INFO}");
    let (mut wire, _) = after_info(with(TlsMode::Unavailable, "tls://a"), &plain);
    assert_eq!(refusal(&mut wire), ConnectError::TlsRequired);
}

#[test]
fn a_stream_that_was_encrypted_first_is_not_encrypted_again() {
    for config in [with(TlsMode::First, "nats://a"), with(TlsMode::Available, "wss://a")] {
        let (mut wire, events) = after_info(config, TLS_INFO);
        assert!(events.is_empty(), "{events:?}");
        assert!(wire.written().starts_with("CONNECT {"));
    }
}

#[test]
fn a_plain_websocket_cannot_be_encrypted() {
    let plain = format!("INFO {INFO}");
    let (mut wire, _) = after_info(with(TlsMode::Required, "ws://a"), &plain);
    assert_eq!(refusal(&mut wire), ConnectError::TlsRequired);
}

#[test]
fn bytes_between_info_and_the_handshake_are_an_attack() {
    for more in ["PING\r\n", "MSG a 1 1\r\nx\r\n", "P", "INFO {}\r\n", "\u{16}\u{3}\u{1}"] {
        let mut wire = Wire::new(with(TlsMode::Available, "nats://a"));
        wire.dialled();
        wire.accept();
        wire.feed(format!("{TLS_INFO}\r\n{more}"));
        assert_eq!(refusal(&mut wire), ConnectError::Tls(TlsError::EarlyData), "{more:?}");
    }
    // In a later read, which came before the handshake began.
    let (mut wire, _) = after_info(with(TlsMode::Available, "nats://a"), TLS_INFO);
    wire.feed("PING\r\n");
    assert_eq!(refusal(&mut wire), ConnectError::Tls(TlsError::EarlyData));
}

#[test]
fn an_error_between_info_and_the_handshake_is_told_and_not_believed() {
    let long = "x".repeat(1_000);
    for (said, told) in [
        ("maximum connections exceeded", "maximum connections exceeded"),
        // Of this one a client that trusts it would not come back.
        ("Authorization Violation", "Authorization Violation"),
        (&*long, &long[..128]),
    ] {
        let mut wire = Wire::new(with(TlsMode::Available, "nats://a"));
        wire.dialled();
        wire.accept();
        wire.feed(format!("{TLS_INFO}\r\n-ERR '{said}'\r\n"));
        let told = TlsError::EarlyError(told.to_owned());
        assert_eq!(refusal(&mut wire), ConnectError::Tls(told));
    }
}

#[test]
fn a_failed_handshake_is_told_and_a_late_answer_ignored() {
    let (mut wire, events) = after_info(with(TlsMode::Available, "nats://a"), TLS_INFO);
    let id = tls_id(&events);
    let error = TlsError::Handshake("unknown issuer".into());
    wire.connection.handle_tls(id, Err(error.clone()));
    assert_eq!(refusal(&mut wire), ConnectError::Tls(error));
    wire.connection.handle_tls(id, Ok(()));
    assert_eq!(wire.connection.state(), State::Closed);
}

#[test]
fn credentials_are_asked_for_on_every_attempt_with_the_nonce_of_that_attempt() {
    let mut config = config();
    config.auth = AuthSource::Ask;
    config.retry_on_initial_connect = true;
    let mut wire = Wire::new(config);
    let mut earlier = None;
    for nonce in ["first", "second"] {
        wire.dialled();
        wire.accept();
        wire.feed(format!("INFO {{\"headers\":true,\"nonce\":\"{nonce}\"}}\r\nPING\r\n"));
        let events = wire.events();
        let [Event::Authenticate { id, nonce: asked, .. }] = &events[..] else {
            panic!("no question, but {events:?}");
        };
        assert_eq!((asked.as_str(), wire.connection.state()), (nonce, State::AwaitAuth));
        if let Some(earlier) = earlier.replace(*id) {
            let late = Auth { jwt: Some("jwt-late".into()), ..Auth::new() };
            wire.connection.handle_auth(earlier, Ok(late));
        }
        assert_eq!(wire.written(), "", "an answer to the question of an earlier attempt is taken");
        let auth = Auth { jwt: Some(format!("jwt-{nonce}")), ..Auth::new() };
        wire.connection.handle_auth(*id, Ok(auth));
        let written = wire.written();
        assert!(written.contains(&format!("jwt-{nonce}")), "{written}");
        assert!(written.ends_with("PING\r\nPONG\r\n") || written.contains("PONG"), "{written}");
        wire.feed("PONG\r\n");
        wire.events();
        wire.cut();
        wire.pass(std::time::Duration::from_secs(3));
    }
}

#[test]
fn who_has_no_credentials_is_told_so_and_nothing_is_sent() {
    let mut config = config();
    config.auth = AuthSource::Ask;
    let (mut wire, events) = after_info(config, &format!("INFO {INFO}"));
    let [Event::Authenticate { id, .. }] = &events[..] else { panic!("{events:?}") };
    let error = AuthError::new("the vault is sealed");
    wire.connection.handle_auth(*id, Err(error.clone()));
    assert_eq!(refusal(&mut wire), ConnectError::Auth(error));
}

#[test]
fn credentials_that_are_not_given_in_time_are_told_from_a_server_that_says_nothing() {
    for (auth, expected) in
        [(AuthSource::Ask, ConnectError::AuthTimedOut), (AuthSource::None, ConnectError::TimedOut)]
    {
        let mut config = config();
        config.auth = auth;
        let limit = config.connect_timeout;
        let (mut wire, _) = after_info(config, &format!("INFO {INFO}"));
        wire.written();
        wire.pass(limit);
        assert_eq!(refusal(&mut wire), expected);
    }
}

#[test]
fn a_server_may_end_the_wait_for_credentials() {
    let mut config = config();
    config.auth = AuthSource::Ask;
    let (mut wire, _) = after_info(config, &format!("INFO {INFO}"));
    wire.feed("-ERR 'Authentication Timeout'\r\n");
    let events = wire.hang_up();
    let failed =
        |event: &Event| matches!(event, Event::ConnectFailed { error: ConnectError::Lost(_), .. });
    assert!(events.iter().any(failed), "{events:?}");
}

#[test]
fn a_connect_that_the_server_would_not_read_is_refused_with_its_size() {
    let with_limit = |limit| {
        let mut config = config();
        config.auth = AuthSource::Fixed(Auth { jwt: Some("x".repeat(5_000)), ..Auth::new() });
        config.max_control_line = limit;
        after_info(config, &format!("INFO {INFO}")).0
    };
    let ConnectError::ConnectTooLong { size, limit: 4_096 } = refusal(&mut with_limit(4_096))
    else {
        panic!("it is longer");
    };
    assert!(size > 5_000);
    let one_less = ConnectError::ConnectTooLong { size, limit: size - 1 };
    assert_eq!(refusal(&mut with_limit(size - 1)), one_less);
    assert!(with_limit(size).written().starts_with("CONNECT {"));
}

#[test]
fn a_link_that_has_ended_asks_for_nothing_any_more() {
    let mut ask = config();
    ask.auth = AuthSource::Ask;
    let plain = format!("INFO {INFO}");
    for (config, info) in [(with(TlsMode::Available, "nats://a"), TLS_INFO), (ask, &*plain)] {
        let mut wire = Wire::new(config);
        wire.dialled();
        wire.accept();
        wire.feed(format!("{info}\r\n"));
        // INFO and the end of the stream came together.
        let events = wire.cut();
        assert!(matches!(events[..], [Event::ConnectFailed { .. }, ..]), "{events:?}");
    }
}

#[test]
fn a_websocket_that_is_to_be_encrypted_and_is_not_is_refused() {
    for tls in [TlsMode::Required, TlsMode::First] {
        let (mut wire, events) = after_info(with(tls, "ws://a"), TLS_INFO);
        assert!(events.is_empty(), "{tls:?}: {events:?}");
        assert_eq!(refusal(&mut wire), ConnectError::TlsRequired, "{tls:?}");
    }
}

/// The names that certificates are checked for, of the servers that are told of before the link is encrypted, and of the
/// first of them when it is told of again behind the handshake. INFO names another host each time, which changes nothing.
fn names(tls: TlsMode, server: &str) -> (Vec<String>, String) {
    let urls = r#""connect_urls":["evil.example:1","10.0.0.2:1"]"#;
    let own = r#""host":"evil.example","ip":"10.0.0.3""#;
    let info = format!(r#"INFO {{"tls_required":true,"max_payload":1000,{own},{urls}}}"#);
    let (mut wire, mut events) = after_info(with(tls, server), &info);
    let Event::ServersDiscovered(mut found) = events.remove(0) else { panic!("{events:?}") };
    found.sort_by_key(|found| found.host().len());
    assert!(found.iter().all(|found| found.password() == Some("secret")));
    if tls == TlsMode::Available {
        wire.connection.handle_tls(tls_id(&events), Ok(()));
    }
    wire.written();
    wire.feed(format!("PONG\r\nINFO {{{own},{}}}\r\n", urls.replace(",\"10.0.0.2:1\"", "")));
    wire.cut();
    let again = wire.dialled();
    assert_eq!(again.host(), "evil.example");
    (found.iter().map(|found| found.tls_name().to_owned()).collect(), again.tls_name().to_owned())
}

#[test]
fn a_name_that_came_before_the_encryption_is_not_what_a_certificate_is_checked_for() {
    let own = "evil.example".to_owned();
    for server in ["nats://u:secret@a", "tls://u:secret@a"] {
        let (found, again) = names(TlsMode::Available, server);
        assert_eq!(found, ["a", "a"]);
        assert_eq!(again, own, "the server itself has said so");
    }
    // Encrypted from the beginning.
    let (found, again) = names(TlsMode::First, "tls://u:secret@a");
    assert_eq!((found, again), (vec!["a".into(), own.clone()], own));
}

#[test]
fn servers_that_one_with_tls_tells_of_get_nothing_without_it() {
    let told = r#""connect_urls":["10.0.0.2:1"]"#;
    let before = format!(r#"INFO {{"tls_required":true,{told}}}"#);
    // One that follows the handshake need not say again that there was one.
    let after = format!("INFO {{{told}}}\r\n");
    for (first, later) in [(&*before, ""), (r#"INFO {"tls_required":true}"#, &*after)] {
        let config = with(TlsMode::Available, "nats://u:secret@a");
        let (mut wire, mut events) = after_info(config, first);
        events.retain(|event| matches!(event, Event::StartTls { .. }));
        wire.connection.handle_tls(tls_id(&events), Ok(()));
        wire.written();
        wire.feed(format!("PONG\r\n{later}"));
        wire.cut();
        let other = wire.dialled();
        assert_eq!((other.host(), other.password()), ("10.0.0.2", Some("secret")));
        wire.accept();
        wire.feed(format!("INFO {INFO}\r\n"));
        assert_eq!(wire.connection.state(), State::AwaitTls);
        assert_eq!(wire.written(), "");
    }
}

#[test]
fn an_error_ahead_of_our_introduction_is_told_and_not_believed() {
    let mut config = with(TlsMode::Required, "tls://a");
    config.retry_on_initial_connect = true;
    let mut wire = Wire::new(config);
    let id = wire.connection.subscribe("x", None).expect("a subscription");
    for said in [
        "Permissions Violation for Subscription to \"x\" (sid \"1\")",
        "Permissions Violation for Subscription to \"x\"",
        // Of this one a client that trusts it would not come back.
        "Authorization Violation",
        "Authorization Violation",
        "Authorization Violation",
    ] {
        wire.dialled();
        wire.accept();
        wire.feed(format!("-ERR '{said}'\r\n"));
        let events = wire.hang_up();
        assert!(matches!(events.first(), Some(Event::ServerError(_))), "{events:?}");
        let ended =
            |event: &Event| matches!(event, Event::SubscriptionEnded { .. } | Event::Closed { .. });
        assert!(!events.iter().any(ended), "{events:?}");
        wire.pass(std::time::Duration::from_secs(3));
    }
    assert_eq!(wire.connection.subscriptions(), 1);
    assert!(wire.connection.unsubscribe(id).is_ok());
}

#[test]
fn who_cannot_do_tls_says_nothing_to_an_encrypted_websocket() {
    let plain = format!("INFO {INFO}");
    let (mut wire, _) = after_info(with(TlsMode::Unavailable, "wss://u:secret@a"), &plain);
    assert_eq!(refusal(&mut wire), ConnectError::TlsRequired);
}

#[test]
fn the_host_of_info_is_neither_dialled_nor_what_a_certificate_is_checked_for() {
    for host in ["evil.example", "10.0.0.3"] {
        for tls in [TlsMode::Available, TlsMode::First] {
            let own = format!(r#""tls_required":true,"host":"{host}","ip":"{host}","port":1"#);
            let (mut wire, events) = after_info(with(tls, "tls://a"), &format!("INFO {{{own}}}"));
            if tls == TlsMode::Available {
                wire.connection.handle_tls(tls_id(&events), Ok(()));
            }
            wire.written();
            wire.feed(format!("PONG\r\nINFO {{{own}}}\r\n"));
            wire.cut();
            wire.pass(std::time::Duration::from_secs(3));
            let again = wire.dialled();
            let name = (again.host(), again.port(), again.tls_name());
            assert_eq!(name, ("a", 4222, "a"), "{host}, {tls:?}");
        }
    }
}
