//! Ends without good order.

use std::thread;

use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use nats_client::Client;

use crate::support::{Env, Rt, next, numbers, publish_numbers, take, text};

/// Runs `make` on a runtime that has ended when this returns, if it can end.
fn on_a_runtime_of_its_own<R: Rt, T: Send + 'static, F: Future<Output = T>>(
    make: impl FnOnce() -> F + Send + 'static,
) -> T {
    thread::spawn(move || R::block_on(make())).join().expect("no panic")
}

fn on_another_thread(drops: impl FnOnce() + Send + 'static) {
    thread::spawn(drops).join().expect("no panic");
}

pub(crate) async fn clients_and_subscribers_may_outlive_their_runtime<R: Rt>(env: Env<R>) {
    let server = env.start();
    let url = server.url();
    let (client, subscriber) = on_a_runtime_of_its_own::<R, _, _>(move || async move {
        let client = nats_client::connect::<R>(url).await.unwrap();
        let subscriber = client.subscribe("outlive").await.unwrap();
        publish_numbers(&client, "outlive", 0..10).await;
        client.flush().await.unwrap();
        (client, subscriber)
    });
    on_another_thread(move || {
        // Whether it is accepted depends on whether the runtime could end; it must not panic or hang.
        let _ = client.try_publish("outlive", "x".into());
        let _ = client.subscribe("outlive").now_or_never();
        let _ = client.statistics();
        drop(client.clone());
        drop(subscriber);
        drop(client);
    });
}

pub(crate) async fn futures_may_be_dropped_on_another_thread_after_the_runtime<R: Rt>(env: Env<R>) {
    let server = env.start();
    let url = server.url();
    let futures = on_a_runtime_of_its_own::<R, _, _>(move || async move {
        let client = nats_client::connect::<R>(url).await.unwrap();
        let mut subscriber = client.subscribe("outlive").await.unwrap();
        let (asking, flushing) = (client.clone(), client.clone());
        let mut futures = [
            async move { drop(asking.request("outlive", "x".into()).await) }.boxed(),
            async move { drop(flushing.flush().await) }.boxed(),
            async move { while subscriber.next().await.is_some() {} }.boxed(),
            async move {
                client.closed().await;
            }
            .boxed(),
        ];
        for future in &mut futures {
            // They have begun to wait for something of this runtime.
            assert!(future.now_or_never().is_none());
        }
        futures
    });
    on_another_thread(move || drop(futures));
}

pub(crate) async fn what_is_buffered_goes_out_when_the_last_handle_is_dropped<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (client, other) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut subscriber = other.subscribe("last").await.unwrap();
    other.flush().await.unwrap();
    publish_numbers(&client, "last", 0..1_000).await;
    drop(client);
    assert_eq!(take(&mut subscriber, 1_000).await, numbers(1_000));
}

pub(crate) async fn a_subscriber_keeps_the_connection_without_its_client<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (client, other): (Client, Client) =
        (env.connect(&*server).await, env.connect(&*server).await);
    let mut subscriber = client.subscribe("alone").await.unwrap();
    client.flush().await.unwrap();
    drop(client);
    other.publish("alone", "still there".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "still there");
}
