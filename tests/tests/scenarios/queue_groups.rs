//! Groups of which one member gets each message.

use futures_util::stream::{StreamExt, select_all};
use nats_client::{Client, SubscribeErrorKind, Subscriber};

use crate::support::{Env, Rt, is_silent, numbers, publish_numbers, take, text};

const COUNT: usize = 300;

async fn member(client: &Client, group: &str) -> Subscriber {
    let member = client.queue_subscribe("work", group.to_owned()).await.unwrap();
    client.flush().await.unwrap();
    member
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_by_key(|text| text.parse::<usize>().unwrap());
    texts
}

pub(crate) async fn each_message_goes_to_one_member_and_every_member_gets_some<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (one, two) = (env.connect(&*server).await, env.connect(&*server).await);
    let members =
        [member(&one, "crew").await, member(&one, "crew").await, member(&two, "crew").await];
    publish_numbers(&one, "work", 0..COUNT).await;

    let members = members.into_iter().enumerate();
    let all =
        select_all(members.map(|(name, member)| member.map(move |message| (name, text(&message)))));
    let got: Vec<(usize, String)> = all.take(COUNT).collect().await;
    for name in 0..3 {
        assert!(got.iter().any(|(by, _)| *by == name), "member {name} got nothing");
    }
    // As many as there are, and each of them: so none came twice.
    assert_eq!(sorted(got.into_iter().map(|(_, text)| text).collect()), numbers(COUNT));
}

pub(crate) async fn groups_and_plain_subscriptions_do_not_share<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut plain = client.subscribe("work").await.unwrap();
    let mut alone = member(&client, "alone").await;
    let pair = [member(&client, "pair").await, member(&client, "pair").await];
    publish_numbers(&client, "work", 0..COUNT).await;
    assert_eq!(take(&mut plain, COUNT).await, numbers(COUNT));
    assert_eq!(take(&mut alone, COUNT).await, numbers(COUNT));
    let pair: Vec<_> = select_all(pair).take(COUNT).map(|message| text(&message)).collect().await;
    assert_eq!(sorted(pair), numbers(COUNT));
}

pub(crate) async fn who_leaves_a_group_leaves_the_messages_to_the_others<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut stays = member(&client, "crew").await;
    let mut leaves = member(&client, "crew").await;
    leaves.unsubscribe().await.unwrap();
    publish_numbers(&client, "work", 0..COUNT).await;
    assert_eq!(take(&mut stays, COUNT).await, numbers(COUNT));
    client.flush().await.unwrap();
    assert!(is_silent(&mut stays));
    assert!(leaves.next().await.is_none());
}

pub(crate) async fn a_name_with_spaces_is_refused<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    for group in ["", "a b", "a\r\n"] {
        let error = client.queue_subscribe("work", group.to_owned()).await.unwrap_err();
        assert_eq!(error.kind(), SubscribeErrorKind::InvalidQueueName, "{group:?}");
    }
}
