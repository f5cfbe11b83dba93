//! Servers that stand in for each other.

use nats_client::{Client, Notice};
use nats_proto::connection::DisconnectReason;
use nats_tests::server::{Cluster, EmbeddedServer, Options, ServerKind, TestServer};

use crate::support::{Env, Events, Rt, next, text};

/// Servers that tell their clients of each other.
const NODES: usize = 3;

enum Nodes {
    Cluster(Cluster),
    Brokers(Vec<EmbeddedServer>),
}

impl Nodes {
    fn start(kind: ServerKind) -> Self {
        let options = Options::new();
        match kind {
            ServerKind::Real(release) => Self::Cluster(Cluster::start(release, NODES, &options)),
            ServerKind::Broker(host) => {
                let mut brokers: Vec<_> =
                    (0..NODES).map(|_| EmbeddedServer::start(host, &options)).collect();
                let addrs: Vec<_> = brokers.iter().map(TestServer::addr).collect();
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

    /// The ports of all but the first, sorted.
    fn others(&mut self) -> Vec<u16> {
        let mut ports: Vec<u16> = (1..NODES).map(|index| self.node(index).addr().port()).collect();
        ports.sort_unstable();
        ports
    }
}

/// Whether the client is connected to a server of one of these ports, and works.
async fn works_on(client: &Client, ports: &[u16]) {
    let mut subscriber = client.subscribe("works").await.unwrap();
    client.publish("works", "yes".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "yes");
    let port = client.server_info().port;
    assert!(ports.contains(&port), "{port} is none of {ports:?}");
}

pub(crate) async fn the_other_server_of_a_list_takes_over<R: Rt>(env: Env<R>) {
    let (mut first, mut second) = (env.start(), env.start());
    let options = env.options().retain_servers_order();
    let client = options.connect([first.url(), second.url()]).await.unwrap();
    let mut subscriber = client.subscribe("over").await.unwrap();
    works_on(&client, &[first.addr().port()]).await;

    first.kill();
    env.connected(&client, 2).await;
    works_on(&client, &[second.addr().port()]).await;
    client.publish("over", "second".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "second");

    first.restart();
    second.kill();
    env.connected(&client, 3).await;
    works_on(&client, &[first.addr().port()]).await;
    client.publish("over", "first".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "first");
}

pub(crate) async fn a_discovered_server_takes_over<R: Rt>(env: Env<R>) {
    let mut nodes = Nodes::start(env.kind);
    let (known, told) = (nodes.node(0).addr().port(), nodes.others());
    let (options, mut notices) = Events::in_detail(env.options());
    let client = env.connect_with(nodes.node(0), options).await;
    // A cluster that has just come together may tell of one after the other.
    let mut ports = Vec::new();
    while ports.len() < told.len() {
        let seen = notices.until(|notice| matches!(notice, Notice::ServersDiscovered(_))).await;
        let Some(Notice::ServersDiscovered(servers)) = seen.last() else {
            panic!("{seen:?}");
        };
        ports.extend(servers.iter().map(|server| server.port()));
    }
    ports.sort_unstable();
    assert_eq!(ports, told);
    assert_eq!(client.servers().len(), NODES);
    works_on(&client, &[known]).await;

    // One after the other, to the last.
    nodes.node(0).kill();
    env.connected(&client, 2).await;
    works_on(&client, &told).await;
    let index = (1..NODES)
        .find(|index| nodes.node(*index).addr().port() == client.server_info().port)
        .unwrap();
    nodes.node(index).kill();
    env.connected(&client, 3).await;
    let last = nodes.node(NODES - index).addr().port();
    works_on(&client, &[last]).await;
}

pub(crate) async fn discovered_servers_can_be_ignored<R: Rt>(env: Env<R>) {
    let mut nodes = Nodes::start(env.kind);
    let known = nodes.node(0).addr().port();
    let options = env.options().ignore_discovered_servers();
    let client = env.connect_with(nodes.node(0), options).await;
    client.flush().await.unwrap();
    nodes.node(0).restart();
    env.connected(&client, 2).await;
    works_on(&client, &[known]).await;
    assert_eq!(client.servers().len(), 1);
}

/// The server lists the others when it is going to shut down, and closes its clients some seconds later.
pub(crate) async fn a_server_that_is_going_to_shut_down_is_left_in_time<R: Rt>(env: Env<R>) {
    const COUNT: u64 = 500;
    let mut nodes = Nodes::start(env.kind);
    let others = nodes.others();
    let (options, mut notices) = Events::in_detail(env.options().leave_lame_duck_servers());
    let client = options.connect(nodes.node(0).url()).await.unwrap();
    crate::support::until::<R>("the other servers", || client.servers().len() == NODES).await;
    let publisher = client.clone();
    R::spawn(async move {
        for _ in 0..COUNT {
            publisher.publish("left", "x".into()).await.unwrap();
            R::sleep(std::time::Duration::from_millis(1)).await;
        }
    });
    nodes.node(0).lame_duck();
    let left = Notice::Disconnected { reason: DisconnectReason::LameDuck };
    notices.until(|notice| *notice == left).await;
    notices.until(|notice| *notice == Notice::Connected).await;
    works_on(&client, &others).await;
    crate::support::until::<R>("the rest", || client.delivery_statistics().published > COUNT).await;
    client.flush().await.unwrap();
    let account = client.delivery_statistics();
    assert_eq!((account.uncertain, account.dropped, account.pending), (0, 0, 0), "{account:?}");
}
