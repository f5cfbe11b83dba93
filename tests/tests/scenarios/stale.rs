//! Servers that are there and do not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nats_client::Notice;
use nats_proto::connection::DisconnectReason;
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt, next, text, until};

fn is_stale(notice: &Notice) -> bool {
    *notice == Notice::Disconnected { reason: DisconnectReason::Stale }
}

pub(crate) async fn a_frozen_server_is_given_up_and_found_again<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(env.kind, &Options::new());
    let options = env.options().ping_interval(Duration::from_millis(200));
    let (options, mut events) = Events::in_detail(options);
    let client = options.connect(server.url()).await.unwrap();
    let mut subscriber = client.subscribe("frozen").await.unwrap();
    client.flush().await.unwrap();
    server.pause();
    events.until(is_stale).await;
    server.resume();
    events.until(|notice| *notice == Notice::Connected).await;
    // On a busy machine the next link may look frozen as well.
    loop {
        client.publish("frozen", "thawed".into()).await.unwrap();
        if client.flush().await.is_ok() {
            break;
        }
    }
    assert_eq!(text(&next(&mut subscriber).await), "thawed");
}

/// What is written proves nothing: the system's buffers take it.
pub(crate) async fn a_frozen_server_is_noticed_while_publishing<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(env.kind, &Options::new());
    let options = env.options().ping_interval(Duration::from_millis(200));
    let (options, mut events) = Events::in_detail(options);
    let client = options.connect(server.url()).await.unwrap();
    let (done, publisher) = (Arc::new(AtomicBool::new(false)), client.clone());
    let told = Arc::clone(&done);
    R::spawn(async move {
        while !told.load(Ordering::Relaxed) {
            publisher.publish("frozen", "x".into()).await.unwrap();
            R::sleep(Duration::from_millis(1)).await;
        }
    });
    server.pause();
    events.until(is_stale).await;
    done.store(true, Ordering::Relaxed);
    server.resume();
    while client.flush().await.is_err() {}
    let statistics = client.delivery_statistics();
    assert_eq!(statistics.published, statistics.confirmed + statistics.uncertain);
}

pub(crate) async fn a_server_that_reads_nothing_makes_publishers_wait<R: Rt>(env: Env<R, Release>) {
    /// More than all buffers between the two can hold.
    const TOO_MUCH: u64 = 1_000;
    let mut server = RealServer::start(env.kind, &Options::new());
    let options = env.options().send_buffer_limit(256 * 1024);
    let client = options.connect(server.url()).await.unwrap();
    let payload = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
    server.pause();
    let (publisher, payload) = (client.clone(), payload);
    R::spawn(async move {
        for _ in 0..TOO_MUCH {
            publisher.publish("heavy", payload.clone()).await.unwrap();
        }
    });
    // Nothing more is accepted for as long as the server stands still.
    let published = || client.delivery_statistics().published;
    let mut before = published();
    loop {
        R::sleep(Duration::from_millis(100)).await;
        let now = published();
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before < TOO_MUCH);
    server.resume();
    until::<R>("the rest to be published", || published() == TOO_MUCH).await;
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.connects, statistics.confirmed), (1, TOO_MUCH));
}
