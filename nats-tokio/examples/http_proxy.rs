//! Connecting through an HTTP proxy, by a dialler of one's own. Brings its own proxy and its own server.
//! `cargo run --release -p nats-tokio --example http_proxy`

use std::io::{self, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use nats_broker::{Config, serve};
use nats_tokio::runtime::Stream;
use nats_tokio::{ConnectOptions, ServerAddr, Tokio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a proxy's answer, at most.
const LONGEST_ANSWER: usize = 8 * 1024;

/// Asks the proxy for a tunnel to a server. The proxy resolves the server's name.
async fn through(proxy: String, server: ServerAddr) -> io::Result<Stream> {
    let mut stream = TcpStream::connect(proxy).await?;
    let host = match server.host() {
        host if host.contains(':') => format!("[{host}]:{}", server.port()),
        host => format!("{host}:{}", server.port()),
    };
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what comes after the answer is the server's, which speaks first.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == LONGEST_ANSWER {
            return Err(Error::other(format!(
                "the answer of the proxy exceeds {LONGEST_ANSWER} bytes"
            )));
        }
        answer.push(stream.read_u8().await?);
    }
    let answer = String::from_utf8_lossy(&answer);
    match answer.split(' ').nth(1) {
        Some("200") => Stream::new(stream),
        _ => Err(Error::other(format!("the proxy says {:?}", answer.lines().next()))),
    }
}

/// A proxy that knows nothing but `CONNECT`, and counts the tunnels it has opened.
async fn proxy(listener: TcpListener, tunnels: Arc<AtomicUsize>) -> io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let tunnels = Arc::clone(&tunnels);
        tokio::spawn(async move {
            // A tunnel that breaks concerns its two ends alone.
            let _ = tunnel(client, &tunnels).await;
        });
    }
}

async fn tunnel(client: TcpStream, tunnels: &AtomicUsize) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    client.read_line(&mut request).await?;
    let mut line = String::from("more");
    while !line.trim().is_empty() {
        line.clear();
        client.read_line(&mut line).await?;
    }
    let server = match request.split(' ').collect::<Vec<_>>()[..] {
        ["CONNECT", server, _] => TcpStream::connect(server).await,
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    match server {
        Ok(mut server) => {
            tunnels.fetch_add(1, Ordering::SeqCst);
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        }
        Err(_) => client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await,
    }
}

/// Sends a message through the proxy, and sees the proxy refuse what it cannot reach.
pub(crate) async fn run() -> Result<(), nats_tokio::Error> {
    let broker = serve::<Tokio>(Config::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let proxy = tokio::spawn(proxy(listener, Arc::clone(&tunnels)));

    let options = ConnectOptions::new().dialer(move |server| through(address.clone(), server));
    let client = options.clone().connect(broker.url()).await?;
    let mut greetings = client.subscribe("greetings").await?;
    client.publish("greetings", "hello through the proxy".into()).await?;
    let greeting = greetings.next().await.ok_or("the subscription has ended")?;
    println!("{}", String::from_utf8_lossy(&greeting.payload));
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);

    // Port 1 is nobody's.
    let error = options.connect("127.0.0.1:1").await.err().ok_or("nobody is there")?;
    println!("{error}");
    assert!(error.to_string().contains("502"), "{error}");

    client.drain().await?;
    proxy.abort();
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    run().await
}
