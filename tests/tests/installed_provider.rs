//! Cryptography that the program has installed for the whole process. A binary of its own, because nothing takes it back.

use std::net::TcpListener;

use nats_client::ConnectErrorKind;
use nats_client::rustls::crypto::{CryptoProvider, ring};
use nats_tokio::ConnectOptions;

#[tokio::test]
async fn what_is_installed_goes_before_what_the_features_bring() {
    // One with which nothing can be encrypted, and which therefore says when it is asked.
    let useless = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    useless.install_default().expect("nobody else has installed one");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("tls://{}", listener.local_addr().expect("an address"));
    let error = ConnectOptions::new().tls_first().connect(url).await.expect_err("nothing to use");
    assert_eq!(error.kind(), ConnectErrorKind::Tls);
    assert!(error.to_string().contains("provider of cryptography does not suit"), "{error}");
}
