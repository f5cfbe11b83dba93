//! A server that goes away and comes back, and what becomes of everything meanwhile:
//! `cargo run --release -p nats-tokio --example survive`
//!
//! It brings its own server, to be able to stop it.

use std::time::Duration;

use futures_util::StreamExt;
use nats_broker::{ServerConfig, serve};
use nats_tokio::{Client, ConnectOptions, Notice, Notices, Tokio};

/// Prints what happens, up to what is waited for.
async fn until(notices: &mut Notices, wanted: impl Fn(&Notice) -> bool) {
    while let Some(notice) = notices.next().await {
        println!("   [{notice}]");
        if wanted(&notice) {
            return;
        }
    }
}

/// Where everything is that was published.
fn print_account(client: &Client) {
    let account = client.delivery_statistics();
    println!(
        "   {} published = {} confirmed + {} uncertain + {} pending + {} dropped",
        account.published, account.confirmed, account.uncertain, account.pending, account.dropped
    );
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let broker = serve::<Tokio>(ServerConfig::default()).await?;
    let addr = broker.addr();
    let client = ConnectOptions::new()
        .reconnect_wait(Duration::from_millis(100)) // default: 2 s
        .max_reconnects(None) // default: 60 attempts at each server
        .pending_limit(1024 * 1024) // kept while there is no connection; default: 8 MiB
        .connect(broker.url())
        .await?;
    let mut notices = client.notices();
    let mut orders = client.subscribe("orders").await?;

    println!("1. Five orders, and a flush: the server has them");
    for number in 1..=5 {
        client.publish("orders", number.to_string().into()).await?;
    }
    client.flush().await?;
    print_account(&client);

    println!("2. The server stops");
    broker.shutdown().await;
    until(&mut notices, |notice| matches!(notice, Notice::Disconnected { .. })).await;

    println!("3. Five more orders: they are kept");
    for number in 6..=10 {
        client.publish("orders", number.to_string().into()).await?;
    }
    print_account(&client);
    until(&mut notices, |notice| matches!(notice, Notice::ConnectFailed { .. })).await;

    println!("4. The server is back: subscriptions first, then what was kept");
    let mut config = ServerConfig::default();
    config.addr = addr;
    let broker = serve::<Tokio>(config).await?;
    until(&mut notices, |notice| *notice == Notice::Connected).await;
    client.flush().await?;
    print_account(&client);

    println!("5. Drain: the subscriber gets all, in order, and then the client closes");
    client.drain().await?;
    let got: Vec<String> =
        orders.by_ref().map(|order| String::from_utf8_lossy(&order.payload).into()).collect().await;
    println!("   got {}, ended: {:?}", got.join(" "), orders.end_reason());
    let unfinished = client.closed().await;
    println!("   not sent: {}, not known: {}", unfinished.unsent, unfinished.uncertain);
    until(&mut notices, |notice| *notice == Notice::Closed).await;
    broker.shutdown().await;
    Ok(())
}
