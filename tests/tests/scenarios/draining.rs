//! Ends in good order.

use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::StreamExt;
use nats_client::client::PublishErrorKind;
use nats_client::connection::State;
use nats_client::{EndReason, Event, SubscribeErrorKind, Unfinished, WhenFull};

use crate::support::{Env, Events, Rt, numbers, publish_numbers, rest, take, text, until};

const COUNT: usize = 500;

pub(crate) async fn a_drained_subscription_gets_what_was_under_way_and_ends<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (publisher, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut drained = client.subscribe("drain").await.unwrap();
    let mut stays = client.subscribe("drain").await.unwrap();
    client.flush().await.unwrap();
    publish_numbers(&publisher, "drain", 0..COUNT).await;
    publisher.flush().await.unwrap();
    drained.drain().await.unwrap();
    let got: Vec<String> = drained.by_ref().map(|message| text(&message)).collect().await;
    assert_eq!(got, numbers(COUNT));
    assert_eq!(drained.end_reason(), Some(EndReason::Drained));
    publisher.publish("drain", "more".into()).await.unwrap();
    assert_eq!(take(&mut stays, COUNT + 1).await.last().map(String::as_str), Some("more"));
}

pub(crate) async fn a_drained_client_delivers_in_both_directions_and_closes<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (options, events) = Events::of(env.options());
    let (other, client) = (env.connect(&*server).await, env.connect_with(&*server, options).await);
    let incoming = client.subscribe("in").await.unwrap();
    let mut outgoing = other.subscribe("out").await.unwrap();
    client.flush().await.unwrap();
    other.flush().await.unwrap();

    publish_numbers(&other, "in", 0..COUNT).await;
    other.flush().await.unwrap();
    publish_numbers(&client, "out", 0..COUNT).await;
    client.drain().await.unwrap();
    assert_eq!(client.subscribe("late").await.unwrap_err().kind(), SubscribeErrorKind::Other);
    let (received, unfinished) = join(rest(incoming), client.closed()).await;
    assert_eq!(received, numbers(COUNT));
    assert_eq!(unfinished, Unfinished::default());
    assert_eq!(take(&mut outgoing, COUNT).await, numbers(COUNT));
    let events = events.rest().await;
    let last: Vec<&Event> = events.iter().filter(|event| **event != Event::Disconnected).collect();
    assert_eq!(last[..3], [&Event::Connected, &Event::Draining, &Event::Closed]);
}

pub(crate) async fn a_queue_group_loses_nothing_when_a_member_drains<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (publisher, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut leaves = client.queue_subscribe("drain", "crew".to_owned()).await.unwrap();
    let mut stays = client.queue_subscribe("drain", "crew".to_owned()).await.unwrap();
    client.flush().await.unwrap();
    publish_numbers(&publisher, "drain", 0..COUNT).await;
    leaves.drain().await.unwrap();
    publish_numbers(&publisher, "drain", COUNT..2 * COUNT).await;
    let mut got = rest(leaves).await;
    let missing = 2 * COUNT - got.len();
    got.extend(take(&mut stays, missing).await);
    got.sort_by_key(|text| text.parse::<usize>().unwrap());
    assert_eq!(got, numbers(2 * COUNT));
}

pub(crate) async fn a_close_sends_what_is_buffered<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (other, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut subscriber = other.subscribe("close").await.unwrap();
    other.flush().await.unwrap();
    publish_numbers(&client, "close", 0..COUNT).await;
    assert_eq!(client.close().await, Unfinished::default());
    assert_eq!(take(&mut subscriber, COUNT).await, numbers(COUNT));
}

pub(crate) async fn a_close_reports_what_could_not_be_sent<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let options = env.options().flush_timeout(Duration::from_millis(50));
    let client = env.connect_with(&*server, options).await;
    server.kill();
    until::<R>("the link to break", || client.connection_state() == State::Disconnected).await;
    publish_numbers(&client, "close", 0..5).await;
    let unfinished = client.close().await;
    assert_eq!(unfinished, Unfinished { unsent: 5, uncertain: 0 });
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.published, statistics.dropped, statistics.pending), (5, 5, 0));
}

pub(crate) async fn a_closed_client_refuses_everything<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("closed").await.unwrap();
    client.close().await;
    assert!(subscriber.next().await.is_none());
    assert_eq!(subscriber.end_reason(), Some(EndReason::Closed));
    assert!(subscriber.unsubscribe().await.is_err());
    let error = client.publish("closed", "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Send);
    let error = client.subscribe("closed").await.unwrap_err();
    assert_eq!(error.kind(), SubscribeErrorKind::Other);
    assert!(client.request("closed", "x".into()).await.is_err());
    assert!(client.drain().await.is_err());
    assert!(client.force_reconnect().await.is_err());
    // To close what is closed is no error.
    assert_eq!(client.close().await, Unfinished::default());
}

pub(crate) async fn a_drain_that_ends_in_time_leaves_nothing<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (other, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let incoming = client.subscription("in").confirmed().await.unwrap();
    let mut outgoing = other.subscription("out").confirmed().await.unwrap();
    publish_numbers(&other, "in", 0..COUNT).await;
    other.flush().await.unwrap();
    publish_numbers(&client, "out", 0..COUNT).await;
    let (received, left) = join(rest(incoming), client.drain_within(Duration::from_secs(30))).await;
    assert_eq!(received, numbers(COUNT));
    assert!(left.unwrap().is_empty(), "{left:?}");
    assert_eq!(take(&mut outgoing, COUNT).await, numbers(COUNT));
    assert!(client.drain_within(Duration::from_secs(30)).await.is_err());
}

pub(crate) async fn a_request_that_waits_gets_its_reply_before_the_end<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (other, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut service = other.subscription("service").confirmed().await.unwrap();
    let exchange = async {
        let question = service.next().await.unwrap();
        let reply = question.reply.unwrap();
        other.publish(reply, "yes".into()).await.unwrap();
        other.flush().await.unwrap();
    };
    let asking = async {
        let request = client.request("service", "".into());
        let drain = client.drain_within(Duration::from_secs(30));
        join(request, drain).await
    };
    // The drain begins before anybody looks for the question.
    let ((reply, left), ()) = join(asking, exchange).await;
    assert_eq!(text(&reply.unwrap()), "yes");
    assert!(left.unwrap().is_empty(), "{left:?}");
}

pub(crate) async fn a_drain_that_ends_at_its_deadline_says_what_was_left<R: Rt>(env: Env<R>) {
    let server = env.start();
    let other = env.connect(&*server).await;
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Block] {
        let options = env.options().subscription_capacity(10).subscription_policy(when_full);
        let client = env.connect_with(&*server, options).await;
        let mut slow = client.subscription("in").confirmed().await.unwrap();
        let _other = client.subscription("quiet").confirmed().await.unwrap();
        publish_numbers(&other, "in", 0..COUNT).await;
        other.flush().await.unwrap();
        until::<R>("the limit", || slow.statistics().pending_messages >= 10).await;
        let left = client.drain_within(Duration::from_secs(2)).await.unwrap();
        assert_eq!((left.unsent, left.uncertain), (0, 0));
        let pending = slow.statistics().pending_messages;
        assert!(pending >= 10);
        assert_eq!(left.undelivered, pending, "{when_full:?}");
        // One that is waited for keeps the server's confirmation from being read.
        assert!(left.undrained == 0 || when_full == WhenFull::Block, "{left:?}");
        let got: Vec<_> = slow.by_ref().collect().await;
        assert_eq!(got.len() as u64, pending);
    }
}
