//! Links that break and come back.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use futures_util::stream::StreamExt;
use nats_client::client::PublishErrorKind;
use nats_client::connection::State;
use nats_client::{Client, ClientError, EndReason, Event, PendingPolicy};

use crate::support::{
    Env, Events, Rt, is_silent, next, numbers, publish_numbers, rest, take, text, until,
};

async fn disconnected<R: Rt>(client: &Client) {
    until::<R>("the link to break", || client.connection_state() == State::Disconnected).await;
}

pub(crate) async fn subscriptions_survive_a_restart<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect(&*server).await;
    let mut exact = client.subscribe("survive.all").await.unwrap();
    let mut wildcard = client.subscribe("survive.*").await.unwrap();
    let mut ended = client.subscribe("survive.all").await.unwrap();
    ended.unsubscribe().await.unwrap();
    for round in 2..=4 {
        server.restart();
        env.connected(&client, round).await;
        client.publish("survive.all", "again".into()).await.unwrap();
        assert_eq!(text(&next(&mut exact).await), "again");
        assert_eq!(text(&next(&mut wildcard).await), "again");
        client.flush().await.unwrap();
        // Resubscribed once, not once a connection.
        assert!(is_silent(&mut exact) && is_silent(&mut wildcard));
    }
    assert!(ended.next().await.is_none());
}

pub(crate) async fn queue_groups_survive_a_restart<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect(&*server).await;
    let group = || "crew".to_owned();
    let mut one = client.queue_subscribe("survive", group()).await.unwrap();
    let mut two = client.queue_subscribe("survive", group()).await.unwrap();
    server.restart();
    env.connected(&client, 2).await;
    publish_numbers(&client, "survive", 0..100).await;
    client.flush().await.unwrap();
    one.drain().await.unwrap();
    two.drain().await.unwrap();
    let (one, two) = (rest(one).await, rest(two).await);
    assert_eq!(one.len() + two.len(), 100);
    assert!(!one.is_empty() && !two.is_empty());
}

pub(crate) async fn publishes_made_while_disconnected_arrive_in_order<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("kept").await.unwrap();
    client.flush().await.unwrap();
    server.kill();
    disconnected::<R>(&client).await;
    publish_numbers(&client, "kept", 0..500).await;
    assert_eq!(client.delivery_statistics().pending, 500);
    server.restart();
    // After one of its own, everything that was kept has come.
    assert_eq!(take(&mut subscriber, 500).await, numbers(500));
    client.flush().await.unwrap();
    assert!(is_silent(&mut subscriber));
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.confirmed, statistics.uncertain, statistics.dropped), (500, 0, 0));
}

pub(crate) async fn a_forced_reconnect_loses_no_subscription<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (options, mut events) = Events::of(env.options());
    let client = env.connect_with(&*server, options).await;
    let mut subscriber = client.subscribe("forced").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(events.next().await, Event::Connected);
    client.force_reconnect().await.unwrap();
    client.publish("forced", "hello".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "hello");
    let seen = events.until(|event| *event == Event::Connected).await;
    assert!(seen.contains(&Event::Disconnected), "{seen:?}");
    assert_eq!(client.delivery_statistics().connects, 2);
}

pub(crate) async fn a_full_buffer_gives_the_payload_back<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let options = env.options().pending_limit(10_000).pending_policy(PendingPolicy::Error);
    let client = env.connect_with(&*server, options).await;
    server.kill();
    disconnected::<R>(&client).await;
    let payload = Bytes::from(vec![b'x'; 1_000]);
    let mut kept = 0;
    let refused = loop {
        match client.try_publish("full", payload.clone()) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!((5..10).contains(&kept), "{kept} kept");
    assert!(refused.is_full(), "{refused}");
    assert_eq!(refused.payload, payload);
    let error = client.publish("full", payload).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Send);
    server.restart();
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.published, statistics.confirmed), (kept, kept));
}

pub(crate) async fn a_publisher_that_waits_for_room_goes_on_after_the_reconnect<R: Rt>(
    env: Env<R>,
) {
    let mut server = env.start();
    let client = env.connect_with(&*server, env.options().pending_limit(10_000)).await;
    let mut subscriber = client.subscribe("wait").await.unwrap();
    client.flush().await.unwrap();
    server.kill();
    disconnected::<R>(&client).await;
    let payload = Bytes::from(vec![b'x'; 1_000]);
    let mut waiting = pin!(async {
        for _ in 0..50 {
            client.publish("wait", payload.clone()).await.unwrap();
        }
    });
    // It stops somewhere in the middle: 50,000 bytes do not fit.
    poll_fn(|cx| {
        assert!(waiting.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    server.restart();
    waiting.await;
    assert_eq!(take(&mut subscriber, 50).await.len(), 50);
}

pub(crate) async fn the_oldest_make_room_if_so_chosen<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let options = env.options().pending_limit(1_000).pending_policy(PendingPolicy::DropOldest);
    let client = env.connect_with(&*server, options).await;
    let mut subscriber = client.subscribe("newest").await.unwrap();
    client.flush().await.unwrap();
    server.kill();
    disconnected::<R>(&client).await;
    publish_numbers(&client, "newest", 0..1_000).await;
    let statistics = client.delivery_statistics();
    assert!(statistics.dropped > 0);
    assert_eq!(statistics.dropped + statistics.pending, 1_000);
    let kept = usize::try_from(statistics.pending).unwrap();
    server.restart();
    assert_eq!(take(&mut subscriber, kept).await, numbers(1_000)[1_000 - kept..]);
}

pub(crate) async fn attempts_end_at_their_maximum<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let (options, events) = Events::of(env.options().max_reconnects(2));
    let client = env.connect_with(&*server, options).await;
    let mut subscriber = client.subscribe("end").await.unwrap();
    server.kill();
    assert!(subscriber.next().await.is_none());
    assert_eq!(subscriber.end_reason(), Some(EndReason::Closed));
    client.closed().await;
    assert!(client.publish("end", "x".into()).await.is_err());
    let events = events.rest().await;
    let failed =
        events.iter().filter(|event| matches!(event, Event::ClientError(ClientError::Other(_))));
    assert_eq!(failed.count(), 2, "{events:?}");
    assert!(events.contains(&Event::ClientError(ClientError::MaxReconnects)), "{events:?}");
    assert_eq!(events.last(), Some(&Event::Closed));
}

pub(crate) async fn a_lame_duck_is_announced<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let (options, mut events) = Events::of(env.options());
    let client = env.connect_with(&*server, options).await;
    server.lame_duck();
    events.until(|event| *event == Event::LameDuckMode).await;
    client.close().await;
}
