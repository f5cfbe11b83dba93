//! Requests with many replies.

use std::time::Duration;

use futures_util::stream::StreamExt;
use nats_client::client::{Responses, ResponsesEnd};
use nats_client::{Client, Runtime};

use crate::support::{Env, Rt, next, numbers, text};

/// Answers the next request to `subject` with these payloads, in the background.
async fn answer<R: Runtime>(client: &Client, subject: &'static str, payloads: Vec<String>) {
    let mut requests = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    let client = client.clone();
    R::spawn(async move {
        let reply = next(&mut requests).await.reply.expect("a request has a reply subject");
        for payload in payloads {
            client.publish(reply.clone(), payload.into()).await.unwrap();
        }
    });
}

async fn all(mut replies: Responses) -> (Vec<String>, Option<ResponsesEnd>) {
    let mut payloads = Vec::new();
    while let Some(reply) = replies.next().await {
        payloads.push(text(&reply));
    }
    (payloads, replies.end())
}

pub(crate) async fn replies_end_with_their_number<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    answer::<R>(&client, "many", numbers(10)).await;
    let request = client.request_many().max_messages(7);
    let replies = request.send("many", "".into()).await.unwrap();
    assert_eq!(all(replies).await, (numbers(7), Some(ResponsesEnd::Complete)));
}

pub(crate) async fn replies_end_with_a_sentinel<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut payloads = numbers(3);
    payloads.push(String::new());
    answer::<R>(&client, "empty", payloads.clone()).await;
    let replies = client.request_many().until_empty().send("empty", "".into()).await.unwrap();
    assert_eq!(all(replies).await, (numbers(3), Some(ResponsesEnd::Sentinel)));

    answer::<R>(&client, "own", payloads).await;
    let request = client.request_many().sentinel(|message| message.payload == "1");
    let replies = request.send("own", "".into()).await.unwrap();
    assert_eq!(all(replies).await, (numbers(1), Some(ResponsesEnd::Sentinel)));
}

pub(crate) async fn replies_end_when_none_comes_for_a_while<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    answer::<R>(&client, "stall", numbers(4)).await;
    let request = client.request_many().stall_wait(Duration::from_millis(500));
    let replies = request.send("stall", "".into()).await.unwrap();
    assert_eq!(all(replies).await, (numbers(4), Some(ResponsesEnd::Stalled)));
}

pub(crate) async fn replies_end_with_their_time<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    answer::<R>(&client, "slow", Vec::new()).await;
    // A stall that is as long as all is none.
    let wait = Duration::from_millis(50);
    let request = client.request_many().max_wait(Some(wait)).stall_wait(wait);
    let replies = request.send("slow", "".into()).await.unwrap();
    assert_eq!(all(replies).await, (Vec::new(), Some(ResponsesEnd::TimedOut)));
}

pub(crate) async fn nobody_listening_ends_the_replies<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let replies = client.request_many().send("nobody", "".into()).await.unwrap();
    assert_eq!(all(replies).await, (Vec::new(), Some(ResponsesEnd::NoResponders)));
}

pub(crate) async fn replies_end_with_the_client<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    answer::<R>(&client, "closing", numbers(1)).await;
    let mut replies = client.request_many().send("closing", "".into()).await.unwrap();
    assert_eq!(text(&replies.next().await.unwrap()), "0");
    client.close().await;
    assert_eq!(all(replies).await.1, Some(ResponsesEnd::Closed));
}
