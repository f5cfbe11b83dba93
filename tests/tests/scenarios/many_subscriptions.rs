//! Many subscriptions on one connection.

use crate::support::{Env, Rt, next, text};

pub(crate) async fn ten_thousand_get_their_messages_also_after_a_restart<R: Rt>(env: Env<R>) {
    const COUNT: usize = 10_000;
    let mut server = env.start();
    let client = env.connect(&*server).await;
    let mut subscribers = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        subscribers.push(client.subscribe(format!("many.{number}")).await.unwrap());
    }
    for connects in 1..=2 {
        env.connected(&client, connects).await;
        for number in 0..COUNT {
            let payload = format!("{number} on connection {connects}").into();
            client.publish(format!("many.{number}"), payload).await.unwrap();
        }
        for (number, subscriber) in subscribers.iter_mut().enumerate() {
            let expected = format!("{number} on connection {connects}");
            assert_eq!(text(&next(subscriber).await), expected);
        }
        // Nothing is in flight when the server goes, so that nothing can be uncertain.
        client.flush().await.unwrap();
        if connects == 1 {
            server.restart();
        }
    }
    assert_eq!(client.delivery_statistics().messages_in, 2 * COUNT as u64);
}
