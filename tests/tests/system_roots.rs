//! Whom the system trusts. A binary of its own: where a system has its certificates, the environment of the process says, in
//! which the test runs itself again.

use std::process::{Command, Stdio};

use nats_client::{ConnectError, ConnectErrorKind};
use nats_tests::certificates::{Authority, Files};
use nats_tests::server::{Options, RealServer, Release, TestServer};
use nats_tokio::ConnectOptions;

/// The server that the process is to connect to.
const URL: &str = "SYSTEM_ROOTS_URL";

async fn connect(options: ConnectOptions, url: &str) -> Result<(), ConnectError> {
    let client = options.connect(url).await?;
    client.flush().await.expect("the server runs");
    Ok(())
}

/// The system trusts the server.
#[tokio::main]
async fn child(url: &str) {
    connect(ConnectOptions::new(), url).await.expect("a server that the system trusts");
    let other = Authority::new("another");
    let options = ConnectOptions::new().add_root_certificates_pem(&other.pem);
    let error = connect(options, url).await.expect_err("only others are trusted");
    assert_eq!(error.kind(), ConnectErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("add_root_certificates"), "{error}");
}

fn parent(test: &str) {
    let (authority, files) = (Authority::new("the system's"), Files::new());
    let (certificate, key) = files.write_certificate("server", &authority.issue(&["localhost"]));
    let roots = files.write("roots.pem", &authority.pem);
    let server = RealServer::start(Release::V2_15, &Options::new().tls(&certificate, &key, ""));
    let process = Command::new(std::env::current_exe().expect("this is a process"))
        .args(["--exact", test, "--nocapture"])
        .env(URL, format!("tls://localhost:{}", server.addr().port()))
        .env("SSL_CERT_FILE", roots)
        .env_remove("SSL_CERT_DIR")
        .stdin(Stdio::null())
        .status();
    assert!(process.expect("the process may have another").success());
}

#[test]
fn tls_with_authorities_of_ones_own_trusts_none_of_the_system() {
    match std::env::var(URL) {
        Ok(url) => child(&url),
        Err(_) => parent("tls_with_authorities_of_ones_own_trusts_none_of_the_system"),
    }
}
