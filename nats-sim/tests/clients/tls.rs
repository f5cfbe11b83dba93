//! TLS at the brokers' ends of streams.
//!
//! Keys and nonces are the only thing in it that does not follow from the seed. They change bytes, and not how many there
//! are: the certificate's key is one of Ed25519, whose signatures all have the same length, and its number is given. The
//! clock stands still, and what a server remembers of its clients, and they of it, begins with the seed.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use nats_client::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use nats_client::rustls::time_provider::TimeProvider;
use nats_client::rustls::version::{TLS12, TLS13};
use nats_client::rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use nats_client::rustls::{Error, crypto};
use nats_proto::Rng;
use nats_sim::Terminator;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

/// The names that brokers have.
const NAMES: [&str; 3] = ["broker-0", "broker-1", "any"];

/// A certificate for all of them, by which a client knows it as well, and its key. It has the longest life that there is.
static IDENTITY: LazyLock<(CertificateDer<'static>, Vec<u8>)> = LazyLock::new(|| {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let mut certificate = CertificateParams::new(NAMES.map(str::to_owned)).expect("names");
    certificate.serial_number = Some(1.into());
    let certificate = certificate.self_signed(&key).expect("a certificate");
    (certificate.der().clone(), key.serialize_der())
});

/// A day in 2033, on which it is valid.
#[derive(Debug)]
struct Midday;

impl TimeProvider for Midday {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(2_000_000_000)))
    }
}

/// Records are as long as they may be, or rather short.
fn longest_record(rng: &mut Rng) -> Option<usize> {
    (rng.below(2) == 0).then(|| 300 + rng.below(4_000) as usize)
}

/// What a client is told. Some do not know the newest version.
pub(crate) fn client_config(rng: &mut Rng) -> ClientConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let versions: &[_] = if rng.below(4) == 0 { &[&TLS12] } else { &[&TLS13] };
    let mut roots = RootCertStore::empty();
    roots.add(IDENTITY.0.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Midday))
        .with_protocol_versions(versions)
        .expect("what the provider can do")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.max_fragment_size = longest_record(rng);
    config
}

/// What a broker is told.
pub(crate) fn server_config(rng: &mut Rng) -> Arc<ServerConfig> {
    let provider = Arc::new(crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(IDENTITY.1.clone()).expect("a key");
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Midday))
        .with_protocol_versions(&[&TLS12, &TLS13])
        .expect("what the provider can do")
        .with_no_client_auth()
        .with_single_cert(vec![IDENTITY.0.clone()], key)
        .expect("a certificate and its key");
    config.max_fragment_size = longest_record(rng);
    Arc::new(config)
}

/// What a broker with TLS has at its end of a stream.
#[derive(Debug)]
pub(crate) struct Tls {
    connection: ServerConnection,
    stage: Stage,
    /// What goes out as it is.
    plain: Vec<u8>,
    rng: Rng,
}

#[derive(Debug)]
enum Stage {
    /// The broker is yet to say INFO, which goes out as it is.
    Greeting,
    /// All that it says is encrypted, if need be once the handshake is over.
    Encrypted,
}

impl Tls {
    /// The broker says INFO, and then there is the handshake.
    pub(crate) fn new(config: Arc<ServerConfig>, rng: Rng) -> Self {
        let mut connection = ServerConnection::new(config).expect("a configuration that works");
        // What the broker says during the handshake waits.
        connection.set_buffer_limit(None);
        Self { connection, stage: Stage::Greeting, plain: Vec::new(), rng }
    }

    /// The handshake is first.
    pub(crate) fn first(config: Arc<ServerConfig>, rng: Rng) -> Self {
        Self { stage: Stage::Encrypted, ..Self::new(config, rng) }
    }

    /// Says whole operations before the handshake. INFO is the last of them, and asks for it.
    fn greet(&mut self, bytes: &[u8]) {
        let Some(info) = bytes.strip_prefix(b"INFO {") else {
            return self.plain.extend_from_slice(bytes);
        };
        let end = info.windows(2).position(|part| part == b"\r\n").expect("a whole line") + 2;
        self.plain.extend_from_slice(b"INFO {\"tls_required\":true,");
        self.plain.extend_from_slice(&info[..end]);
        self.stage = Stage::Encrypted;
        self.encrypt(&info[end..]);
    }

    fn encrypt(&mut self, bytes: &[u8]) {
        // A server may take a new key at any time, and ask for a new one of the client.
        if !self.connection.is_handshaking() && self.rng.below(16) == 0 {
            // Only the newest version can.
            let _ = self.connection.refresh_traffic_keys();
        }
        self.connection.writer().write_all(bytes).expect("it takes all");
    }
}

impl Terminator for Tls {
    fn receive(&mut self, mut bytes: &[u8], input: &mut BytesMut) -> ControlFlow<()> {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).expect("nothing is left in it");
            let state = match self.connection.process_new_packets() {
                Ok(state) => state,
                // A client that was told nonsense before the handshake leaves.
                Err(error) => {
                    let leaves = matches!(error, Error::AlertReceived(_));
                    assert!(leaves, "what a client encrypts cannot be decrypted: {error}");
                    return ControlFlow::Break(());
                }
            };
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut plain).expect("so much is there");
            input.extend_from_slice(&plain);
            if state.peer_has_closed() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self, bytes: &[u8]) {
        match self.stage {
            Stage::Greeting => self.greet(bytes),
            Stage::Encrypted => self.encrypt(bytes),
        }
    }

    fn close(&mut self) {
        self.connection.send_close_notify();
    }

    fn transmit(&mut self, output: &mut BytesMut) {
        output.extend_from_slice(&std::mem::take(&mut self.plain));
        while self.connection.wants_write() {
            self.connection.write_tls(&mut output.writer()).expect("there is room in memory");
        }
    }
}
