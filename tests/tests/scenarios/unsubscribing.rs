//! Subscriptions that end.

use std::time::Duration;

use nats_client::{EndReason, Request, RequestErrorKind};
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Rt, numbers, publish_numbers, rest, take};

pub(crate) async fn after_unsubscribe_nothing_comes_but_what_had_come<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("ends").await.unwrap();
    publish_numbers(&client, "ends", 0..3).await;
    client.flush().await.unwrap();
    subscriber.unsubscribe().await.unwrap();
    publish_numbers(&client, "ends", 3..6).await;
    client.flush().await.unwrap();
    assert_eq!(rest(subscriber).await, numbers(3));
}

pub(crate) async fn a_limit_is_kept_exactly<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("limit").await.unwrap();
    subscriber.unsubscribe_after(7).await.unwrap();
    publish_numbers(&client, "limit", 0..20).await;
    assert_eq!(take(&mut subscriber, 20).await, numbers(7));
    assert_eq!(subscriber.end_reason(), Some(EndReason::MaxReached));
}

pub(crate) async fn messages_before_the_limit_was_set_count<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("limit").await.unwrap();
    let mut past = client.subscribe("limit").await.unwrap();
    publish_numbers(&client, "limit", 0..5).await;
    client.flush().await.unwrap();
    subscriber.unsubscribe_after(8).await.unwrap();
    past.unsubscribe_after(2).await.unwrap();
    publish_numbers(&client, "limit", 5..20).await;
    assert_eq!(rest(subscriber).await, numbers(8));
    // What had come cannot be made not to have come.
    assert_eq!(rest(past).await, numbers(5));
}

pub(crate) async fn a_limit_is_kept_over_a_reconnect<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("limit").await.unwrap();
    subscriber.unsubscribe_after(5).await.unwrap();
    publish_numbers(&client, "limit", 0..3).await;
    assert_eq!(take(&mut subscriber, 3).await, numbers(3));
    client.flush().await.unwrap();
    server.restart();
    env.connected(&client, 2).await;
    publish_numbers(&client, "limit", 3..10).await;
    let got: Vec<_> = take(&mut subscriber, 10).await;
    assert_eq!(got, ["3", "4"]);
    assert_eq!(subscriber.end_reason(), Some(EndReason::MaxReached));
    // The server has counted as well: nobody listens any more.
    let nobody = client.request("limit", "".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
}

pub(crate) async fn a_dropped_subscriber_is_no_longer_known_to_the_server<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let subscriber = client.subscribe("service").await.unwrap();
    let short = Request::new().timeout(Some(Duration::from_millis(50)));
    let silence = client.send_request("service", short).await.unwrap_err();
    assert_eq!(silence.kind(), RequestErrorKind::TimedOut);
    drop(subscriber);
    let nobody = client.request("service", "".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
}

/// Two accounts, one of which gets what the other one publishes.
const IMPORT: &str = r#"accounts {
  A: { users: [ { user: "a", password: "a" } ], exports: [ { stream: "limit" } ] }
  B: { users: [ { user: "b", password: "b" } ], imports: [ { stream: { account: A, subject: "limit" } } ] }
}"#;

pub(crate) async fn a_limit_ends_what_comes_from_another_account<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(IMPORT));
    let connect = async |name: &str| {
        let options = env.options().user_and_password(name.into(), name.into());
        options.connect(server.url()).await.unwrap()
    };
    let (publisher, client) = (connect("a").await, connect("b").await);
    let mut subscriber = client.subscription("limit").max_messages(3).confirmed().await.unwrap();
    publish_numbers(&publisher, "limit", 0..3).await;
    publisher.flush().await.unwrap();
    assert_eq!(take(&mut subscriber, 5).await, numbers(3));
    assert_eq!(subscriber.end_reason(), Some(EndReason::MaxReached));
    // The server does not count these, and has to be told: it would send them for as long as the connection lasts.
    client.flush().await.unwrap();
    publish_numbers(&publisher, "limit", 3..10).await;
    publisher.flush().await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().unroutable, 0);
}
