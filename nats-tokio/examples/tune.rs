//! Limits, and what happens at each: `cargo run --release -p nats-tokio --example tune [nats://host:port]`
//!
//! Without an address it brings its own server. The guide has a table of every option with its default.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use nats_tokio::{Client, ConnectOptions, PendingPolicy, RequestErrorKind};

#[path = "common/server.rs"]
mod server;

/// A client for a server that is not there, which so has to keep what is published.
async fn offline(policy: PendingPolicy) -> Result<Client, nats_tokio::Error> {
    let options = ConnectOptions::new()
        .retry_on_initial_connect()
        .pending_limit(1_024) // default: 8 MiB
        .pending_policy(policy); // default: wait
    Ok(options.connect("nats://127.0.0.1:1").await?)
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    println!("1. Without a connection, 1 KiB is kept. What comes then is one's choice:");
    for policy in [PendingPolicy::Wait, PendingPolicy::Error, PendingPolicy::DropOldest] {
        let client = offline(policy).await?;
        let (mut accepted, mut refused, mut waited) = (0, 0, 0);
        for _ in 0..10 {
            let publish = client.publish("metrics", Bytes::from_static(&[b'x'; 200]));
            // Who waits, waits for a connection: not here.
            match tokio::time::timeout(Duration::from_millis(20), publish).await {
                Ok(Ok(())) => accepted += 1,
                Ok(Err(_)) => refused += 1,
                Err(_) => waited += 1,
            }
        }
        let dropped = client.delivery_statistics().dropped;
        println!(
            "   {policy:?}: {accepted} accepted (and {dropped} of them dropped), {refused} refused, {waited} waited"
        );
        client.close().await;
    }

    let server = server::Server::named_or_embedded().await?;
    let client = ConnectOptions::new()
        .request_timeout(Some(Duration::from_millis(200))) // default: 10 s
        .send_buffer_limit(1024 * 1024) // default: 128 KiB; helps large messages over long ways
        .read_buffer_capacity(16 * 1024) // default: 64 KiB; less for many clients that get little
        .subscription_capacity(1_000_000) // default: 65,536 messages
        .subscription_byte_capacity(256 * 1024 * 1024) // default: 64 MiB
        .connect(server.url())
        .await?;

    println!("2. A request ends in time");
    let silent = client.subscribe("silence").await?;
    match client.request("silence", "hello?".into()).await {
        Err(error) if error.kind() == RequestErrorKind::TimedOut => println!("   {error}"),
        other => return Err(format!("expected nothing, got {other:?}").into()),
    }
    drop(silent);

    println!("3. As fast as it goes, in one task");
    const COUNT: usize = 200_000;
    let numbers = client.subscribe("numbers").await?;
    let start = Instant::now();
    for _ in 0..COUNT {
        client.publish("numbers", Bytes::from_static(b"sixteen bytes ok")).await?;
    }
    client.flush().await?; // once, not after each
    let (published, dropped) = (start.elapsed(), numbers.dropped());
    let received = numbers.take(COUNT - dropped as usize).count().await;
    println!("   {COUNT} published and confirmed in {published:?}, {received} received");
    println!("   after {:?}; a release build is much faster", start.elapsed());
    client.close().await;
    Ok(())
}
