//! Encryption.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nats_proto::connection::TlsMode;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ConnectOptions;
use crate::tls::{Certificates, Identity, Key, TlsSettings};

/// Encryption (with the feature `tls`).
///
/// A connection is encrypted if the server requires it, if the address begins with `tls://` or `wss://`, or if the
/// options say so; so is one to a server that an encrypted connection told of. The server's certificate must be for the host in
/// its address: a name or an IP address. Of a server that another server told of by its IP address, it must be for the host of
/// the address that the user gave, if that is a name.
///
/// Certificates and keys are read anew for every attempt to connect, so that files may be replaced while a client runs.
/// One that cannot be read or used makes the attempt fail, with an error that says which.
impl<R> ConnectOptions<R> {
    /// Trusts the authorities whose certificates are in this PEM file, one or more, instead of those that the system
    /// trusts. May be called several times, to trust several.
    pub fn add_root_certificates(mut self, path: PathBuf) -> Self {
        self.tls().roots.push(Certificates::File(path));
        self
    }

    /// Like [`add_root_certificates`](Self::add_root_certificates), with the text of such a file.
    pub fn add_root_certificates_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls().roots.push(Certificates::Pem(pem.as_ref().into()));
        self
    }

    /// Like [`add_root_certificates`](Self::add_root_certificates), with a certificate in DER format.
    pub fn add_root_certificate_der(mut self, certificate: CertificateDer<'static>) -> Self {
        self.tls().roots.push(Certificates::Der(vec![certificate]));
        self
    }

    /// The certificate that the client shows to servers which ask for one, followed by those between it and its
    /// authority, and its private key (PKCS #8, PKCS #1 or SEC 1): two PEM files, or the same one twice.
    ///
    /// Default: none. The last one given is used.
    pub fn add_client_certificate(mut self, cert: PathBuf, key: PathBuf) -> Self {
        let (chain, key) = (Certificates::File(cert), Key::File(key));
        self.tls().identity = Some(Identity { chain, key });
        self
    }

    /// Like [`add_client_certificate`](Self::add_client_certificate), with the texts of such files.
    pub fn add_client_certificate_pem(
        mut self,
        cert: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Self {
        let (chain, key) = (cert.as_ref().into(), key.as_ref().into());
        self.tls().identity =
            Some(Identity { chain: Certificates::Pem(chain), key: Key::Pem(key) });
        self
    }

    /// Like [`add_client_certificate`](Self::add_client_certificate), with certificates and key in DER format.
    pub fn add_client_certificate_der(
        mut self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        let (chain, key) = (Certificates::Der(chain), Key::Der(Arc::new(key)));
        self.tls().identity = Some(Identity { chain, key });
        self
    }

    /// Whether every connection must be encrypted: a server that does not offer it is refused, before anything is sent
    /// to it, and so is a `ws://` address, before it is connected to. Default: false, which still encrypts what the server
    /// or its address requires.
    ///
    /// What is set by [`tls_first`](Self::tls_first) stays.
    pub fn require_tls(mut self, is_required: bool) -> Self {
        let tls = self.tls();
        tls.mode = match (tls.mode, is_required) {
            (TlsMode::First, _) => TlsMode::First,
            (_, true) => TlsMode::Required,
            (_, false) => TlsMode::Available,
        };
        self
    }

    /// Encrypts every connection before the server says anything, for servers that are set to it (`handshake_first`).
    /// A `ws://` address is refused before it is connected to. Default: after the server's first words, which are then
    /// not secret.
    pub fn tls_first(mut self) -> Self {
        self.tls().mode = TlsMode::First;
        self
    }

    /// Replaces all certificates, keys and the choice of cryptography by a configuration of
    /// [`rustls`](crate::rustls). When to encrypt is not its matter.
    pub fn tls_client_config(mut self, config: ClientConfig) -> Self {
        self.tls().config = Some(Arc::new(config));
        self
    }

    /// Like [`reconnect_jitter`](Self::reconnect_jitter), for servers whose address or whose client requires
    /// encryption: a handshake costs a server more than a plain connection. Default: 1 s.
    pub fn reconnect_jitter_tls(mut self, jitter: Duration) -> Self {
        self.config.reconnect_jitter_tls = jitter;
        self
    }

    fn tls(&mut self) -> &mut TlsSettings {
        Arc::make_mut(&mut self.transport.tls)
    }
}
