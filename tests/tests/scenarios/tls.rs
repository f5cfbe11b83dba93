//! Encrypted connections.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use nats_client::connection::State;
use nats_client::rustls::crypto::ring;
use nats_client::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use nats_client::rustls::version::{TLS12, TLS13};
use nats_client::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use nats_client::rustls::{ServerConfig, ServerConnection, StreamOwned};
use nats_client::{Client, ConnectErrorKind, ConnectOptions, Notice};
use nats_tests::certificates::{Authority, Certificate, Files};
use nats_tests::server::{Cluster, Options, RealServer, Release, ReservedPort, TestServer};

use crate::support::{Env, Events, Rt, next, numbers, publish_numbers, take, text};

/// A server's authority, certificate and files.
pub(crate) struct Setup {
    pub(crate) authority: Authority,
    pub(crate) files: Files,
}

impl Setup {
    /// With a certificate for `localhost` and 127.0.0.1.
    pub(crate) fn new() -> Self {
        let setup = Self::with(|authority| authority.issue(&["localhost", "127.0.0.1"]));
        setup.files.write("roots.pem", &setup.authority.pem);
        setup
    }

    /// With another certificate.
    pub(crate) fn with(certificate: impl Fn(&Authority) -> Certificate) -> Self {
        let (authority, files) = (Authority::new("the server's"), Files::new());
        files.write_certificate("server", &certificate(&authority));
        Self { authority, files }
    }

    /// The server's options, with more lines for its TLS.
    pub(crate) fn options(&self, lines: &str) -> Options {
        let (certificate, key) = (self.files.path("server.pem"), self.files.path("server.key"));
        Options::new().tls(&certificate, &key, lines)
    }

    pub(crate) fn start(&self, release: Release) -> RealServer {
        RealServer::start(release, &self.options(""))
    }

    /// Options of a client that trusts the server.
    pub(crate) fn trusting<R: Rt, S>(&self, env: &Env<R, S>) -> ConnectOptions<R> {
        env.options().add_root_certificates_pem(&self.authority.pem)
    }
}

/// The client is connected, over TLS, and works.
pub(crate) async fn works(client: &Client) {
    assert!(client.server_info().tls_required || client.server_info().tls_available);
    let mut subscriber = client.subscribe("works").await.unwrap();
    client.publish("works", "yes".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "yes");
}

pub(crate) fn url(scheme: &str, host: &str, addr: SocketAddr) -> String {
    format!("{scheme}://{host}:{}", addr.port())
}

pub(crate) async fn a_server_that_requires_tls_gets_it<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let server = setup.start(env.kind);
    for scheme in ["nats", "tls"] {
        for host in ["localhost", "127.0.0.1"] {
            let options = setup.trusting(&env);
            works(&options.connect(url(scheme, host, server.addr())).await.unwrap()).await;
        }
    }
}

pub(crate) async fn a_server_that_offers_tls_gets_it_if_it_is_required<R: Rt>(
    env: Env<R, Release>,
) {
    let setup = Setup::new();
    let options = setup.options("").extra("allow_non_tls: true");
    let server = RealServer::start(env.kind, &options);
    let plain = url("nats", "localhost", server.addr());
    // Without the roots only a plain connection can succeed.
    env.options().connect(&plain).await.unwrap().flush().await.unwrap();
    env.options().require_tls(true).connect(&plain).await.unwrap_err();
    works(&setup.trusting(&env).require_tls(true).connect(&plain).await.unwrap()).await;
    works(&setup.trusting(&env).connect(url("tls", "localhost", server.addr())).await.unwrap())
        .await;
}

pub(crate) async fn tls_may_come_before_the_first_word<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let mut server = RealServer::start(env.kind, &setup.options("handshake_first: true"));
    let options = setup.trusting(&env).tls_first().token("ignored".into());
    let client = options.connect(url("nats", "localhost", server.addr())).await.unwrap();
    works(&client).await;
    server.restart();
    env.connected(&client, 2).await;
    works(&client).await;
}

pub(crate) async fn roots_come_from_files_and_from_memory<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let server = setup.start(env.kind);
    let other = Authority::new("another");
    let several = format!("# Some text.\n{}\n{}", other.pem, setup.authority.pem);
    let several = setup.files.write("several.pem", &several);
    let others = setup.files.write("others.pem", &other.pem);
    let der = CertificateDer::from(setup.authority.der.clone());
    for options in [
        env.options().add_root_certificates(setup.files.path("roots.pem")),
        env.options().add_root_certificates(several),
        env.options()
            .add_root_certificates(others)
            .add_root_certificates(setup.files.path("roots.pem")),
        env.options().add_root_certificates_pem(&setup.authority.pem),
        env.options().add_root_certificate_der(der),
    ] {
        works(&options.connect(url("tls", "localhost", server.addr())).await.unwrap()).await;
    }
}

pub(crate) async fn a_client_shows_its_certificate_if_it_is_asked<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let roots = setup.files.path("roots.pem");
    let verify = setup.options(&format!("ca_file: {roots:?}\n  verify: true"));
    let server = RealServer::start(env.kind, &verify);
    let own = setup.authority.issue(&["client"]);
    let (certificate, key) = setup.files.write_certificate("client", &own);
    let both = setup.files.write("both.pem", &format!("{}{}", own.key_pem, own.pem));
    let chain = vec![CertificateDer::from(own.der.clone())];
    let der = PrivateKeyDer::try_from(own.key_der.clone()).unwrap();
    let options = || setup.trusting(&env);
    for options in [
        options().add_client_certificate(certificate, key),
        options().add_client_certificate(both.clone(), both),
        options().add_client_certificate_pem(&own.pem, &own.key_pem),
        options().add_client_certificate_der(chain, der),
    ] {
        works(&options.connect(url("tls", "localhost", server.addr())).await.unwrap()).await;
    }
}

pub(crate) async fn a_certificate_may_say_who_one_is<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let roots = setup.files.path("roots.pem");
    let options = setup
        .options(&format!("ca_file: {roots:?}\n  verify_and_map: true"))
        .extra("authorization { users = [{ user: \"joe@example.org\" }] }");
    let server = RealServer::start(env.kind, &options);
    let connect = async |address: &str| {
        let own = setup.authority.issue_to(address);
        let options = setup.trusting(&env).add_client_certificate_pem(&own.pem, &own.key_pem);
        options.connect(url("tls", "localhost", server.addr())).await
    };
    works(&connect("joe@example.org").await.unwrap()).await;
    let error = connect("jim@example.org").await.unwrap_err();
    assert_eq!(error.kind(), nats_client::ConnectErrorKind::AuthorizationViolation, "{error}");
}

pub(crate) async fn a_configuration_of_rustls_replaces_all_else<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let mut server = setup.start(env.kind);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(setup.authority.der.clone())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let options = env.options().add_root_certificates("nowhere.pem".into());
    let options = options.tls_client_config(config);
    let client = options.connect(url("tls", "localhost", server.addr())).await.unwrap();
    works(&client).await;
    // With its memory of earlier connections: the next handshake is shorter.
    client.force_reconnect().await.unwrap();
    env.connected(&client, 2).await;
    works(&client).await;
    server.restart();
    env.connected(&client, 3).await;
    works(&client).await;
}

pub(crate) async fn large_payloads_go_both_ways_at_once<R: Rt>(env: Env<R, Release>) {
    const ROUNDS: usize = 12;
    let setup = Setup::new();
    let server = RealServer::start(env.kind, &setup.options("").max_payload(4 << 20));
    let url = url("tls", "localhost", server.addr());
    let echo = setup.trusting(&env).connect(&url).await.unwrap();
    let client = setup.trusting(&env).connect(&url).await.unwrap();
    let mut questions = echo.subscribe("echo").await.unwrap();
    let mut answers = client.subscribe("answers").await.unwrap();
    echo.flush().await.unwrap();
    client.flush().await.unwrap();
    let payloads: Vec<Bytes> = (0..ROUNDS)
        .map(|round| {
            let size = [0, 1, 16_383, 16_384, 65_537, 1 << 20, 3 << 20][round % 7];
            (0..size).map(|index| (index * 31 + round) as u8).collect()
        })
        .collect();
    R::spawn(async move {
        for _ in 0..ROUNDS {
            let question = next(&mut questions).await;
            echo.publish("answers", question.payload).await.unwrap();
        }
        echo.flush().await.unwrap();
    });
    for payload in &payloads {
        client.publish("echo", payload.clone()).await.unwrap();
    }
    for payload in &payloads {
        assert!(next(&mut answers).await.payload == *payload, "{} bytes", payload.len());
    }
}

pub(crate) async fn threads_that_publish_while_others_receive_lose_nothing<R: Rt>(
    env: Env<R, Release>,
) {
    const EACH: usize = 20_000;
    let setup = Setup::new();
    let server = setup.start(env.kind);
    let client =
        setup.trusting(&env).connect(url("tls", "localhost", server.addr())).await.unwrap();
    let mut subscribers = Vec::new();
    for subject in ["a", "b", "c"] {
        subscribers.push(client.subscribe(subject).await.unwrap());
        let client = client.clone();
        R::spawn(async move { publish_numbers(&client, subject, 0..EACH).await });
    }
    for subscriber in &mut subscribers {
        let received = take(subscriber, EACH).await;
        assert!(
            received == numbers(EACH),
            "{} messages, {:?}, {:?}, {:?}",
            received.len(),
            subscriber.statistics(),
            subscriber.end_reason(),
            client.delivery_statistics()
        );
    }
    let reply = client.flush().await;
    assert!(reply.is_ok() && client.connection_state() == State::Connected);
}

pub(crate) async fn renewed_certificates_are_used_on_the_next_attempt<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::new();
    let roots = setup.files.path("roots.pem");
    let verify = setup.options(&format!("ca_file: {roots:?}\n  verify: true"));
    let mut server = RealServer::start(env.kind, &verify);
    let own = setup.authority.issue(&["client"]);
    let (certificate, key) = setup.files.write_certificate("client", &own);
    let options = env.options().add_root_certificates(setup.files.path("roots.pem"));
    let options = options.add_client_certificate(certificate, key);
    let client = options.connect(url("tls", "localhost", server.addr())).await.unwrap();
    works(&client).await;

    // The same authority, and then another one for everything.
    setup.files.write_certificate("server", &setup.authority.issue(&["localhost"]));
    server.restart();
    env.connected(&client, 2).await;
    works(&client).await;
    server.kill();
    let next = Authority::new("the next");
    setup.files.write("roots.pem", &next.pem);
    setup.files.write_certificate("server", &next.issue(&["localhost"]));
    setup.files.write_certificate("client", &next.issue(&["client"]));
    server.restart();
    env.connected(&client, 3).await;
    works(&client).await;
}

pub(crate) async fn a_server_discovered_by_its_address_is_checked_by_name<R: Rt>(
    env: Env<R, Release>,
) {
    // Not for 127.0.0.1, which is what the servers tell of each other.
    let setup = Setup::with(|authority| authority.issue(&["localhost"]));
    let mut cluster = Cluster::start(env.kind, 2, &setup.options(""));
    let (options, mut events) = Events::in_detail(setup.trusting(&env));
    let url = url("tls", "localhost", cluster.node(0).addr());
    let client = options.connect(url).await.unwrap();
    let told = cluster.node(1).addr();
    let seen = events.until(|event| matches!(event, Notice::ServersDiscovered(_))).await;
    let Some(Notice::ServersDiscovered(servers)) = seen.last() else { panic!("{seen:?}") };
    let host = servers.iter().find(|server| server.port() == told.port()).unwrap();
    assert_eq!((host.host(), host.as_ref().tls_name()), ("127.0.0.1", "localhost"));
    cluster.node(0).kill();
    env.connected(&client, 2).await;
    works(&client).await;
    assert_eq!(client.server_info().port, told.port());
}

pub(crate) async fn websockets_are_encrypted_first<R: Rt>(env: Env<R, Release>) {
    let setup = Setup::with(|authority| authority.issue(&["localhost"]));
    let (certificate, key) = (setup.files.path("server.pem"), setup.files.path("server.key"));
    let port = ReservedPort::new();
    let websocket = format!(
        "websocket {{ listen: \"127.0.0.1:{}\", compression: true\n\
         tls {{ cert_file: {certificate:?}, key_file: {key:?} }} }}",
        port.port()
    );
    // What INFO says of TLS is about the other listener, whether it does it or not.
    for options in [Options::new(), setup.options("")] {
        let mut server = RealServer::start(env.kind, &options.extra(&websocket));
        let url = format!("wss://localhost:{}", port.port());
        for options in [setup.trusting(&env), setup.trusting(&env).require_tls(true)] {
            let client = options.websocket_compression(true).connect(&url).await.unwrap();
            let mut subscriber = client.subscribe("large").await.unwrap();
            for size in [0, 1_000_000] {
                client.publish("large", vec![b'x'; size].into()).await.unwrap();
                assert_eq!(next(&mut subscriber).await.payload.len(), size);
            }
            let connects = client.delivery_statistics().connects;
            server.restart();
            env.connected(&client, connects + 1).await;
            client.publish("large", "again".into()).await.unwrap();
            assert_eq!(text(&next(&mut subscriber).await), "again");
        }
        let plain = url.replace("wss", "ws");
        let refused = env.options().connect(plain).await.unwrap_err().to_string();
        assert!(refused.contains("begins with wss://"), "{refused}");
        let foreign = env.options().connect(&url).await.unwrap_err();
        assert_eq!(foreign.kind(), ConnectErrorKind::Tls, "{foreign}");
        let by_address = format!("wss://127.0.0.1:{}", port.port());
        let error = setup.trusting(&env).connect(&by_address).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Tls, "{error}");
    }
}

/// Plays a server of one version of TLS for one connection, which tells of `others`. In the end there is all that the
/// client has said, or an error if its stream ended without the word that TLS has for that.
pub(crate) fn play(
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    others: &[SocketAddr],
) -> (String, JoinHandle<io::Result<String>>) {
    let own = authority.issue(&["127.0.0.1"]);
    let key = PrivateKeyDer::try_from(own.key_der).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(own.der)], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tls://{}", listener.local_addr().unwrap());
    let urls: Vec<String> = others.iter().map(|addr| format!("\"{addr}\"")).collect();
    let info = format!(
        "INFO {{\"tls_required\":true,\"max_payload\":100,\"proto\":1,\"connect_urls\":[{}]}}\r\n",
        urls.join(",")
    );
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        // Only so that a client that never ends fails the test.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(info.as_bytes())?;
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let (mut tls, mut said) = (BufReader::new(StreamOwned::new(tls, stream)), String::new());
        while tls.read_line(&mut said)? > 0 {
            if said.ends_with("PING\r\n") {
                tls.get_mut().write_all(b"PONG\r\n")?;
            }
        }
        Ok(said)
    });
    (url, server)
}

pub(crate) async fn the_peer_is_told_that_nothing_is_missing_however_a_client_ends<R: Rt>(
    env: Env<R, ()>,
) {
    let authority = Authority::new("the server's");
    for version in [&TLS12, &TLS13] {
        for way in ["close", "drain", "drop", "reconnect"] {
            let (url, server) = play(&authority, version, &[]);
            let options = env.options().add_root_certificates_pem(&authority.pem);
            let client = options.connect(url).await.unwrap();
            client.publish("last", "words".into()).await.unwrap();
            match way {
                "close" => drop(client.close().await),
                "drain" => {
                    client.drain().await.unwrap();
                    client.closed().await;
                }
                "drop" => drop(client),
                _ => {
                    // What is not written yet would be kept for the next connection.
                    client.flush().await.unwrap();
                    client.force_reconnect().await.unwrap();
                }
            }
            let end = server.join().unwrap();
            let said = end.unwrap_or_else(|error| panic!("{version:?}, {way}: {error}"));
            assert!(said.contains("PUB last 5\r\nwords\r\n"), "{version:?}, {way}: {said}");
        }
    }
}
