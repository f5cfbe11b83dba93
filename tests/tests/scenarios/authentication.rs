//! Who may come in.

use nats_client::{ConnectErrorKind, ConnectOptions};
use nats_tests::server::{Options, TestServer};

use crate::support::{Env, Rt};

/// Never to be seen in any text.
const SECRET: &str = "canary-in-a-mine";

/// The server's URL with something before the host.
fn url(server: &dyn TestServer, credentials: &str) -> String {
    format!("nats://{credentials}@{}", server.addr())
}

/// Both ways to give credentials open the door, and the URL comes first.
async fn admitted<R: Rt>(server: &dyn TestServer, right: ConnectOptions<R>, in_url: &str) {
    let by_options = right.connect(server.url()).await.unwrap();
    by_options.flush().await.unwrap();
    let wrong = ConnectOptions::<R>::with_token("wrong".to_owned());
    let by_url = wrong.connect(url(server, in_url)).await.unwrap();
    by_url.flush().await.unwrap();
}

async fn refused<R: Rt>(options: ConnectOptions<R>, url: String) {
    let shown = format!("{options:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    let error = options.connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{url}");
    let text = format!("{error} {error:?}");
    assert!(!text.contains(SECRET), "{text}");
}

pub(crate) async fn user_and_password_open_the_door<R: Rt>(env: Env<R>) {
    let server = env.kind.start(&Options::new().user_password("ann", SECRET));
    let options = env.options().user_and_password("ann".to_owned(), SECRET.to_owned());
    admitted(&*server, options, &format!("ann:{SECRET}")).await;
}

pub(crate) async fn a_token_opens_the_door<R: Rt>(env: Env<R>) {
    let server = env.kind.start(&Options::new().token(SECRET));
    admitted(&*server, env.options().token(SECRET.to_owned()), SECRET).await;
}

pub(crate) async fn wrong_credentials_are_an_authorization_violation<R: Rt>(env: Env<R>) {
    let user = env.kind.start(&Options::new().user_password("ann", "right"));
    let token = env.kind.start(&Options::new().token("right"));
    for server in [user, token] {
        let wrong = env.options().user_and_password("ann".to_owned(), SECRET.to_owned());
        refused(wrong, server.url()).await;
        refused(env.options().token(SECRET.to_owned()), server.url()).await;
        refused(env.options(), url(&*server, &format!("ann:{SECRET}"))).await;
        refused(env.options(), url(&*server, SECRET)).await;
    }
}

pub(crate) async fn missing_credentials_are_an_authorization_violation<R: Rt>(env: Env<R>) {
    let user = env.kind.start(&Options::new().user_password("ann", "right"));
    refused(env.options(), user.url()).await;
    let token = env.kind.start(&Options::new().token("right"));
    refused(env.options(), token.url()).await;
}

pub(crate) async fn credentials_are_sent_again_on_a_reconnect<R: Rt>(env: Env<R>) {
    let mut server = env.kind.start(&Options::new().user_password("ann", SECRET));
    let options = env.options().user_and_password("ann".to_owned(), SECRET.to_owned());
    let client = options.connect(server.url()).await.unwrap();
    server.restart();
    env.connected(&client, 2).await;
    client.flush().await.unwrap();
}
