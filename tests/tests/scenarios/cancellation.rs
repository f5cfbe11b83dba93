//! Futures that are dropped before their end.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::stream::StreamExt;
use nats_client::Client;
use nats_client::connection::State;

use crate::support::{Env, Rt, is_silent, next, take, text, until};

/// Polls `future` once, to which it must not be ready, and drops it.
async fn begun(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Polls `future` once and drops it: for what the driver may have finished by then.
async fn polled_once(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
}

async fn disconnected<R: Rt>(client: &Client) {
    until::<R>("the link to break", || client.connection_state() == State::Disconnected).await;
}

pub(crate) async fn a_publish_dropped_while_it_waits_is_not_sent<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect_with(&*server, env.options().pending_limit(1_000)).await;
    let mut subscriber = client.subscribe("waits").await.unwrap();
    client.flush().await.unwrap();
    server.kill();
    disconnected::<R>(&client).await;
    client.publish("waits", vec![b'x'; 900].into()).await.unwrap();
    for _ in 0..3 {
        begun(client.publish("waits", vec![b'y'; 900].into())).await;
        begun(client.request("waits", vec![b'z'; 900].into())).await;
    }
    server.restart();
    assert_eq!(take(&mut subscriber, 1).await, ["x".repeat(900)]);
    client.flush().await.unwrap();
    assert!(is_silent(&mut subscriber));
    assert_eq!(client.delivery_statistics().published, 1);
}

pub(crate) async fn a_dropped_flush_confirms_all_the_same<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    client.publish("flush", "x".into()).await.unwrap();
    for _ in 0..10 {
        begun(client.flush()).await;
    }
    until::<R>("the PONG", || client.delivery_statistics().confirmed == 1).await;
    // The PONGs of dropped flushes are not taken for those of later ones.
    client.publish("flush", "y".into()).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().confirmed, 2);
}

pub(crate) async fn a_message_is_not_lost_with_the_future_that_waited_for_it<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("wait").await.unwrap();
    for number in 0..20 {
        begun(subscriber.next()).await;
        client.publish("wait", number.to_string().into()).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(text(&next(&mut subscriber).await), number.to_string());
    }
}

pub(crate) async fn a_dropped_connect_gives_up<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    for _ in 0..10 {
        polled_once(env.options().connect(server.url())).await;
    }
    // With `retry_on_initial_connect` the handle is there at once, and dropping it gives up as well.
    server.kill();
    drop(env.connect_with(&*server, env.options().retry_on_initial_connect()).await);
    server.restart();
    let client = env.connect(&*server).await;
    client.flush().await.unwrap();
}

pub(crate) async fn a_close_and_a_drain_go_on_when_dropped<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    client.publish("close", "x".into()).await.unwrap();
    polled_once(client.close()).await;
    client.closed().await;
    assert_eq!(client.delivery_statistics().pending, 0);

    let client = env.connect(&*server).await;
    let subscriber = client.subscribe("drain").await.unwrap();
    client.drain().await.unwrap();
    polled_once(client.closed()).await;
    drop(subscriber);
    client.closed().await;
}
