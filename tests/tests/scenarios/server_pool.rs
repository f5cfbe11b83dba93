//! The servers that a client knows, and which comes next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nats_client::{ClientError, Event, ReconnectToServer, ServerAddr, SetServerPoolErrorKind};

use crate::support::{Env, Events, Rt, until};

fn addr(url: &str) -> ServerAddr {
    url.parse().expect("a valid address")
}

pub(crate) async fn the_pool_tells_what_became_of_each_server<R: Rt>(env: Env<R>) {
    let server = env.start();
    let urls = vec![String::from("nats://127.0.0.1:1"), server.url()];
    let client = env.options().retain_servers_order().connect(urls).await.unwrap();
    let pool = client.server_pool().await.unwrap();
    let of = |url: &str| pool.iter().find(|server| server.addr == addr(url)).expect("in the pool");
    let (dead, alive) = (of("nats://127.0.0.1:1"), of(&server.url()));
    assert_eq!((dead.failed_attempts, dead.did_connect, dead.is_discovered), (1, false, false));
    assert!(dead.last_error.is_some());
    assert_eq!((alive.failed_attempts, alive.did_connect), (0, true));
    assert_eq!(alive.last_error, None);
    client.close().await;
    assert!(client.server_pool().await.is_err());
}

pub(crate) async fn a_new_pool_moves_the_client_when_it_reconnects<R: Rt>(env: Env<R>) {
    let (first, second) = (env.start(), env.start());
    let client = env.connect(&*first).await;
    let kind = |error: nats_client::SetServerPoolError| error.kind();
    let none: Vec<ServerAddr> = Vec::new();
    let refused = client.set_server_pool(none).await.map_err(kind);
    assert_eq!(refused, Err(SetServerPoolErrorKind::EmptyPool));
    let refused = client.set_server_pool(vec![first.url(), "ws://b".into()]).await.map_err(kind);
    assert_eq!(refused, Err(SetServerPoolErrorKind::MixedSchemes));
    let refused = client.set_server_pool("no port:x").await.map_err(kind);
    assert_eq!(refused, Err(SetServerPoolErrorKind::InvalidAddress));

    client.set_server_pool(vec![second.url()]).await.unwrap();
    let port = |url: String| addr(&url).port();
    assert_eq!(client.server_info().port, port(first.url()));
    client.force_reconnect().await.unwrap();
    env.connected(&client, 2).await;
    assert_eq!(client.server_info().port, port(second.url()));
    assert_eq!(client.servers(), [addr(&second.url())]);
}

pub(crate) async fn the_application_chooses_the_next_server<R: Rt>(env: Env<R>) {
    let (mut first, second) = (env.start(), env.start());
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, wanted) = (Arc::clone(&asked), addr(&second.url()));
    let options =
        env.options().retain_servers_order().reconnect_to_server_callback(move |servers, info| {
            // The first one is left to the pool.
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            assert_eq!(info.server_id.is_empty(), first);
            let known = servers.iter().any(|server| server.addr == wanted);
            let choice = ReconnectToServer { addr: wanted.clone(), delay: Some(Duration::ZERO) };
            async move { (known && !first).then_some(choice) }
        });
    let dead = String::from("nats://127.0.0.1:1");
    let client = options.connect(vec![first.url(), dead, second.url()]).await.unwrap();
    assert_eq!(client.server_info().port, addr(&first.url()).port());
    first.kill();
    env.connected(&client, 2).await;
    assert_eq!(client.server_info().port, addr(&second.url()).port());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

pub(crate) async fn a_choice_outside_of_the_pool_is_told_and_passed_over<R: Rt>(env: Env<R>) {
    let (first, second) = (env.start(), env.start());
    let (options, mut events) = Events::of(env.options());
    let options = options.reconnect_to_server_callback(|_, _| async {
        Some(ReconnectToServer { addr: addr("nats://elsewhere"), delay: None })
    });
    let client = options.connect(vec![first.url(), second.url()]).await.unwrap();
    let told = Event::ClientError(ClientError::ServerNotInPool);
    events.until(|event| *event == told).await;
    until::<R>("the connection", || client.delivery_statistics().connects == 1).await;
}
