//! From settings to a configuration of rustls.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{Certificates, Key, TlsSettings};

/// Reads what is to be read. The error is for people.
pub(super) fn build(settings: &TlsSettings) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider()?)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("the provider of cryptography does not suit: {error}"))?
        .with_root_certificates(roots(&settings.roots)?);
    let Some(identity) = &settings.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(&identity.chain, "client certificate")?;
    let key = key(&identity.key)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("client certificate and key cannot be used: {error}"))
}

/// What the program has installed for the whole process comes first; the features decide otherwise.
fn provider() -> Result<Arc<CryptoProvider>, String> {
    if let Some(installed) = CryptoProvider::get_default() {
        return Ok(Arc::clone(installed));
    }
    #[cfg(feature = "aws-lc-rs")]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    Err("there is no cryptography: enable the feature \"ring\" or \"aws-lc-rs\", install a provider of rustls for the \
         process, or give a configuration with tls_client_config"
        .into())
}

fn roots(own: &[Certificates]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for source in own {
        for certificate in certificates(source, "root certificate")? {
            store.add(certificate).map_err(|error| {
                format!("root certificate {}cannot be used: {error}", place(source))
            })?;
        }
    }
    if own.is_empty() {
        // Among the many of a system some may be of a kind that nobody can use.
        let system = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(system.certs);
        if store.is_empty() {
            let errors: Vec<String> = system.errors.iter().map(ToString::to_string).collect();
            return Err(format!(
                "the system has no root certificates, give some with add_root_certificates: {}",
                errors.join(", ")
            ));
        }
    }
    Ok(store)
}

/// At least one certificate.
fn certificates(source: &Certificates, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = match source {
        Certificates::File(path) => CertificateDer::pem_slice_iter(&read(path, what)?).collect(),
        Certificates::Pem(text) => CertificateDer::pem_slice_iter(text).collect(),
        Certificates::Der(certificates) => Ok(certificates.clone()),
    };
    match found {
        Ok(found) if found.is_empty() => {
            Err(format!("{what} {}has no certificate in PEM format", place(source)))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{what} {}cannot be read: {error}", place(source))),
    }
}

fn key(source: &Key) -> Result<PrivateKeyDer<'static>, String> {
    // What is wrong with a key is told without a byte of it.
    let (found, place) = match source {
        Key::File(path) => {
            let text = read(path, "client key")?;
            (PrivateKeyDer::from_pem_slice(&text), format!("{path:?} "))
        }
        Key::Pem(text) => (PrivateKeyDer::from_pem_slice(text), String::new()),
        Key::Der(key) => return Ok(key.clone_key()),
    };
    found.map_err(|_| format!("client key {place}has no private key in PEM format"))
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{what} {path:?} cannot be read: {error}"))
}

/// The name of a file, with a space behind it.
fn place(source: &Certificates) -> String {
    match source {
        Certificates::File(path) => format!("{path:?} "),
        _ => String::new(),
    }
}
