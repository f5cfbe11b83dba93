//! A service and its client: `cargo run --release -p nats-tokio --example request_reply [nats://host:port]`
//!
//! Without an address it brings its own server.

use std::time::Duration;

use futures_util::StreamExt;
use nats_tokio::{Client, Request, RequestErrorKind, Subscriber};

#[path = "common/server.rs"]
mod server;

/// Answers until the client drains.
async fn serve(client: Client, mut requests: Subscriber) -> Result<(), nats_tokio::Error> {
    while let Some(request) = requests.next().await {
        let Some(reply) = request.reply else { continue };
        let number = String::from_utf8_lossy(&request.payload).parse::<i64>();
        let answer = number.map_or_else(|error| error.to_string(), |n| (2 * n).to_string());
        client.publish(reply, answer.into()).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let url = server.url();
    let service_client = nats_tokio::connect(url).await?;
    let client = nats_tokio::connect(url).await?;

    match client.request("math.double", "21".into()).await {
        Err(error) if error.kind() == RequestErrorKind::NoResponders => println!("no service yet"),
        other => println!("another service is there already: {other:?}"),
    }

    // Further services in the same queue group would share the work.
    let requests = service_client.queue_subscribe("math.double", "doublers".to_owned()).await?;
    // Other clients can rely on a subscription after a flush.
    service_client.flush().await?;
    let service = tokio::spawn(serve(service_client.clone(), requests));
    for number in ["21", "-1", "many"] {
        let request = Request::new().payload(number.into()).timeout(Some(Duration::from_secs(2)));
        let reply = client.send_request("math.double", request).await?;
        println!("{number} doubled: {}", String::from_utf8_lossy(&reply.payload));
    }

    // Lets the service answer what has come, and then end.
    service_client.drain().await?;
    service.await?
}
