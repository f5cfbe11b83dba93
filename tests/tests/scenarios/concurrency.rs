//! Many at a time.

use std::thread;

use futures_util::future::join_all;
use futures_util::stream::StreamExt;
use nats_client::{Request, RequestErrorKind};

use crate::support::{Env, Rt, next, take, text};

pub(crate) async fn threads_without_a_runtime_publish_at_once<R: Rt>(env: Env<R>) {
    const THREADS: usize = 4;
    const EACH: usize = 1_000;
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("threads.*").await.unwrap();
    let publishers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = client.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    let subject = format!("threads.{thread}");
                    let mut payload = number.to_string().into();
                    while let Err(refused) = client.try_publish(subject.clone(), payload) {
                        assert!(refused.is_full(), "{refused}");
                        payload = refused.payload;
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut expected = [0; THREADS];
    for _ in 0..THREADS * EACH {
        let message = next(&mut subscriber).await;
        let thread: usize = message.subject.rsplit('.').next().unwrap().parse().unwrap();
        // What one thread publishes keeps its order.
        assert_eq!(text(&message), expected[thread].to_string());
        expected[thread] += 1;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
}

pub(crate) async fn threads_that_take_turns_lose_nothing<R: Rt>(env: Env<R>) {
    const THREADS: usize = 8;
    const EACH: usize = 5_000;
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscriber = client.subscribe("turns.*").await.unwrap();
    let publishers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let client = client.clone();
            let publish = async move {
                for number in 0..EACH {
                    // Now and then one that is larger than the buffer.
                    let rest = if number % 1_000 == thread { 200_000 } else { number % 200 };
                    let payload = format!("{number} {}", ".".repeat(rest)).into();
                    client.publish(format!("turns.{thread}"), payload).await.unwrap();
                }
            };
            thread::spawn(|| R::block_on(publish))
        })
        .collect();
    let mut expected = [0; THREADS];
    for _ in 0..THREADS * EACH {
        let message = next(&mut subscriber).await;
        let thread: usize = message.subject.rsplit('.').next().unwrap().parse().unwrap();
        let text = text(&message);
        let (number, rest) = text.split_once(' ').unwrap();
        assert_eq!(number, expected[thread].to_string());
        assert!(rest.bytes().all(|byte| byte == b'.'));
        expected[thread] += 1;
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    assert_eq!(statistics.confirmed, (THREADS * EACH) as u64);
    assert_eq!(statistics.published, statistics.confirmed);
}

pub(crate) async fn all_of_fifty_clients_come_back<R: Rt>(env: Env<R>) {
    const CLIENTS: usize = 50;
    let mut server = env.start();
    let clients = join_all((0..CLIENTS).map(|_| env.connect(&*server))).await;
    let mut subscribers = Vec::new();
    for client in &clients {
        subscribers.push(client.subscribe("storm").await.unwrap());
        client.flush().await.unwrap();
    }
    server.restart();
    for client in &clients {
        env.connected(client, 2).await;
        // A connection is up before the server has seen all that is sent over it.
        client.flush().await.unwrap();
    }
    clients[0].publish("storm", "over".into()).await.unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(take(subscriber, 1).await, ["over"]);
    }
}

pub(crate) async fn every_request_ends_when_the_server_restarts<R: Rt>(env: Env<R>) {
    const COUNT: usize = 200;
    let mut server = env.start();
    let (service, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut requests = service.subscribe("service").await.unwrap();
    service.flush().await.unwrap();
    R::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.expect("a request has a reply subject");
            service.publish(reply, request.payload).await.unwrap();
        }
    });
    let ask = |number: usize| {
        let timeout = Some(std::time::Duration::from_secs(1));
        let request = Request::new().payload(number.to_string().into()).timeout(timeout);
        client.send_request("service", request)
    };
    let restarting = async { server.restart() };
    let asking = join_all((0..COUNT).map(ask));
    let (replies, ()) = futures_util::future::join(asking, restarting).await;
    for (number, reply) in replies.into_iter().enumerate() {
        match reply {
            Ok(reply) => assert_eq!(text(&reply), number.to_string()),
            // Lost with the link, or ahead of the service on the new server.
            Err(error) => assert!(
                [RequestErrorKind::TimedOut, RequestErrorKind::NoResponders]
                    .contains(&error.kind()),
                "{error}"
            ),
        }
    }
    env.connected(&client, 2).await;
    // The service comes back in its own time.
    let reply = loop {
        if let Ok(reply) = ask(COUNT).await {
            break reply;
        }
    };
    assert_eq!(text(&reply), COUNT.to_string());
}
