//! Users for whom an account vouches, and it for a server's operator.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::StreamExt;
use nats_client::{Auth, AuthError, ConnectErrorKind, ConnectOptions, EndReason, Notice};
use nats_proto::PermissionTarget;
use nats_proto::ServerError;
use nats_proto::auth::UserCredentials;
use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_tests::server::jwt::{Account, Operator, User};
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt, next, text};

/// A server that trusts an operator, who has one account.
struct Realm {
    operator: Operator,
    account: Account,
    server: RealServer,
}

impl Realm {
    fn new(release: Release, account: Account) -> Self {
        let operator = Operator::new();
        let options = Options::new().operator(&operator, &[&account]);
        Self { server: RealServer::start(release, &options), operator, account }
    }

    /// The operator's last word on the account.
    fn push(&mut self, account: Account) {
        self.server.reload(&Options::new().operator(&self.operator, &[&account]));
        self.account = account;
    }

    /// A file beside the server's own, which goes with it.
    fn write(&self, credentials: &str) -> PathBuf {
        let path = self.server.directory().join("user.creds");
        fs::write(&path, credentials).unwrap();
        path
    }
}

fn is_refused(event: &Notice) -> bool {
    let Notice::ConnectFailed { error, .. } = event else { return false };
    *error == ConnectError::Authorization(ServerError::AuthorizationViolation)
}

fn is_lost_by(event: &Notice, wanted: &ServerError) -> bool {
    let Notice::Disconnected { reason } = event else { return false };
    *reason == DisconnectReason::Server(wanted.clone())
}

pub(crate) async fn credentials_may_come_from_a_file_from_memory_and_from_a_callback<R: Rt>(
    env: Env<R, Release>,
) {
    let realm = Realm::new(env.kind, Account::new());
    let user = User::new();
    let credentials = realm.account.credentials(&user);
    let path = realm.write(&credentials);
    let (jwt, key) = (realm.account.jwt(&user), user.key().clone());
    let jwt = env.options().jwt(jwt, move |nonce| {
        let signature = key.sign(&nonce);
        async move { Ok(signature) }
    });
    let file = env.options().credentials_file(path).await.unwrap();
    let memory = env.options().credentials(&credentials).unwrap();
    for options in [file, memory, jwt] {
        let client = options.connect(realm.server.url()).await.unwrap();
        client.flush().await.unwrap();
    }
}

pub(crate) async fn a_jwt_of_nobody_known_is_an_authorization_violation<R: Rt>(
    env: Env<R, Release>,
) {
    let realm = Realm::new(env.kind, Account::new());
    let user = User::new();
    let stranger = Account::new().credentials(&user);
    // The right JWT with another's key.
    let stolen = format!("{}\n{}\n", realm.account.jwt(&user), User::new().key().seed());
    let expired = realm.account.credentials(&User::new().expired());
    for credentials in [stranger, stolen, expired] {
        let options = env.options().credentials(&credentials).unwrap();
        let error = options.connect(realm.server.url()).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{error}");
    }
    let error = env.options().connect(realm.server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{error}");
}

pub(crate) async fn a_bearer_token_needs_no_signature<R: Rt>(env: Env<R, Release>) {
    let realm = Realm::new(env.kind, Account::new());
    for (user, welcome) in [(User::new().bearer(), true), (User::new(), false)] {
        let jwt = Some(realm.account.jwt(&user));
        let options = env.options().auth_callback(move |_| {
            let jwt = jwt.clone();
            async move { Ok(Auth { jwt, ..Auth::new() }) }
        });
        match options.connect(realm.server.url()).await {
            Ok(client) => {
                assert!(welcome);
                client.flush().await.unwrap();
            }
            Err(error) => {
                assert!(!welcome, "{error}");
                assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{error}");
            }
        }
    }
}

pub(crate) async fn a_file_that_is_replaced_is_read_again<R: Rt>(env: Env<R, Release>) {
    let mut realm = Realm::new(env.kind, Account::new());
    let (old, new) = (User::new(), User::new());
    let path = realm.write(&realm.account.credentials(&old));
    let (options, mut events) = Events::in_detail(env.options());
    let options = options.credentials_file(&path).await.unwrap();
    let client = options.connect(realm.server.url()).await.unwrap();
    let mut subscriber = client.subscribe("still").await.unwrap();
    client.flush().await.unwrap();

    realm.write(&realm.account.credentials(&new));
    realm.push(realm.account.clone().revoke(&old));
    events.until(|event| is_lost_by(event, &ServerError::UserAuthenticationRevoked)).await;
    let seen = events.until(|event| *event == Notice::Connected).await;
    assert!(!seen.iter().any(is_refused), "{seen:?}");
    client.publish("still", "here".into()).await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "here");
}

pub(crate) async fn a_file_that_is_missing_for_a_while_is_looked_for_again<R: Rt>(
    env: Env<R, Release>,
) {
    let mut realm = Realm::new(env.kind, Account::new());
    let credentials = realm.account.credentials(&User::new());
    let path = realm.write(&credentials);
    let (options, mut events) = Events::in_detail(env.options());
    let options = options.credentials_file(&path).await.unwrap();
    let client = options.connect(realm.server.url()).await.unwrap();

    fs::remove_file(&path).unwrap();
    realm.server.restart();
    let missing = |event: &Notice| {
        let Notice::ConnectFailed { error, .. } = event else {
            return false;
        };
        // It says which file.
        matches!(error, ConnectError::Auth(_)) && error.to_string().contains("user.creds")
    };
    events.until(missing).await;
    events.until(missing).await;
    // Half of a file is not read as another one.
    realm.write(&credentials[..credentials.len() / 2]);
    events.until(missing).await;
    realm.write(&credentials);
    env.connected(&client, 2).await;
    client.flush().await.unwrap();
}

pub(crate) async fn a_file_that_is_missing_at_the_start_is_an_error_at_once<R: Rt>(
    env: Env<R, Release>,
) {
    let error = env.options().credentials_file("/no/such/user.creds").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/no/such/user.creds"), "{error}");
}

pub(crate) async fn who_expires_while_connected_is_asked_anew<R: Rt>(env: Env<R, Release>) {
    let realm = Realm::new(env.kind, Account::new());
    let (account, asked) = (realm.account.clone(), AtomicUsize::new(0));
    let options = env.options().auth_callback(move |nonce| {
        // The first one lasts for as long as it takes to connect.
        let user = match asked.fetch_add(1, Ordering::Relaxed) {
            0 => User::new().expires_in(3),
            _ => User::new(),
        };
        let credentials = UserCredentials::parse(&account.credentials(&user));
        let nonce = String::from_utf8(nonce).unwrap();
        async move { Ok(credentials.map_err(AuthError::new)?.auth(&nonce)) }
    });
    let (options, mut events) = Events::in_detail(options);
    let client = options.connect(realm.server.url()).await.unwrap();
    let expired = ServerError::UserAuthenticationExpired;
    let seen = events.until(|event| is_lost_by(event, &expired)).await;
    assert!(seen.contains(&Notice::ServerError(expired)), "{seen:?}");
    events.until(|event| *event == Notice::Connected).await;
    client.flush().await.unwrap();
}

pub(crate) async fn an_account_that_expires_takes_its_users_along<R: Rt>(env: Env<R, Release>) {
    let mut realm = Realm::new(env.kind, Account::new());
    let credentials = realm.account.credentials(&User::new());
    let (options, mut events) = Events::in_detail(env.options());
    let options = options.credentials(&credentials).unwrap();
    let client = options.connect(realm.server.url()).await.unwrap();
    realm.push(realm.account.clone().expires_in(5));
    let expired = ServerError::AccountAuthenticationExpired;
    events.until(|event| is_lost_by(event, &expired)).await;
    // Nobody gives it a new term: the server refuses twice, and asking again is of no use.
    client.closed().await;
    let seen = events.rest().await;
    assert_eq!(seen.iter().filter(|event| is_refused(event)).count(), 2, "{seen:?}");
    assert_eq!(seen.last(), Some(&Notice::Closed));
}

pub(crate) async fn who_is_revoked_is_told_so_and_not_let_in_again<R: Rt>(env: Env<R, Release>) {
    let mut realm = Realm::new(env.kind, Account::new());
    let user = User::new();
    let (options, mut events) = Events::in_detail(env.options());
    let options = options.credentials(&realm.account.credentials(&user)).unwrap();
    let client = options.connect(realm.server.url()).await.unwrap();
    realm.push(realm.account.clone().revoke(&user));
    events.until(|event| is_lost_by(event, &ServerError::UserAuthenticationRevoked)).await;
    client.closed().await;
    let seen = events.rest().await;
    assert_eq!(seen.iter().filter(|event| is_refused(event)).count(), 2, "{seen:?}");
}

pub(crate) async fn what_the_jwt_does_not_permit_is_refused_by_name<R: Rt>(env: Env<R, Release>) {
    let realm = Realm::new(env.kind, Account::new());
    let user = User::new().publishes(&["open.>"]).subscribes(&["open.>", "_INBOX.>"]);
    let (options, mut events) = Events::in_detail(env.options());
    let options = options.credentials(&realm.account.credentials(&user)).unwrap();
    let client = options.connect(realm.server.url()).await.unwrap();
    let mut open = client.subscribe("open.door").await.unwrap();
    let mut closed = client.queue_subscribe("closed.door", "guests".into()).await.unwrap();
    assert!(closed.next().await.is_none());
    let (subject, queue) = (String::from("closed.door"), Some(String::from("guests")));
    let target = PermissionTarget::Subscription { subject, queue, sid: None };
    let error = ServerError::PermissionsViolation(target);
    assert_eq!(closed.end_reason(), Some(EndReason::Refused(error.clone())));
    events.until(|event| *event == Notice::ServerError(error.clone())).await;

    client.publish("closed.door", "knock".into()).await.unwrap();
    let subject = String::from("closed.door");
    let error = ServerError::PermissionsViolation(PermissionTarget::Publish { subject });
    events.until(|event| *event == Notice::ServerError(error.clone())).await;

    client.publish("open.door", "come in".into()).await.unwrap();
    assert_eq!(text(&next(&mut open).await), "come in");
    assert_eq!(client.delivery_statistics().connects, 1);
}

pub(crate) async fn one_connection_too_many_for_the_account_is_refused_by_name<R: Rt>(
    env: Env<R, Release>,
) {
    let realm = Realm::new(env.kind, Account::new().limit("conn", 1));
    let credentials = realm.account.credentials(&User::new());
    let options = env.options().credentials(&credentials).unwrap();
    let first = options.clone().connect(realm.server.url()).await.unwrap();
    let (options, mut events) = Events::in_detail(options);
    let error = options.connect(realm.server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Io, "{error}");
    assert!(error.to_string().contains("maximum account active connections exceeded"), "{error}");
    let exceeded = ServerError::MaximumAccountConnectionsExceeded;
    events.until(|event| *event == Notice::ServerError(exceeded.clone())).await;
    first.flush().await.unwrap();
}

pub(crate) async fn a_long_jwt_needs_a_longer_control_line_on_both_sides<R: Rt>(
    env: Env<R, Release>,
) {
    const LONG: usize = 64 * 1024;

    let (operator, account) = (Operator::new(), Account::new());
    let options = Options::new().operator(&operator, &[&account]);
    let subjects: Vec<String> = (0..200).map(|number| format!("orders.{number:010}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let credentials = account.credentials(&User::new().publishes(&subjects));
    assert!(credentials.len() > 4096);

    let short = RealServer::start(env.kind, &options);
    let long = RealServer::start(env.kind, &options.max_control_line(LONG));
    let options = || -> ConnectOptions<R> { env.options().credentials(&credentials).unwrap() };
    for server in [&short, &long] {
        let error = options().connect(server.url()).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Authentication, "{error}");
        assert!(error.to_string().contains("at most 4096"), "{error}");
    }
    // The server is not told what the client takes for its limit.
    let (events_of, mut events) = Events::in_detail(options().max_control_line(LONG));
    events_of.connect(short.url()).await.unwrap_err();
    let exceeded = Notice::ServerError(ServerError::MaximumControlLineExceeded);
    events.until(|event| *event == exceeded).await;

    let client = options().max_control_line(LONG).connect(long.url()).await.unwrap();
    client.publish("orders.0000000007", "seven".into()).await.unwrap();
    client.flush().await.unwrap();
}
