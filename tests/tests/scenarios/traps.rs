//! What servers do that nobody expects, and that only whole servers show. `TRAPS.md` has the list.

use bytes::Bytes;
use nats_client::{Client, Notice, ServerAddr, WhenFull};
use nats_proto::connection::DisconnectReason;
use nats_tests::server::{Cluster, Options, RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt, next, text, until};

/// Three servers retire one after the other: each lists those that stay, the last one nobody.
pub(crate) async fn a_lame_duck_lists_the_others_only_and_perhaps_nobody<R: Rt>(
    env: Env<R, Release>,
) {
    let mut cluster = Cluster::start(env.kind, 3, &Options::new());
    let (options, mut notices) = Events::in_detail(env.options().leave_lame_duck_servers());
    let client = options.connect(cluster.node(0).url()).await.unwrap();
    let mut kept = client.subscribe("kept").await.unwrap();
    let serving = |cluster: &Cluster, client: &Client| {
        let port = client.server_info().port;
        cluster.nodes().iter().position(|node| node.addr().port() == port).unwrap()
    };
    let mut retired: Vec<String> = Vec::new();
    for _ in 0..2 {
        // A server tells of none that it has no route to, as may be for a moment on a busy machine: a client that leaves
        // then has nowhere to go.
        let stays =
            |server: &ServerAddr| !retired.iter().any(|gone| server.to_string().ends_with(gone));
        let known = || client.servers().iter().filter(|server| stays(server)).count();
        until::<R>("all that stay", || known() == 3 - retired.len()).await;
        let index = serving(&cluster, &client);
        retired.push(cluster.node(index).addr().to_string());
        cluster.node(index).lame_duck();
        let left = Notice::Disconnected { reason: DisconnectReason::LameDuck };
        let seen = notices.until(|notice| *notice == left).await;
        assert!(seen.contains(&Notice::LameDuckMode), "{seen:?}");
        notices.until(|notice| *notice == Notice::Connected).await;
        client.publish("kept", "here".into()).await.unwrap();
        assert_eq!(text(&next(&mut kept).await), "here");
        let info = client.server_info();
        assert!(!info.lame_duck_mode && !retired.contains(&format!("127.0.0.1:{}", info.port)));
    }
    client.flush().await.unwrap();
    let account = client.delivery_statistics();
    assert_eq!((account.uncertain, account.dropped), (0, 0), "{account:?}");

    // Who has nowhere to go stays to the end, and is not told so any more when the server is back.
    let last = serving(&cluster, &client);
    let (options, mut notices) = Events::in_detail(env.options().leave_lame_duck_servers());
    let options = options.ignore_discovered_servers();
    let alone = options.connect(cluster.node(last).url()).await.unwrap();
    let mut kept = alone.subscribe("alone").await.unwrap();
    cluster.node(last).lame_duck();
    notices.until(|notice| *notice == Notice::LameDuckMode).await;
    let info = alone.server_info();
    let itself = cluster.node(last).addr().to_string();
    assert!(info.lame_duck_mode && !info.connect_urls.contains(&itself), "{info:?}");
    alone.publish("alone", "still here".into()).await.unwrap();
    assert_eq!(text(&next(&mut kept).await), "still here");
    cluster.node(last).kill();
    cluster.node(last).restart();
    env.connected(&alone, 2).await;
    assert!(!alone.server_info().lame_duck_mode);
}

/// A client that reads nothing is thrown out, and no -ERR says so.
pub(crate) async fn who_does_not_read_is_thrown_out_without_a_word<R: Rt>(env: Env<R, Release>) {
    let limits = "max_payload: 128KB\nmax_pending: 256KB\nwrite_deadline: \"100ms\"";
    let server = RealServer::start(env.kind, &Options::new().extra(limits));
    let (options, mut notices) = Events::in_detail(env.options());
    let client = options.connect(server.url()).await.unwrap();
    let slow = client.subscription("flood").capacity(1).when_full(WhenFull::Block);
    let slow = slow.confirmed().await.unwrap();
    let other = env.options().connect(server.url()).await.unwrap();

    let payload = Bytes::from(vec![b'x'; 100_000]);
    until::<R>("the server to have enough", || {
        let _ = other.try_publish("flood", payload.clone());
        server.log().contains("Slow Consumer")
    })
    .await;
    // It reads again, to find the end of the stream behind what had been sent.
    drop(slow);
    let lost = |notice: &Notice| matches!(notice, Notice::Disconnected { .. });
    let seen = notices.until(lost).await;
    let errors = seen.iter().filter(|notice| matches!(notice, Notice::ServerError(_))).count();
    assert_eq!(errors, 0, "{seen:?}");
    let Some(Notice::Disconnected { reason }) = seen.last() else { panic!("{seen:?}") };
    assert!(matches!(reason, DisconnectReason::Eof | DisconnectReason::Io(_)), "{reason:?}");
    notices.until(|notice| *notice == Notice::Connected).await;
    client.flush().await.unwrap();
}

/// WebSocket clients are told of WebSocket addresses, without a scheme as all others.
pub(crate) async fn websocket_clients_are_told_of_websockets<R: Rt>(env: Env<R, Release>) {
    let mut cluster = Cluster::start(env.kind, 2, &Options::new().websocket(false));
    let urls: Vec<String> = cluster.nodes().iter().map(RealServer::websocket_url).collect();
    let client = env.options().connect(&urls[0]).await.unwrap();
    let mut kept = client.subscribe("kept").await.unwrap();
    until::<R>("the other server", || client.servers().len() == 2).await;
    for server in client.servers() {
        assert!(urls.contains(&server.to_string()), "{server} is none of {urls:?}");
    }
    cluster.node(0).kill();
    env.connected(&client, 2).await;
    client.publish("kept", "over there".into()).await.unwrap();
    assert_eq!(text(&next(&mut kept).await), "over there");
}
