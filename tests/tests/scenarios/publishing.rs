//! Messages from one client to others.

use std::thread;

use nats_client::client::PublishErrorKind;
use nats_client::message::OutboundMessage;
use nats_client::{HeaderMap, SubscribeErrorKind};

use crate::support::{Env, Rt, is_silent, next, numbers, publish_numbers, take};

pub(crate) async fn a_message_reaches_a_subscriber_with_all_its_parts<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("parts").await.unwrap();

    client.publish("parts", "bare".into()).await.unwrap();
    let bare = next(&mut subscriber).await;
    assert_eq!((bare.subject.as_str(), &bare.payload[..]), ("parts", &b"bare"[..]));
    assert_eq!((bare.reply, bare.headers, bare.status), (None, None, None));
    assert_eq!(bare.length, "partsbare".len());

    let mut headers = HeaderMap::new();
    headers.insert("Name", "value");
    let whole = OutboundMessage {
        subject: "parts".into(),
        reply: Some("answers".into()),
        payload: "whole".into(),
        headers: Some(headers.clone()),
    };
    client.publish_message(whole).await.unwrap();
    let whole = next(&mut subscriber).await;
    assert_eq!(whole.reply.as_deref(), Some("answers"));
    assert_eq!(whole.headers, Some(headers));
    assert_eq!(&whole.payload[..], b"whole");
}

pub(crate) async fn messages_of_one_publisher_keep_their_order<R: Rt>(env: Env<R>) {
    const COUNT: usize = 5_000;
    let server = env.start();
    let (publisher, receiver) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut subscriber = receiver.subscribe("order").await.unwrap();
    receiver.flush().await.unwrap();
    publish_numbers(&publisher, "order", 0..COUNT).await;
    assert_eq!(take(&mut subscriber, COUNT).await, numbers(COUNT));
}

pub(crate) async fn every_subscription_gets_its_own_copy<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (one, two) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut first = one.subscribe("copies").await.unwrap();
    let mut second = one.subscribe("copies").await.unwrap();
    let mut third = two.subscribe("copies").await.unwrap();
    two.flush().await.unwrap();
    publish_numbers(&one, "copies", 0..10).await;
    for subscriber in [&mut first, &mut second, &mut third] {
        assert_eq!(take(subscriber, 10).await, numbers(10));
    }
}

pub(crate) async fn clients_of_both_runtimes_meet_on_one_server<R: Rt>(env: Env<R>) {
    let server = env.start();
    let url = server.url();
    let here = env.connect(&*server).await;
    let mut requests = here.subscribe("meet").await.unwrap();
    here.flush().await.unwrap();

    let there = thread::spawn(|| {
        R::Other::block_on(async {
            let there = nats_client::connect::<R::Other>(url).await.unwrap();
            there.request("meet", "hello".into()).await.unwrap().payload
        })
    });
    let request = next(&mut requests).await;
    let reply = request.reply.expect("a request has a reply subject");
    here.publish(reply, "welcome".into()).await.unwrap();
    here.flush().await.unwrap();
    assert_eq!(there.join().unwrap(), "welcome");
}

pub(crate) async fn ones_own_messages_come_back_unless_no_echo_is_set<R: Rt>(env: Env<R>) {
    let server = env.start();
    let echo = env.connect(&*server).await;
    let mute = env.connect_with(&*server, env.options().no_echo()).await;
    let mut at_echo = echo.subscribe("echo").await.unwrap();
    let mut at_mute = mute.subscribe("echo").await.unwrap();
    echo.flush().await.unwrap();

    mute.publish("echo", "from mute".into()).await.unwrap();
    mute.flush().await.unwrap();
    echo.publish("echo", "from echo".into()).await.unwrap();
    assert_eq!(take(&mut at_echo, 2).await, ["from mute", "from echo"]);
    assert_eq!(take(&mut at_mute, 1).await, ["from echo"]);
    assert!(is_silent(&mut at_mute));
}

pub(crate) async fn what_is_no_subject_is_refused_and_the_connection_stays<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    for subject in ["", "a b", "a\tb", "a\r\nPUB b 0\r\n", "a\n"] {
        let error = client.publish(subject, "x".into()).await.unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::InvalidSubject, "{subject:?}");
        let error = client.publish_with_reply("fine", subject, "x".into()).await.unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::InvalidSubject, "reply {subject:?}");
    }
    for subject in ["", "a b", "a..b", ".a", "a.", "a.>.b", "a\r\nSUB b 1"] {
        let error = client.subscribe(subject).await.unwrap_err();
        assert_eq!(error.kind(), SubscribeErrorKind::InvalidSubject, "{subject:?}");
    }
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.connects, statistics.published), (1, 0));
}
