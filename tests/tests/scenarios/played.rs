//! A test that plays the server, and says what real ones cannot be made to say.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use nats_client::{ConnectErrorKind, Notice};
use nats_proto::ServerError;
use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_tests::server::RawConnection;

use crate::support::{Env, Events, Rt};

/// Every text of features that a server has for -ERR, and whether it closes the connection then.
const ERRORS: [(&str, bool); 28] = [
    ("Authorization Violation", true),
    ("Authentication Timeout", true),
    ("Authorization Timeout", true),
    ("User Authentication Expired", true),
    ("User Authentication Revoked", true),
    ("Account Authentication Expired", true),
    ("maximum connections exceeded", true),
    ("maximum account active connections exceeded", true),
    ("Connection throttling is active. Please try again later.", true),
    ("Maximum Payload Violation", true),
    ("maximum control line exceeded", true),
    ("invalid client protocol", true),
    ("no responders requires headers support", true),
    ("Secure Connection - TLS Required", true),
    ("Stale Connection", true),
    ("Unknown Protocol Operation", true),
    ("attempted to connect to route port", true),
    ("attempted to connect to leaf node port", true),
    ("attempted to connect to gateway port", true),
    ("Permissions Violation for Publish to \"s\"", false),
    ("Permissions Violation for Publish with Reply of \"r\"", false),
    ("Permissions Violation for Subscription to \"s\"", false),
    ("Permissions Violation for Subscription to \"s\" using queue \"q\" (sid \"99\")", false),
    ("Permissions Violation for Subscription to \"s\", too many tokens", false),
    ("maximum subscriptions exceeded", false),
    ("Invalid Subject", false),
    ("Invalid Publish Subject", false),
    ("Something that nobody knows", false),
];

pub(crate) const INFO: &[u8] = b"INFO {\"headers\":true,\"max_payload\":1000,\"proto\":1}\r\n";

/// Says INFO, and hears CONNECT and PING.
pub(crate) fn greet(listener: &TcpListener) -> RawConnection {
    let mut client = RawConnection::accept(listener);
    client.send(INFO);
    assert!(client.read_line().starts_with("CONNECT {"));
    assert_eq!(client.read_line(), "PING");
    client
}

/// Plays the server in a thread of its own.
pub(crate) fn play<T: Send + 'static>(
    server: impl FnOnce(TcpListener) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    (url, thread::spawn(move || server(listener)))
}

pub(crate) async fn every_error_of_a_connection_that_is_up_is_typed<R: Rt>(env: Env<R, ()>) {
    let (url, server) = play(|listener| {
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        for (text, closes) in ERRORS {
            client.send(format!("-ERR '{text}'\r\n").as_bytes());
            if closes {
                // The client hangs up by itself, and comes back.
                client.expect_eof();
                client = greet(&listener);
                client.send(b"PONG\r\n");
            }
        }
        client
    });
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(&url).await.unwrap();
    assert_eq!(events.next().await, Notice::Connected);
    for (text, closes) in ERRORS {
        let error = ServerError::parse(text);
        assert_eq!(error.closes_connection(), closes, "{text}");
        assert_eq!(events.next().await, Notice::ServerError(error.clone()), "{text}");
        if closes {
            let reason = DisconnectReason::Server(error);
            let lost = Notice::Disconnected { reason };
            assert_eq!(events.next().await, lost);
            assert_eq!(events.next().await, Notice::Connected);
        }
    }
    drop(server.join().unwrap());
    drop(client);
}

pub(crate) async fn every_error_before_a_connection_is_up_fails_the_attempt<R: Rt>(
    env: Env<R, ()>,
) {
    let (url, server) = play(|listener| {
        for (text, _) in ERRORS {
            let mut client = greet(&listener);
            client.send(format!("-ERR '{text}'\r\n").as_bytes());
            client.expect_eof();
        }
    });
    for (text, _) in ERRORS {
        let (options, mut events) = Events::in_detail(env.options());
        let error = options.connect(&url).await.unwrap_err();
        let known = ServerError::parse(text);
        let kind = match known {
            ServerError::AuthenticationTimeout => ConnectErrorKind::TimedOut,
            _ if known.is_authorization() => ConnectErrorKind::AuthorizationViolation,
            _ => ConnectErrorKind::Io,
        };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&*known.text()), "{error}");
        assert_eq!(events.next().await, Notice::ServerError(known.clone()));
        let Notice::ConnectFailed { error, .. } = events.next().await else {
            panic!("{text}: no failed attempt")
        };
        let expected = match known.is_authorization() {
            true => ConnectError::Authorization(known),
            false => ConnectError::Lost(DisconnectReason::Server(known)),
        };
        assert_eq!(error, expected);
    }
    server.join().unwrap();
}

pub(crate) async fn no_echo_needs_a_server_that_knows_it<R: Rt>(env: Env<R, ()>) {
    for (info, welcome) in [
        ("{\"headers\":true}", false),
        ("{\"headers\":true,\"proto\":0}", false),
        ("{\"headers\":true,\"proto\":1}", true),
    ] {
        let (url, server) = play(move |listener| {
            let mut client = RawConnection::accept(&listener);
            client.send(format!("INFO {info}\r\n").as_bytes());
            if !welcome {
                // Nothing is said to a server that would send back one's own messages.
                return client.expect_eof();
            }
            let connect = client.read_line();
            assert!(connect.contains("\"echo\":false"), "{connect}");
            client.send(b"PONG\r\n");
        });
        match env.options().no_echo().connect(&url).await {
            Ok(_) => assert!(welcome),
            Err(error) => {
                assert!(!welcome, "{error}");
                assert_eq!(error.kind(), ConnectErrorKind::ServerParse, "{error}");
                assert!(error.to_string().contains("no_echo"), "{error}");
            }
        }
        server.join().unwrap();
    }
}
