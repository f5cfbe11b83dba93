//! A stream in memory, and the server at its other end.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_io::{AsyncRead, AsyncWrite};
use nats_proto::ServerAddr;
use nats_proto::connection::TlsError;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::super::{Certificates, TlsSettings};
use crate::link::Stream;

/// What the two ends of a stream share.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) to_client: Vec<u8>,
    pub(super) to_server: Vec<u8>,
    /// Whether the stream takes nothing more from the client.
    pub(super) stalled: bool,
    /// How many writes succeed before one fails.
    pub(super) lasts: Option<usize>,
    /// Whether a write says that it has taken nothing.
    pub(super) takes_nothing: bool,
    pub(super) closed: bool,
    /// How often the client has read something.
    pub(super) reads: usize,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// The client's end. It keeps one waker for reading and one for writing, as sockets do.
#[derive(Clone, Default)]
pub(super) struct End(pub(super) Arc<Mutex<Wire>>);

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
        if wire.takes_nothing {
            return Poll::Ready(Ok(0));
        }
        if let Some(lasts) = wire.lasts {
            // As if it could be written to after that.
            wire.lasts = lasts.checked_sub(1);
            if lasts == 0 {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
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
pub(super) struct Server {
    pub(super) tls: ServerConnection,
    pub(super) end: End,
    pub(super) received: Vec<u8>,
}

impl Server {
    /// Takes what the client has sent, and sends what there is to send.
    pub(super) fn pump(&mut self) {
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

    pub(super) fn send(&mut self, text: &str) {
        self.tls.writer().write_all(text.as_bytes()).unwrap();
        self.pump();
    }

    /// Takes bytes from the client, or does not. Wakes who waits for that.
    pub(super) fn stall(&self, stalled: bool) {
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
pub(super) fn server() -> (Server, Certificates) {
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
pub(super) fn encrypted(
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

pub(super) fn connected() -> (Server, Box<dyn Stream>) {
    let (mut server, root) = server();
    let settings = TlsSettings { roots: vec![root], ..TlsSettings::new() };
    let stream = encrypted(&mut server, settings, "localhost").expect("a good certificate");
    // The client's last words in the handshake.
    server.pump();
    (server, stream)
}

/// A task, and how often it was woken.
#[derive(Default)]
pub(super) struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    pub(super) fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) fn read(stream: &mut Box<dyn Stream>, task: &Arc<Task>) -> Poll<String> {
    let waker = Waker::from(Arc::clone(task));
    let mut buf = [0; 1_000];
    let read = Pin::new(stream).poll_read(&mut Context::from_waker(&waker), &mut buf);
    read.map(|count| String::from_utf8_lossy(&buf[..count.unwrap()]).into_owned())
}
