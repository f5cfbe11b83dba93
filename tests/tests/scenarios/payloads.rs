//! Sizes.

use nats_client::client::PublishErrorKind;
use nats_client::{Client, HeaderMap};
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Rt, next};

/// A payload in which a byte at the wrong place shows.
fn payload(size: usize) -> bytes::Bytes {
    (0..size).map(|index| (index % 251) as u8).collect()
}

async fn refused(client: &Client, size: usize) {
    let error = client.publish("size", payload(size)).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::MaxPayloadExceeded);
    let text = error.to_string();
    assert!(text.contains(&size.to_string()), "{text}");
    assert!(text.contains(&client.max_payload().to_string()), "{text}");
}

pub(crate) async fn every_size_up_to_the_limit_arrives_whole<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("size").await.unwrap();
    let limit = client.max_payload();
    assert_eq!(limit, 1024 * 1024);
    for size in [0, 1, 100, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, limit - 1, limit] {
        client.publish("size", payload(size)).await.unwrap();
        assert!(next(&mut subscriber).await.payload == payload(size), "{size} bytes");
    }
    // All at once, so that large and small ones share reads and writes.
    for size in [limit, 0, 1, limit, 5_000, limit] {
        client.publish("size", payload(size)).await.unwrap();
    }
    for size in [limit, 0, 1, limit, 5_000, limit] {
        assert!(next(&mut subscriber).await.payload == payload(size), "{size} bytes");
    }
}

pub(crate) async fn one_byte_more_is_refused_and_the_connection_stays<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    refused(&client, client.max_payload() + 1).await;
    refused(&client, 10 * client.max_payload()).await;
    client.publish("size", payload(1)).await.unwrap();
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.connects, statistics.published, statistics.confirmed), (1, 1, 1));
}

pub(crate) async fn headers_count_towards_the_limit<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("size").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Name", "value");
    let room = client.max_payload() - headers.encoded_len();
    let publish = |size| client.publish_with_headers("size", headers.clone(), payload(size));
    let error = publish(room + 1).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::MaxPayloadExceeded);
    publish(room).await.unwrap();
    let message = next(&mut subscriber).await;
    assert!(message.payload == payload(room));
    assert_eq!(message.headers.as_ref(), Some(&headers));
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn the_limit_is_the_servers<R: Rt>(env: Env<R>) {
    let server = env.kind.start(&Options::new().max_payload(1_000));
    let client = env.connect(&*server).await;
    assert_eq!(client.max_payload(), 1_000);
    refused(&client, 1_001).await;
    client.publish("size", payload(1_000)).await.unwrap();
    client.flush().await.unwrap();
}

pub(crate) async fn a_user_may_be_allowed_nothing_but_empty_messages<R: Rt>(env: Env<R, Release>) {
    let account =
        "accounts { A: { users: [ { user: a, password: a } ], limits: { max_payload: 0 } } }";
    let server = RealServer::start(env.kind, &Options::new().extra(account));
    let options = env.options().user_and_password("a".into(), "a".into());
    let client = options.connect(server.url()).await.unwrap();
    let mut subscriber = client.subscribe("size").await.unwrap();
    // The limit of the account comes behind the first PONG.
    client.flush().await.unwrap();
    refused(&client, 1).await;
    client.publish("size", "".into()).await.unwrap();
    assert!(next(&mut subscriber).await.payload.is_empty());
    assert_eq!(client.delivery_statistics().connects, 1);
}
