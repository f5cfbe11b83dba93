//! What NATS does, in one run: `cargo run --release -p nats-async-std --example quickstart-async-std -- --help`
//!
//! Everything to read is in `tour.rs`, which the quickstart for tokio runs as well.

use nats_async_std as nats;
use nats_async_std::AsyncStd as Runtime;

#[path = "../../nats-tokio/examples/quickstart/server.rs"]
mod server;
#[path = "../../nats-tokio/examples/quickstart/tour.rs"]
mod tour;

fn main() -> std::process::ExitCode {
    async_std::task::block_on(tour::main())
}
