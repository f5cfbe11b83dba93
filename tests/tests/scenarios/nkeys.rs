//! Users who prove who they are with a key.

use nats_client::ConnectErrorKind;
use nats_tests::server::jwt::{Key, Role};
use nats_tests::server::{Options, RealServer, Release, TestServer, nkey_user, user};

use crate::support::{Env, Rt, next, text};

pub(crate) async fn the_right_key_opens_the_door_every_time<R: Rt>(env: Env<R, Release>) {
    let key = Key::new(Role::User);
    let mut server = RealServer::start(env.kind, &Options::new().nkey_users(&[&key.public()]));
    let client = env.options().nkey(key.seed()).connect(server.url()).await.unwrap();
    client.flush().await.unwrap();
    // The next connection has another nonce.
    server.restart();
    env.connected(&client, 2).await;
    client.flush().await.unwrap();
}

pub(crate) async fn a_wrong_key_is_an_authorization_violation<R: Rt>(env: Env<R, Release>) {
    let (right, wrong) = (Key::new(Role::User), Key::new(Role::User));
    let server = RealServer::start(env.kind, &Options::new().nkey_users(&[&right.public()]));
    let error = env.options().nkey(wrong.seed()).connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{error}");
    assert!(!error.to_string().contains(&wrong.seed()), "{error}");
}

pub(crate) async fn what_is_no_seed_of_a_user_is_refused_with_the_reason<R: Rt>(
    env: Env<R, Release>,
) {
    let key = Key::new(Role::User);
    let server = RealServer::start(env.kind, &Options::new().nkey_users(&[&key.public()]));
    let mut mistyped = key.seed();
    let letter = if mistyped.ends_with('A') { "B" } else { "A" };
    mistyped.replace_range(57.., letter);
    for (seed, reason) in [
        (String::from("garbage"), "7 characters"),
        (key.public(), "56 characters"),
        (Key::new(Role::Account).seed(), "account"),
        (key.seed().to_lowercase(), "character"),
        (mistyped, "checksum"),
    ] {
        let error = env.options().nkey(seed.clone()).connect(server.url()).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Authentication, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(!text.contains(&seed), "{text}");
    }
}

pub(crate) async fn accounts_do_not_hear_each_other<R: Rt>(env: Env<R, Release>) {
    let key = Key::new(Role::User);
    let accounts: [(&str, &[String]); 2] =
        [("A", &[nkey_user(&key.public())]), ("B", &[user("ben", "right")])];
    let server = RealServer::start(env.kind, &Options::new().accounts(&accounts));
    let ann = env.options().nkey(key.seed()).connect(server.url()).await.unwrap();
    let ben = format!("nats://ben:right@{}", server.addr());
    let ben = env.options().connect(ben).await.unwrap();
    let (mut for_ann, mut for_ben) =
        (ann.subscribe("news").await.unwrap(), ben.subscribe("news").await.unwrap());
    ann.flush().await.unwrap();
    ben.flush().await.unwrap();
    ann.publish("news", "of ann".into()).await.unwrap();
    ann.flush().await.unwrap();
    ben.publish("news", "of ben".into()).await.unwrap();
    // Had the first message come this way, it would be the first here.
    assert_eq!(text(&next(&mut for_ben).await), "of ben");
    ann.publish("news", "more of ann".into()).await.unwrap();
    assert_eq!(text(&next(&mut for_ann).await), "of ann");
    assert_eq!(text(&next(&mut for_ann).await), "more of ann");
}
