//! Many clients that lose their server at once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nats_client::{Client, ConnectOptions};
use nats_tests::server::TestServer;

use crate::setting::{Setting, Way};
use crate::support::{Rt, next, text, until};
use crate::{count, process};

/// Longer than the clients wait between two attempts, so that some attempts fail.
const DOWN: Duration = Duration::from_secs(1);

/// Attempts to connect in a slot of time are counted together.
const SLOT: Duration = Duration::from_millis(50);

async fn visit<R: Rt>(way: &Way<R>) {
    let client = way.options.clone().connect(&way.urls).await.unwrap();
    client.flush().await.unwrap();
    client.close().await;
}

pub(crate) async fn all_come_back_and_leave_nothing<R: Rt>(setting: Setting) {
    let clients = count("FAULTS_CLIENTS", setting.short(500, 200));
    let mut server = setting.start();
    let attempts: Arc<Mutex<Vec<(u64, Instant)>>> = Arc::default();
    let options = ConnectOptions::<R>::new()
        .reconnect_wait(Duration::from_millis(300))
        .reconnect_jitter(Duration::from_millis(500))
        .reconnect_jitter_tls(Duration::from_millis(500))
        // On a busy machine, so many TLS handshakes at once may take longer than one client has to wait by default.
        .connection_timeout(Duration::from_secs(30));
    let ways = setting.ways(std::slice::from_ref(&server), &options);
    // The runtime starts its threads with the first. On a busy machine one of them may not run yet, and still bear the
    // name of the test.
    visit(&ways[0]).await;
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let before = (process::descriptors(), process::threads() + workers);

    let connecting = (0..clients).zip(ways.iter().cycle()).map(|(number, way)| {
        let seen = Arc::clone(&attempts);
        let options = way.options.clone().dialer(move |server| {
            seen.lock().unwrap().push((number, Instant::now()));
            R::connect((Ipv4Addr::LOCALHOST, server.port()).into(), None)
        });
        options.connect(&way.urls)
    });
    let clients: Vec<Client> =
        join_all(connecting).await.into_iter().map(|client| client.unwrap()).collect();
    let mut subscribers = Vec::new();
    for client in &clients {
        subscribers.push(client.subscribe("storm").await.unwrap());
    }
    join_all(clients.iter().map(Client::flush)).await.into_iter().for_each(|done| done.unwrap());

    attempts.lock().unwrap().clear();
    let killed = Instant::now();
    server.kill();
    R::sleep(DOWN).await;
    server.restart();
    let restarted = Instant::now();
    until::<R>("every client", || {
        clients.iter().all(|client| client.delivery_statistics().connects >= 2)
    })
    .await;
    join_all(clients.iter().map(Client::flush)).await.into_iter().for_each(|done| done.unwrap());
    let back = restarted.elapsed();
    clients[0].publish("storm", "over".into()).await.unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(text(&next(subscriber).await), "over");
    }

    let attempts = std::mem::take(&mut *attempts.lock().unwrap());
    let mut slots: Vec<usize> = Vec::new();
    let mut last = BTreeMap::new();
    let mut waits: Vec<Duration> = Vec::new();
    for (number, attempt) in &attempts {
        let before = last.insert(*number, *attempt);
        waits.extend(before.map(|before| attempt.duration_since(before)));
        let slot = attempt.duration_since(killed).as_millis() / SLOT.as_millis();
        let slot = usize::try_from(slot).unwrap();
        slots.resize(slots.len().max(slot + 1), 0);
        slots[slot] += 1;
    }
    println!(
        "{} clients, {setting}: all back {back:?} after the restart; attempts in each {SLOT:?}: {slots:?}",
        clients.len()
    );
    // Without jitter all would wait for as long as each other. A busy machine only adds to what they wait.
    waits.sort_unstable();
    let (short, long) = (waits[waits.len() / 10], waits[waits.len() * 9 / 10]);
    println!("one wait of ten is no longer than {short:?}, one no shorter than {long:?}");
    assert!(waits.len() >= clients.len() / 2, "{slots:?}");
    assert!(long - short > Duration::from_millis(200), "{short:?} to {long:?}: {slots:?}");

    drop(subscribers);
    join_all(clients.iter().map(Client::close)).await;
    drop(clients);
    // Threads that have nothing to do end after a while.
    until::<R>("what the clients had to be given back", || {
        process::descriptors() <= before.0 && process::threads() <= before.1
    })
    .await;
    println!("descriptors and threads: {before:?} at most, as before");
}
