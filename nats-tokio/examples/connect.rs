//! Ways to reach a server: `cargo run --release -p nats-tokio --example connect [nats://host:port]`
//!
//! Without an address it brings its own server.

use std::time::Duration;

use nats_tokio::{ConnectErrorKind, ConnectOptions, Event};

#[path = "common/server.rs"]
mod server;

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let url = server.url();

    println!("1. One address");
    let client = nats_tokio::connect(url).await?;
    let info = client.server_info();
    println!("   {} {}, at most {} bytes", info.server_name, info.version, client.max_payload());
    client.close().await;

    // Port 1 is nobody's: the attempt fails at once, and the next address gets its turn.
    println!("2. Several addresses, the first of which nobody answers");
    let client = ConnectOptions::new()
        .name("connect") // what the server's monitoring calls it
        .retain_servers_order() // default: a random order, which spreads clients over servers
        .connect(["nats://127.0.0.1:1", url])
        .await?;
    for server in client.server_pool().await? {
        let error = server.last_error.as_deref().unwrap_or("none");
        println!("   {server}: connected: {}, last error: {error}", server.did_connect);
    }
    client.close().await;

    println!("3. Nobody there: the error says who was tried, and its kind what to do");
    match nats_tokio::connect("nats://127.0.0.1:1").await {
        Err(error) if error.kind() == ConnectErrorKind::Io => println!("   {error}"),
        other => return Err(format!("expected nobody, got {other:?}").into()),
    }

    println!("4. Not there yet: the client comes at once, and what is published is kept");
    let client = ConnectOptions::new()
        .retry_on_initial_connect()
        .reconnect_wait(Duration::from_millis(100)) // default: 2 s
        .connection_timeout(Duration::from_secs(2)) // of each attempt; default: 5 s
        .event_callback(|event| async move {
            if let Event::Connected | Event::ClientError(_) = event {
                println!("   [{event}]");
            }
        })
        .connect("nats://127.0.0.1:1")
        .await?;
    println!("   state: {}", client.connection_state());
    client.publish("early", "kept until there is a connection".into()).await?;
    // A real program would wait for its server; this one names another.
    client.set_server_pool(url).await?;
    client.flush().await?;
    println!("   state: {}, and the server has it", client.connection_state());
    client.close().await;
    Ok(())
}
