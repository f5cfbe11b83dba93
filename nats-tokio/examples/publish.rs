//! Publishing, and what is known of what was published:
//! `cargo run --release -p nats-tokio --example publish [nats://host:port]`
//!
//! Without an address it brings its own server.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use nats_tokio::message::OutboundMessage;
use nats_tokio::{Client, HeaderMap, PublishErrorKind};

#[path = "common/server.rs"]
mod server;

fn print_account(client: &Client) {
    let account = client.delivery_statistics();
    println!("   {} published, {} confirmed", account.published, account.confirmed);
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let client = nats_tokio::connect(server.url()).await?;
    let mut printed = client.subscribe("orders.*").await?;

    println!("1. A payload, headers, a place for answers");
    client.publish("orders.eu", "two apples".into()).await?;
    let mut headers = HeaderMap::new();
    headers.insert("Priority", "high"); // case is kept, and counts
    headers.append("Seen-By", "gate");
    client.publish_with_headers("orders.us", headers, "a melon".into()).await?;
    client.publish_with_reply("orders.jp", "bills.jp", "a plum".into()).await?;
    for _ in 0..3 {
        let order = printed.next().await.ok_or("the subscription has ended")?;
        let (subject, reply) = (order.subject, order.reply);
        println!("   {subject}: {:?}, answers to {reply:?}", order.payload);
    }

    println!("2. Published is not yet confirmed: a flush asks the server, once for all before it");
    for number in 0..1_000 {
        client.publish("numbers", format!("{number}").into()).await?;
    }
    print_account(&client);
    client.flush().await?;
    print_account(&client);

    println!("3. What cannot be sent is refused before it is");
    let large = Bytes::from(vec![0; client.max_payload() + 1]);
    for (subject, payload) in [("two words", Bytes::new()), ("large", large)] {
        let error = client.publish(subject, payload).await.err().ok_or("it was accepted")?;
        let known = [PublishErrorKind::InvalidSubject, PublishErrorKind::MaxPayloadExceeded];
        assert!(known.contains(&error.kind()));
        println!("   {error}");
    }

    println!("4. Never waiting: a full buffer gives the payload back");
    match client.try_publish("orders.eu", "a fig".into()) {
        Ok(()) => println!("   there was room"),
        Err(refused) if refused.is_full() => println!("   later: {:?}", refused.payload),
        Err(refused) => return Err(refused.into()),
    }

    println!("5. The client is a sink");
    let message = |payload: &'static str| OutboundMessage {
        subject: "orders.eu".into(),
        reply: None,
        payload: payload.into(),
        headers: None,
    };
    let mut orders = futures_util::stream::iter(["a pear", "a quince"].map(message)).map(Ok);
    client.clone().send_all(&mut orders).await?;

    // Sends what is buffered, and says what could not be sent.
    let unfinished = client.close().await;
    println!("   not sent: {}, not known: {}", unfinished.unsent, unfinished.uncertain);
    print_account(&client);
    Ok(())
}
