//! What a server does not allow.

use std::error::Error as _;

use futures_util::future::join;
use futures_util::stream::StreamExt;
use nats_client::{ConfirmError, EndReason, Notice, PermissionTarget, Request, RequestErrorKind};
use nats_proto::ServerError;
use nats_proto::connection::RequestError;
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt, next, text};

/// Anybody may use `open.>` and inboxes.
const PERMISSIONS: &str = "authorization { default_permissions: { \
    publish: [\"open.>\", \"_INBOX.>\"], subscribe: [\"open.>\", \"_INBOX.>\"] }, \
    users: [ { user: ann, password: right } ] }";

fn url(server: &RealServer) -> String {
    format!("nats://ann:right@{}", server.addr())
}

pub(crate) async fn a_refused_subscription_ends_and_says_why<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(url(&server)).await.unwrap();
    let mut open = client.subscribe("open.door").await.unwrap();
    let mut refused = client.subscribe("closed.door").await.unwrap();
    assert!(refused.next().await.is_none());
    let reason = refused.end_reason();
    assert!(matches!(reason, Some(EndReason::Refused(_))), "{reason:?}");
    events.until(|event| matches!(event, Notice::ServerError(_))).await;

    client.publish("open.door", "still open".into()).await.unwrap();
    assert_eq!(text(&next(&mut open).await), "still open");
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn a_refused_publish_is_an_event<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let (options, mut notices) = Events::in_detail(env.options());
    let client = options.connect(url(&server)).await.unwrap();
    client.publish("closed.door", "knock".into()).await.unwrap();
    let seen = notices.until(|event| matches!(event, Notice::ServerError(_))).await;
    let Some(Notice::ServerError(error)) = seen.last() else { panic!("{seen:?}") };
    let subject = "closed.door".to_owned();
    let target = PermissionTarget::Publish { subject };
    assert_eq!(*error, ServerError::PermissionsViolation(target));
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn a_refusal_finds_its_subscription_whatever_it_is_called<R: Rt>(
    env: Env<R, Release>,
) {
    let server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let client = env.options().connect(url(&server)).await.unwrap();
    let open = client.subscribe("open.>").await.unwrap();
    for subject in ["closed.\"door\"", "closed.\\", "closed.*.>", "geschlossen.tür"] {
        for queue in [None, Some("crew"), Some("\"crew\"")] {
            let wanted = client.subscription(subject);
            let wanted = match queue {
                Some(queue) => wanted.queue_group(queue),
                None => wanted,
            };
            let mut refused = wanted.await.unwrap();
            assert!(refused.next().await.is_none());
            let Some(EndReason::Refused(ServerError::PermissionsViolation(target))) =
                refused.end_reason()
            else {
                panic!("{:?}", refused.end_reason());
            };
            let queue = queue.map(str::to_owned);
            let subject = subject.to_owned();
            assert_eq!(target, PermissionTarget::Subscription { subject, queue, sid: None });
        }
    }
    assert_eq!(open.end_reason(), None);
}

pub(crate) async fn a_subscription_that_waits_is_told_of_its_refusal<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let client = env.options().connect(url(&server)).await.unwrap();
    client.subscription("open.door").confirmed().await.unwrap();
    let error = client.subscription("closed.door").confirmed().await.unwrap_err();
    let ConfirmError::Refused(ServerError::PermissionsViolation(_)) = error else {
        panic!("{error:?}");
    };
}

pub(crate) async fn one_subscription_too_many_is_told_so<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra("max_subscriptions: 3"));
    let client = env.options().connect(server.url()).await.unwrap();
    let mut kept = Vec::new();
    for number in 0..3 {
        kept.push(client.subscription(format!("s.{number}")).confirmed().await.unwrap());
    }
    let error = client.subscription("s.3").confirmed().await.unwrap_err();
    let ConfirmError::Refused(error) = error else { panic!("{error:?}") };
    assert_eq!(error, ServerError::MaximumSubscriptionsExceeded);
    kept.pop();
    client.subscription("s.4").confirmed().await.unwrap();
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn a_new_configuration_ends_what_it_forbids<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let client = env.options().connect(url(&server)).await.unwrap();
    let mut forbidden = client.subscription("open.window").confirmed().await.unwrap();
    let stays = client.subscription("open.door").confirmed().await.unwrap();
    server.reload(&Options::new().extra(&PERMISSIONS.replace("open.>", "open.door")));
    assert!(forbidden.next().await.is_none());
    let Some(EndReason::Refused(ServerError::PermissionsViolation(target))) =
        forbidden.end_reason()
    else {
        panic!("{:?}", forbidden.end_reason());
    };
    let sid = Some(forbidden.sid());
    assert!(matches!(target, PermissionTarget::Subscription { sid: told, .. } if told == sid));
    assert_eq!(stays.end_reason(), None);
}

pub(crate) async fn requests_say_that_they_are_not_allowed<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let client = env.options().connect(url(&server)).await.unwrap();
    // As long as that: only what the server says ends it.
    let knock = || Request::new().payload("knock".into()).timeout(None);
    let error = client.send_request("closed.door", knock()).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Other, "{error}");
    let source = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&RequestError::PublishRefused), "{error}");
}

pub(crate) async fn requests_say_that_their_replies_are_not_allowed<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let client = env.options().custom_inbox_prefix("closed").connect(url(&server)).await.unwrap();
    // Once for the inbox, and once more for another one.
    for _ in 0..2 {
        let error = client.request("open.door", "knock".into()).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::Other, "{error}");
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&RequestError::InboxRefused), "{error}");
    }
    // When it is allowed, the next one gets its reply.
    server.reload(&Options::new().extra(&PERMISSIONS.replace("_INBOX.>", "closed.>")));
    let mut door = client.subscribe("open.door").await.unwrap();
    let answer = async {
        let knock = next(&mut door).await;
        client.publish(knock.reply.unwrap(), "come in".into()).await.unwrap();
    };
    let (reply, ()) = join(client.request("open.door", "knock".into()), answer).await;
    assert_eq!(text(&reply.unwrap()), "come in");
}
