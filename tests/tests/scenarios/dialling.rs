//! How streams to servers are opened.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nats_client::{ConnectErrorKind, Event};
use nats_tests::server::{Options, RealServer, Release, TestServer};
use socket2::{Domain, Socket, Type};

use crate::support::{Env, Events, Rt, next};

pub(crate) async fn connections_come_from_the_local_address<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(env.kind, &Options::new());
    // All of 127.0.0.0/8 is this machine.
    let local: SocketAddr = "127.0.0.2:0".parse().unwrap();
    let client = env.options().local_address(local).connect(server.url()).await.unwrap();
    assert_eq!(client.server_info().client_ip, "127.0.0.2");
    server.restart();
    env.connected(&client, 2).await;
    assert_eq!(client.server_info().client_ip, "127.0.0.2");
}

pub(crate) async fn a_local_port_is_used_again_by_a_reconnect<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new());
    let local = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    let client = env.options().local_address(local).connect(server.url()).await.unwrap();
    client.force_reconnect().await.unwrap();
    env.connected(&client, 2).await;
    assert_eq!(client.server_info().client_ip, "127.0.0.2");
}

pub(crate) async fn addresses_of_the_other_family_are_not_tried_from_a_local_one<R: Rt>(
    env: Env<R>,
) {
    let server = env.start();
    let options = env.options().local_address("[::1]:0".parse().unwrap());
    let error = options.connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Io);
    assert!(error.to_string().contains("[::1]:0"), "{error}");
}

pub(crate) async fn a_dialler_of_ones_own_opens_every_connection<R: Rt>(env: Env<R>) {
    let mut server = env.start();
    let addr = server.addr();
    let dialled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dialled);
    let options = env.options().dialer(move |server| {
        // The name cannot be resolved, and need not be.
        assert_eq!(server.host(), "nats.invalid");
        count.fetch_add(1, Ordering::SeqCst);
        R::connect(addr, None)
    });
    let client = options.connect("nats.invalid").await.unwrap();
    let mut subscriber = client.subscribe("dialled").await.unwrap();
    server.restart();
    env.connected(&client, 2).await;
    client.publish("dialled", "hello".into()).await.unwrap();
    assert_eq!(next(&mut subscriber).await.payload, "hello");
    assert!(dialled.load(Ordering::SeqCst) >= 2);
}

pub(crate) async fn a_dialler_that_fails_is_quoted_and_one_that_hangs_is_dropped<R: Rt>(
    env: Env<R, ()>,
) {
    let options = env.options().dialer(|_| async {
        Err::<R::Stream, _>(std::io::Error::other("the proxy is out to lunch"))
    });
    let error = options.connect("nats://nowhere.invalid").await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Io);
    assert!(error.to_string().contains("out to lunch"), "{error}");

    let held = Arc::new(());
    let copy = Arc::clone(&held);
    let options = env.options().connection_timeout(Duration::from_millis(50)).dialer(move |_| {
        let copy = Arc::clone(&copy);
        async move {
            let _copy = copy;
            std::future::pending::<std::io::Result<R::Stream>>().await
        }
    });
    let (options, events) = Events::of(options);
    let error = options.connect("nowhere.invalid").await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    assert_eq!(events.rest().await.last(), Some(&Event::Closed));
    crate::support::until::<R>("the dialler to be dropped", || Arc::strong_count(&held) == 1).await;
}

/// This machine, with a port that the system chooses.
fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) async fn a_port_where_nobody_listens_refuses_from_any_address<R: Rt>(_: Env<R, ()>) {
    // Kept, so that nobody else listens there.
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    port.bind(&local().into()).unwrap();
    let addr = port.local_addr().unwrap().as_socket().unwrap();
    for local in [None, Some(local())] {
        let Err(error) = R::connect(addr, local).await else { panic!("somebody listens") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "from {local:?}");
    }
}

pub(crate) async fn why_an_address_cannot_be_reached_from_another_is_told<R: Rt>(_: Env<R, ()>) {
    let addr = (Ipv6Addr::LOCALHOST, 4222).into();
    let Err(error) = R::connect(addr, Some(local())).await else { panic!("of the other family") };
    // That there is no connection is what comes of it, and not why.
    assert_ne!(error.kind(), io::ErrorKind::NotConnected);
}

pub(crate) async fn the_port_of_a_connection_that_has_ended_is_used_again<R: Rt>(_: Env<R, ()>) {
    let mut from = local();
    for _ in 0..2 {
        // Another server each time, for which the port is not one that it has just seen.
        let listener = R::bind(local()).await.unwrap();
        let stream = R::connect(R::local_addr(&listener).unwrap(), Some(from)).await.unwrap();
        let (accepted, peer) = R::accept(&listener).await.unwrap();
        assert!(from.port() == 0 || from == peer);
        from = peer;
        // Who closes first has the port kept.
        drop(stream);
        drop(accepted);
    }
}
