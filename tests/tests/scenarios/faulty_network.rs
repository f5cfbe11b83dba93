//! A network between client and server that cuts, stalls, drips, spoils and parts.

use std::time::Duration;

use futures_util::stream::StreamExt;
use nats_client::{Client, ConnectOptions, Notice, Request};
use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_tests::proxy::{Direction, Fault, Flow, Proxy};
use nats_tests::transport::Transport;

use crate::delivery::{Publisher, adds_up, received_once, settled, some_more};
use crate::reach::{Over, Reach};
use crate::support::{Env, Events, Rt, next, numbers, publish_numbers, take, text};

/// A client that goes through the proxy, its notices, and a witness that goes to the server directly.
struct Setup {
    _reach: Reach,
    proxy: Proxy,
    client: Client,
    notices: Events<Notice>,
    witness: Client,
}

impl Setup {
    async fn new<R: Rt>(env: &Env<R, Over>, options: ConnectOptions<R>) -> Self {
        let reach = Reach::new(env.kind);
        let proxy = Proxy::start(reach.addr());
        let (options, notices) = Events::in_detail(reach.of_client(options));
        let client = options.connect(reach.url_of(proxy.addr())).await.unwrap();
        let witness = env.options().connect(reach.server.url()).await.unwrap();
        Self { _reach: reach, proxy, client, notices, witness }
    }

    /// Why the link that is up breaks next.
    async fn disconnected(&mut self) -> DisconnectReason {
        let seen = self.notices.until(|it| matches!(it, Notice::Disconnected { .. })).await;
        match seen.into_iter().last() {
            Some(Notice::Disconnected { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the next connection, and whether messages go both ways on it.
    async fn works_again(&mut self) {
        self.notices.until(|notice| *notice == Notice::Connected).await;
        works(&self.client).await;
    }
}

/// Messages go both ways, and the books add up.
async fn works(client: &Client) {
    let mut subscriber = client.subscribe("works").await.unwrap();
    client.publish("works", "yes".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "yes");
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    adds_up(statistics);
    assert_eq!((statistics.pending, statistics.dropped), (0, 0), "{statistics:?}");
}

/// The fastest keepalive that a busy machine does not take for a broken link.
fn probing<R: Rt>(env: &Env<R, Over>) -> ConnectOptions<R> {
    env.options().ping_interval(Duration::from_millis(100))
}

pub(crate) async fn the_books_add_up_over_links_cut_under_load<R: Rt>(env: Env<R, Over>) {
    const CUTS: u64 = 12;
    let setup = Setup::new(&env, env.options()).await;
    let Setup { proxy, client, witness, .. } = &setup;
    let mut subscriber = witness.subscribe("load").await.unwrap();
    witness.flush().await.unwrap();
    let publisher = Publisher::start::<R>(client.clone());
    for cut in 0..CUTS {
        some_more::<R>(client, 50).await;
        let fault = if cut % 2 == 0 { Fault::Reset } else { Fault::End };
        // Some cuts are in the middle of a message, or of what is said before the first.
        match cut % 3 {
            0 => proxy.cut(fault),
            1 => proxy.plant(Direction::ToServer, 997 * cut, fault),
            _ => proxy.plant(Direction::ToClient, cut % 6, fault),
        }
        if cut % 3 == 2 {
            // Else the server says nothing that could be cut.
            let _ = client.flush().await;
        }
        env.connected(client, cut + 2).await;
        adds_up(client.delivery_statistics());
    }
    let count = publisher.stop().await;
    // The last cut may have made uncertain what this covers.
    let _ = client.flush().await;
    client.flush().await.unwrap();
    let statistics = settled::<R>(client, witness, count).await;
    subscriber.drain().await.unwrap();
    let messages = received_once(subscriber).await;
    assert!(count - messages <= statistics.uncertain, "{messages} came, {statistics:?}");
}

pub(crate) async fn a_direction_that_stalls_is_found_stale<R: Rt>(env: Env<R, Over>) {
    let mut setup = Setup::new(&env, probing(&env)).await;
    works(&setup.client).await;
    for direction in Direction::BOTH {
        setup.proxy.flow(direction, Flow::Stalled);
        assert_eq!(setup.disconnected().await, DisconnectReason::Stale, "{direction:?}");
        setup.proxy.heal();
        setup.works_again().await;
    }
}

pub(crate) async fn a_pause_shorter_than_the_keepalive_breaks_nothing<R: Rt>(env: Env<R, Over>) {
    let setup = Setup::new(&env, env.options().ping_interval(Duration::from_secs(20))).await;
    let mut subscriber = setup.client.subscribe("paused").await.unwrap();
    setup.client.flush().await.unwrap();
    setup.proxy.partition();
    publish_numbers(&setup.client, "paused", 0..500).await;
    setup.proxy.heal();
    assert_eq!(take(&mut subscriber, 500).await, numbers(500));
    setup.client.flush().await.unwrap();
    let statistics = setup.client.delivery_statistics();
    assert_eq!((statistics.connects, statistics.confirmed), (1, 500), "{statistics:?}");
}

pub(crate) async fn a_drip_is_enough<R: Rt>(env: Env<R, Over>) {
    let setup = Setup::new(&env, env.options()).await;
    let mut requests = setup.witness.subscribe("service").await.unwrap();
    setup.witness.flush().await.unwrap();
    let witness = setup.witness.clone();
    R::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.expect("a request has a reply subject");
            witness.publish(reply, request.payload).await.unwrap();
        }
    });
    let every = Duration::from_millis(1);
    for direction in Direction::BOTH {
        setup.proxy.flow(direction, Flow::Dripping { bytes: 7, every });
    }
    // The handshake drips, too.
    setup.client.force_reconnect().await.unwrap();
    env.connected(&setup.client, 2).await;
    for number in numbers(20) {
        let request = Request::new().payload(number.clone().into()).timeout(None);
        let reply = setup.client.send_request("service", request).await.unwrap();
        assert_eq!(text(&reply), number);
    }
    works(&setup.client).await;
    assert_eq!(setup.client.delivery_statistics().connects, 2);
}

/// Where a byte must be spoiled to end the link, of what goes in a direction next: the first that is of no operation then,
/// or what the receiver of a record checks.
fn spoiling(transport: Transport, direction: Direction) -> &'static [u64] {
    match (transport, direction) {
        (Transport::Tcp, _) => &[0],
        // The kind of the record, and two of the bytes that are encrypted.
        (Transport::Tls | Transport::SecureWebSocket, _) => &[0, 5, 20],
        // Behind the head of a short frame, and behind its mask.
        (Transport::WebSocket | Transport::CompressedWebSocket, Direction::ToClient) => &[2],
        (Transport::WebSocket | Transport::CompressedWebSocket, Direction::ToServer) => &[6],
    }
}

pub(crate) async fn a_byte_spoiled_by_the_network_ends_the_link_by_name<R: Rt>(env: Env<R, Over>) {
    let transport = env.kind.transport;
    let mut setup = Setup::new(&env, env.options()).await;
    works(&setup.client).await;
    for direction in [Direction::ToClient, Direction::ToClient, Direction::ToServer] {
        for byte in spoiling(transport, direction) {
            setup.proxy.plant(direction, *byte, Fault::Corrupt);
            let client = setup.client.clone();
            R::spawn(async move { drop(client.flush().await) });
            let reason = setup.disconnected().await;
            let is_named = match direction {
                Direction::ToClient if transport.is_encrypted() => {
                    matches!(reason, DisconnectReason::Tls(_))
                }
                Direction::ToClient => matches!(reason, DisconnectReason::Protocol(_)),
                // The server does not understand, says so, and hangs up.
                Direction::ToServer if transport == Transport::Tcp => {
                    matches!(reason, DisconnectReason::Server(_))
                }
                // What it says may go down with the link.
                Direction::ToServer => reason != DisconnectReason::Stale,
            };
            assert!(is_named, "{direction:?}, byte {byte}: {reason:?}");
            setup.works_again().await;
        }
    }
}

pub(crate) async fn wherever_a_byte_is_spoiled_the_books_add_up<R: Rt>(env: Env<R, Over>) {
    const BATCH: usize = 20;
    let setup = Setup::new(&env, probing(&env)).await;
    let Setup { proxy, client, witness, .. } = &setup;
    let mut own = client.subscribe("load").await.unwrap();
    let mut others = witness.subscribe("load").await.unwrap();
    witness.flush().await.unwrap();
    let mut count = 0;
    for byte in [0, 1, 2, 3, 4, 5, 7, 11, 40, 100] {
        for direction in Direction::BOTH {
            proxy.plant(direction, byte, Fault::Corrupt);
            publish_numbers(client, "load", count..count + BATCH).await;
            count += BATCH;
            // Some links end at once, some when no PING is answered any more, and some not at all.
            while client.flush().await.is_err() {}
            adds_up(client.delivery_statistics());
        }
    }
    proxy.heal();
    // The last link may be spoiled, and not know it yet.
    client.force_reconnect().await.unwrap();
    while client.flush().await.is_err() {}
    let statistics = client.delivery_statistics();
    adds_up(statistics);
    let accounted = (statistics.published, statistics.pending, statistics.dropped);
    assert_eq!(accounted, (count as u64, 0, 0));
    if env.kind.transport.is_encrypted() {
        // Nothing gets through that is not what was sent.
        settled::<R>(client, witness, count as u64).await;
        for subscriber in [&mut own, &mut others] {
            subscriber.drain().await.unwrap();
        }
        let of_witness = received_once(others).await;
        assert!(count as u64 - of_witness <= statistics.uncertain, "{of_witness}, {statistics:?}");
        received_once(own).await;
    }
    works(client).await;
}

pub(crate) async fn a_direction_that_ends_is_the_end_of_the_link<R: Rt>(env: Env<R, Over>) {
    let mut setup = Setup::new(&env, env.options()).await;
    let mut subscriber = setup.client.subscribe("half").await.unwrap();
    for direction in Direction::BOTH {
        works(&setup.client).await;
        setup.proxy.half_close(direction);
        match setup.disconnected().await {
            DisconnectReason::Eof => {}
            // What the server says to the end of a WebSocket.
            DisconnectReason::Io(reason) if env.kind.transport.is_websocket() => {
                assert_eq!(direction, Direction::ToServer, "{reason}");
                assert!(reason.contains("closed the WebSocket with code 1000"), "{reason}");
            }
            reason => panic!("{direction:?}: {reason:?}"),
        }
        setup.works_again().await;
        setup.client.publish("half", "whole".into()).await.unwrap();
        assert_eq!(text(&next(&mut subscriber).await), "whole");
    }
}

pub(crate) async fn a_partition_is_outlived<R: Rt>(env: Env<R, Over>) {
    let options = probing(&env).connection_timeout(Duration::from_millis(300));
    // The first attempt may take longer on a busy machine.
    let options = options.retry_on_initial_connect();
    let mut setup = Setup::new(&env, options).await;
    let mut subscriber = setup.client.subscribe("parted").await.unwrap();
    works(&setup.client).await;
    setup.proxy.partition();
    assert_eq!(setup.disconnected().await, DisconnectReason::Stale);
    // Somebody accepts, and nobody speaks.
    for _ in 0..3 {
        let timed_out = |notice: &Notice| {
            matches!(notice, Notice::ConnectFailed { error: ConnectError::TimedOut, .. })
        };
        setup.notices.until(timed_out).await;
    }
    publish_numbers(&setup.client, "parted", 0..100).await;
    assert_eq!(setup.client.delivery_statistics().pending, 100);
    setup.proxy.heal();
    assert_eq!(take(&mut subscriber, 100).await, numbers(100));
    setup.works_again().await;
}

pub(crate) async fn links_cut_within_the_handshake_come_back<R: Rt>(env: Env<R, Over>) {
    let mut setup = Setup::new(&env, env.options().reconnect_wait(Duration::ZERO)).await;
    let mut subscriber = setup.client.subscribe("byte").await.unwrap();
    setup.client.flush().await.unwrap();
    // TLS says more before the first word, or behind it.
    let later: &[u64] =
        if env.kind.transport.is_encrypted() { &[300, 600, 901, 1_200] } else { &[] };
    for byte in [1, 2, 5, 17, 64, 100].iter().chain(later) {
        for direction in Direction::BOTH {
            let fault = if byte % 2 == 0 { Fault::Reset } else { Fault::End };
            setup.proxy.plant(direction, *byte, fault);
            setup.proxy.cut(Fault::Reset);
            setup.disconnected().await;
            setup.notices.until(|notice| *notice == Notice::Connected).await;
        }
    }
    setup.proxy.heal();
    // A cut may still be planned for bytes that come only now.
    let _ = setup.client.flush().await;
    setup.client.publish("byte", "still there".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "still there");
    works(&setup.client).await;
}

pub(crate) async fn refused_links_are_tried_again<R: Rt>(env: Env<R, Over>) {
    let mut setup = Setup::new(&env, env.options()).await;
    works(&setup.client).await;
    setup.proxy.refuse(true);
    setup.proxy.cut(Fault::Reset);
    setup.disconnected().await;
    for _ in 0..5 {
        setup.notices.until(|notice| matches!(notice, Notice::ConnectFailed { .. })).await;
    }
    setup.proxy.refuse(false);
    setup.works_again().await;
}
