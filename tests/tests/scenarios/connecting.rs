//! First connections.

use std::time::Duration;

use nats_client::ConnectErrorKind;
use nats_client::connection::State;

use crate::support::{Env, Events, Rt, numbers, publish_numbers, take};

pub(crate) async fn a_client_knows_its_server<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect_with(&*server, env.options().name("somebody")).await;
    assert_eq!(client.connection_state(), State::Connected);
    let info = client.server_info();
    assert_eq!(info.port, server.addr().port());
    assert!(info.headers);
    assert_eq!(info.max_payload, client.max_payload());
    assert_eq!(client.try_server_info(), Some(info));
    assert!(client.is_server_compatible(2, 10, 0));
    assert!(!client.is_server_compatible(3, 0, 0));
    assert_eq!(client.timeout(), Some(Duration::from_secs(10)));
}

pub(crate) async fn an_address_needs_no_scheme<R: Rt>(env: Env<R>) {
    let server = env.start();
    let address = server.addr().to_string();
    let client = env.options().connect(&address).await.unwrap();
    client.flush().await.unwrap();
    let client = env.options().connect(vec![address]).await.unwrap();
    client.flush().await.unwrap();
}

pub(crate) async fn a_server_that_starts_later_is_found<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    server.kill();
    let (options, mut events) = Events::of(env.options().retry_on_initial_connect());
    let client = env.connect_with(&*server, options).await;
    assert_eq!(client.connection_state(), State::Pending);
    assert_eq!(client.try_server_info(), None);
    let mut subscriber = client.subscribe("early").await.unwrap();
    publish_numbers(&client, "early", 0..100).await;
    server.restart();
    events.until(|event| *event == nats_client::Event::Connected).await;
    assert_eq!(take(&mut subscriber, 100).await, numbers(100));
}

pub(crate) async fn a_server_that_is_not_there_is_named_in_the_error<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    server.kill();
    let error = env.options().connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Io);
    let text = error.to_string();
    assert!(text.contains(&server.addr().to_string()), "{text}");
    assert!(text.contains("check that a NATS server is running"), "{text}");
    // Two of them: both are named.
    let mut other = env.start();
    other.kill();
    let error = env.options().connect([server.url(), other.url()]).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&server.addr().to_string()), "{text}");
    assert!(text.contains(&other.addr().to_string()), "{text}");
}
