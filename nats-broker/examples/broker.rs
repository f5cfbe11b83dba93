//! A Core NATS broker on a port, for any client that speaks NATS.
//!
//! ```text
//! cargo run --release -p nats-broker --example broker -- --port 4222
//! ```

use std::error::Error;
use std::future::pending;

use nats_broker::{Auth, ServerConfig, serve};
use nats_tokio::Tokio;

const USAGE: &str =
    "usage: broker [--addr 127.0.0.1] [--port 4222] [--user NAME:PASSWORD | --token TOKEN]";

fn config() -> Result<ServerConfig, Box<dyn Error>> {
    let mut config = ServerConfig::default();
    config.addr.set_port(4222);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match name.as_str() {
            "--addr" => config.addr.set_ip(value.parse().map_err(|_| USAGE)?),
            "--port" => config.addr.set_port(value.parse().map_err(|_| USAGE)?),
            "--token" => config.broker.auth = Auth::Token(value),
            "--user" => {
                let (name, password) = value.split_once(':').ok_or(USAGE)?;
                config.broker.auth = Auth::user(name, password);
            }
            _ => return Err(USAGE.into()),
        }
    }
    Ok(config)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = serve::<Tokio>(config()?).await?;
    println!("listening on {}", server.url());
    pending().await
}
