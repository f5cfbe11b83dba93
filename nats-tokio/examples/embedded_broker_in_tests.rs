//! A test that needs a server, and brings its own: the broker runs in the same process, on a free port.
//! `cargo run --release -p nats-tokio --example embedded_broker_in_tests`

use futures_util::StreamExt;
use nats_broker::{Config, serve};
use nats_tokio::{Client, Tokio};

/// What is to be tested: passes each order on, in upper case.
async fn shout(client: Client) -> Result<(), nats_tokio::Error> {
    let mut orders = client.subscribe("orders").await?;
    while let Some(order) = orders.next().await {
        let loud = String::from_utf8_lossy(&order.payload).to_uppercase();
        client.publish("orders.loud", loud.into()).await?;
    }
    Ok(())
}

/// In a real program this would be a `#[tokio::test]`.
async fn an_order_is_passed_on_in_upper_case() -> Result<(), nats_tokio::Error> {
    // Gone when the handle is dropped. Any number of tests can run at a time.
    let broker = serve::<Tokio>(Config::default()).await?;

    let worker = nats_tokio::connect(broker.url()).await?;
    let running = tokio::spawn(shout(worker.clone()));
    let client = nats_tokio::connect(broker.url()).await?;
    let mut loud = client.subscribe("orders.loud").await?;
    client.flush().await?;

    // The worker has subscribed as soon as the broker knows two subscriptions.
    while broker.statistics().subscriptions < 2 {
        tokio::task::yield_now().await;
    }
    client.publish("orders", "two apples".into()).await?;
    let order = loud.next().await.ok_or("the subscription has ended")?;
    assert_eq!(&order.payload[..], b"TWO APPLES");

    worker.drain().await?;
    running.await?
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    an_order_is_passed_on_in_upper_case().await?;
    println!("an order is passed on in upper case: ok");
    Ok(())
}
