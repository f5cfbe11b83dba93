//! Certificates for servers and clients under test, made by the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};

/// Who issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM format.
    pub pem: String,
    /// The same in DER format.
    pub der: Vec<u8>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, in PEM format.
    pub pem: String,
    /// The same in DER format.
    pub der: Vec<u8>,
    /// The key, in PEM format.
    pub key_pem: String,
    /// The same in DER format (PKCS #8).
    pub key_der: Vec<u8>,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// At any time in which a test may run.
    Now,
    /// Not any more.
    Over,
    /// Not yet.
    Later,
}

impl Validity {
    fn years(self) -> (i32, i32) {
        match self {
            Self::Now => (2020, 2120),
            Self::Over => (2010, 2020),
            Self::Later => (2110, 2120),
        }
    }
}

impl Authority {
    /// An authority, which nobody knows yet.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is entropy");
        let certificate = params.self_signed(&key).expect("the parameters are in order");
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// A certificate for host names and IP addresses, now.
    pub fn issue(&self, hosts: &[&str]) -> Certificate {
        self.issue_for(hosts, Validity::Now)
    }

    /// A certificate for host names and IP addresses.
    pub fn issue_for(&self, hosts: &[&str], validity: Validity) -> Certificate {
        self.sign(params(hosts, validity))
    }

    /// A certificate for a person, by address of mail.
    pub fn issue_to(&self, address: &str) -> Certificate {
        let mut params = params(&[], Validity::Now);
        let address = address.to_owned().try_into().expect("addresses of mail are ASCII");
        params.subject_alt_names.push(SanType::Rfc822Name(address));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().expect("there is entropy");
        let signed = params.signed_by(&key, &self.issuer).expect("the parameters are in order");
        Certificate::new(&signed, &key)
    }
}

impl Certificate {
    /// A certificate that nobody but itself vouches for.
    pub fn self_signed(hosts: &[&str]) -> Self {
        let key = KeyPair::generate().expect("there is entropy");
        let params = params(hosts, Validity::Now);
        Self::new(&params.self_signed(&key).expect("the parameters are in order"), &key)
    }

    /// The certificate of an authority, which is for hosts as well.
    pub fn of_authority(hosts: &[&str]) -> Self {
        let key = KeyPair::generate().expect("there is entropy");
        let mut params = params(hosts, Validity::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::new(&params.self_signed(&key).expect("the parameters are in order"), &key)
    }

    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
}

/// The common name is `localhost`, which must not help: names are in the list of alternative names.
fn params(hosts: &[&str], validity: Validity) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("the hosts are names or addresses");
    params.distinguished_name = named("localhost");
    let (from, to) = validity.years();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A directory for the files of a test, removed with its contents when dropped.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    /// An empty directory.
    ///
    /// # Panics
    /// It cannot be made.
    #[expect(clippy::new_without_default, reason = "a directory is no default")]
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);

        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("nats-tests-files-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("there is a place for temporary files");
        Self(path)
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, or writes it anew.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("the directory can be written to");
        path
    }

    /// Writes the certificate to `name.pem` and its key to `name.key`.
    pub fn write_certificate(&self, name: &str, certificate: &Certificate) -> (PathBuf, PathBuf) {
        let pem = self.write(&format!("{name}.pem"), &certificate.pem);
        (pem, self.write(&format!("{name}.key"), &certificate.key_pem))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.0
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
