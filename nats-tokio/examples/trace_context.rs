//! A trace that goes through messages: `cargo run --release -p nats-tokio --example trace_context [nats://host:port]`
//!
//! Whoever publishes puts the header `traceparent` of the W3C's Trace Context into the message; whoever receives
//! it goes on from there. It is done by hand here, to show what is in the header; a propagator of OpenTelemetry does the
//! same through `HeaderMap`'s `insert` and `get`. Without an address the example brings its own server.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use futures_util::StreamExt;
use nats_tokio::{Client, HeaderMap, Subscriber};

#[path = "common/server.rs"]
mod server;

const TRACEPARENT: &str = "traceparent";

/// A step of a trace.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The same for all steps.
    trace: u128,
    /// This step's own.
    id: u64,
    /// Whether it is recorded.
    sampled: bool,
}

impl Span {
    /// The first step of a new trace.
    fn root() -> Self {
        let trace = u128::from(random()) << 64 | u128::from(random());
        Self { trace, id: random(), sampled: true }
    }

    /// The next step.
    fn child(self) -> Self {
        Self { id: random(), ..self }
    }

    /// `version-trace-parent-flags`, in hexadecimal digits.
    fn inject(self, headers: &mut HeaderMap) {
        let flags = u8::from(self.sampled);
        headers.insert(TRACEPARENT, format!("00-{:032x}-{:016x}-{flags:02x}", self.trace, self.id));
    }

    /// Nothing if there is no such header, or none that can be read: then a new trace begins.
    fn extract(headers: Option<&HeaderMap>) -> Option<Self> {
        let value = headers?.get(TRACEPARENT)?.as_str();
        let fields: Vec<&str> = value.split('-').collect();
        // Later versions may have more fields behind these.
        let [version, trace, id, flags, ..] = fields[..] else { return None };
        if version == "ff" || [version, trace, id, flags].map(str::len) != [2, 32, 16, 2] {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let id = u64::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, id, sampled: flags & 1 == 1 })
    }
}

/// Random enough for an example: std seeds its hash maps from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(()) | 1
}

/// Doubles numbers, as a step of the trace of whoever asks.
async fn doubler(client: Client, mut requests: Subscriber) -> Result<(), nats_tokio::Error> {
    while let Some(request) = requests.next().await {
        let span = Span::extract(request.headers.as_ref()).map_or_else(Span::root, Span::child);
        println!("service: span {:016x} of trace {:032x}", span.id, span.trace);
        let Some(reply) = request.reply else { continue };
        let number: i64 = String::from_utf8_lossy(&request.payload).parse().unwrap_or(0);
        let mut headers = HeaderMap::new();
        span.inject(&mut headers);
        client.publish_with_headers(reply, headers, (2 * number).to_string().into()).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), nats_tokio::Error> {
    let server = server::Server::named_or_embedded().await?;
    let client = nats_tokio::connect(server.url()).await?;
    let requests = client.subscribe("math.double").await?;
    tokio::spawn(doubler(client.clone(), requests));

    let span = Span::root();
    println!("client:  span {:016x} of trace {:032x}", span.id, span.trace);
    let mut headers = HeaderMap::new();
    span.inject(&mut headers);
    let reply = client.request_with_headers("math.double", headers, "21".into()).await?;
    let answered = Span::extract(reply.headers.as_ref()).ok_or("a reply without a trace")?;
    assert_eq!(answered.trace, span.trace);
    println!("client:  {} came back in the same trace", String::from_utf8_lossy(&reply.payload));
    Ok(())
}
