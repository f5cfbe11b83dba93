//! One question, many answers: `cargo run --release -p nats-tokio --example scatter_gather [nats://host:port]`
//!
//! Without an address it brings its own server.

use std::time::Duration;

use futures_util::StreamExt;
use nats_tokio::{Client, Subscriber};

#[path = "common/server.rs"]
mod server;

/// A warehouse that says what it has.
async fn warehouse(
    client: Client,
    mut questions: Subscriber,
    town: &'static str,
    apples: u32,
) -> Result<(), nats_tokio::Error> {
    while let Some(question) = questions.next().await {
        let Some(reply) = question.reply else { continue };
        client.publish(reply, format!("{town} has {apples}").into()).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let client = nats_tokio::connect(server.url()).await?;
    for (town, apples) in [("Oslo", 3), ("Rome", 17), ("Kyoto", 8)] {
        // No queue group: each of them is to answer.
        let questions = client.subscribe("stock.apples").await?;
        tokio::spawn(warehouse(client.clone(), questions, town, apples));
    }

    // It is not known how many there are: the answers are complete when none has come for a while.
    let question = client
        .request_many()
        .stall_wait(Duration::from_millis(200))
        .max_wait(Some(Duration::from_secs(2)));
    let mut answers = question.send("stock.apples", "how many?".into()).await?;
    while let Some(answer) = answers.next().await {
        println!("{}", String::from_utf8_lossy(&answer.payload));
    }
    println!("{} answers, and then: {:?}", answers.received(), answers.end());

    // Where one is enough, the first may be the best.
    let mut fastest = client.request_many().max_messages(1).send("stock.apples", "".into()).await?;
    if let Some(answer) = fastest.next().await {
        println!("the fastest: {}", String::from_utf8_lossy(&answer.payload));
    }

    // That nobody listens is told at once, and not after two seconds.
    let mut nobody = client.request_many().send("stock.melons", "".into()).await?;
    assert!(nobody.next().await.is_none());
    println!("melons: {:?}", nobody.end());
    Ok(())
}
