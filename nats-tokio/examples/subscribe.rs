//! Subscribing, sharing work, and what happens when there is too much of it:
//! `cargo run --release -p nats-tokio --example subscribe [nats://host:port]`
//!
//! Without an address it brings its own server.

use futures_util::StreamExt;
use nats_tokio::{Message, WhenFull};

#[path = "common/server.rs"]
mod server;

fn text(message: Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let client = nats_tokio::connect(server.url()).await?;
    let other = nats_tokio::connect(server.url()).await?;

    println!("1. Wildcards: `*` is one part, `>` all that follow");
    let mut temperatures = client.subscribe("weather.*.temperature").await?;
    let mut everything = client.subscribe("weather.>").await?;
    // What this client publishes comes behind its subscriptions, of which the server has heard by then.
    client.publish("weather.oslo.wind", "3".into()).await?;
    client.publish("weather.oslo.temperature", "-4".into()).await?;
    println!("   one: {:?}", temperatures.next().await.map(text));
    println!("   all: {:?}", everything.by_ref().take(2).map(text).collect::<Vec<_>>().await);
    everything.unsubscribe().await?;

    println!("2. Confirmed: what others publish from now on will come as well");
    let mut news = client.subscription("news").max_messages(1).confirmed().await?;
    other.publish("news", "from somebody else".into()).await?;
    println!("   {:?}, and then {:?}", news.next().await.map(text), news.next().await.map(text));
    println!("   because: {:?}", news.end_reason());

    println!("3. A queue group: each job goes to one of its members");
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(client.queue_subscribe("jobs", "workers".to_owned()).await?);
    }
    for job in 0..9 {
        client.publish("jobs", job.to_string().into()).await?;
    }
    for mut worker in workers {
        worker.drain().await?; // ends behind what the server had for it: nothing is lost
        println!("   {:?}", worker.map(text).collect::<Vec<_>>().await);
    }

    println!("4. Too slow: the oldest make room, and are counted");
    let mut prices =
        client.subscription("prices").capacity(4).when_full(WhenFull::DropOldest).await?;
    for price in 0..100 {
        client.publish("prices", price.to_string().into()).await?;
    }
    // Its answer comes behind all that was published.
    client.flush().await?;
    println!("   {:?}", prices.statistics());
    println!("   {:?}", prices.by_ref().take(4).map(text).collect::<Vec<_>>().await);

    other.close().await;
    client.close().await;
    Ok(())
}
