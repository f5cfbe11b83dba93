//! Subscribers that do not keep up.

use nats_client::Notice;

use crate::support::{Env, Events, Rt, next, numbers, take, text};

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
    client.close().await;
    let notices = notices.rest().await;
    let of_slowness = |notice: &&Notice| {
        matches!(notice, Notice::SlowConsumer { .. } | Notice::SlowConsumerRecovered { .. })
    };
    let told: Vec<&Notice> = notices.iter().filter(of_slowness).collect();
    let (sid, dropped) = (slow.sid(), slow.dropped());
    let expected = [&Notice::SlowConsumer { sid }, &Notice::SlowConsumerRecovered { sid, dropped }];
    assert_eq!(told, expected);
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
