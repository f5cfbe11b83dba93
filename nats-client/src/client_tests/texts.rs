//! What errors say.

use std::error::Error as _;
use std::io;
use std::thread;
use std::time::Duration;

use nats_proto::connection::FlushError;

use super::connect;
use crate::testing::{Fake, FakeServer, FakeStream, block_on, options};
use crate::{ConnectErrorKind, ConnectOptions};

#[test]
fn a_flush_that_nobody_answers_says_how_long_it_waited() {
    let (_server, _peer, client) = connect(options().flush_timeout(Duration::from_millis(5)));
    let error = block_on(client.flush()).expect_err("no answer");
    assert_eq!(error.to_string(), "flush failed: the server did not answer within 5ms");
    let source = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&FlushError::TimedOut));
}

#[test]
fn a_connect_that_takes_too_long_says_how_long_and_how_far_it_came() {
    let within = |millis| options().connection_timeout(Duration::from_millis(millis));
    let never = within(5).dialer(|_| std::future::pending::<io::Result<FakeStream>>());
    let error = block_on(never.connect("nats://127.0.0.1:1")).expect_err("no stream");
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut);
    let text = error.to_string();
    assert!(text.contains("nats://127.0.0.1:1: there was no stream to it within 5ms"), "{text}");
    assert!(!text.contains("tls_first"), "{text}");
    // On a busy machine it may take a while until there is a stream.
    let silent = FakeServer::new();
    let error = block_on(within(500).connect(silent.url())).expect_err("no word");
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut);
    let text = error.to_string();
    assert!(text.contains("the handshake did not end within 500ms"), "{text}");
    assert!(text.contains("tls_first"), "{text}");
}

#[test]
#[cfg(all(feature = "tls", feature = "websocket"))]
fn a_connect_that_takes_too_long_says_what_the_stream_was_to_be() {
    for (scheme, first, expected) in [
        ("ws", false, "no stream with a WebSocket to it within 5ms"),
        ("wss", false, "no stream with TLS and a WebSocket to it within 5ms"),
        ("nats", true, "no stream with TLS to it within 5ms"),
        ("nats", false, "no stream to it within 5ms"),
    ] {
        let mut options = options().connection_timeout(Duration::from_millis(5));
        options = options.dialer(|_| std::future::pending::<io::Result<FakeStream>>());
        if first {
            options = options.tls_first();
        }
        let error = block_on(options.connect(format!("{scheme}://127.0.0.1:1"))).expect_err("late");
        assert_eq!(error.kind(), ConnectErrorKind::TimedOut);
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        // There may have been one.
        let is_plain = scheme == "nats" && !first;
        assert_eq!(text.contains("listens there"), !is_plain, "{text}");
    }
}

#[test]
fn a_name_that_is_too_long_is_told_from_credentials_that_are() {
    let refusal = |options: ConnectOptions<Fake>| {
        let server = FakeServer::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut peer = server.accept();
                peer.send("INFO {\"server_id\":\"x\",\"max_payload\":100}\r\n");
                peer.expect_close();
            });
            block_on(options.connect(server.url())).expect_err("too long")
        })
    };
    let error = refusal(options().name("n".repeat(5_000)));
    assert_eq!(error.kind(), ConnectErrorKind::ServerParse);
    let text = error.to_string();
    assert!(text.contains("the server reads at most 4096") && !text.contains("JWT"), "{text}");
    let error = refusal(options().name("n").token("t".repeat(5_000)));
    assert_eq!(error.kind(), ConnectErrorKind::Authentication, "{error}");
}
