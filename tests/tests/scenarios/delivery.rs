//! What becomes of each message when the link breaks while messages flow.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_channel::oneshot;
use nats_client::{Client, Subscriber};
use nats_proto::connection::{FlushError, Statistics};

use crate::support::{Env, Rt, next, rest, until};

/// Publishes numbers in the background until told to stop; then says how many were accepted.
pub(crate) struct Publisher {
    stop: Arc<AtomicBool>,
    count: oneshot::Receiver<u64>,
}

impl Publisher {
    pub(crate) fn start<R: Rt>(client: Client) -> Self {
        let (sender, count) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        R::spawn(async move {
            let mut number: u64 = 0;
            while !told.load(Ordering::Relaxed) {
                client.publish("load", number.to_string().into()).await.unwrap();
                number += 1;
                // The accounts are about when links break, not about how much can be sent.
                if number.is_multiple_of(16) {
                    R::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
            let _ = sender.send(number);
        });
        Self { stop, count }
    }

    pub(crate) async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.count.await.unwrap()
    }
}

pub(crate) fn adds_up(statistics: Statistics) {
    let Statistics { published, confirmed, uncertain, dropped, pending, .. } = statistics;
    assert_eq!(published, confirmed + uncertain + dropped + pending, "{statistics:?}");
}

/// Flushes until everything is confirmed. Says of how many messages flushes have told that they are uncertain.
async fn flush_all(client: &Client) -> u64 {
    let mut told = 0;
    while let Err(error) = client.flush().await {
        let source = error.source().and_then(|source| source.downcast_ref::<FlushError>());
        match source {
            Some(FlushError::Uncertain { count }) => told += count,
            _ => panic!("{error}"),
        }
    }
    told
}

/// Waits until some more was published than there is now.
pub(crate) async fn some_more<R: Rt>(client: &Client, count: u64) {
    let goal = client.delivery_statistics().published + count;
    until::<R>("publishes", || client.delivery_statistics().published >= goal).await;
}

/// What became of `count` publishes, all of which have left: the books add up, and what is confirmed has reached the
/// witness.
pub(crate) async fn settled<R: Rt>(client: &Client, witness: &Client, count: u64) -> Statistics {
    let statistics = client.delivery_statistics();
    adds_up(statistics);
    assert_eq!((statistics.published, statistics.pending, statistics.dropped), (count, 0, 0));
    // What the server was given before the links broke may still be on its way through it.
    until::<R>("what is confirmed", || {
        witness.delivery_statistics().messages_in >= statistics.confirmed
    })
    .await;
    statistics
}

/// How many numbers have come, none of them twice.
pub(crate) async fn received_once(subscriber: Subscriber) -> u64 {
    let received = rest(subscriber).await;
    let mut received: Vec<u64> = received.iter().map(|text| text.parse().unwrap()).collect();
    let messages = received.len() as u64;
    received.sort_unstable();
    received.dedup();
    assert_eq!(received.len() as u64, messages, "something came twice");
    messages
}

pub(crate) async fn the_account_adds_up_over_restarts_under_load<R: Rt>(env: Env<R>) {
    const RESTARTS: u64 = 4;
    let mut server = env.start();
    let client = env.connect(&*server).await;
    let publisher = Publisher::start::<R>(client.clone());
    let mut told = 0;
    for restart in 1..=RESTARTS {
        some_more::<R>(&client, 200).await;
        told += flush_all(&client).await;
        some_more::<R>(&client, 50).await;
        server.kill();
        adds_up(client.delivery_statistics());
        some_more::<R>(&client, 50).await;
        adds_up(client.delivery_statistics());
        server.restart();
        env.connected(&client, restart + 1).await;
    }
    let count = publisher.stop().await;
    told += flush_all(&client).await;
    let statistics = client.delivery_statistics();
    adds_up(statistics);
    assert_eq!((statistics.published, statistics.pending, statistics.dropped), (count, 0, 0));
    assert_eq!(statistics.uncertain, told, "flushes tell of each loss once");
    // What a flush has confirmed stays confirmed, whatever breaks later.
    assert!(statistics.confirmed >= RESTARTS * 200, "{statistics:?}");
}

pub(crate) async fn what_is_confirmed_was_received_over_forced_reconnects_under_load<R: Rt>(
    env: Env<R>,
) {
    const RECONNECTS: u64 = 20;
    let server = env.start();
    let (client, witness) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut subscriber = witness.subscribe("load").await.unwrap();
    witness.flush().await.unwrap();
    let publisher = Publisher::start::<R>(client.clone());
    for reconnect in 1..=RECONNECTS {
        some_more::<R>(&client, 50).await;
        client.force_reconnect().await.unwrap();
        env.connected(&client, reconnect + 1).await;
    }
    let count = publisher.stop().await;
    let told = flush_all(&client).await;
    let statistics = settled::<R>(&client, &witness, count).await;
    assert_eq!(statistics.uncertain, told, "flushes tell of each loss once");
    client.close().await;
    subscriber.drain().await.unwrap();
    let received = rest(subscriber).await;
    let mut times: HashMap<String, usize> = HashMap::new();
    for number in &received {
        *times.entry(number.clone()).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "something came twice");
    let lost = count - times.len() as u64;
    assert!(lost <= statistics.uncertain, "{lost} lost, {statistics:?}");
}

pub(crate) async fn what_is_cut_in_the_middle_arrives_whole_or_not_at_all<R: Rt>(env: Env<R>) {
    const COUNT: u64 = 120;
    const SIZE: usize = 300_000;
    let server = env.start();
    let (client, witness) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut subscriber = witness.subscribe("large").await.unwrap();
    witness.flush().await.unwrap();
    for number in 0..COUNT {
        // Each byte tells which message it is of.
        let payload = vec![u8::try_from(number).unwrap(); SIZE];
        client.publish("large", payload.into()).await.unwrap();
        if number % 6 == 5 {
            client.force_reconnect().await.unwrap();
        }
    }
    let told = flush_all(&client).await;
    let statistics = client.delivery_statistics();
    adds_up(statistics);
    assert_eq!(statistics.uncertain, told, "flushes tell of each loss once");
    assert_eq!((statistics.published, statistics.pending, statistics.dropped), (COUNT, 0, 0));
    client.publish("large", "the end".into()).await.unwrap();
    let mut seen = HashSet::new();
    loop {
        let payload = next(&mut subscriber).await.payload;
        if &payload[..] == b"the end" {
            break;
        }
        assert_eq!(payload.len(), SIZE);
        assert!(payload.iter().all(|byte| *byte == payload[0]), "two messages in one");
        assert!(seen.insert(payload[0]), "message {} came twice", payload[0]);
    }
    let lost = COUNT - seen.len() as u64;
    assert!(lost <= statistics.uncertain, "{lost} lost, {statistics:?}");
}
