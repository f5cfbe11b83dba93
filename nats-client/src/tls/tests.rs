//! TLS over a stream in memory, with a server in this thread.

use std::future::Future;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_io::{AsyncRead, AsyncWrite};
use nats_proto::ServerAddr;
use nats_proto::connection::{DisconnectReason, TlsError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::crypto::ring::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConnectionTrafficSecrets, ContentType, DigitallySignedStruct, ProtocolVersion,
    ServerConfig, ServerConnection, SignatureScheme, SupportedCipherSuite,
};

use super::{Certificates, Identity, Key, TlsSettings, lost};
use crate::driver::TURN;
use crate::link::Stream;
use crate::testing::block_on;

/// What the two ends of a stream share.
#[derive(Default)]
struct Wire {
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    /// Whether the stream takes nothing more from the client.
    stalled: bool,
    closed: bool,
    /// How often the client has read something.
    reads: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The client's end. It keeps one waker for reading and one for writing, as sockets do.
#[derive(Clone, Default)]
struct End(Arc<Mutex<Wire>>);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.to_client.is_empty() && !wire.closed {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = wire.to_client.len().min(buf.len());
        buf[..count].copy_from_slice(&wire.to_client[..count]);
        wire.to_client.drain(..count);
        wire.reads += 1;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.stalled {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.to_server.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A server with a certificate for `localhost`.
struct Server {
    tls: ServerConnection,
    end: End,
    received: Vec<u8>,
}

impl Server {
    /// Takes what the client has sent, and sends what there is to send.
    fn pump(&mut self) {
        let mut wire = self.end.0.lock().unwrap();
        let sent = std::mem::take(&mut wire.to_server);
        let mut sent = &sent[..];
        while !sent.is_empty() {
            self.tls.read_tls(&mut sent).unwrap();
            self.tls.process_new_packets().unwrap();
            // There is nothing to be read in a handshake.
            let _ = self.tls.reader().read_to_end(&mut self.received);
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire.to_client).unwrap();
        }
        let reader = if wire.to_client.is_empty() { None } else { wire.reader.take() };
        drop(wire);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn send(&mut self, text: &str) {
        self.tls.writer().write_all(text.as_bytes()).unwrap();
        self.pump();
    }

    /// Takes bytes from the client, or does not. Wakes who waits for that.
    fn stall(&self, stalled: bool) {
        let mut wire = self.end.0.lock().unwrap();
        wire.stalled = stalled;
        let writer = wire.writer.take();
        drop(wire);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

/// A server, and the root of its certificate.
fn server() -> (Server, Certificates) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_certificate = root.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(root, root_key))
        .unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.enable_secret_extraction = true;
    let tls = ServerConnection::new(Arc::new(config)).unwrap();
    let server = Server { tls, end: End::default(), received: Vec::new() };
    (server, Certificates::Der(vec![root_certificate.der().clone()]))
}

/// Goes through the handshake.
fn encrypted(
    server: &mut Server,
    settings: TlsSettings,
    address: &str,
) -> Result<Box<dyn Stream>, TlsError> {
    let address: ServerAddr = address.parse().unwrap();
    let stream = Box::new(server.end.clone());
    let mut attempt = pin!(Arc::new(settings).encrypt(stream, address));
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = attempt.as_mut().poll(&mut cx) {
            return result;
        }
        server.pump();
        thread::yield_now();
    }
}

fn connected() -> (Server, Box<dyn Stream>) {
    let (mut server, root) = server();
    let settings = TlsSettings { roots: vec![root], ..TlsSettings::new() };
    let stream = encrypted(&mut server, settings, "localhost").expect("a good certificate");
    // The client's last words in the handshake.
    server.pump();
    (server, stream)
}

/// A task, and how often it was woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn read(stream: &mut Box<dyn Stream>, task: &Arc<Task>) -> Poll<String> {
    let waker = Waker::from(Arc::clone(task));
    let mut buf = [0; 1_000];
    let read = Pin::new(stream).poll_read(&mut Context::from_waker(&waker), &mut buf);
    read.map(|count| String::from_utf8_lossy(&buf[..count.unwrap()]).into_owned())
}

#[test]
fn plain_text_instead_of_a_handshake_is_shown_in_part_and_as_it_is() {
    let long = format!("-ERR '{}'\r\n", "x".repeat(1_000));
    for (came, shown) in [
        ("-ERR 'maximum connections exceeded'\r\n", "\"-ERR 'maximum connections exceeded'\""),
        ("INFO \u{1b}[2J\nPING\r\n", r#""INFO \u{1b}[2J""#),
        (&*long, &*format!("\"{}\"", &long[..128])),
    ] {
        let (server, root) = server();
        server.end.0.lock().unwrap().to_client.extend(came.bytes());
        let settings = TlsSettings { roots: vec![root], ..TlsSettings::new() };
        let address = "localhost".parse().unwrap();
        let attempt = Arc::new(settings).encrypt(Box::new(server.end.clone()), address);
        let Err(TlsError::Handshake(text)) = block_on(attempt) else { panic!("it is not TLS") };
        assert!(text.contains(&format!("not TLS but the plain text {shown}:")), "{text}");
    }
}

#[test]
fn a_publisher_that_writes_does_not_take_the_place_of_the_driver_that_reads() {
    let (mut server, mut stream) = connected();
    let (driver, publisher) = (Arc::new(Task::default()), Waker::noop());
    assert!(read(&mut stream, &driver).is_pending());
    // The publisher finds the socket full, in the middle of what it writes.
    server.stall(true);
    let mut cx = Context::from_waker(publisher);
    let mut written = Vec::new();
    while let Poll::Ready(count) = Pin::new(&mut stream).poll_write(&mut cx, &[b'x'; 10_000]) {
        written.resize(written.len() + count.unwrap(), b'x');
    }
    assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_pending());
    assert_eq!(driver.woken(), 0);
    // It is the driver that learns of what comes.
    server.send("hello");
    assert_eq!(driver.woken(), 1);
    assert_eq!(read(&mut stream, &driver), Poll::Ready("hello".to_owned()));
    assert!(read(&mut stream, &driver).is_pending());
    // And the driver goes on with what the publisher has begun.
    let waker = Waker::from(Arc::clone(&driver));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_pending());
    server.stall(false);
    assert_eq!(driver.woken(), 2);
    assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
    server.pump();
    assert!(server.received == written, "{} bytes", server.received.len());
}

#[test]
fn what_reading_makes_rustls_write_waits_for_the_next_write_and_loses_no_wakeup() {
    let (mut server, mut stream) = connected();
    let driver = Arc::new(Task::default());
    assert!(read(&mut stream, &driver).is_pending());
    for round in 1..=3 {
        // A new key of the server asks for a new one of the client.
        server.tls.refresh_traffic_keys().unwrap();
        server.stall(true);
        server.send("new key");
        assert_eq!(driver.woken(), round);
        assert_eq!(read(&mut stream, &driver), Poll::Ready("new key".to_owned()));
        assert!(read(&mut stream, &driver).is_pending());
        server.stall(false);
        let mut cx = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut stream).poll_write(&mut cx, b"answer");
        assert!(matches!(written, Poll::Ready(Ok(6))), "{written:?}");
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
        server.pump();
        assert_eq!(String::from_utf8_lossy(&server.received), "answer".repeat(round));
        assert_eq!(driver.woken(), round);
    }
}

/// NewSessionTicket of RFC 8446, 4.6.1: for an hour, and as short as it may be.
const TICKET: &[u8] = b"\x04\0\0\x0e\0\0\x0e\x10\0\0\0\0\0\0\x01A\0\0";

#[test]
fn tickets_for_later_connections_let_others_run_however_many_there_are() {
    let (server, mut stream) = connected();
    // rustls sends no more tickets now. With its keys they can be made.
    let (first, secrets) = server.tls.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("other keys") };
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_256_GCM_SHA384 else {
        panic!("another version")
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    for number in 0..=30_000 {
        let (typ, text) = match number {
            30_000 => (ContentType::ApplicationData, &b"at last"[..]),
            _ => (ContentType::Handshake, TICKET),
        };
        let version = ProtocolVersion::TLSv1_3;
        let record = OutboundPlainMessage { typ, version, payload: text.into() };
        let record = encrypter.encrypt(record, first + number).unwrap().encode();
        server.end.0.lock().unwrap().to_client.extend(record);
    }
    let left = || server.end.0.lock().unwrap().to_client.len();
    let driver = Arc::new(Task::default());
    let (mut polls, mut before) = (0, left());
    assert!(before > 2 * TURN, "{before} bytes");
    let text = loop {
        if let Poll::Ready(text) = read(&mut stream, &driver) {
            break text;
        }
        polls += 1;
        let now = left();
        assert!(before - now <= 2 * TURN, "{} bytes in one poll", before - now);
        assert_eq!(driver.woken(), polls, "it goes on by itself");
        before = now;
    };
    assert_eq!(text, "at last");
    assert!(polls >= 2, "{polls} polls");
}

#[test]
fn many_records_are_read_from_the_socket_at_once() {
    let (mut server, mut stream) = connected();
    let sent: Vec<String> = (10..30).map(|number| number.to_string().repeat(500)).collect();
    for record in &sent {
        server.send(record);
    }
    let before = server.end.0.lock().unwrap().reads;
    let mut received = String::new();
    while let Poll::Ready(text) = read(&mut stream, &Arc::default()) {
        received.push_str(&text);
    }
    assert!(received == sent.concat(), "{} bytes", received.len());
    assert_eq!(server.end.0.lock().unwrap().reads - before, 1);
}

#[test]
fn a_stream_that_is_cut_ends_and_one_that_is_tampered_with_is_an_error() {
    let (mut server, mut stream) = connected();
    server.send("last words");
    server.end.0.lock().unwrap().closed = true;
    let task = Arc::new(Task::default());
    assert_eq!(read(&mut stream, &task), Poll::Ready("last words".to_owned()));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = Pin::new(&mut stream).poll_read(&mut cx, &mut [0; 10]) else {
        panic!("the stream goes on");
    };
    assert_eq!(lost(&error), DisconnectReason::Eof);

    let (mut server, mut stream) = connected();
    server.send("secret");
    *server.end.0.lock().unwrap().to_client.last_mut().unwrap() ^= 1;
    let Poll::Ready(Err(error)) = Pin::new(&mut stream).poll_read(&mut cx, &mut [0; 10]) else {
        panic!("the stream goes on");
    };
    assert!(matches!(lost(&error), DisconnectReason::Tls(_)), "{error}");
}

#[derive(Debug)]
struct PanickingVerifier;

impl ServerCertVerifier for PanickingVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        panic!("a verifier that panics, as a test wants it")
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[test]
fn a_verifier_that_panics_fails_its_handshake_alone() {
    let (mut server, _) = server();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PanickingVerifier))
        .with_no_client_auth();
    let settings = TlsSettings { config: Some(Arc::new(config)), ..TlsSettings::new() };
    let Err(TlsError::Handshake(text)) = encrypted(&mut server, settings, "localhost") else {
        panic!("no handshake can end");
    };
    assert!(text.contains("panicked: a verifier that panics"), "{text}");
}

#[test]
fn what_cannot_be_read_is_named_and_keys_are_never_shown() {
    let missing = || PathBuf::from("/nowhere/at/all.pem");
    let identity = |chain, key| Some(Identity { chain, key });
    let (_, root) = server();
    let roots = |root| TlsSettings { roots: vec![root], ..TlsSettings::new() };
    let pem = |text: &str| Certificates::Pem(text.as_bytes().into());
    let canary = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
    let with = |identity| TlsSettings { identity, ..roots(root.clone()) };
    for (settings, expected) in [
        (roots(Certificates::File(missing())), "root certificate \"/nowhere/at/all.pem\" cannot"),
        (roots(pem("nothing")), "root certificate has no certificate in PEM format"),
        (
            roots(pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
            "root certificate cannot be used",
        ),
        (
            with(identity(Certificates::File(missing()), Key::Pem(canary.as_bytes().into()))),
            "client certificate \"/nowhere/at/all.pem\" cannot",
        ),
        (with(identity(root.clone(), Key::File(missing()))), "client key \"/nowhere/at/all.pem\""),
        (with(identity(root.clone(), Key::Pem(b"canary"[..].into()))), "client key has no private"),
        (
            with(identity(root.clone(), Key::Pem(canary.as_bytes().into()))),
            "client certificate and key cannot be used",
        ),
    ] {
        let shown = format!("{settings:?}");
        let (mut server, _) = server();
        let Err(TlsError::Setup(error)) = encrypted(&mut server, settings, "localhost") else {
            panic!("no error, but {expected:?} is expected");
        };
        assert!(error.contains(expected), "{error:?} is not {expected:?}");
        assert!(!format!("{shown}{error}").contains("canary"), "{shown} {error}");
        assert!(!format!("{shown}{error}").contains("Y2FuYXJ5"), "{shown} {error}");
    }
}
