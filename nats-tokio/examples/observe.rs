//! What a client tells of itself: `cargo run --release -p nats-tokio --example observe [nats://host:port]`
//!
//! Without an address it brings its own server. With `--features tracing` the client writes a log as well.

use futures_util::StreamExt;
use nats_tokio::{ConnectOptions, Notice};

#[path = "common/server.rs"]
mod server;

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    #[cfg(feature = "tracing")]
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();

    let server = server::Server::named_or_embedded().await?;
    let client = ConnectOptions::new()
        .name("observed") // what the server's monitoring and the log call it
        .subscription_capacity(100) // messages that may wait for a subscriber; default: 65,536
        .event_callback(|event| async move { println!("event: {event}") })
        .connect(server.url())
        .await?;
    let mut notices = client.notices();

    let info = client.server_info();
    println!("{} {}, this is client {}", info.server_name, info.version, info.client_id);
    println!("state: {}, round trip: {:?}", client.connection_state(), client.rtt().await?);

    // A subscriber that does not keep up loses messages of its own, and is told of.
    let mut slow = client.subscribe("ticks").await?;
    for tick in 0..150 {
        client.publish("ticks", tick.to_string().into()).await?;
    }
    client.flush().await?;
    let received = slow.by_ref().take(100).count().await;
    println!("received {received} ticks, dropped {}", slow.dropped());
    client.publish("ticks", "one more".into()).await?;
    println!("and, having caught up: {:?}", slow.next().await.map(|tick| tick.payload));
    while let Some(notice) = notices.next().await {
        println!("notice: {notice}");
        if matches!(notice, Notice::SlowConsumerRecovered { .. }) {
            break;
        }
    }

    let account = client.delivery_statistics();
    println!("published {}, confirmed {}", account.published, account.confirmed);
    println!("{} bytes out, {} bytes in", account.bytes_out, account.bytes_in);
    for server in client.server_pool().await? {
        println!("{server:?}");
    }
    client.close().await;
    Ok(())
}
