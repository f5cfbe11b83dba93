//! What servers say by -ERR, and what a client makes of it.

use std::net::{Ipv4Addr, TcpStream};

use futures_util::stream::StreamExt;
use nats_client::{ConnectErrorKind, Notice};
use nats_proto::ServerError;
use nats_proto::connection::DisconnectReason;
use nats_tests::server::{Options, RawConnection, RealServer, Release, ReservedPort, TestServer};

use crate::support::{Env, Events, Rt, next, text, until};

/// Sends these lines to a server with these settings. Its answer to the last of them is an error, which closes the
/// connection if the client thinks so, and else does not.
fn answer(release: Release, settings: &str, connect: &str, lines: &str) -> ServerError {
    let server = RealServer::start(release, &Options::new().extra(settings));
    let mut raw = RawConnection::connect(server.addr());
    raw.read_info();
    raw.send(format!("CONNECT {connect}\r\n{lines}").as_bytes());
    let line = raw.next_line();
    let error = line.strip_prefix("-ERR ").unwrap_or_else(|| panic!("{lines:?}: {line:?}"));
    let error = ServerError::parse(error);
    if error.closes_connection() {
        raw.expect_eof();
    } else {
        raw.round_trip();
    }
    error
}

pub(crate) async fn every_error_that_can_be_provoked_is_known<R: Rt>(env: Env<R, Release>) {
    use ServerError::*;
    let plain = r#"{"verbose":false}"#;
    let pedantic = r#"{"verbose":false,"pedantic":true}"#;
    let long = format!("SUB {} 1\r\n", "x".repeat(200));
    let tokens = TooManyTokens { subject: "a.b.c".into() };
    for (settings, connect, lines, expected) in [
        ("max_payload: 8", plain, "PUB a 9\r\n123456789\r\n", MaximumPayloadViolation),
        ("max_control_line: 128", plain, &long, MaximumControlLineExceeded),
        ("max_subscriptions: 1", plain, "SUB a 1\r\nSUB b 2\r\n", MaximumSubscriptionsExceeded),
        ("", plain, "SUB a..b 1\r\n", InvalidSubject),
        ("", pedantic, "PUB a..b 0\r\n\r\n", InvalidPublishSubject),
        ("", plain, "GIBBERISH\r\n", UnknownProtocolOperation),
        ("", r#"{"verbose":false,"protocol":7}"#, "", InvalidClientProtocol),
        ("", r#"{"verbose":false,"no_responders":true}"#, "", NoRespondersRequiresHeaders),
        ("authorization { token: right }", plain, "", AuthorizationViolation),
        ("max_subscription_tokens: 2", plain, "SUB a.b.c 1\r\n", tokens),
    ] {
        assert_eq!(answer(env.kind, settings, connect, lines), expected, "{lines}");
    }
}

/// The text with which a connection attempt ends, and the -ERR behind it.
async fn refused<R: Rt>(env: &Env<R, Release>, url: String, expected: ServerError) {
    // A route tells where clients are welcome: a client that listens gets there.
    let (options, mut events) = Events::in_detail(env.options().ignore_discovered_servers());
    let error = options.connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Io, "{error}");
    assert!(error.to_string().contains(&expected.to_string()), "{error}");
    events.until(|event| *event == Notice::ServerError(expected.clone())).await;
    let rest = events.rest().await;
    assert_eq!(rest.last(), Some(&Notice::Closed), "{rest:?}");
}

pub(crate) async fn one_connection_too_many_is_refused_by_name<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra("max_connections: 1"));
    // The harness has asked the server whether it is there; that connection may count for a moment.
    let options = env.options().retry_on_initial_connect();
    let first = options.connect(server.url()).await.unwrap();
    env.connected(&first, 1).await;
    refused(&env, server.url(), ServerError::MaximumConnectionsExceeded).await;
    first.flush().await.unwrap();
}

pub(crate) async fn the_ports_of_other_servers_are_told_from_that_of_clients<R: Rt>(
    env: Env<R, Release>,
) {
    let reserved: Vec<ReservedPort> = (0..3).map(|_| ReservedPort::new()).collect();
    let ports: Vec<u16> = reserved.iter().map(ReservedPort::port).collect();
    let settings = format!(
        "cluster {{ name: c, listen: \"127.0.0.1:{}\" }}\n\
         leafnodes {{ listen: \"127.0.0.1:{}\" }}\n\
         gateway {{ name: c, listen: \"127.0.0.1:{}\" }}\n\
         accounts: {{ SYS: {{}} }}\nsystem_account: SYS",
        ports[0], ports[1], ports[2]
    );
    let _server = RealServer::start(env.kind, &Options::new().extra(&settings));
    for port in &ports {
        // The server listens for others behind its back, while it is ready for clients.
        until::<R>("every port", || TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()).await;
    }
    for (port, error) in ports.into_iter().zip([
        ServerError::ConnectedToRoutePort,
        ServerError::ConnectedToLeafNodePort,
        ServerError::ConnectedToGatewayPort,
    ]) {
        refused(&env, format!("nats://127.0.0.1:{port}"), error).await;
    }
}

pub(crate) async fn one_subscription_too_many_is_an_event_and_the_others_stay<R: Rt>(
    env: Env<R, Release>,
) {
    let server = RealServer::start(env.kind, &Options::new().extra("max_subscriptions: 1"));
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(server.url()).await.unwrap();
    let mut first = client.subscribe("first").await.unwrap();
    let _second = client.subscribe("second").await.unwrap();
    let exceeded = Notice::ServerError(ServerError::MaximumSubscriptionsExceeded);
    events.until(|event| *event == exceeded).await;
    client.publish("first", "still".into()).await.unwrap();
    assert_eq!(text(&next(&mut first).await), "still");
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn a_line_that_is_too_long_for_the_server_ends_the_connection_by_name<R: Rt>(
    env: Env<R, Release>,
) {
    let server = RealServer::start(env.kind, &Options::new().max_control_line(1024));
    let (options, mut events) = Events::in_detail(env.options());
    // The server has not told that it reads less than usual.
    let client = options.connect(server.url()).await.unwrap();
    client.publish("x".repeat(2000), "".into()).await.unwrap();
    let reason = DisconnectReason::Server(ServerError::MaximumControlLineExceeded);
    let lost = Notice::Disconnected { reason };
    events.until(|event| *event == lost).await;
    events.until(|event| *event == Notice::Connected).await;
    // Nobody says which line it was.
    let error = client.flush().await.unwrap_err();
    assert!(error.to_string().contains("1 messages may or may not"), "{error}");
    client.flush().await.unwrap();
}

pub(crate) async fn a_bad_subject_in_verbose_and_pedantic_mode_is_an_event<R: Rt>(
    env: Env<R, Release>,
) {
    let server = RealServer::start(env.kind, &Options::new());
    let (options, mut events) = Events::in_detail(env.options().verbose().pedantic());
    let client = options.skip_subject_validation(true).connect(server.url()).await.unwrap();
    let mut good = client.subscribe("good").await.unwrap();
    // The server acknowledges it as well, with -ERR before +OK.
    client.publish("bad..subject", "lost".into()).await.unwrap();
    client.publish("good", "kept".into()).await.unwrap();
    assert_eq!(text(&next(&mut good).await), "kept");
    client.flush().await.unwrap();
    let invalid = Notice::ServerError(ServerError::InvalidPublishSubject);
    events.until(|event| *event == invalid).await;
    assert_eq!(client.delivery_statistics().connects, 1);
    client.close().await;
    assert!(good.next().await.is_none());
}
