//! Requests and their replies.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::StreamExt;
use nats_client::{Client, HeaderMap, Message, Request, RequestErrorKind, Runtime, StatusCode};
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Rt, next, text, until};

async fn answer(client: &Client, request: &Message, payload: String) {
    let reply = request.reply.clone().expect("a request has a reply subject");
    client.publish(reply, payload.into()).await.unwrap();
}

/// Answers every request to `subject` with its payload, in the background.
async fn echo<R: Runtime>(client: &Client, subject: &'static str) {
    let mut requests = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    let client = client.clone();
    R::spawn(async move {
        while let Some(request) = requests.next().await {
            answer(&client, &request, text(&request)).await;
        }
    });
}

pub(crate) async fn a_reply_comes_back<R: Rt>(env: Env<R>) {
    let server = env.start();
    let (service, client) = (env.connect(&*server).await, env.connect(&*server).await);
    echo::<R>(&service, "echo").await;
    for payload in ["one", "two", ""] {
        let reply = client.request("echo", payload.into()).await.unwrap();
        assert_eq!(text(&reply), payload);
    }
}

pub(crate) async fn headers_go_both_ways<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut requests = client.subscribe("headers").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Way", "there");
    let asking = client.request_with_headers("headers", headers, "".into());
    let answering = async {
        let request = next(&mut requests).await;
        let mut headers = request.headers.unwrap();
        assert_eq!(headers.get("Way").unwrap().as_str(), "there");
        headers.insert("Way", "back");
        client.publish_with_headers(request.reply.unwrap(), headers, "".into()).await.unwrap();
    };
    let (reply, ()) = futures_util::future::join(asking, answering).await;
    assert_eq!(reply.unwrap().headers.unwrap().get("Way").unwrap().as_str(), "back");
}

pub(crate) async fn nobody_listening_is_told_apart_from_a_timeout<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let nobody = client.request("nobody.home", "".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);

    let _listens = client.subscribe("somebody.silent").await.unwrap();
    let short = Request::new().timeout(Some(Duration::from_millis(50)));
    let silence = client.send_request("somebody.silent", short).await.unwrap_err();
    assert_eq!(silence.kind(), RequestErrorKind::TimedOut);

    // A service may answer with a status and a text, which is an answer.
    let mut requests = client.subscribe("somebody.busy").await.unwrap();
    let asking = client.request("somebody.busy", "".into());
    let answering = async {
        let request = next(&mut requests).await;
        answer(&client, &request, "come back later".to_owned()).await;
    };
    let (reply, ()) = futures_util::future::join(asking, answering).await;
    assert_eq!(text(&reply.unwrap()), "come back later");
}

pub(crate) async fn nobody_listening_is_told_also_where_others_hear_the_inbox<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut replies = client.subscribe("_INBOX.>").await.unwrap();
    let patient = Request::new().timeout(None);
    let nobody = client.send_request("nobody.home", patient.clone()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
    assert!(next(&mut replies).await.is_no_responders());

    // The request is not delivered here: so nobody listens to it.
    let client = env.connect_with(&*server, env.options().no_echo()).await;
    let _others = client.subscribe(">").await.unwrap();
    let nobody = client.send_request("nobody.home", patient).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
}

pub(crate) async fn a_request_may_bring_its_own_inbox_and_timeout<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut requests = client.subscribe("own").await.unwrap();
    let request = || Request::new().payload("hello".into()).inbox("my.inbox".to_owned());
    let asking = client.send_request("own", request().timeout(None));
    let answering = async {
        let request = next(&mut requests).await;
        assert_eq!(request.reply.as_deref(), Some("my.inbox"));
        answer(&client, &request, text(&request)).await;
    };
    let (reply, ()) = futures_util::future::join(asking, answering).await;
    assert_eq!(text(&reply.unwrap()), "hello");

    let short = request().timeout(Some(Duration::from_millis(50)));
    let silence = client.send_request("own", short).await.unwrap_err();
    assert_eq!(silence.kind(), RequestErrorKind::TimedOut);
    let nobody = client.send_request("nobody.home", request()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
}

pub(crate) async fn a_dropped_request_leaves_nothing_behind<R: Rt>(env: Env<R>) {
    const COUNT: u64 = 50;
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut requests = client.subscribe("dropped").await.unwrap();
    for _ in 0..COUNT {
        let mut request = pin!(client.request("dropped", "late".into()));
        poll_fn(|cx| {
            assert!(request.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    // The requests went out before they were dropped. Their answers find nobody and harm nobody.
    for _ in 0..COUNT {
        let request = next(&mut requests).await;
        answer(&client, &request, "too late".to_owned()).await;
    }
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().unroutable, COUNT);
    echo::<R>(&client, "alive").await;
    assert_eq!(text(&client.request("alive", "yes".into()).await.unwrap()), "yes");
}

pub(crate) async fn hundreds_of_answers_find_their_requests_in_any_order<R: Rt>(env: Env<R>) {
    const COUNT: usize = 400;
    let server = env.start();
    let (service, client) = (env.connect(&*server).await, env.connect(&*server).await);
    let mut requests = service.subscribe("many").await.unwrap();
    service.flush().await.unwrap();
    let asking =
        join_all((0..COUNT).map(|number| client.request("many", number.to_string().into())));
    let answering = async {
        // All of them are waiting before the first is answered, and the last one is answered first.
        let mut waiting: Vec<Message> = requests.by_ref().take(COUNT).collect().await;
        waiting.reverse();
        for request in &waiting {
            answer(&service, request, text(request)).await;
        }
    };
    let (replies, ()) = futures_util::future::join(asking, answering).await;
    for (number, reply) in replies.into_iter().enumerate() {
        assert_eq!(text(&reply.unwrap()), number.to_string());
    }
    assert_eq!(client.delivery_statistics().unroutable, 0);
}

pub(crate) async fn a_custom_inbox_prefix_is_used_for_everything<R: Rt>(env: Env<R>) {
    let server = env.start();
    let options = env.options().custom_inbox_prefix("team.inbox");
    let client = env.connect_with(&*server, options).await;
    let inbox = client.new_inbox();
    assert!(inbox.starts_with("team.inbox."), "{inbox}");
    assert_ne!(inbox, client.new_inbox());

    let mut requests = client.subscribe("prefix").await.unwrap();
    let asking = client.request("prefix", "hello".into());
    let answering = async {
        let request = next(&mut requests).await;
        let reply = request.reply.as_deref().unwrap();
        assert!(reply.starts_with("team.inbox."), "{reply}");
        answer(&client, &request, text(&request)).await;
    };
    let (reply, ()) = futures_util::future::join(asking, answering).await;
    let reply = reply.unwrap();
    assert_eq!((text(&reply).as_str(), reply.status), ("hello", None::<StatusCode>));
}

pub(crate) async fn a_request_made_while_disconnected_is_sent_afterwards<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let client = env.connect(&*server).await;
    echo::<R>(&client, "later").await;
    server.kill();
    until::<R>("the link to break", || {
        client.connection_state() == nats_client::connection::State::Disconnected
    })
    .await;
    let asking = client.send_request("later", Request::new().payload("hello".into()).timeout(None));
    let restarting = async {
        // The request is made first: the futures are polled in this order.
        server.restart();
    };
    let (reply, ()) = futures_util::future::join(asking, restarting).await;
    assert_eq!(text(&reply.unwrap()), "hello");
}

pub(crate) async fn a_request_to_what_is_no_subject_is_refused<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let error = client.request("a b", "".into()).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::InvalidSubject);
    for inbox in ["", "a b", "a.*", ">"] {
        let request = Request::new().inbox(inbox.to_owned());
        let error = client.send_request("anything", request).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::InvalidSubject, "{inbox:?}: {error}");
    }
    let large = vec![0; client.max_payload() + 1].into();
    let error = client.request("large", large).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::MaxPayloadExceeded);
}

pub(crate) async fn a_reply_may_come_with_the_subject_of_a_stored_message<R: Rt>(
    env: Env<R, Release>,
) {
    let mut server = RealServer::start(env.kind, &Options::new());
    let store = server.directory().join("jetstream");
    server.configure(&Options::new().extra(&format!("jetstream: {{ store_dir: {store:?} }}")));
    server.kill();
    server.restart();
    let client = env.options().connect(server.url()).await.unwrap();
    let ask = async |subject: &str, payload: &'static str| {
        client.request(subject.to_owned(), payload.into()).await.unwrap()
    };
    let stream = r#"{"name":"S","subjects":["orders.*"],"storage":"memory"}"#;
    let made = ask("$JS.API.STREAM.CREATE.S", stream).await;
    assert!(!text(&made).contains("error"), "{made:?}");
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    let made = ask("$JS.API.CONSUMER.DURABLE.CREATE.S.C", consumer).await;
    assert!(!text(&made).contains("error"), "{made:?}");
    ask("orders.new", "stored").await;
    let reply = ask("$JS.API.CONSUMER.MSG.NEXT.S.C", "").await;
    assert_eq!((&*reply.subject, &*text(&reply)), ("orders.new", "stored"));
}
