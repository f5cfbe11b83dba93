//! Clients with nobody, or with a test that plays the server.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nats_client::{ConnectErrorKind, FlushErrorKind};
use nats_tests::server::RawConnection;

use crate::support::{Env, Rt};

const SHORT: Duration = Duration::from_millis(100);

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    (listener, url)
}

pub(crate) async fn what_is_no_address_is_refused_at_once<R: Rt>(env: Env<R, ()>) {
    for address in ["", "nats://", "http://localhost", "localhost:port", "localhost:99999"] {
        let error = env.options().connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::ServerParse, "{address:?}: {error}");
    }
    let error = env.options().connect(Vec::<String>::new()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::ServerParse, "{error}");
    let error = env.options().custom_inbox_prefix("a b").connect("localhost").await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::ServerParse, "{error}");
}

pub(crate) async fn a_server_that_never_speaks_is_given_up_in_time<R: Rt>(env: Env<R, ()>) {
    // The system accepts for it.
    let (_listener, url) = listen();
    let error = env.options().connection_timeout(SHORT).connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

pub(crate) async fn a_flush_that_is_not_answered_ends_in_time<R: Rt>(env: Env<R, ()>) {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let mut client = RawConnection::accept(&listener);
        client.send(b"INFO {\"headers\":true,\"max_payload\":1000,\"proto\":1}\r\n");
        assert!(client.read_line().starts_with("CONNECT {"));
        assert_eq!(client.read_line(), "PING");
        client.send(b"PONG\r\n");
        // This one stays without an answer.
        assert_eq!(client.read_line(), "PING");
        client
    });
    let client = env.options().flush_timeout(SHORT).connect(&url).await.unwrap();
    let error = client.flush().await.unwrap_err();
    assert_eq!(error.kind(), FlushErrorKind::FlushError, "{error}");
    server.join().unwrap();
}
