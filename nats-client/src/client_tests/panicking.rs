//! What the program gave to the client, and panics.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};

use super::connect;
use super::rig::{Bell, Rig, poll_for};
use crate::testing::{Fake, FakeServer, FakeStream, block_on, options};
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

/// Memory, or something else of the program's own, that panics when it is dropped.
struct Rotten(Vec<u8>);

impl AsRef<[u8]> for Rotten {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Rotten {
    fn drop(&mut self) {
        panic!("it is dropped, and panics, as this test wants it");
    }
}

/// A payload that is not copied.
fn rotten() -> Bytes {
    Bytes::from_owner(Rotten(vec![b'x'; 8192]))
}

/// A stream that panics when it is dropped.
struct RottenStream(FakeStream, #[expect(dead_code, reason = "for its drop")] Rotten);

impl AsyncRead for RottenStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for RottenStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// Drops the driver, as its runtime does in the end, and sees that everybody is told of it before something panics.
fn ends_for_everybody(rig: Rig) {
    let Rig { client, driver, .. } = rig;
    let bell = Arc::new(Bell::default());
    let mut closed = pin!(client.closed());
    let mut request = pin!(client.request("a", "x".into()));
    assert!(poll_for(&bell, &mut closed).is_pending());
    assert!(poll_for(&bell, &mut request).is_pending());
    bell.rung();
    catch_unwind(AssertUnwindSafe(|| drop(driver))).expect_err("something panics");
    assert!(bell.rung() > 0);
    assert!(poll_for(&bell, &mut closed).is_ready());
    assert!(poll_for(&bell, &mut request).is_ready());
    client.try_publish("a", Bytes::new()).expect_err("nobody would write it");
}

#[test]
fn a_stream_that_panics_when_its_runtime_ends_leaves_nobody_waiting() {
    let options = options().dialer(|server| async move {
        let addr = SocketAddr::new(server.host().parse().expect("an address"), server.port());
        let stream = <Fake as Runtime>::connect(addr, None).await?;
        Ok(RottenStream(stream, Rotten(Vec::new())))
    });
    let (rig, _peer) = Rig::connected(options);
    ends_for_everybody(rig);
}

#[test]
fn an_attempt_that_panics_when_its_runtime_ends_leaves_nobody_waiting() {
    let rig = Rig::new(options().dialer(|_| async {
        let _rotten = Rotten(Vec::new());
        pending::<io::Result<FakeStream>>().await
    }));
    rig.drive();
    ends_for_everybody(rig);
}

#[test]
fn a_payload_that_panics_when_its_runtime_ends_leaves_nobody_waiting() {
    let rig = Rig::new(options().reconnect_delay_callback(|_| Duration::from_secs(3600)));
    drop(rig.connect());
    rig.drive();
    rig.client.try_publish("a", rotten()).expect("room");
    rig.drive();
    ends_for_everybody(rig);
}

#[test]
fn a_payload_that_panics_costs_no_link() {
    let (rig, peer) = Rig::connected(options());
    rig.client.try_publish("a", rotten()).expect("room");
    let payload = Bytes::from(vec![b'x'; 300_000]);
    catch_unwind(AssertUnwindSafe(|| rig.client.try_publish("a", payload))).expect_err("it panics");
    assert!(peer.arrived() > 300_000 + 8192);
    rig.drive();
    rig.client.try_publish("a", "x".into()).expect("room");
    rig.drive();
    let statistics = rig.client.delivery_statistics();
    assert_eq!((statistics.connects, statistics.uncertain), (1, 0), "{statistics:?}");
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics, as this test wants it");
        }
    }
    let (rig, mut peer) = Rig::connected(options());
    let mut first = pin!(rig.client.flush());
    let bad = Waker::from(Arc::new(Bad));
    assert!(first.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
    let bell = Arc::new(Bell::default());
    let mut second = pin!(rig.client.flush());
    assert!(poll_for(&bell, &mut second).is_pending());
    rig.drive();
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    bell.rung();
    catch_unwind(AssertUnwindSafe(|| rig.drive())).expect_err("it panics");
    assert_eq!(bell.rung(), 1);
    assert!(poll_for(&bell, &mut second).is_ready());
}
