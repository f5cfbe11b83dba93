//! Subscriptions that wait until the server has them.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use nats_client::connection::State;
use nats_client::{ConfirmError, RequestErrorKind, SubscribeErrorKind};

use crate::support::{Env, Rt, next, text, until};

pub(crate) async fn what_others_publish_afterwards_comes<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (client, other) = (env.connect(&*server).await, env.connect(&*server).await);
    for round in 0..20 {
        let subject = format!("confirmed.{round}");
        let mut subscriber = client.subscription(subject.clone()).confirmed().await.unwrap();
        other.publish(subject, "hi".into()).await.unwrap();
        assert_eq!(text(&next(&mut subscriber).await), "hi");
    }
    let many = (0..200).map(|number| client.subscription(format!("many.{number}")).confirmed());
    for subscriber in join_all(many).await {
        subscriber.unwrap();
    }
}

pub(crate) async fn a_reconnect_makes_it_ask_again<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect(&*server).await;
    server.kill();
    until::<R>("the link to break", || client.connection_state() == State::Disconnected).await;
    let mut confirmed = pin!(client.subscription("later").queue_group("crew").confirmed());
    assert!(confirmed.as_mut().now_or_never().is_none());
    server.restart();
    let mut subscriber = confirmed.await.unwrap();
    let other = env.connect(&*server).await;
    other.publish("later", "hi".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "hi");
}

pub(crate) async fn without_a_server_it_ends_in_time<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let options = env.options().flush_timeout(Duration::from_millis(50));
    let client = env.connect_with(&*server, options).await;
    server.kill();
    let error = client.subscription("never").confirmed().await.unwrap_err();
    assert!(matches!(error, ConfirmError::TimedOut { .. }), "{error:?}");
    let error = client.subscription("no subject").confirmed().await.unwrap_err();
    let ConfirmError::Subscribe(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), SubscribeErrorKind::InvalidSubject);
}

pub(crate) async fn a_dropped_wait_unsubscribes<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    for _ in 0..10 {
        // The server may be so fast that there is a subscriber already: it is dropped as well.
        drop(client.subscription("service").confirmed().now_or_never());
    }
    let nobody = client.request("service", "".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
}
