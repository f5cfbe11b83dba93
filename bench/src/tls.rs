//! Encryption of the toy servers and of the floor, and the certificate that everybody trusts.
//!
//! Whoever starts a process that is to use TLS tells it of the certificate by an environment variable, since clients and
//! servers must agree.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, ConfigSide, RootCertStore, ServerConfig,
    ServerConnection, StreamOwned, WantsVerifier, WantsVersions,
};

use crate::Result;

const VARIABLE: &str = "NATS_BENCH_TLS";

/// A certificate for 127.0.0.1, which is its own authority, and its key: two files that end with this value.
pub(crate) struct Certificate {
    dir: PathBuf,
}

impl Certificate {
    pub(crate) fn make() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nats-bench-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir)?;
        fs::write(certificate(&dir), made.cert.pem())?;
        fs::write(key(&dir), made.signing_key.serialize_pem())?;
        Ok(Self { dir })
    }

    /// Lets a process use it.
    pub(crate) fn set_for(&self, command: &mut Command) {
        command.env(VARIABLE, &self.dir);
    }

    /// The setting of `nats-server`.
    pub(crate) fn setting(&self) -> String {
        let (certificate, key) = (certificate(&self.dir), key(&self.dir));
        format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // It is in the directory for temporary files, so that it may stay as well.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn certificate(dir: &Path) -> PathBuf {
    dir.join("certificate.pem")
}

fn key(dir: &Path) -> PathBuf {
    dir.join("key.pem")
}

fn dir() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// The certificate to be trusted, if this process is to use TLS.
pub(crate) fn root() -> Option<PathBuf> {
    dir().map(|dir| certificate(&dir))
}

/// A connection, encrypted or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    /// What a server does after INFO.
    pub(crate) fn accept(stream: TcpStream) -> Result<Self> {
        let Some(dir) = dir() else { return Ok(Self::Plain(stream)) };
        let chain = vec![CertificateDer::from_pem_file(certificate(&dir))?];
        let key = PrivateKeyDer::from_pem_file(key(&dir))?;
        let config = modern(ServerConfig::builder_with_provider)?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let connection = ServerConnection::new(Arc::new(config))?;
        Ok(Self::Server(Box::new(StreamOwned::new(connection, stream))))
    }

    /// What a client does after INFO.
    pub(crate) fn connect(stream: TcpStream) -> Result<Self> {
        let Some(root) = root() else { return Ok(Self::Plain(stream)) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root)?)?;
        let config = modern(ClientConfig::builder_with_provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1")?;
        let connection = ClientConnection::new(Arc::new(config), name)?;
        Ok(Self::Client(Box::new(StreamOwned::new(connection, stream))))
    }
}

/// What both sides have in common. Both crates for cryptography may be in the program, so that one is named.
fn modern<S: ConfigSide>(
    builder: fn(Arc<rustls::crypto::CryptoProvider>) -> ConfigBuilder<S, WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(builder(provider).with_safe_default_protocol_versions()?)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Client(stream) => stream.write(buffer),
            Self::Server(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}
