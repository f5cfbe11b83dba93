//! Subscribers that do not keep up.

use nats_client::{Client, Notice, WhenFull};

use crate::support::{Env, Events, Rt, next, numbers, publish_numbers, take, text, until};

/// What the events of a client say of its slow consumers, to its end.
async fn slow_events(client: &Client, events: Events<Notice>) -> Vec<Notice> {
    client.close().await;
    let events = events.rest().await.into_iter();
    events
        .filter(|event| {
            matches!(event, Notice::SlowConsumer { .. } | Notice::SlowConsumerRecovered { .. })
        })
        .collect()
}

pub(crate) async fn a_subscriber_that_never_reads_loses_alone<R: Rt>(env: Env<R>) {
    const COUNT: usize = 1_000;
    let server = env.start();
    let (options, notices) = Events::in_detail(env.options().subscription_capacity(10));
    let client = env.connect_with(&*server, options).await;
    let mut slow = client.subscribe("flood").await.unwrap();
    let mut reads = client.subscribe("flood").await.unwrap();
    for number in 0..COUNT {
        let number = number.to_string();
        client.publish("flood", number.clone().into()).await.unwrap();
        assert_eq!(text(&next(&mut reads).await), number);
    }
    client.flush().await.unwrap();
    assert_eq!(slow.dropped(), (COUNT - 10) as u64);
    assert_eq!(reads.dropped(), 0);

    // What had room is there; then the subscription goes on.
    assert_eq!(take(&mut slow, 10).await, numbers(10));
    client.publish("flood", "again".into()).await.unwrap();
    assert_eq!(text(&next(&mut slow).await), "again");
    let (sid, dropped) = (slow.sid(), slow.dropped());
    let expected = [Notice::SlowConsumer { sid }, Notice::SlowConsumerRecovered { sid, dropped }];
    assert_eq!(slow_events(&client, notices).await, expected);
}

pub(crate) async fn the_oldest_make_room_if_so_chosen<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (options, events) = Events::in_detail(env.options());
    let client = env.connect_with(&*server, options).await;
    let subscription = client.subscription("flood").capacity(10);
    let mut latest = subscription.when_full(WhenFull::DropOldest).await.unwrap();
    publish_numbers(&client, "flood", 0..1_000).await;
    client.flush().await.unwrap();
    let statistics = latest.statistics();
    assert_eq!((statistics.pending_messages, statistics.dropped), (10, 990));
    assert_eq!(take(&mut latest, 10).await, &numbers(1_000)[990..]);
    client.publish("flood", "again".into()).await.unwrap();
    assert_eq!(text(&next(&mut latest).await), "again");
    let statistics = latest.statistics();
    assert_eq!((statistics.delivered, statistics.dropped), (11, 990));
    let (sid, dropped) = (latest.sid(), latest.dropped());
    let expected = [Notice::SlowConsumer { sid }, Notice::SlowConsumerRecovered { sid, dropped }];
    assert_eq!(slow_events(&client, events).await, expected);
}

pub(crate) async fn every_episode_has_a_beginning_and_an_end<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (options, events) = Events::in_detail(env.options().subscription_capacity(10));
    let client = env.connect_with(&*server, options).await;
    let mut slow = client.subscribe("flood").await.unwrap();
    for _ in 0..3 {
        publish_numbers(&client, "flood", 0..25).await;
        client.flush().await.unwrap();
        assert_eq!(take(&mut slow, 10).await, numbers(10));
        client.publish("flood", "again".into()).await.unwrap();
        assert_eq!(text(&next(&mut slow).await), "again");
    }
    // The end of the subscription ends the episode: by the server, by the subscriber, by the client.
    let mut full = client.subscription("more").max_messages(30).await.unwrap();
    let mut leaves = client.subscribe("more").await.unwrap();
    let stays = client.subscribe("more").await.unwrap();
    publish_numbers(&client, "more", 0..20).await;
    client.flush().await.unwrap();
    leaves.unsubscribe().await.unwrap();
    publish_numbers(&client, "more", 20..40).await;
    client.flush().await.unwrap();
    assert_eq!(take(&mut full, 30).await, numbers(10));
    let events = slow_events(&client, events).await;
    let episodes = [(&slow, &[15, 15, 15][..]), (&full, &[20]), (&leaves, &[10]), (&stays, &[30])];
    for (subscriber, lost) in episodes {
        let sid = subscriber.sid();
        let expected = lost.iter().flat_map(|dropped| {
            [Notice::SlowConsumer { sid }, Notice::SlowConsumerRecovered { sid, dropped: *dropped }]
        });
        // Servers deliver to several subscriptions in any order.
        let of_this = events.iter().filter(|event| match event {
            Notice::SlowConsumer { sid: of } | Notice::SlowConsumerRecovered { sid: of, .. } => {
                *of == sid
            }
            _ => false,
        });
        assert!(of_this.cloned().eq(expected), "of {sid}: {events:?}");
    }
}

pub(crate) async fn the_connection_waits_if_so_chosen<R: Rt>(env: Env<R>) {
    const COUNT: usize = 20_000;
    let server = env.start();
    // Keepalive goes on meanwhile. It has patience enough for a machine that does other things.
    let ping_interval = std::time::Duration::from_millis(5);
    let options = env.options().ping_interval(ping_interval).max_pings_outstanding(10_000);
    let (options, events) = Events::in_detail(options);
    let (client, other) = (env.connect_with(&*server, options).await, env.connect(&*server).await);
    let subscription = client.subscription("flood").capacity(100);
    let mut slow = subscription.when_full(WhenFull::Block).await.unwrap();
    client.flush().await.unwrap();
    publish_numbers(&other, "flood", 0..COUNT).await;
    other.flush().await.unwrap();
    until::<R>("the limit", || slow.statistics().pending_messages >= 100).await;
    R::sleep(std::time::Duration::from_millis(100)).await;
    // One read may bring more than the limit, but by far not all.
    assert!(slow.statistics().pending_messages < 10_000, "{:?}", slow.statistics());
    for number in 0..COUNT {
        assert_eq!(text(&next(&mut slow).await), number.to_string());
        if number % 1_000 == 0 {
            client.publish("progress", number.to_string().into()).await.unwrap();
        }
    }
    let statistics = slow.statistics();
    assert_eq!((statistics.delivered, statistics.dropped), (COUNT as u64, 0));
    assert_eq!(client.delivery_statistics().connects, 1);
    assert_eq!(slow_events(&client, events).await, []);
}

pub(crate) async fn who_is_waited_for_can_leave<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (client, other) = (
        env.connect_with(&*server, env.options().subscription_policy(WhenFull::Block)).await,
        env.connect(&*server).await,
    );
    for leave_by_drop in [true, false] {
        let mut slow = client.subscription("flood").capacity(10).await.unwrap();
        let mut reads = client.subscribe("other").await.unwrap();
        client.flush().await.unwrap();
        publish_numbers(&other, "flood", 0..5_000).await;
        publish_numbers(&other, "other", 0..10).await;
        until::<R>("the limit", || slow.statistics().pending_messages >= 10).await;
        if leave_by_drop {
            drop(slow);
        } else {
            slow.unsubscribe().await.unwrap();
        }
        assert_eq!(take(&mut reads, 10).await, numbers(10));
    }
    let slow = client.subscription("flood").capacity(10).await.unwrap();
    client.flush().await.unwrap();
    publish_numbers(&other, "flood", 0..5_000).await;
    until::<R>("the limit", || slow.statistics().pending_messages >= 10).await;
    client.close().await;
}

pub(crate) async fn limits_can_be_set_for_each_subscription<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect_with(&*server, env.options().subscription_capacity(5)).await;
    let mut few = client.subscription("limits").capacity(3).await.unwrap();
    let mut small = client.subscription("limits").capacity(100).byte_capacity(20).await.unwrap();
    let mut usual = client.subscription("limits").queue_group("crew").await.unwrap();
    let mut ends = client.subscription("limits").max_messages(2).await.unwrap();
    publish_numbers(&client, "limits", 0..10).await;
    client.flush().await.unwrap();
    assert_eq!(take(&mut few, 3).await, numbers(3));
    // Seven bytes each, with the subject.
    assert_eq!(take(&mut small, 2).await, numbers(2));
    assert_eq!(take(&mut usual, 5).await, numbers(5));
    assert_eq!(take(&mut ends, 9).await, numbers(2));
    let dropped = [&few, &small, &usual, &ends].map(|subscriber| subscriber.dropped());
    assert_eq!(dropped, [7, 8, 5, 0]);
}

pub(crate) async fn bytes_are_limited_as_messages_are<R: Rt>(env: Env<R>) {
    let server = env.start();
    let options = env.options().subscription_byte_capacity(10_000);
    let client = env.connect_with(&*server, options).await;
    let mut slow = client.subscribe("flood").await.unwrap();
    for _ in 0..20 {
        client.publish("flood", vec![b'x'; 995].into()).await.unwrap();
    }
    client.flush().await.unwrap();
    // The subject counts as well: ten of 1,000 bytes fit.
    assert_eq!(slow.dropped(), 10);
    assert_eq!(take(&mut slow, 10).await.len(), 10);
    client.publish("flood", "small".into()).await.unwrap();
    assert_eq!(text(&next(&mut slow).await), "small");
}
