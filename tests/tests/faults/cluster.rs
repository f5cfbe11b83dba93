//! A cluster of three servers, of which one is killed, paused or retired under load.

use std::time::{Duration, Instant};

use futures_util::stream::StreamExt;
use nats_client::{Client, ConnectOptions, Request};
use nats_tests::server::{Cluster, Options, TestServer};

use crate::count;
use crate::ledger::Ledger;
use crate::setting::Setting;
use crate::support::{PATIENT, Rt, until, within};

const NODES: usize = 3;

/// What happens to a node.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Killed,
    Paused,
    LameDuck,
}

/// Answers requests until its client is closed.
async fn answer<R: Rt>(client: &Client) {
    let mut requests = client.subscribe("service").await.unwrap();
    client.flush().await.unwrap();
    let client = client.clone();
    R::spawn(async move {
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply else { continue };
            if client.publish(reply, request.payload).await.is_err() {
                return;
            }
        }
    });
}

/// Asks until somebody answers.
async fn asked<R: Rt>(client: &Client) {
    within::<R, _>("an answer", async {
        loop {
            let request = Request::new().timeout(Some(Duration::from_millis(500)));
            if client.send_request("service", request).await.is_ok() {
                return;
            }
            R::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

pub(crate) async fn three_nodes_outlive_the_worst_of_one<R: Rt>(setting: Setting) {
    let pause = Duration::from_millis(count("FAULTS_PAUSE_MS", 1_500));
    let rounds = count("FAULTS_ROUNDS", 1);
    let server = Options::new().extra("lame_duck_grace_period: \"50ms\"");
    let mut cluster = Cluster::start(setting.release, NODES, &setting.of_server(server));
    let options = ConnectOptions::<R>::new()
        .retain_servers_order()
        .max_reconnects(PATIENT)
        .leave_lame_duck_servers()
        .reconnect_wait(Duration::from_millis(20))
        .reconnect_jitter(Duration::from_millis(5))
        .reconnect_jitter_tls(Duration::from_millis(5))
        .ping_interval(Duration::from_millis(200))
        .connection_timeout(Duration::from_millis(500))
        .retry_on_initial_connect();
    let ways = setting.ways(cluster.nodes(), &options);
    let ledger = Ledger::open(&ways, false).await;
    // Over the first and the last of the transports.
    let (first, last) = (&ways[0], &ways[ways.len() - 1]);
    let asking = last.options.clone().connect(&last.urls).await.unwrap();
    let answering = first.options.clone().connect(&first.urls[1..]).await.unwrap();
    answer::<R>(&answering).await;
    asked::<R>(&asking).await;

    for blow in [Blow::Killed, Blow::Paused, Blow::LameDuck].repeat(rounds as usize) {
        ledger.more::<R>(1_000).await;
        let port = answering.server_info().port;
        let index =
            cluster.nodes().iter().position(|node| first.transport.addr(node).port() == port);
        let index = index.expect("the client is connected to a node");
        let published = ledger.published();
        let started = Instant::now();
        match blow {
            Blow::Killed => cluster.node(index).kill(),
            Blow::Paused => cluster.node(index).pause(),
            Blow::LameDuck => cluster.node(index).lame_duck(),
        }
        // Those who are on the node find out in their own time.
        until::<R>("who answers to leave", || {
            answering.try_server_info().is_some_and(|info| info.port != port)
        })
        .await;
        asked::<R>(&asking).await;
        let answered = started.elapsed();
        // A message published since has come to each subscription.
        for (index, witness) in ledger.witnesses.iter().enumerate() {
            for (publisher, before) in published.iter().enumerate() {
                let what = format!("what publisher {publisher} sends to come to witness {index}");
                until::<R>(&what, || witness.next(publisher) > before + 100).await;
            }
        }
        let back = started.elapsed();
        println!(
            "{blow:?}, {setting}: requests go on after {answered:?}, every subscription after {back:?}"
        );
        match blow {
            Blow::Killed => cluster.node(index).restart(),
            Blow::Paused => {
                R::sleep(pause.saturating_sub(started.elapsed())).await;
                cluster.node(index).resume();
            }
            Blow::LameDuck => {
                cluster.node(index).await_exit();
                cluster.node(index).restart();
            }
        }
        cluster.await_discovery();
    }
    let sums = ledger.settle::<R>().await;
    // The task that answers has a client as well, which would go on.
    answering.close().await;
    println!("three nodes, {setting}: {sums:?}");
    assert_eq!(sums.unaccounted, 0, "{sums:?}");
    assert!(sums.placed > 0, "{sums:?}");
}
