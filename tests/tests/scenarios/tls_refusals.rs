//! Connections that must not come about, or not without TLS.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use nats_client::rustls::version::TLS13;
use nats_client::{ConnectErrorKind, ConnectOptions, Notice};
use nats_tests::certificates::{Authority, Certificate, Validity};
use nats_tests::proxy::Proxy;
use nats_tests::server::{Options, RawConnection, RealServer, Release, ReservedPort, TestServer};

use crate::support::{Env, Events, Rt, until};
use crate::tls::{self, Setup, url};

/// A secret that must not be seen in plain text.
const CANARY: &str = "canary-4711";

/// Connects in vain, and checks kind and text of the error.
async fn refused<R: Rt>(options: ConnectOptions<R>, url: &str, expected: &str) {
    refused_as(ConnectErrorKind::Tls, options.token(CANARY.to_owned()), url, expected).await;
}

async fn refused_as<R: Rt>(
    kind: ConnectErrorKind,
    options: ConnectOptions<R>,
    url: &str,
    expected: &str,
) {
    let error = options.connect(url).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{url}: {error}");
    let text = error.to_string();
    assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    assert!(!text.contains(CANARY), "{text}");
}

/// A server, with somebody before it who hears what clients say.
pub(crate) struct Overheard {
    server: RealServer,
    /// What attempts to connect to it come to.
    kind: ConnectErrorKind,
}

impl Overheard {
    pub(crate) fn new(server: RealServer) -> Self {
        Self { server, kind: ConnectErrorKind::Tls }
    }

    /// Connects in vain with a secret of each kind, and checks what has been said to the server each time.
    pub(crate) async fn refuses<R: Rt>(
        &self,
        options: ConnectOptions<R>,
        (scheme, host): (&str, &str),
        expected: &str,
        may_be_said: fn(&[u8]) -> bool,
    ) {
        let proxy = Proxy::recording(self.server.addr());
        let plain = url(scheme, host, proxy.addr());
        let secret = || CANARY.to_owned();
        let attempts = [
            (options.clone().token(secret()), plain.clone()),
            (options.clone().user_and_password("joe".to_owned(), secret()), plain),
            (options, url(scheme, &format!("joe:{CANARY}@{host}"), proxy.addr())),
        ];
        let count = attempts.len();
        for (options, url) in attempts {
            refused_as(self.kind, options, &url, expected).await;
        }
        // Who gives up early may have done so before the proxy looked.
        until::<R>("the links", || proxy.links() == count).await;
        for said in proxy.said() {
            assert!(may_be_said(&said), "{scheme}://{host}: {}", said.escape_ascii());
        }
    }
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
        let server = Overheard::new(setup.start(env.kind));
        server.refuses(setup.trusting(&env), ("tls", host), expected, is_tls).await;
    }
}

pub(crate) async fn an_authority_that_the_system_does_not_know<R: Rt>(env: Env<R, Release>) {
    let server = Overheard::new(Setup::new().start(env.kind));
    // Where a system has no roots at all, the text says so, and no handshake begins.
    let may_be_said = |said: &[u8]| said.is_empty() || is_tls(said);
    let expected = "add_root_certificates";
    server.refuses(env.options(), ("nats", "localhost"), expected, may_be_said).await;
}

pub(crate) async fn certificates_of_clients_that_are_missing_or_foreign<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let roots = setup.files.path("roots.pem");
    let verify = setup.options(&format!("ca_file: {roots:?}\n  verify: true"));
    let server = Overheard::new(RealServer::start(env.kind, &verify));
    let foreign = Authority::new("foreign").issue(&["client"]);
    let without = setup.trusting(&env);
    let with = without.clone().add_client_certificate_pem(&foreign.pem, &foreign.key_pem);
    for options in [without, with] {
        // The client may have taken the handshake for done, and introduced itself within it.
        server.refuses(options, ("tls", "localhost"), "add_client_certificate", is_tls).await;
    }
}

pub(crate) async fn a_certificate_that_is_missing_where_websockets_want_one<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let [certificate, key, roots] =
        ["server.pem", "server.key", "roots.pem"].map(|name| setup.files.path(name));
    let port = ReservedPort::new();
    let websocket = format!(
        "websocket {{ listen: \"127.0.0.1:{}\"\n\
         tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {roots:?}, verify: true }} }}",
        port.port()
    );
    let _server = RealServer::start(env.kind, &Options::new().extra(&websocket));
    let url = format!("wss://localhost:{}", port.port());
    refused(setup.trusting(&env), &url, "add_client_certificate").await;
    let own = setup.authority.issue(&["client"]);
    let options = setup.trusting(&env).add_client_certificate_pem(&own.pem, &own.key_pem);
    options.connect(&url).await.unwrap().flush().await.unwrap();
}

pub(crate) async fn a_server_without_tls_if_it_is_required<R: Rt>(env: Env<R, Release>) {
    let server = Overheard::new(RealServer::start(env.kind, &Options::new()));
    let options = env.options().require_tls(true);
    server.refuses(options, ("nats", "localhost"), "TLS is required", is_nothing).await;
    let options = trusting_nobody(&env);
    server.refuses(options.clone(), ("tls", "localhost"), "is not TLS", is_tls).await;
    server.refuses(options.tls_first(), ("nats", "localhost"), "is not TLS", is_tls).await;
}

pub(crate) async fn a_server_that_is_full_is_quoted_and_not_believed<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let server = RealServer::start(env.kind, &setup.options("").extra("max_connections: 1"));
    let address = ("tls", "localhost");
    // The harness has asked the server whether it is there; that connection may count for a moment.
    let options = setup.trusting(&env).retry_on_initial_connect();
    let first = options.connect(url(address.0, address.1, server.addr())).await.unwrap();
    env.connected(&first, 1).await;
    let server = Overheard::new(server);
    // Sometimes right behind INFO, sometimes when the handshake has begun.
    let may_be_said = |said: &[u8]| said.is_empty() || is_tls(said);
    for _ in 0..7 {
        let expected = "maximum connections exceeded";
        server.refuses(setup.trusting(&env), address, expected, may_be_said).await;
    }
    first.flush().await.unwrap();
}

pub(crate) async fn a_server_that_wants_tls_first_from_a_client_that_waits<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let server = RealServer::start(env.kind, &setup.options("handshake_first: true\n  timeout: 4"));
    let mut server = Overheard { server, kind: ConnectErrorKind::TimedOut };
    let options = setup.trusting(&env);
    // Before the server gives up, and behind that.
    let impatient = options.clone().connection_timeout(Duration::from_secs(1));
    server.refuses(impatient, ("tls", "localhost"), "tls_first", is_nothing).await;
    server.kind = ConnectErrorKind::Io;
    let patient = options.connection_timeout(Duration::from_secs(60));
    server.refuses(patient, ("tls", "localhost"), "tls_first", is_nothing).await;
}

pub(crate) async fn a_reconnect_to_a_server_with_a_foreign_certificate<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let mut server = setup.start(env.kind);
    let proxy = Proxy::recording(server.addr());
    let options = setup.trusting(&env).token(CANARY.to_owned());
    let (options, mut events) = Events::in_detail(options);
    let client = options.connect(url("tls", "localhost", proxy.addr())).await.unwrap();
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
    drop(client);
    let said = proxy.said();
    // A server that ends may take a link with it before the handshake.
    let (nothing, tls): (Vec<_>, Vec<_>) = said.iter().partition(|said| said.is_empty());
    assert!(tls.len() >= 3, "{} links, {} without a word", said.len(), nothing.len());
    assert!(tls.iter().all(|said| is_tls(said)), "{}", said.concat().escape_ascii());
}

pub(crate) async fn a_discovered_server_that_is_not_trusted<R: Rt>(env: Env<R, Release>) {
    let authority = Authority::new("the server's");
    let plain = RealServer::start(env.kind, &Options::new());
    let foreign = Setup::new().start(env.kind);
    for (other, scheme) in
        [(&plain, "tls"), (&plain, "nats"), (&foreign, "tls"), (&foreign, "nats")]
    {
        let proxy = Proxy::recording(other.addr());
        // Before TLS, anybody on the way may say whom there is besides.
        let (url, server) = tls::play(&authority, &TLS13, &[proxy.addr()]);
        let url = url.replace("tls", scheme);
        let options = env.options().add_root_certificates_pem(&authority.pem);
        let (options, mut events) = Events::in_detail(options.token(CANARY.to_owned()));
        let client = options.connect(url).await.unwrap();
        client.force_reconnect().await.unwrap();
        let failed = |event: &Notice| match event {
            Notice::ConnectFailed { server, error } if server.port() == proxy.addr().port() => {
                let error = error.to_string();
                assert!(error.contains("TLS") || error.contains("certificate"), "{error}");
                true
            }
            _ => false,
        };
        events.until(failed).await;
        client.close().await;
        assert!(server.join().unwrap().unwrap().contains(CANARY), "in the encrypted stream");
        let said = proxy.said();
        assert!(!said.is_empty());
        let is_fine = |said: &Vec<u8>| is_nothing(said) || is_tls(said);
        assert!(said.iter().all(is_fine), "{}", said.concat().escape_ascii());
    }
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

/// A TLS handshake, with nothing behind it that is not in a record of TLS, and no secret in it.
pub(crate) fn is_tls(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    let mut rest = bytes;
    // The last record may have been cut.
    while let [0x14..=0x17, 3, _, high, low, record @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        rest = record.get(length..).unwrap_or_default();
    }
    bytes.starts_with(&[0x16, 3]) && rest.len() < 5 && !has(CANARY.as_bytes()) && !has(b"CONNECT")
}

fn is_nothing(bytes: &[u8]) -> bool {
    bytes.is_empty()
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
        assert!(is_tls(&said), "{}", said.escape_ascii());
    }
    let (address, server) = play("");
    refused(trusting_nobody(&env).tls_first(), &address, "closed the stream").await;
    assert!(is_tls(&server.join().unwrap()));
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
        assert!(is_tls(&said), "{}", said.escape_ascii());
        // It is the client that ends it.
        client.expect_eof();
    });
    let options = trusting_nobody(&env).token(CANARY.to_owned());
    let options = options.connection_timeout(Duration::from_secs(2));
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
