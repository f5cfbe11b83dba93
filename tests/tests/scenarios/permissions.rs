//! What a server does not allow.

use futures_util::stream::StreamExt;
use nats_client::{EndReason, Event, Notice};
use nats_proto::ServerError;
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
    let (options, mut events) = Events::of(env.options());
    let client = options.connect(url(&server)).await.unwrap();
    let mut open = client.subscribe("open.door").await.unwrap();
    let mut refused = client.subscribe("closed.door").await.unwrap();
    assert!(refused.next().await.is_none());
    let reason = refused.end_reason();
    assert!(matches!(reason, Some(EndReason::Refused(_))), "{reason:?}");
    events.until(|event| matches!(event, Event::ServerError(_))).await;

    client.publish("open.door", "still open".into()).await.unwrap();
    assert_eq!(text(&next(&mut open).await), "still open");
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn a_refused_publish_is_an_event<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(PERMISSIONS));
    let (options, mut notices) = Events::in_detail(env.options());
    let client = options.connect(url(&server)).await.unwrap();
    client.publish("closed.door", "knock".into()).await.unwrap();
    let seen = notices.until(|notice| matches!(notice, Notice::ServerError(_))).await;
    let Some(Notice::ServerError(error)) = seen.last() else { panic!("{seen:?}") };
    assert!(matches!(error, ServerError::PermissionsViolation(_)), "{error:?}");
    assert!(error.to_string().contains("closed.door"), "{error}");
    client.flush().await.unwrap();
    assert_eq!(client.delivery_statistics().connects, 1);
}
