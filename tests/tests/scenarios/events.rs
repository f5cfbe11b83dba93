//! What the event callback is told.

use futures_channel::mpsc::unbounded;
use futures_util::stream::StreamExt;
use nats_client::{ClientError, Event, Notice};
use nats_proto::connection::DisconnectReason;

use crate::support::{Env, Events, Rt, next, text};

fn is_failed_attempt(event: &Event) -> bool {
    matches!(event, Event::ClientError(ClientError::Other(_)))
}

pub(crate) async fn the_life_of_a_connection_is_told_in_order<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let (options, mut events) = Events::of(env.options());
    let client = env.connect_with(&*server, options).await;
    assert_eq!(events.next().await, Event::Connected);

    server.kill();
    assert_eq!(events.next().await, Event::Disconnected);
    // The server is not there: some attempt fails before it comes back.
    assert!(is_failed_attempt(&events.next().await));
    server.restart();
    let seen = events.until(|event| *event == Event::Connected).await;
    assert!(seen[..seen.len() - 1].iter().all(is_failed_attempt), "{seen:?}");

    client.drain().await.unwrap();
    assert_eq!(events.next().await, Event::Draining);
    client.closed().await;
    // Nothing follows the end, and the end is not a loss.
    let rest: Vec<Event> = events.rest().await;
    assert_eq!(rest.last(), Some(&Event::Closed));
    assert!(!rest.iter().any(|event| *event == Event::Connected || is_failed_attempt(event)));
}

pub(crate) async fn every_stream_of_events_sees_what_happens_to_the_end<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let (early, dropped) = (client.events(), client.events());
    drop(dropped);
    client.force_reconnect().await.unwrap();
    env.connected(&client, 2).await;
    client.flush().await.unwrap();
    let late = client.events();
    client.close().await;
    let seen: Vec<Event> = early.collect().await;
    assert!(seen.starts_with(&[Event::Disconnected, Event::Connected]), "{seen:?}");
    assert_eq!(seen.last(), Some(&Event::Closed));
    let seen: Vec<Event> = late.collect().await;
    assert!(!seen.contains(&Event::Connected), "{seen:?}");
    assert_eq!(seen.last(), Some(&Event::Closed));
    assert_eq!(client.events().next().await, None);
}

pub(crate) async fn notices_tell_more_than_events<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let (options, mut notices) = Events::in_detail(env.options());
    let (options, mut events) = Events::of(options);
    let client = env.connect_with(&*server, options).await;
    assert_eq!(notices.next().await, Notice::Connected);
    server.kill();
    let lost = notices.next().await;
    assert!(
        matches!(&lost, Notice::Disconnected { reason } if *reason != DisconnectReason::Requested),
        "{lost:?}"
    );
    let failed = notices.next().await;
    let Notice::ConnectFailed { server: tried, error } = &failed else { panic!("{failed:?}") };
    assert_eq!(tried.port(), server.addr().port());
    assert!(failed.to_string().ends_with(&error.to_string()), "{failed}");
    // The same, in fewer words.
    assert_eq!(events.next().await, Event::Connected);
    assert_eq!(events.next().await, Event::Disconnected);
    assert_eq!(Some(events.next().await), Event::of(&failed));
    client.close().await;
}

pub(crate) async fn a_callback_that_waits_delays_nothing<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let (sender, mut calls) = unbounded();
    let options = env.options().event_callback(move |event| {
        let _ = sender.unbounded_send(event);
        // The first call never ends.
        std::future::pending()
    });
    let client = env.connect_with(&*server, options).await;
    assert_eq!(calls.next().await, Some(Event::Connected));
    server.restart();
    env.connected(&client, 2).await;
    client.publish("alive", "yes".into()).await.unwrap();
    client.flush().await.unwrap();
    client.close().await;
}

pub(crate) async fn a_callback_that_panics_harms_nobody_else<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let (sender, mut calls) = unbounded();
    let options = env
        .options()
        .notice_callback(|_| async { panic!("the first callback of this test panics") })
        .event_callback(move |event| {
            let _ = sender.unbounded_send(event);
            async { panic!("the callback of this test panics") }
        });
    let client = env.connect_with(&*server, options).await;
    assert_eq!(calls.next().await, Some(Event::Connected));
    server.restart();
    env.connected(&client, 2).await;
    assert_eq!(calls.next().await, Some(Event::Disconnected));
    let mut subscriber = client.subscribe("alive").await.unwrap();
    client.publish("alive", "yes".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "yes");
    client.close().await;
}
