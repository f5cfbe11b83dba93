//! Clients behind traits.

use futures_util::future::join;
use futures_util::sink::SinkExt;
use futures_util::stream::{self, StreamExt};
use nats_client::client::traits::{Publisher, Requester, Subscriber, TimeoutProvider};
use nats_client::message::OutboundMessage;
use nats_client::{PublishErrorKind, Request};

use crate::support::{Env, Rt, next, numbers, take, text};

fn message(payload: String) -> OutboundMessage {
    OutboundMessage { subject: "sink".into(), reply: None, payload: payload.into(), headers: None }
}

pub(crate) async fn a_client_is_a_sink<R: Rt>(env: Env<R>) {
    let server = env.start();
    let mut client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("sink").await.unwrap();
    let mut messages = stream::iter(numbers(100)).map(|number| Ok(message(number)));
    client.send_all(&mut messages).await.unwrap();
    assert_eq!(take(&mut subscriber, 100).await, numbers(100));
    let bad = OutboundMessage { subject: "a b".into(), ..message(String::new()) };
    let error = client.send(bad).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::InvalidSubject);
    // An error of one message does not close the sink.
    client.send(message("after".to_owned())).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "after");
}

pub(crate) async fn a_sink_waits_for_room<R: Rt>(env: Env<R>) {
    const COUNT: usize = 200;
    let server = env.start();
    let options = env.options().send_buffer_limit(10_000);
    let mut client = env.connect_with(&*server, options).await;
    let mut subscriber = client.subscribe("sink").await.unwrap();
    let mut messages = stream::iter(0..COUNT).map(|_| Ok(message("x".repeat(9_000))));
    let receiving = take(&mut subscriber, COUNT);
    let (sent, received) = join(client.send_all(&mut messages), receiving).await;
    sent.unwrap();
    assert_eq!(received.len(), COUNT);
}

/// What a library would take instead of a client.
async fn round_trip(client: &(impl Publisher + Subscriber + Requester + TimeoutProvider)) {
    assert!(client.timeout().is_some());
    let mut requests = client.subscribe("traits").await.unwrap();
    let asking = client.send_request("traits", Request::new().payload("hello".into()));
    let answering = async {
        let request = next(&mut requests).await;
        let reply = request.reply.unwrap();
        client.publish_with_reply(reply, "nowhere", request.payload).await.unwrap();
    };
    let (reply, ()) = join(asking, answering).await;
    assert_eq!(text(&reply.unwrap()), "hello");
    client.publish_message(message("done".to_owned())).await.unwrap();
}

pub(crate) async fn code_can_be_generic_over_what_a_client_does<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("sink").await.unwrap();
    round_trip(&client).await;
    assert_eq!(text(&next(&mut subscriber).await), "done");
}
