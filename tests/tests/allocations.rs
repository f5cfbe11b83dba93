//! What a message costs in allocations, counted. A binary of its own with one test, so that nothing else
//! allocates meanwhile: the servers on the other side are threads that work in fixed buffers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::thread;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use nats_tokio::{Client, HeaderMap};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const INFO: &[u8] = b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n";

/// Counts the allocations and reallocations of `work`.
async fn counted(work: impl Future<Output = ()>) -> usize {
    let region = Region::new(ALLOCATOR);
    work.await;
    let change = region.change();
    change.allocations + change.reallocations
}

/// A client of a server that does `serve` with whatever is written to it.
async fn client_of(serve: impl FnMut(&mut TcpStream, &[u8]) + Send + 'static) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let mut serve = serve;
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(INFO).expect("a client that listens");
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let read = &buffer[..count];
            // Clients send PING and wait for the answer.
            if read.ends_with(b"PING\r\n") && stream.write_all(b"PONG\r\n").is_err() {
                return;
            }
            serve(&mut stream, read);
        }
    });
    nats_tokio::connect(addr.to_string()).await.expect("a connection")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_of_a_message_does_not_allocate() {
    publishing().await;
    publishing_with_headers().await;
    publishing_now_and_then().await;
    publishing_large_payloads().await;
    receiving().await;
    requesting().await;
}

async fn publishing() {
    let client = client_of(|_, _| ()).await;
    let payload = Bytes::from_static(b"0123456789abcdef");
    let publish = |count| {
        let (client, payload) = (&client, &payload);
        async move {
            for _ in 0..count {
                client.publish("bench.subject", payload.clone()).await.expect("room");
            }
            client.flush().await.expect("a server that answers");
        }
    };
    // Until the buffers have the size they need.
    publish(100_000).await;
    // More than 4 MiB: several turns, at the end of each of which the publisher waits.
    let allocations = counted(publish(100_000)).await;
    assert!(allocations < 100, "{allocations} allocations for 100,000 publishes");
}

async fn publishing_with_headers() {
    const COUNT: usize = 20_000;
    let client = client_of(|_, _| ()).await;
    let mut headers = HeaderMap::new();
    headers.insert("Number", "one");
    let publish = |messages: Vec<HeaderMap>| {
        let client = &client;
        async move {
            for headers in messages {
                let payload = Bytes::from_static(b"0123456789abcdef");
                client.publish_with_headers("bench.subject", headers, payload).await.expect("room");
            }
            client.flush().await.expect("a server that answers");
        }
    };
    publish(vec![headers.clone(); COUNT]).await;
    let messages = vec![headers; COUNT];
    let allocations = counted(publish(messages)).await;
    assert!(allocations < 100, "{allocations} allocations for {COUNT} publishes with headers");
}

async fn publishing_now_and_then() {
    const COUNT: usize = 1_000;
    let client = client_of(|_, _| ()).await;
    let publish = async || {
        for _ in 0..COUNT {
            let mut publish = pin!(client.publish("bench.subject", Bytes::from_static(b"0123")));
            // It lets others run now and then, and goes on by itself.
            let published = publish.as_mut().now_or_never();
            let published = published.or_else(|| publish.as_mut().now_or_never());
            published.expect("it never waits").expect("a live client");
            client.flush().await.expect("a server that answers");
        }
    };
    publish().await;
    let allocations = counted(publish()).await;
    assert!(allocations < 20, "{allocations} allocations for {COUNT} publishes now and then");
}

async fn publishing_large_payloads() {
    let client = client_of(|_, _| ()).await;
    for size in [64 * 1024, 1024 * 1024] {
        const COUNT: usize = 50;
        let payload = Bytes::from(vec![b'x'; size]);
        let publish = async || {
            for _ in 0..COUNT {
                client.publish("bench.subject", payload.clone()).await.expect("room");
            }
            client.flush().await.expect("a server that answers");
        };
        publish().await;
        let region = Region::new(ALLOCATOR);
        publish().await;
        let bytes = region.change().bytes_allocated;
        assert!(bytes < size, "{bytes} bytes allocated for {COUNT} payloads of {size}");
    }
}

async fn receiving() {
    const FRAME: &[u8] = b"MSG bench.subject 1 16\r\n0123456789abcdef\r\n";
    const ROUND: usize = 10_000;
    // Each PUB asks for so many messages: few enough for no buffer to overflow.
    let mut batch = FRAME.repeat(ROUND);
    batch.shrink_to_fit();
    let client = client_of(move |stream, read| {
        if read.starts_with(b"PUB ") {
            // A client that is gone reads nothing more.
            let _ = stream.write_all(&batch);
        }
    })
    .await;
    let mut messages = client.subscribe("bench.subject").await.expect("a subscription");
    client.flush().await.expect("a server that answers");
    let mut receive = async |rounds: usize| {
        for _ in 0..rounds {
            client.publish("more", Bytes::new()).await.expect("room");
            for _ in 0..ROUND {
                messages.next().await.expect("a message");
            }
        }
    };
    receive(10).await;
    let bytes = 10 * ROUND * FRAME.len();
    let allocations = counted(receive(10)).await;
    // A read buffer may be replaced before it is full, as long as its messages are in use.
    let buffers = bytes / (4 * 1024);
    assert!(
        allocations <= buffers,
        "{allocations} allocations for {} messages of {bytes} bytes in all",
        10 * ROUND
    );
}

async fn requesting() {
    let mut answer = Vec::with_capacity(1024);
    let client = client_of(move |stream, read| {
        // `PUB svc REPLY 2`: one request at a time, so it comes in one piece.
        let mut lines = read.split(|byte| *byte == b'\n');
        let Some(request) = lines.find(|line| line.starts_with(b"PUB ")) else {
            return;
        };
        let reply = request.split(|byte| *byte == b' ').nth(2).expect("a reply subject");
        answer.clear();
        answer.extend_from_slice(b"MSG ");
        answer.extend_from_slice(reply);
        answer.extend_from_slice(b" 1 2\r\nok\r\n");
        // A client that is gone reads nothing more.
        let _ = stream.write_all(&answer);
    })
    .await;
    let request = |count| {
        let client = &client;
        async move {
            for _ in 0..count {
                client.request("svc", Bytes::from_static(b"hi")).await.expect("a reply");
            }
        }
    };
    request(2_000).await;
    let allocations = counted(request(2_000)).await;
    assert!(allocations < 200, "{allocations} allocations for 2,000 requests");
    let pending = client.delivery_statistics();
    assert_eq!(pending.published, 4_000);
}
