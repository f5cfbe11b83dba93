//! Connections that are to be encrypted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use nats_proto::connection::{ConnectError, DialError, TlsError};

use crate::testing::{Fake, FakeServer, FakeStream, block_on, options};
use crate::{ConnectErrorKind, ConnectOptions, Notice};

/// Options that must not say anything in plain text, in two ways.
fn strict() -> [ConnectOptions<Fake>; 2] {
    let secret = || options().websocket_headers([("authorization", "secret")]);
    [secret().require_tls(true), secret().tls_first()]
}

#[test]
fn a_websocket_without_tls_hears_nothing_where_tls_is_required() {
    for options in strict() {
        let server = FakeServer::new();
        let url = server.url().replace("nats://", "ws://");
        let (sender, notices) = channel();
        let options = options.notice_callback(move |notice| {
            // The test may have ended.
            let _ = sender.send(notice);
            async {}
        });
        let path = format!("{url}/path?query");
        let error = block_on(options.connect(&path)).expect_err("no TLS");
        assert!(server.is_left_alone(), "nothing is to be sent, not even a connection opened");
        assert_eq!(error.kind(), ConnectErrorKind::Tls);
        let text = error.to_string();
        assert!(text.contains(&url) && text.contains("wss://"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        let failed = notices.iter().find_map(|notice| match notice {
            Notice::ConnectFailed { error, .. } => Some(error),
            _ => None,
        });
        assert!(
            matches!(&failed, Some(ConnectError::Dial(DialError::Tls(TlsError::Setup(_))))),
            "{failed:?}"
        );
    }
}

#[test]
fn a_dialler_is_not_asked_for_a_websocket_without_tls_where_tls_is_required() {
    for options in strict() {
        let dialled = Arc::new(AtomicUsize::new(0));
        let dials = Arc::clone(&dialled);
        let options = options.dialer(move |_| {
            dials.fetch_add(1, Ordering::SeqCst);
            async { Err::<FakeStream, _>(io::ErrorKind::Unsupported.into()) }
        });
        let error = block_on(options.connect("ws://127.0.0.1:1")).expect_err("no TLS");
        assert_eq!(error.kind(), ConnectErrorKind::Tls);
        assert_eq!(dialled.load(Ordering::SeqCst), 0);
    }
}
