//! Accounts that have something of each other.

use nats_client::RequestErrorKind;
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Rt, next, text};

/// A service that another account may ask, with who it is, and whose latency is measured.
const SERVICE: &str = r#"accounts {
  SYS: { users: [ { user: "sys", password: "sys" } ] }
  A: {
    users: [ { user: "a", password: "a" } ],
    exports: [ { service: "time", latency: { sampling: 100, subject: "latency" } } ]
  }
  B: {
    users: [ { user: "b", password: "b" } ],
    imports: [ { service: { account: A, subject: "time" }, to: "a.time", share: true } ]
  }
}
system_account: SYS"#;

pub(crate) async fn a_service_of_another_account_is_asked<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new().extra(SERVICE));
    let connect = async |name: &str| {
        let options = env.options().user_and_password(name.into(), name.into());
        options.connect(server.url()).await.unwrap()
    };
    let (service, client) = (connect("a").await, connect("b").await);
    let mut questions = service.subscription("time").confirmed().await.unwrap();
    let mut latency = service.subscription("latency").confirmed().await.unwrap();
    let answer = async {
        let question = next(&mut questions).await;
        // The server has put it there: the question had no headers.
        let who = question.headers.expect("headers").get("Nats-Request-Info").unwrap().to_string();
        assert!(who.contains("\"acc\":\"B\""), "{who}");
        service.publish(question.reply.unwrap(), "late".into()).await.unwrap();
    };
    let asking = client.request("a.time", "what time is it?".into());
    let (reply, ()) = futures_util::future::join(asking, answer).await;
    assert_eq!(text(&reply.unwrap()), "late");
    assert!(text(&next(&mut latency).await).contains("\"status\":200"));

    questions.unsubscribe().await.unwrap();
    service.flush().await.unwrap();
    let nobody = client.request("a.time", "and now?".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
}
