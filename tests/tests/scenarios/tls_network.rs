//! What a network may do to connections that are encrypted.

use nats_client::ConnectErrorKind;
use nats_tests::server::{RealServer, Release, TestServer};

use crate::support::{Env, Rt};
use crate::tls::{Setup, url, works};

pub(crate) async fn a_host_that_info_names_is_not_what_the_certificate_is_checked_for<R: Rt>(
    env: Env<R, Release>,
) {
    // INFO is not encrypted: what a server is told to say here, anybody on the way could write.
    const ADVERTISED: &str = "client_advertise: \"evil.example:1\"";
    for host in ["localhost", "127.0.0.1"] {
        let setup = Setup::with(|authority| authority.issue(&[host]));
        let server = RealServer::start(env.kind, &setup.options("").extra(ADVERTISED));
        let address = url("nats", host, server.addr());
        let client = setup.trusting(&env).connect(address).await.unwrap();
        works(&client).await;
        assert_eq!(client.server_info().host, "evil.example");
        client.force_reconnect().await.unwrap();
        env.connected(&client, 2).await;
        works(&client).await;

        setup.files.write_certificate("server", &setup.authority.issue(&["evil.example"]));
        let server = RealServer::start(env.kind, &setup.options("").extra(ADVERTISED));
        let address = url("nats", host, server.addr());
        let error = setup.trusting(&env).connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(&format!("for name \"{host}\"")), "{error}");
    }
}
