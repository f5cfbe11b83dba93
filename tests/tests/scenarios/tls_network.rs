//! What a network may do to connections that are encrypted.

use nats_client::Notice;
use nats_proto::connection::DisconnectReason;
use nats_tests::proxy::{Direction, Fault, Proxy};
use nats_tests::server::{RealServer, Release, TestServer};

use crate::support::{Env, Events, Rt, next, text};
use crate::tls::{Setup, url, works};
use crate::tls_refusals::{Overheard, is_tls};

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
        let expected = format!("for name \"{host}\"");
        let server = Overheard::new(server);
        server.refuses(setup.trusting(&env), ("nats", host), &expected, is_tls).await;
    }
}

pub(crate) async fn an_encrypted_link_that_is_cut_is_noticed_and_the_next_is_encrypted<R: Rt>(
    env: Env<R, Release>,
) {
    let cuts: [fn(&Proxy); 4] = [
        // Nobody says the word that TLS has for an end.
        |proxy| proxy.cut(Fault::End),
        |proxy| proxy.half_close(Direction::ToClient),
        // The server says it.
        |proxy| proxy.half_close(Direction::ToServer),
        |proxy| proxy.cut(Fault::Reset),
    ];
    let setup = Setup::new();
    let server = setup.start(env.kind);
    let proxy = Proxy::recording(server.addr());
    let (options, mut notices) = Events::in_detail(setup.trusting(&env));
    let client = options.connect(url("nats", "localhost", proxy.addr())).await.unwrap();
    let mut subscriber = client.subscribe("cut").await.unwrap();
    for (index, cut) in cuts.iter().enumerate() {
        client.publish("cut", "before".into()).await.unwrap();
        assert_eq!(text(&next(&mut subscriber).await), "before");
        cut(&proxy);
        let seen = notices.until(|notice| matches!(notice, Notice::Disconnected { .. })).await;
        // Not by a keepalive that nobody answers.
        let reason = match seen.last() {
            Some(Notice::Disconnected { reason }) => reason,
            other => panic!("{other:?}"),
        };
        match index {
            3 => assert!(matches!(reason, DisconnectReason::Io(_)), "{reason:?}"),
            _ => assert_eq!(*reason, DisconnectReason::Eof, "cut {index}"),
        }
        notices.until(|notice| *notice == Notice::Connected).await;
        client.publish("cut", "after".into()).await.unwrap();
        assert_eq!(text(&next(&mut subscriber).await), "after");
    }
    let links = client.delivery_statistics().connects;
    drop((client, subscriber));
    let said = proxy.said();
    assert_eq!((said.len(), links), (1 + cuts.len(), 1 + cuts.len() as u64));
    assert!(said.iter().all(|said| is_tls(said)));
}
