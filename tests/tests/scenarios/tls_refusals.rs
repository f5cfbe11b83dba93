//! Connections that must not come about, or not without TLS.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nats_client::{ConnectErrorKind, ConnectOptions, Notice};
use nats_tests::certificates::{Authority, Certificate, Validity};
use nats_tests::server::{Options, RawConnection, RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt};
use crate::tls::Setup;

/// A secret that must not be seen in plain text.
const CANARY: &str = "canary-4711";

/// Connects in vain, and checks kind and text of the error.
async fn refused<R: Rt>(options: ConnectOptions<R>, url: &str, expected: &str) {
    let error = options.token(CANARY.to_owned()).connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Tls, "{url}: {error}");
    let text = error.to_string();
    assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    assert!(!text.contains(CANARY), "{text}");
}

fn url(scheme: &str, host: &str, server: &dyn TestServer) -> String {
    format!("{scheme}://{host}:{}", server.addr().port())
}

pub(crate) async fn bad_certificates_of_servers<R: Rt>(env: Env<R, Release>) {
    type Make = fn(&Authority) -> Certificate;
    let cases: [(Make, &str, &str); 8] = [
        (|authority| authority.issue(&["example.org"]), "localhost", "for name \"localhost\""),
        (|authority| authority.issue(&["localhost"]), "127.0.0.1", "for name \"127.0.0.1\""),
        // The common name alone.
        (|authority| authority.issue(&[]), "localhost", "for name \"localhost\""),
        (
            |authority| authority.issue_for(&["localhost"], Validity::Over),
            "localhost",
            "must be renewed",
        ),
        (
            |authority| authority.issue_for(&["localhost"], Validity::Later),
            "localhost",
            "check the clock",
        ),
        (|_| Authority::new("foreign").issue(&["localhost"]), "localhost", "add_root_certificates"),
        (|_| Certificate::self_signed(&["localhost"]), "localhost", "add_root_certificates"),
        (|_| Certificate::of_authority(&["localhost"]), "localhost", "CA:FALSE"),
    ];
    for (make, host, expected) in cases {
        let setup = Setup::with(make);
        let server = setup.start(env.kind);
        refused(setup.trusting(&env), &url("tls", host, &server), expected).await;
    }
}

pub(crate) async fn an_authority_that_the_system_does_not_know<R: Rt>(env: Env<R, Release>) {
    let server = Setup::new().start(env.kind);
    // Where a system has no roots at all, the text says so.
    refused(env.options(), &url("nats", "localhost", &server), "add_root_certificates").await;
}

pub(crate) async fn certificates_of_clients_that_are_missing_or_foreign<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let roots = setup.files.path("roots.pem");
    let verify = setup.options(&format!("ca_file: {roots:?}\n  verify: true"));
    let server = RealServer::start(env.kind, &verify);
    let url = url("tls", "localhost", &server);
    refused(setup.trusting(&env), &url, "add_client_certificate").await;
    let foreign = Authority::new("foreign").issue(&["client"]);
    let options = setup.trusting(&env).add_client_certificate_pem(&foreign.pem, &foreign.key_pem);
    refused(options, &url, "add_client_certificate").await;
}

pub(crate) async fn a_server_without_tls_if_it_is_required<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new());
    let options = env.options().require_tls(true);
    refused(options, &url("nats", "localhost", &server), "TLS is required").await;
    let root = Authority::new("nobody's");
    let options = || env.options().add_root_certificates_pem(&root.pem);
    refused(options(), &url("tls", "localhost", &server), "is not TLS").await;
    refused(options().tls_first(), &url("nats", "localhost", &server), "is not TLS").await;
}

pub(crate) async fn a_server_that_is_full_is_quoted_and_not_believed<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let server = RealServer::start(env.kind, &setup.options("").extra("max_connections: 1"));
    let url = url("tls", "localhost", &server);
    // The harness has asked the server whether it is there; that connection may count for a moment.
    let options = setup.trusting(&env).retry_on_initial_connect();
    let first = options.connect(&url).await.unwrap();
    env.connected(&first, 1).await;
    // Sometimes right behind INFO, sometimes when the handshake has begun.
    for _ in 0..20 {
        refused(setup.trusting(&env), &url, "maximum connections exceeded").await;
    }
    first.flush().await.unwrap();
}

pub(crate) async fn a_server_that_wants_tls_first_from_a_client_that_waits<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let server = RealServer::start(env.kind, &setup.options("handshake_first: true"));
    let options = setup.trusting(&env).connection_timeout(Duration::from_secs(2));
    let error = options.connect(url("tls", "localhost", &server)).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains("tls_first"), "{error}");
}

pub(crate) async fn a_reconnect_to_a_server_with_a_foreign_certificate<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let mut server = setup.start(env.kind);
    let (options, mut events) = Events::in_detail(setup.trusting(&env));
    let client = options.connect(url("tls", "localhost", &server)).await.unwrap();
    let foreign = Authority::new("foreign").issue(&["localhost"]);
    setup.files.write_certificate("server", &foreign);
    server.restart();
    let failed = |event: &Notice| match event {
        Notice::ConnectFailed { error, .. } => error.to_string().contains("add_root_certificates"),
        _ => false,
    };
    events.until(failed).await;
    setup.files.write_certificate("server", &setup.authority.issue(&["localhost"]));
    server.restart();
    env.connected(&client, 2).await;
}

/// A server that a test plays: it says `first`, and gives all that the client says to that.
fn play(first: &'static str) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let mut client = RawConnection::accept(&listener);
        client.send(first.as_bytes());
        client.read_some()
    });
    (address, server)
}

/// Nothing but the beginning of a TLS handshake.
fn is_hello(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x16, 3])
        && !bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
        && !bytes.windows(7).any(|window| window == b"CONNECT")
}

const REQUIRED: &str = "INFO {\"tls_required\":true,\"max_payload\":100}\r\n";
const PLAIN: &str = "INFO {\"max_payload\":100}\r\n";

fn trusting_nobody<R: Rt, S>(env: &Env<R, S>) -> ConnectOptions<R> {
    env.options().add_root_certificates_pem(Authority::new("nobody's").pem)
}

pub(crate) async fn credentials_are_never_sent_in_plain<R: Rt>(env: Env<R, ()>) {
    // The server ends the handshake that the client has begun.
    for (scheme, first) in [("nats", REQUIRED), ("tls", REQUIRED), ("tls", PLAIN)] {
        let (address, server) = play(first);
        let url = format!("{scheme}://joe:{CANARY}@{address}");
        refused(trusting_nobody(&env), &url, "closed the stream").await;
        let said = server.join().unwrap();
        assert!(is_hello(&said), "{}", said.escape_ascii());
    }
    let (address, server) = play("");
    refused(trusting_nobody(&env).tls_first(), &address, "closed the stream").await;
    assert!(is_hello(&server.join().unwrap()));
}

pub(crate) async fn nothing_is_said_to_a_server_that_cannot_do_the_tls_that_is_required<R: Rt>(
    env: Env<R, ()>,
) {
    let (address, server) = play(PLAIN);
    refused(env.options().require_tls(true), &address, "TLS is required").await;
    assert_eq!(server.join().unwrap(), b"");
}

pub(crate) async fn plain_bytes_behind_info_are_an_attack<R: Rt>(env: Env<R, ()>) {
    for first in [
        "INFO {\"tls_required\":true}\r\nPING\r\n",
        "INFO {\"tls_required\":true}\r\nMSG a 1 1\r\nx\r\n",
        "INFO {\"tls_required\":true}\r\n+O",
        "INFO {\"tls_required\":true}\r\nINFO {\"tls_required\":false}\r\n",
    ] {
        let (address, server) = play(first);
        refused(trusting_nobody(&env), &address, "before the TLS handshake").await;
        assert_eq!(server.join().unwrap(), b"", "{first:?}");
    }
}

pub(crate) async fn a_handshake_that_stalls_ends_in_time<R: Rt>(env: Env<R, ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut client = RawConnection::accept(&listener);
        client.send(REQUIRED.as_bytes());
        let said = client.read_some();
        assert!(is_hello(&said), "{}", said.escape_ascii());
        // It is the client that ends it.
        client.expect_eof();
    });
    let options = trusting_nobody(&env).connection_timeout(Duration::from_secs(2));
    let error = options.connect(format!("nats://{address}")).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    server.join().unwrap();
}

pub(crate) async fn certificates_that_cannot_be_read_are_named<R: Rt>(env: Env<R, ()>) {
    let (address, server) = play(REQUIRED);
    let options = env.options().add_root_certificates("/nowhere/roots.pem".into());
    refused(options, &address, "\"/nowhere/roots.pem\" cannot be read").await;
    assert_eq!(server.join().unwrap(), b"");
}
