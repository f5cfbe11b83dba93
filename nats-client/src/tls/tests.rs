//! TLS over a stream in memory, with a server in this thread.

mod rig;

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use nats_proto::connection::{DisconnectReason, TlsError};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::crypto::ring::cipher_suite::TLS13_AES_256_GCM_SHA384;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConnectionTrafficSecrets, ContentType, DigitallySignedStruct, ProtocolVersion,
    SignatureScheme, SupportedCipherSuite,
};

use super::{Certificates, Identity, Key, TlsSettings, lost};
use crate::driver::TURN;
use crate::testing::block_on;
use rig::{Task, connected, encrypted, read, server};

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
fn what_a_server_may_have_is_written_though_a_write_fails_and_nothing_follows() {
    // Records of 16 KiB; the third or the fourth write below TLS fails.
    for lasts in [2, 3] {
        let (mut server, mut stream) = connected();
        server.end.0.lock().unwrap().lasts = Some(lasts);
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let (mut written, mut calls) = (0, 0);
        let error = loop {
            match Pin::new(&mut stream).poll_write(&mut cx, &[b'x'; 40_000]) {
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => break error,
                Poll::Pending => assert!(task.woken() > 0, "nobody would come again"),
            }
            calls += 1;
            assert!(calls < 10, "the error is not told");
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).map(|it| it.is_err()).is_ready());
        let _ = Pin::new(&mut stream).poll_close(&mut cx);
        server.pump();
        let received = server.received.len();
        assert!(received > 0 && received <= written, "{received} of {written} bytes");
    }
}

#[test]
fn a_stream_that_takes_no_byte_fails_instead_of_waiting_for_ever() {
    let (server, mut stream) = connected();
    server.end.0.lock().unwrap().takes_nothing = true;
    let mut cx = Context::from_waker(Waker::noop());
    let mut results = (0..10).map(|_| Pin::new(&mut stream).poll_write(&mut cx, b"hello"));
    let failed = |result| matches!(result, Poll::Ready(Err::<_, Error>(error)) if error.kind() == ErrorKind::WriteZero);
    assert!(results.any(failed));
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
