//! Credentials that the application is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_channel::mpsc::unbounded;
use futures_util::stream::StreamExt;
use nats_client::{Auth, AuthError, ConnectErrorKind, Event, Notice};
use nats_proto::ServerError;
use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_tests::server::jwt::{Key, Role};
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt, within};

const USER: &str = "authorization { user: ann, password: right, timeout: 5 }";

/// Tells when it is dropped.
struct Guard(futures_channel::mpsc::UnboundedSender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.unbounded_send(());
    }
}

fn ann(password: &str) -> Auth {
    let (username, password) = (Some("ann".to_owned()), Some(password.to_owned()));
    Auth { username, password, ..Auth::new() }
}

pub(crate) async fn a_callback_is_asked_on_every_attempt_with_another_nonce<R: Rt>(
    env: Env<R, Release>,
) {
    let key = Key::new(Role::User);
    let mut server = RealServer::start(env.kind, &Options::new().nkey_users(&[&key.public()]));
    let (sender, mut nonces) = unbounded();
    let options = env.options().auth_callback(move |nonce| {
        let (nkey, signature) = (Some(key.public()), Some(key.sign(&nonce)));
        sender.unbounded_send(nonce).unwrap();
        async move { Ok(Auth { nkey, signature, ..Auth::new() }) }
    });
    let client = options.connect(server.url()).await.unwrap();
    let first = nonces.next().await.unwrap();
    assert!(!first.is_empty());
    server.restart();
    env.connected(&client, 2).await;
    client.force_reconnect().await.unwrap();
    env.connected(&client, 3).await;
    let (second, third) = (nonces.next().await.unwrap(), nonces.next().await.unwrap());
    assert!(first != second && second != third && first != third);
}

pub(crate) async fn a_callback_without_an_answer_is_dropped_in_time<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(USER));
    let (sender, mut dropped) = unbounded();
    let options = env.options().auth_callback(move |_| {
        let guard = Guard(sender.clone());
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    // This side has had enough first.
    let (short, mut events) =
        Events::in_detail(options.clone().connection_timeout(Duration::from_secs(2)));
    let error = short.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains("the callback has not given"), "{error}");
    within::<R, _>("the callback to be dropped", dropped.next()).await;
    events.until(|event| *event == Notice::Closed).await;

    // The server has, after five seconds.
    let (long, mut events) = Events::in_detail(options.connection_timeout(Duration::from_secs(50)));
    let error = long.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains("Authentication Timeout"), "{error}");
    within::<R, _>("the callback to be dropped", dropped.next()).await;
    let timeout = ServerError::AuthenticationTimeout;
    events.until(|event| *event == Notice::ServerError(timeout.clone())).await;
    let reason = DisconnectReason::Server(timeout);
    events
        .until(|event| {
            matches!(event, Notice::ConnectFailed { error, .. }
                if *error == ConnectError::Lost(reason.clone()))
        })
        .await;
}

pub(crate) async fn a_callback_that_fails_says_why<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(USER));
    let options =
        env.options().auth_callback(|_| async { Err(AuthError::new("the vault is closed")) });
    let error = options.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Authentication, "{error}");
    assert!(error.to_string().contains("the vault is closed"), "{error}");
}

pub(crate) async fn a_callback_that_panics_fails_its_attempt_alone<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(USER));
    let asked = AtomicUsize::new(0);
    let options = env.options().retry_on_initial_connect().auth_callback(move |_| {
        let count = asked.fetch_add(1, Ordering::Relaxed);
        assert_ne!(count, 0, "at once");
        async move {
            assert_ne!(count, 1, "later");
            let (username, password) = (Some("ann".to_owned()), Some("right".to_owned()));
            Ok(Auth { username, password, ..Auth::new() })
        }
    });
    let (options, mut notices) = Events::in_detail(options);
    let client = options.connect(server.url()).await.unwrap();
    for _ in 0..2 {
        let failed = notices.next().await;
        assert!(failed.to_string().contains("the callback panicked"), "{failed}");
    }
    env.connected(&client, 1).await;
    client.flush().await.unwrap();
}

pub(crate) async fn a_callback_that_fails_for_a_while_is_asked_again<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(USER));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let options = env.options().retry_on_initial_connect().auth_callback(move |_| {
        let answer = match count.fetch_add(1, Ordering::Relaxed) {
            // More often than it may be refused.
            0..3 => Err(AuthError::new("the vault is closed")),
            _ => Ok(ann("right")),
        };
        async move { answer }
    });
    let client = options.connect(server.url()).await.unwrap();
    env.connected(&client, 1).await;
    client.flush().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

pub(crate) async fn a_callback_under_way_is_dropped_with_its_client<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(
        env.kind,
        &Options::new().extra("authorization { user: ann, password: right, timeout: 50 }"),
    );
    let (asked, mut questions) = unbounded();
    let (sender, mut dropped) = unbounded();
    let count = AtomicUsize::new(0);
    let options = env.options().connection_timeout(Duration::from_secs(50));
    let options = options.auth_callback(move |_| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let guard = Guard(sender.clone());
        asked.unbounded_send(()).unwrap();
        async move {
            let _guard = guard;
            if !first {
                std::future::pending::<()>().await;
            }
            Ok(ann("right"))
        }
    });
    let client = options.connect(server.url()).await.unwrap();
    questions.next().await.unwrap();
    dropped.next().await.unwrap();
    server.restart();
    within::<R, _>("the second question", questions.next()).await.unwrap();
    client.close().await;
    within::<R, _>("the callback to be dropped", dropped.next()).await.unwrap();
}

pub(crate) async fn the_same_refusal_twice_ends_the_client<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(USER));
    let (options, events) = Events::in_detail(env.options());
    let wrong = options.user_and_password("ann".to_owned(), "wrong".to_owned());
    let client = wrong.retry_on_initial_connect().connect(server.url()).await.unwrap();
    client.closed().await;
    let seen = events.rest().await;
    let refusal = ConnectError::Authorization(ServerError::AuthorizationViolation);
    let refusals = seen
        .iter()
        .filter(|event| matches!(event, Notice::ConnectFailed { error, .. } if *error == refusal));
    assert_eq!(refusals.count(), 2, "{seen:?}");
    let [.., Notice::GivenUp { error: last }, Notice::Closed] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert!(last.to_string().contains("Authorization Violation"), "{last}");
    // In the words of `async-nats`, it is told apart from an attempt that has failed.
    let given_up = Event::of(&Notice::GivenUp { error: last.clone() }).unwrap().to_string();
    assert!(given_up.contains("no further attempt to connect"), "{given_up}");
}

pub(crate) async fn refusals_may_be_ignored_until_the_password_is_right<R: Rt>(
    env: Env<R, Release>,
) {
    let server = RealServer::start(env.kind, &Options::new().extra(USER));
    let asked = AtomicUsize::new(0);
    let options = env.options().retry_on_initial_connect().ignore_repeated_auth_errors();
    let options = options.auth_callback(move |_| {
        let right = asked.fetch_add(1, Ordering::Relaxed) >= 4;
        async move { Ok(ann(if right { "right" } else { "wrong" })) }
    });
    let client = options.connect(server.url()).await.unwrap();
    env.connected(&client, 1).await;
    client.flush().await.unwrap();
}

pub(crate) async fn refusals_by_different_servers_are_not_the_same<R: Rt>(env: Env<R, Release>) {
    let options = Options::new().extra(USER);
    let refusing = RealServer::start(env.kind, &options);
    let open = RealServer::start(env.kind, &Options::new());
    let wrong = env.options().user_and_password("ann".to_owned(), "wrong".to_owned());
    let client = wrong.retain_servers_order().connect([refusing.url(), open.url()]).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(client.server_info().port, open.addr().port());
}
