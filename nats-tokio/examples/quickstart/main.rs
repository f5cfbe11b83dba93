//! What NATS does, in one run: `cargo run --release -p nats-tokio --example quickstart -- --help`
//!
//! Everything to read is in `tour.rs`, which the quickstart for async-std runs as well.

use nats_tokio as nats;
use nats_tokio::Tokio as Runtime;

mod server;
mod tour;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    tour::main().await
}
