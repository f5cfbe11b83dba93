//! A program written for `async-nats`, in the ways that its users write them. That it compiles is the first
//! half of the test, that it does what it should the second.

/// Every name, on tokio.
pub mod on_tokio {
    use async_nats as nats;

    include!("names.rs");
}

/// Every name, on async-std: what needs tokio in `async-nats` itself does not here.
pub mod on_async_std {
    use nats_async_std as nats;

    include!("names.rs");
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::client::traits::{Publisher, Requester};
use async_nats::connection::State;
use async_nats::header::{IntoHeaderName, IntoHeaderValue};
use async_nats::message::OutboundMessage;
use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Error, Event, HeaderMap, HeaderName,
    HeaderValue, Message, PublishError, PublishErrorKind, Request, RequestErrorKind, ServerAddr,
    ServerInfo, Statistics, StatusCode, Subject, SubscribeErrorKind, Subscriber, ToServerAddrs,
    ToSubject,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

/// Connects, publishes ten messages and receives them.
pub async fn publish_and_subscribe(url: &str) -> Result<usize, Error> {
    let client = async_nats::connect(url).await?;
    let mut subscriber = client.subscribe("messages").await?.take(10);
    for _ in 0..10 {
        client.publish("messages", "data".into()).await?;
    }
    let mut received = 0;
    while let Some(message) = subscriber.next().await {
        let Message { subject, reply, payload, headers, status, description, length } = message;
        assert_eq!((subject, payload), (Subject::from("messages"), Bytes::from("data")));
        assert_eq!((reply, headers, status, description), (None, None, None, None::<String>));
        assert_eq!(length, 12);
        received += 1;
    }
    client.flush().await?;
    Ok(received)
}

/// Subjects of every type that is one, and a limit on a subscription.
pub async fn subjects(client: &Client) -> Result<Vec<String>, Error> {
    async fn publish<S: ToSubject>(client: &Client, subject: S) -> Result<(), PublishError> {
        client.publish(subject, Bytes::new()).await
    }
    let mut subscriber: Subscriber = client.subscribe("typed.>").await?;
    subscriber.unsubscribe_after(4).await?;
    publish(client, "typed.str").await?;
    publish(client, String::from("typed.string")).await?;
    publish(client, format!("typed.{}", "format")).await?;
    publish(client, Subject::from_static("typed.subject")).await?;
    Ok(subscriber.map(|message| message.subject.to_string()).collect().await)
}

/// A service in a queue group, asked in three ways.
pub async fn requests(client: &Client) -> Result<Vec<String>, Error> {
    let mut service = client.queue_subscribe("service", "services".into()).await?;
    tokio::spawn({
        let client = client.clone();
        async move {
            while let Some(request) = service.next().await {
                if let Some(reply) = request.reply {
                    client.publish(reply, request.payload).await?;
                    client.flush().await?;
                }
            }
            Ok::<(), Error>(())
        }
    });
    let mut replies = vec![client.request("service", "plain".into()).await?];
    let mut headers = HeaderMap::new();
    headers.insert("X-Trace", "1");
    replies.push(client.request_with_headers("service", headers, "headers".into()).await?);
    let request = Request::new()
        .payload("built".into())
        .timeout(Some(Duration::from_secs(15)))
        .inbox(client.new_inbox());
    replies.push(client.send_request("service", request).await?);
    let text = |message: Message| std::str::from_utf8(&message.payload).map(str::to_owned);
    Ok(replies.into_iter().map(text).collect::<Result<_, _>>()?)
}

/// Headers, built and read.
pub async fn headers(client: &Client) -> Result<(), Error> {
    fn set(headers: &mut HeaderMap, name: impl IntoHeaderName, value: impl IntoHeaderValue) {
        headers.append(name, value);
    }
    let mut subscriber = client.subscribe("headers").await?;
    let mut headers = HeaderMap::new();
    set(&mut headers, "Key", "first");
    set(&mut headers, HeaderName::from_static("Key"), HeaderValue::from("second"));
    headers.insert("Number", HeaderValue::from(42_u64));
    client.publish_with_headers("headers", headers.clone(), "".into()).await?;
    client.publish_with_reply_and_headers("headers", "answers", headers.clone(), "".into()).await?;
    for expected_reply in [None, Some(Subject::from("answers"))] {
        let message = subscriber.next().await.ok_or("no message")?;
        assert_eq!(message.reply, expected_reply);
        let got = message.headers.ok_or("no headers")?;
        assert_eq!(got.get("Key").map(HeaderValue::as_str), Some("first"));
        assert_eq!(got.get_last("Key").map(ToString::to_string), Some("second".to_owned()));
        assert_eq!(got.get_all("Key").count(), 2);
        assert_eq!(got, headers);
    }
    Ok(())
}

/// What goes wrong, told apart by kinds.
pub async fn errors(client: &Client, url: &str) -> Result<(), Error> {
    match client.request("nobody.home", "".into()).await {
        Err(error) => match error.kind() {
            RequestErrorKind::NoResponders => {}
            RequestErrorKind::TimedOut
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => return Err(error.into()),
        },
        Ok(reply) => return Err(format!("unexpected reply {reply:?}").into()),
    }
    let large = vec![0; client.max_payload() + 1].into();
    let kind = client.publish("large", large).await.map_err(|error| error.kind());
    assert_eq!(kind, Err(PublishErrorKind::MaxPayloadExceeded));
    let kind = client.publish("a b", "".into()).await.map_err(|error| error.kind());
    assert_eq!(kind, Err(PublishErrorKind::InvalidSubject));
    let kind = client.subscribe("a..b").await.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(SubscribeErrorKind::InvalidSubject));
    let refused: Result<Client, ConnectError> = async_nats::connect("nats://127.0.0.1:1").await;
    assert_eq!(refused.map(drop).map_err(|error| error.kind()), Err(ConnectErrorKind::Io));
    let addr: ServerAddr = url.parse()?;
    assert_eq!((addr.scheme(), addr.has_user_pass()), ("nats", false));
    assert_eq!(addr.to_server_addrs()?.count(), 1);
    assert_eq!(StatusCode::NO_RESPONDERS, StatusCode::try_from(503)?);
    Ok(())
}

/// Every option that Core NATS over TCP has, and the events of a connection.
pub async fn options(url: &str) -> Result<usize, Error> {
    let events = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&events);
    let options = ConnectOptions::with_user_and_password("any".into(), "thing".into())
        .name("drop-in")
        .ping_interval(Duration::from_secs(10))
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(Duration::from_secs(3)))
        .subscription_capacity(1_024)
        .client_capacity(256)
        .read_buffer_capacity(u16::MAX)
        .custom_inbox_prefix("CUSTOM")
        .no_echo()
        .retry_on_initial_connect()
        .max_reconnects(5)
        .reconnect_delay_callback(|attempts| Duration::from_millis(attempts as u64 * 10))
        .retain_servers_order()
        .ignore_discovered_servers()
        .skip_subject_validation(false)
        .event_callback(move |event| {
            let seen = Arc::clone(&seen);
            async move {
                match event {
                    Event::Connected | Event::Disconnected | Event::Closed => {
                        seen.fetch_add(1, Ordering::SeqCst);
                    }
                    Event::LameDuckMode => println!("lame duck"),
                    Event::SlowConsumer(sid) => println!("slow consumer {sid}"),
                    Event::ServerError(error) => println!("server error: {error}"),
                    Event::ClientError(error) => println!("client error: {error}"),
                    other => println!("other event: {other}"),
                }
            }
        });
    let client = options.connect(vec![url.to_owned()]).await?;
    client.flush().await?;
    assert_eq!(client.connection_state(), State::Connected);
    let info: ServerInfo = client.server_info();
    assert!(info.max_payload > 0 && client.is_server_compatible(2, 2, 0));
    assert_eq!(client.timeout(), Some(Duration::from_secs(3)));
    assert!(client.new_inbox().starts_with("CUSTOM."));
    client.force_reconnect().await?;
    client.flush().await?;
    let statistics: Arc<Statistics> = client.statistics();
    assert_eq!(statistics.connects.load(Ordering::Relaxed), 2);
    client.drain().await?;
    while events.load(Ordering::SeqCst) < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(events.load(Ordering::SeqCst))
}

/// Code that takes a sink, or what implements a trait.
pub async fn interfaces(mut client: Client) -> Result<(), Error> {
    async fn ask(requester: &impl Requester, publisher: &impl Publisher) -> Result<bool, Error> {
        publisher.publish_with_reply("noted", "nowhere", Bytes::new()).await?;
        Ok(requester.send_request("nobody.home", Request::new()).await.is_err())
    }
    let mut subscriber = client.subscribe("sink").await?;
    let message = OutboundMessage {
        subject: "sink".into(),
        reply: None,
        payload: "poured".into(),
        headers: None,
    };
    client.send(message).await?;
    assert_eq!(subscriber.next().await.ok_or("no message")?.payload, "poured");
    subscriber.unsubscribe().await?;
    assert!(ask(&client, &client).await?);
    Ok(())
}
