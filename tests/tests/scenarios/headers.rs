//! Messages with headers.

use nats_client::{Client, HeaderMap, Message, Subscriber};
use nats_tests::server::{Options, RawConnection, RealServer, Release, TestServer};

use crate::support::{Env, Rt, next, text};

/// Sends the headers to oneself.
async fn there_and_back(client: &Client, inbox: &mut Subscriber, headers: HeaderMap) -> Message {
    client.publish_with_headers("headers", headers, "body".into()).await.unwrap();
    let message = next(inbox).await;
    assert_eq!(&message.payload[..], b"body");
    message
}

pub(crate) async fn repeated_names_keep_all_values_in_order<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut inbox = client.subscribe("headers").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.append("Color", "red");
    headers.append("Size", "1");
    headers.append("Color", "green");
    headers.append("Color", "red");
    let got = there_and_back(&client, &mut inbox, headers.clone()).await.headers.unwrap();
    let colors: Vec<&str> = got.get_all("Color").map(|value| value.as_str()).collect();
    assert_eq!(colors, ["red", "green", "red"]);
    assert_eq!(got.get("Size").unwrap().as_str(), "1");
    assert_eq!(got, headers);
}

pub(crate) async fn case_is_kept_and_significant<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut inbox = client.subscribe("headers").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("X-Case", "upper");
    headers.insert("x-case", "lower");
    let got = there_and_back(&client, &mut inbox, headers).await.headers.unwrap();
    assert_eq!(got.get("X-Case").unwrap().as_str(), "upper");
    assert_eq!(got.get("x-case").unwrap().as_str(), "lower");
    assert!(got.get("X-CASE").is_none());
}

pub(crate) async fn headers_travel_with_an_empty_payload_and_with_a_reply<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut inbox = client.subscribe("headers").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Only", "this");
    client
        .publish_with_reply_and_headers("headers", "answers", headers.clone(), "".into())
        .await
        .unwrap();
    let message = next(&mut inbox).await;
    assert!(message.payload.is_empty());
    assert_eq!(message.reply.as_deref(), Some("answers"));
    assert_eq!(message.headers, Some(headers));
    // No headers at all is not the same as an empty block that somebody would have to read.
    client.publish_with_headers("headers", HeaderMap::new(), "bare".into()).await.unwrap();
    assert_eq!(next(&mut inbox).await.headers, None);
}

pub(crate) async fn values_may_have_colons_and_any_unicode<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut inbox = client.subscribe("headers").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Url", "nats://host:4222/a: b");
    headers.insert("Word", "ßøł 東京 🦀");
    headers.insert("Empty", "");
    headers.insert("!#$%&'*+-.^_`|~{}", "an odd name");
    let got = there_and_back(&client, &mut inbox, headers.clone()).await.headers;
    assert_eq!(got, Some(headers));
}

/// Servers do not look at what is in headers: whatever somebody publishes comes, and must not harm the connection.
pub(crate) async fn headers_that_cannot_be_read_spoil_nothing_else<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut inbox = client.subscribe("headers").await.unwrap();
    client.flush().await.unwrap();
    let mut raw = RawConnection::ready(server.addr());
    for headers in ["HTTP/1.1\r\nA: b\r\n\r\n", "NATS/1.0\r\nno colon\r\n\r\n", "x", "\r\n\r\n"] {
        let (length, total) = (headers.len(), headers.len() + 4);
        raw.send(format!("HPUB headers {length} {total}\r\n{headers}body\r\n").as_bytes());
        let message = next(&mut inbox).await;
        assert_eq!((text(&message).as_str(), message.headers), ("body", None), "{headers:?}");
    }
    raw.round_trip();
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn a_server_that_takes_none_is_used_without_them<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra("no_header_support: true"));
    let client = env.options().connect(server.url()).await.unwrap();
    assert!(!client.server_info().headers);
    let mut inbox = client.subscribe("plain").await.unwrap();
    client.publish("plain", "body".into()).await.unwrap();
    assert_eq!(text(&next(&mut inbox).await), "body");
    let mut headers = HeaderMap::new();
    headers.insert("A", "b");
    client.publish_with_headers("plain", headers, "body".into()).await.unwrap_err();
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().connects, 1);
}
