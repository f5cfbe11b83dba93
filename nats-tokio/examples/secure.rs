//! Who the server is, and who the client is:
//! `cargo run --release -p nats-tokio --example secure -- [[--url] U] [--ca F] [--cert F --key F] [--creds F] [--nkey F]`
//!
//! Without arguments it brings its own server, which asks for a password. A server with TLS and certificates to try
//! the rest with:
//!
//! ```sh
//! openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -keyout server.key -out server.pem \
//!     -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE
//! nats-server --tls --tlscert server.pem --tlskey server.key &
//! cargo run --release -p nats-tokio --example secure -- --url tls://localhost --ca server.pem
//! ```
//!
//! Key and credentials files are made by `nsc` and `nats auth`.

use std::collections::HashMap;
use std::path::PathBuf;

use nats_broker::{Auth, Config, serve};
use nats_tokio::{ConnectErrorKind, ConnectOptions, Tokio};

const USAGE: &str = "usage: secure [[--url] U] [--ca F] [--cert F --key F] [--creds F] [--nkey F]";

/// What the arguments say, by their names.
fn arguments() -> Result<HashMap<String, String>, nats_tokio::Error> {
    let mut found = HashMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if !name.starts_with('-') {
            found.insert("--url".to_owned(), name);
            continue;
        }
        let known = ["--url", "--ca", "--cert", "--key", "--creds", "--nkey"];
        match arguments.next() {
            Some(value) if known.contains(&name.as_str()) => found.insert(name, value),
            _ => return Err(USAGE.into()),
        };
    }
    Ok(found)
}

/// The options for a server of one's own.
async fn options(given: &HashMap<String, String>) -> Result<ConnectOptions, nats_tokio::Error> {
    let path = |name| given.get(name).map(PathBuf::from);
    let mut options = ConnectOptions::new();
    if let Some(ca) = path("--ca") {
        options = options.add_root_certificates(ca); // instead of what the system trusts
    }
    if let (Some(cert), Some(key)) = (path("--cert"), path("--key")) {
        options = options.add_client_certificate(cert, key);
    }
    if let Some(creds) = path("--creds") {
        options = options.credentials_file(creds).await?; // read again on every attempt
    }
    if let Some(nkey) = path("--nkey") {
        options = options.nkey(std::fs::read_to_string(nkey)?.trim().to_owned());
    }
    Ok(options)
}

/// A server that asks for a password, and clients with and without.
async fn with_a_password() -> Result<(), nats_tokio::Error> {
    let mut config = Config::default();
    config.auth = Auth::user("ann", "secret");
    let broker = serve::<Tokio>(config).await?;

    match nats_tokio::connect(broker.url()).await {
        Err(error) if error.kind() == ConnectErrorKind::AuthorizationViolation => {
            println!("without a password: {error}");
        }
        other => return Err(format!("expected a refusal, got {other:?}").into()),
    }
    // In a real program the password comes from elsewhere. `Debug` does not show it.
    let options = ConnectOptions::with_user_and_password("ann".into(), "secret".into());
    println!("{options:?}");
    let client = options.connect(broker.url()).await?;
    println!("with the password: {}", client.connection_state());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let given = arguments()?;
    if given.is_empty() {
        return with_a_password().await;
    }
    let url = given.get("--url").map_or("nats://localhost:4222", String::as_str);
    let client = options(&given).await?.connect(url).await?;
    let info = client.server_info();
    println!("connected to {}, which requires TLS: {}", info.server_name, info.tls_required);
    println!("a round trip takes {:?}", client.rtt().await?);
    Ok(())
}
