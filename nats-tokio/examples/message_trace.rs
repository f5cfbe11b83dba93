//! Where a message goes, as the servers tell it (ADR-41):
//! `cargo run --release -p nats-tokio --example message_trace [nats://host:port]`
//!
//! It needs `nats-server` 2.11 or newer. The broker that it brings if there is no address does not trace, and the
//! example says so.

use std::time::Duration;

use futures_util::StreamExt;
use nats_tokio::{HeaderMap, header};

#[path = "common/server.rs"]
mod server;

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let client = nats_tokio::connect(server.url()).await?;
    let mut orders = client.subscribe("orders.*").await?;

    // A subject of one's own for each message, so that traces can be told apart.
    let inbox = client.new_inbox();
    let mut traces = client.subscribe(inbox.clone()).await?;
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_TRACE_DEST, inbox.as_str());
    // Without this one the message is delivered as well.
    headers.insert(header::NATS_TRACE_ONLY, "true");
    client.publish_with_headers("orders.eu", headers, "two apples".into()).await?;

    // Every server on the way sends a message, and nobody says which is the last.
    let wait = Duration::from_secs(1);
    let mut servers = 0;
    while let Ok(Some(trace)) = tokio::time::timeout(wait, traces.next()).await {
        servers += 1;
        println!("{}", String::from_utf8_lossy(&trace.payload));
    }
    if servers == 0 {
        println!("no trace: this server does not tell where messages go");
        return Ok(());
    }
    println!("{servers} servers told of it");

    client.publish("orders.eu", "a melon".into()).await?;
    let order = orders.next().await.ok_or("the subscription has ended")?;
    println!("delivered: {:?}, and what was only traced was not", order.payload);
    Ok(())
}
