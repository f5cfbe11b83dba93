//! Clients that connect as the `nats` command does.

use std::path::PathBuf;

use nats_client::ConnectErrorKind;
use nats_client::context::Context;
use nats_tests::certificates::{Authority, Files};
use nats_tests::proxy::Proxy;
use nats_tests::server::jwt::{Account, Key, Operator, Role, User};
use nats_tests::server::{Options, RealServer, Release, TestServer};
use nats_tests::socks::SocksProxy;

use crate::support::{Env, Rt, until};

/// A context whose file has these fields.
fn context(files: &Files, fields: &serde_json::Value) -> Context {
    let path: PathBuf = files.write("context.json", &fields.to_string());
    Context::from_file(path).expect("it is one")
}

pub(crate) async fn every_way_to_introduce_oneself_opens_the_door<R: Rt>(env: Env<R, Release>) {
    let files = Files::new();
    let (key, other, user) = (Key::new(Role::User), Key::new(Role::User), User::new());
    let (operator, account) = (Operator::new(), Account::new());
    let operator = Options::new().operator(&operator, &[&account]);
    let password = Options::new().user_password("ann", "secret");
    let nkey = Options::new().nkey_users(&[&key.public()]);
    let path = |path: PathBuf| path.display().to_string();
    let seed = path(files.write("user.nk", &key.seed()));
    let foreign = path(files.write("other.nk", &other.seed()));
    let creds = path(files.write("user.creds", &account.credentials(&user)));
    let (jwt, jwt_seed) = (account.jwt(&user), user.key().seed());
    for (options, fields, wrong) in [
        (
            &password,
            serde_json::json!({ "user": "ann", "password": "secret" }),
            serde_json::json!({ "user": "ann", "password": "wrong" }),
        ),
        (
            &Options::new().token("secret"),
            serde_json::json!({ "token": "secret" }),
            serde_json::json!({ "token": "wrong" }),
        ),
        (&nkey, serde_json::json!({ "nkey": seed }), serde_json::json!({ "nkey": foreign })),
        (
            &operator,
            serde_json::json!({ "creds": creds }),
            serde_json::json!({ "token": "nobody's" }),
        ),
        (
            &operator,
            serde_json::json!({ "user_jwt": jwt, "user_seed": jwt_seed }),
            serde_json::json!({ "user_jwt": jwt, "user_seed": other.seed() }),
        ),
    ] {
        let server = RealServer::start(env.kind, options);
        for (mut fields, right) in [(fields, true), (wrong, false)] {
            fields["url"] = server.url().into();
            fields["inbox_prefix"] = "ANN".into();
            match context(&files, &fields).connect::<R>().await {
                Ok(client) => assert!(right && client.new_inbox().starts_with("ANN.")),
                Err(error) => {
                    assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation, "{error}");
                    assert!(!right, "{error}");
                }
            }
        }
    }
}

pub(crate) async fn certificates_are_those_of_the_context<R: Rt>(env: Env<R, Release>) {
    let (files, authority) = (Files::new(), Authority::new("tests"));
    let roots = files.write("roots.pem", &authority.pem);
    let (cert, key) = files.write_certificate("server", &authority.issue(&["localhost"]));
    let (client_cert, client_key) = files.write_certificate("client", &authority.issue(&["ann"]));
    let tls = format!(
        "tls {{\n  cert_file: {cert:?}\n  key_file: {key:?}\n  ca_file: {roots:?}\n  verify: true\n}}"
    );
    let server = RealServer::start(env.kind, &Options::new().extra(&tls));
    let url = format!("tls://localhost:{}", server.addr().port());
    let mut fields = serde_json::json!({ "url": url, "ca": roots });
    let error = context(&files, &fields).connect::<R>().await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Tls, "{error}");
    (fields["cert"], fields["key"]) =
        (serde_json::json!(client_cert), serde_json::json!(client_key));
    context(&files, &fields).connect::<R>().await.unwrap().flush().await.unwrap();
}

pub(crate) async fn who_has_certificates_says_nothing_in_plain_text<R: Rt>(env: Env<R, Release>) {
    let (files, authority) = (Files::new(), Authority::new("tests"));
    let roots = files.write("roots.pem", &authority.pem);
    let (cert, key) = files.write_certificate("client", &authority.issue(&["ann"]));
    let server = RealServer::start(env.kind, &Options::new());
    let proxy = Proxy::recording(server.addr());
    let here = format!("nats://localhost:{}", proxy.addr().port());
    let secret = serde_json::json!({ "url": here, "user": "ann", "password": "canary" });
    let with = |name: &str, value: serde_json::Value| {
        let mut fields = secret.clone();
        fields[name] = value;
        fields
    };
    let mut identity = with("cert", serde_json::json!(cert));
    identity["key"] = serde_json::json!(key);
    // Nobody listens at the other address of the list.
    let list = format!("{here},tls://localhost:1");
    let demands = [with("ca", serde_json::json!(roots)), identity, with("url", list.into())];
    for fields in &demands {
        let error = context(&files, fields).connect::<R>().await.unwrap_err().to_string();
        assert!(error.contains("TLS is required") && !error.contains("canary"), "{error}");
    }
    until::<R>("the links", || proxy.links() == demands.len()).await;
    assert!(proxy.said().iter().all(|said| said.is_empty()), "{:?}", proxy.said());
}

pub(crate) async fn connections_go_through_the_proxy_that_is_named<R: Rt>(env: Env<R, Release>) {
    let files = Files::new();
    let mut server = RealServer::start(env.kind, &Options::new());
    let port = server.addr().port();
    let (open, asks) = (SocksProxy::start(None), SocksProxy::start(Some(("ann", "p@ss"))));
    for (proxy, start) in [(&open, "socks5://"), (&asks, "socks5h://ann:p%40ss@")] {
        // The name is for the proxy to resolve.
        let mut fields = serde_json::json!({ "url": format!("nats://localhost:{port}") });
        fields["socks_proxy"] = format!("{start}{}", proxy.addr()).into();
        let context = context(&files, &fields);
        let options = context.options::<R>().unwrap();
        let wait = std::time::Duration::from_millis(20);
        let client = options.reconnect_wait(wait).connect(context.servers).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(proxy.tunnels(), 1);
        server.restart();
        env.connected(&client, 2).await;
        assert!(proxy.tunnels() >= 2);
    }

    for (proxy, reason) in [
        (format!("socks5://ann:canary@{}", asks.addr()), "SOCKS proxy 127.0.0.1"),
        (format!("socks5://{}", asks.addr()), "SOCKS proxy 127.0.0.1"),
        (String::from("socks5://127.0.0.1:1"), "refused"),
        (String::from("socks5://canary@127.0.0.1:1"), "both user name and password"),
        (String::from("http://ann:canary@127.0.0.1:1"), "another kind of proxy than SOCKS5"),
        (String::from("socks5://ann:canary@127.0.0.1:x"), "socks_proxy is not valid"),
    ] {
        let fields = serde_json::json!({ "url": server.url(), "socks_proxy": proxy });
        let error = context(&files, &fields).connect::<R>().await.unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("canary"), "{error}");
    }
}
