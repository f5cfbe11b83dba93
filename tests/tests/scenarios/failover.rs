//! Servers that stand in for each other.

use nats_client::{Client, Notice};
use nats_proto::connection::DisconnectReason;
use nats_tests::server::{Cluster, EmbeddedServer, Options, ServerKind, TestServer};

use crate::support::{Env, Events, Rt, next, text};

/// Two servers that tell their clients of each other.
enum Pair {
    Cluster(Cluster),
    Brokers(Vec<EmbeddedServer>),
}

impl Pair {
    fn start(kind: ServerKind) -> Self {
        let options = Options::new();
        match kind {
            ServerKind::Real(release) => Self::Cluster(Cluster::start(release, 2, &options)),
            ServerKind::Broker(host) => {
                let mut brokers: Vec<_> =
                    (0..2).map(|_| EmbeddedServer::start(host, &options)).collect();
                let addrs = [brokers[0].addr(), brokers[1].addr()];
                brokers.iter_mut().for_each(|broker| broker.advertise(&addrs));
                Self::Brokers(brokers)
            }
        }
    }

    fn node(&mut self, index: usize) -> &mut dyn TestServer {
        match self {
            Self::Cluster(cluster) => cluster.node(index),
            Self::Brokers(brokers) => &mut brokers[index],
        }
    }
}

/// Whether the client is connected to the server of this port, and works.
async fn works_on(client: &Client, port: u16) {
    let mut subscriber = client.subscribe("works").await.unwrap();
    client.publish("works", "yes".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "yes");
    assert_eq!(client.server_info().port, port);
}

pub(crate) async fn the_other_server_of_a_list_takes_over<R: Rt>(env: Env<R>) {
    let (mut first, mut second) = (env.start(), env.start());
    let options = env.options().retain_servers_order();
    let client = options.connect([first.url(), second.url()]).await.unwrap();
    let mut subscriber = client.subscribe("over").await.unwrap();
    works_on(&client, first.addr().port()).await;

    first.kill();
    env.connected(&client, 2).await;
    works_on(&client, second.addr().port()).await;
    client.publish("over", "second".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "second");

    first.restart();
    second.kill();
    env.connected(&client, 3).await;
    works_on(&client, first.addr().port()).await;
    client.publish("over", "first".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "first");
}

pub(crate) async fn a_discovered_server_takes_over<R: Rt>(env: Env<R>) {
    let mut pair = Pair::start(env.kind);
    let (known, told) = (pair.node(0).addr().port(), pair.node(1).addr().port());
    let (options, mut notices) = Events::in_detail(env.options());
    let client = env.connect_with(pair.node(0), options).await;
    let seen = notices.until(|notice| matches!(notice, Notice::ServersDiscovered(_))).await;
    let Some(Notice::ServersDiscovered(servers)) = seen.last() else {
        panic!("{seen:?}");
    };
    assert_eq!(servers.iter().map(|server| server.port()).collect::<Vec<_>>(), [told]);
    assert_eq!(client.servers().len(), 2);
    works_on(&client, known).await;

    pair.node(0).kill();
    env.connected(&client, 2).await;
    works_on(&client, told).await;
}

pub(crate) async fn discovered_servers_can_be_ignored<R: Rt>(env: Env<R>) {
    let mut pair = Pair::start(env.kind);
    let known = pair.node(0).addr().port();
    let options = env.options().ignore_discovered_servers();
    let client = env.connect_with(pair.node(0), options).await;
    client.flush().await.unwrap();
    pair.node(0).restart();
    env.connected(&client, 2).await;
    works_on(&client, known).await;
    assert_eq!(client.servers().len(), 1);
}

/// The server lists the other one when it is going to shut down, and closes its clients some seconds later.
pub(crate) async fn a_server_that_is_going_to_shut_down_is_left_in_time<R: Rt>(env: Env<R>) {
    const COUNT: u64 = 500;
    let mut pair = Pair::start(env.kind);
    let other = pair.node(1).addr().port();
    let (options, mut notices) = Events::in_detail(env.options().leave_lame_duck_servers());
    let client = options.connect(pair.node(0).url()).await.unwrap();
    crate::support::until::<R>("the other server", || client.servers().len() == 2).await;
    let publisher = client.clone();
    R::spawn(async move {
        for _ in 0..COUNT {
            publisher.publish("left", "x".into()).await.unwrap();
            R::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    pair.node(0).lame_duck();
    let left = Notice::Disconnected { reason: DisconnectReason::LameDuck };
    notices.until(|notice| *notice == left).await;
    notices.until(|notice| *notice == Notice::Connected).await;
    works_on(&client, other).await;
    crate::support::until::<R>("the rest", || client.delivery_statistics().published > COUNT).await;
    client.flush().await.unwrap();
    let account = client.delivery_statistics();
    assert_eq!((account.uncertain, account.dropped, account.pending), (0, 0, 0), "{account:?}");
}
