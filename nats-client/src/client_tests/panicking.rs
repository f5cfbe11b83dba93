//! What the program gave to the client, and panics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::connect;
use crate::testing::{Fake, FakeServer, block_on, options};
use crate::{Event, Notice, Runtime};

#[test]
fn a_dialler_that_panics_fails_its_attempt_alone() {
    let server = FakeServer::new();
    let asked = AtomicUsize::new(0);
    let (sender, notices) = channel();
    let options = options()
        .retry_on_initial_connect()
        .dialer(move |server| {
            let count = asked.fetch_add(1, Ordering::SeqCst);
            assert_ne!(count, 0, "at once");
            async move {
                assert_ne!(count, 1, "later");
                let ip = server.host().parse().expect("an address");
                <Fake as Runtime>::connect(SocketAddr::new(ip, server.port()), None).await
            }
        })
        .notice_callback(move |notice| {
            let _ = sender.send(notice);
            async {}
        });
    let client = block_on(options.connect(server.url())).expect("a client");
    for what in ["at once", "later"] {
        let failed = notices.recv().expect("a notice");
        assert!(matches!(failed, Notice::ConnectFailed { .. }), "{failed:?}");
        let text = failed.to_string();
        assert!(text.contains("panicked") && text.contains(what), "{text}");
    }
    server.accept().greet();
    assert_eq!(notices.recv(), Ok(Notice::Connected));
    block_on(client.publish("a", "b".into())).expect("a live client");
}

#[test]
fn a_delay_that_panics_is_replaced_by_the_wait() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let options = options().reconnect_delay_callback(move |attempt| {
        count.fetch_add(1, Ordering::SeqCst);
        panic!("the delay of attempt {attempt} panics, as this test wants it")
    });
    // The last word of the settings, whatever their order.
    let options = options.reconnect_wait(Duration::from_millis(1));
    let (server, peer, client) = connect(options);
    drop(peer);
    let mut peer = server.accept();
    peer.greet();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    block_on(client.publish("a", "b".into())).expect("a live client");
    peer.expect("PUB a 1\r\nb\r\n");
}

#[test]
fn callbacks_that_panic_are_told_what_happens_next_as_are_the_others() {
    let (sender, calls) = channel();
    let options = options()
        .notice_callback(|notice| {
            assert_ne!(notice, Notice::Connected, "at once");
            async { panic!("later") }
        })
        .event_callback(move |event| {
            let _ = sender.send(event);
            async { panic!("the callback of this test panics") }
        });
    let (server, peer, _client) = connect(options);
    assert_eq!(calls.recv(), Ok(Event::Connected));
    drop(peer);
    server.accept().greet();
    assert_eq!(calls.recv(), Ok(Event::Disconnected));
    assert_eq!(calls.recv(), Ok(Event::Connected));
}
