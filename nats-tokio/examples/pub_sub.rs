//! Publish and subscribe: `cargo run --release -p nats-tokio --example pub_sub [nats://host:port]`
//!
//! Without an address it brings its own server.

use futures_util::StreamExt;

#[path = "common/server.rs"]
mod server;

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let client = nats_tokio::connect(server.url()).await?;

    // `*` stands for one part of a subject, `>` for all that follow.
    let mut weather = client.subscribe("weather.*.temperature").await?;
    // Ends the stream by itself.
    weather.unsubscribe_after(2).await?;

    client.publish("weather.oslo.temperature", "-4".into()).await?;
    client.publish("weather.oslo.wind", "3".into()).await?;
    client.publish("weather.rome.temperature", "17".into()).await?;

    while let Some(message) = weather.next().await {
        println!("{}: {}", message.subject, String::from_utf8_lossy(&message.payload));
    }

    // Sends what is buffered, and says what could not be sent.
    let unfinished = client.close().await;
    println!("not sent: {}", unfinished.unsent);
    Ok(())
}
