//! The tour with the names of one adapter, as the example has it.

use nats_tokio as nats;
use nats_tokio::Tokio as Runtime;

#[path = "../../../nats-tokio/examples/quickstart/server.rs"]
mod server;
#[expect(dead_code, reason = "arguments and exit status are the example's")]
#[path = "../../../nats-tokio/examples/quickstart/tour.rs"]
pub(crate) mod tour;
