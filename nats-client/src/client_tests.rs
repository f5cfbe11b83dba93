//! A client against a server that the test plays, on a runtime in memory.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::connection::EndReason;

use crate::client::{PublishErrorKind, RequestErrorKind, SubscribeErrorKind};
use crate::connection::State;
use crate::testing::{FakeServer, Hasty, Peer, block_on, options};
use crate::{
    Client, ConnectErrorKind, ConnectOptions, Event, Message, Notice, Runtime, Subscriber,
};
use rig::Rig;

mod asking;
mod breaking;
mod chance;
#[cfg(feature = "websocket")]
mod compressing;
mod crowd;
mod dialling;
mod ends;
mod falling_behind;
mod holding_up;
mod keeping_nothing;
mod letting_go;
mod many_replies;
mod own_inbox;
mod panicking;
mod publishing;
mod rig;
#[cfg(all(feature = "tls", feature = "websocket"))]
mod securing;
mod sinks;
mod subscribing;
mod taking_turns;
mod texts;
mod waking;

fn connect<R: Runtime>(options: ConnectOptions<R>) -> (FakeServer, Peer, Client) {
    let server = FakeServer::new();
    let url = server.url();
    let (peer, client) = thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let mut peer = server.accept();
            peer.greet();
            peer
        });
        let client = block_on(options.connect(url)).expect("a connection");
        (peer.join().expect("a greeting"), client)
    });
    (server, peer, client)
}

fn next(subscriber: &mut Subscriber) -> Option<Message> {
    block_on(poll_fn(|cx| Pin::new(&mut *subscriber).poll_next(cx)))
}

/// Polls once, with nobody to be woken.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits until the driver has looked at everything that happened before.
fn settle(client: &Client, peer: &mut Peer) {
    thread::scope(|scope| {
        let flush = scope.spawn(|| block_on(client.flush()));
        peer.expect("PING\r\n");
        peer.send("PONG\r\n");
        flush.join().expect("no panic").expect("a fence");
    });
}

#[test]
fn a_subscriber_gets_what_the_server_delivers() {
    let (_server, mut peer, client) = connect(options());
    let mut subscriber = block_on(client.subscribe("a.*")).expect("a subscription");
    peer.expect("SUB a.* 1\r\n");
    peer.send("MSG a.b 1 r 2\r\nhi\r\n");
    let message = next(&mut subscriber).expect("a message");
    assert_eq!(message.subject.as_str(), "a.b");
    assert_eq!(message.reply.as_deref(), Some("r"));
    assert_eq!(&message.payload[..], b"hi");
}

#[test]
fn dropping_a_subscriber_unsubscribes() {
    let (_server, mut peer, client) = connect(options());
    let subscriber = block_on(client.subscribe("a")).expect("a subscription");
    peer.expect("SUB a 1\r\n");
    drop(subscriber);
    peer.expect("UNSUB 1\r\n");
    assert_eq!(client.subscriptions(), 0);
}

#[test]
fn what_has_come_before_unsubscribing_is_given_out() {
    let (_server, mut peer, client) = connect(options());
    let mut subscriber = block_on(client.subscribe("a")).expect("a subscription");
    peer.expect("SUB a 1\r\n");
    peer.send("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n");
    settle(&client, &mut peer);
    block_on(subscriber.unsubscribe()).expect("a live client");
    assert!(next(&mut subscriber).is_some());
    assert!(next(&mut subscriber).is_some());
    assert!(next(&mut subscriber).is_none());
}

#[test]
fn counters_never_go_back_whoever_brings_them_up_to_date() {
    let rig = Rig::new(options().pending_limit(100_000_000));
    let counters = rig.client.statistics();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    rig.client.statistics();
                }
            });
        }
        let mut last = 0;
        let mut went_back = false;
        for _ in 0..100_000 {
            rig.client.try_publish("a", Bytes::new()).expect("room");
            let published = counters.out_messages.load(Ordering::Relaxed);
            went_back |= published < last;
            last = published;
        }
        done.store(true, Ordering::Relaxed);
        assert!(!went_back);
    });
}

#[test]
fn a_request_gets_its_reply_and_leaves_nothing_behind() {
    let (_server, mut peer, client) = connect(options());
    let mut request = pin!(client.request("svc", Bytes::from_static(b"?")));
    assert!(poll(request.as_mut()).is_pending());
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 1\r\n?\r\n");
    peer.send(&format!("MSG {inbox} 1 1\r\n!\r\n"));
    let reply = block_on(request).expect("a reply");
    assert_eq!(&reply.payload[..], b"!");
    assert_eq!(client.waiting(), (0, 0));
}

#[test]
fn a_request_that_nobody_answers_times_out() {
    let (_server, _peer, client) = connect(options());
    let request = crate::Request::new().timeout(Some(Duration::from_millis(5)));
    let error = block_on(client.send_request("svc", request)).expect_err("no reply");
    assert_eq!(error.kind(), RequestErrorKind::TimedOut);
    assert_eq!(error.to_string(), "request timed out: no reply came within 5ms");
    let request = crate::Request::new().timeout(Some(Duration::from_millis(5)));
    let request = request.inbox(client.new_inbox());
    let error = block_on(client.send_request("svc", request)).expect_err("no reply");
    assert_eq!(error.kind(), RequestErrorKind::TimedOut);
    assert_eq!(error.to_string(), "request timed out: no reply came within 5ms");
    assert_eq!(client.waiting(), (0, 0));
    assert_eq!(client.subscriptions(), 0);
}

#[test]
fn sleeps_that_end_too_early_do_not_stop_the_driver() {
    // On a busy machine, a PONG may come many intervals late.
    let options = ConnectOptions::<Hasty>::new()
        .ping_interval(Duration::from_millis(5))
        .max_pings_outstanding(1_000_000);
    let (_server, mut peer, client) = connect(options);
    for _ in 0..3 {
        peer.expect("PING\r\n");
        peer.send("PONG\r\n");
    }
    let request = crate::Request::new().timeout(Some(Duration::from_millis(5)));
    let error = block_on(client.send_request("svc", request)).expect_err("no reply");
    assert_eq!(error.kind(), RequestErrorKind::TimedOut);
}

#[test]
fn dropped_requests_and_flushes_leave_nothing_behind() {
    let (_server, mut peer, client) = connect(options());
    {
        let mut request = pin!(client.request("svc", Bytes::new()));
        let mut flush = pin!(client.flush());
        assert!(poll(request.as_mut()).is_pending());
        assert!(poll(flush.as_mut()).is_pending());
        assert_eq!(client.waiting(), (1, 1));
    }
    assert_eq!(client.waiting(), (0, 0));
    // The PONG of the forgotten flush must not be taken for another's.
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    settle(&client, &mut peer);
}

#[test]
fn a_reply_that_nobody_took_does_not_reach_the_next_request() {
    let (_server, mut peer, client) = connect(options());
    {
        let mut forgotten = pin!(client.request("svc", Bytes::from_static(b"1")));
        assert!(poll(forgotten.as_mut()).is_pending());
        peer.expect("PUB svc ");
        let inbox = peer.expect(" 1\r\n1\r\n");
        peer.send(&format!("MSG {inbox} 1 1\r\na\r\n"));
        settle(&client, &mut peer);
    }
    let mut request = pin!(client.request("svc", Bytes::from_static(b"2")));
    assert!(poll(request.as_mut()).is_pending());
    peer.expect("PUB svc ");
    let inbox = peer.expect(" 1\r\n2\r\n");
    assert!(poll(request.as_mut()).is_pending());
    peer.send(&format!("MSG {inbox} 1 1\r\nb\r\n"));
    assert_eq!(&block_on(request).expect("a reply").payload[..], b"b");
}

#[test]
fn the_error_policy_refuses_instead_of_waiting() {
    let server = FakeServer::new();
    let options = options()
        .retry_on_initial_connect()
        .pending_limit(0)
        .pending_policy(crate::PendingPolicy::Error);
    let client = block_on(options.connect(server.url())).expect("a handle at once");
    let error = block_on(client.publish("a", Bytes::new())).expect_err("no room");
    assert_eq!(error.kind(), PublishErrorKind::Send);
}

#[test]
fn what_is_buffered_goes_out_when_the_last_handle_is_dropped() {
    let (_server, mut peer, client) = connect(options());
    let subscriber = block_on(client.subscribe("a")).expect("a subscription");
    let clone = client.clone();
    drop(client);
    block_on(clone.publish("last", Bytes::from_static(b"words"))).expect("a live client");
    drop(clone);
    drop(subscriber);
    peer.expect("PUB last 5\r\nwords\r\n");
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    peer.expect_close();
}

#[test]
fn close_ends_everything_and_says_what_is_left() {
    let (_server, mut peer, client) = connect(options());
    let mut subscriber = block_on(client.subscribe("a")).expect("a subscription");
    let left = thread::scope(|scope| {
        let closing = scope.spawn(|| block_on(client.close()));
        peer.expect("PING\r\n");
        peer.send("PONG\r\n");
        closing.join().expect("no panic")
    });
    assert_eq!((left.unsent, left.uncertain), (0, 0));
    assert!(next(&mut subscriber).is_none());
    assert_eq!(subscriber.end_reason(), Some(EndReason::Closed));
    assert_eq!(client.connection_state(), State::Disconnected);
    let error = block_on(client.publish("a", Bytes::new())).expect_err("closed");
    assert_eq!(error.kind(), PublishErrorKind::Send);
    let error = block_on(client.subscribe("a")).expect_err("closed");
    assert_eq!(error.kind(), SubscribeErrorKind::Other);
    assert!(block_on(client.flush()).is_err());
    assert!(block_on(client.drain()).is_err());
    assert!(block_on(client.force_reconnect()).is_err());
    assert!(block_on(subscriber.drain()).is_err());
}

#[test]
fn draining_waits_for_the_subscriber_to_take_what_came() {
    let (_server, mut peer, client) = connect(options());
    let mut subscriber = block_on(client.subscribe("a")).expect("a subscription");
    peer.expect("SUB a 1\r\n");
    block_on(client.drain()).expect("a live client");
    peer.expect("UNSUB 1\r\n");
    peer.send("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n");
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    assert!(next(&mut subscriber).is_some());
    block_on(client.publish("b", Bytes::new())).expect("the application may still publish");
    assert!(next(&mut subscriber).is_some());
    peer.expect("PUB b 0\r\n");
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    assert!(next(&mut subscriber).is_none());
    assert_eq!(subscriber.end_reason(), Some(EndReason::Drained));
    block_on(client.closed());
}

#[test]
fn a_lost_connection_is_replaced_and_subscriptions_return() {
    let (server, peer, client) = connect(options());
    let mut subscriber = block_on(client.subscribe("a")).expect("a subscription");
    drop(peer);
    let mut peer = server.accept();
    peer.greet();
    peer.expect("SUB a 1\r\n");
    peer.send("MSG a 1 1\r\n1\r\n");
    assert!(next(&mut subscriber).is_some());
    assert_eq!(client.delivery_statistics().connects, 2);
}

#[test]
fn a_socket_that_takes_nothing_does_not_stop_reading_or_deadlines() {
    let (_server, mut peer, client) = connect(options());
    let mut subscriber = block_on(client.subscribe("a")).expect("a subscription");
    peer.expect("SUB a 1\r\n");
    peer.stall(true);
    block_on(client.publish("stuck", Bytes::new())).expect("room");
    peer.send("MSG a 1 1\r\n1\r\n");
    assert!(next(&mut subscriber).is_some());
    let request = crate::Request::new().timeout(Some(Duration::from_millis(5)));
    let error = block_on(client.send_request("svc", request)).expect_err("no reply");
    assert_eq!(error.kind(), RequestErrorKind::TimedOut);
    peer.stall(false);
    peer.expect("PUB stuck 0\r\n");
}

#[test]
fn a_slow_subscriber_loses_its_own_messages_and_no_others() {
    let (sender, events) = std::sync::mpsc::channel();
    let callback = move |event| {
        // The test may have ended.
        let _ = sender.send(event);
        async {}
    };
    let options = options().subscription_capacity(2).notice_callback(callback);
    let (_server, mut peer, client) = connect(options);
    let mut slow = block_on(client.subscribe("slow")).expect("a subscription");
    let mut quick = block_on(client.subscribe("quick")).expect("a subscription");
    for number in 0..5 {
        peer.send(&format!("MSG slow 1 1\r\n{number}\r\nMSG quick 2 1\r\n{number}\r\n"));
        let message = next(&mut quick).expect("a message");
        assert_eq!(&message.payload[..], number.to_string().as_bytes());
    }
    settle(&client, &mut peer);
    assert_eq!((slow.dropped(), quick.dropped()), (3, 0));
    for _ in 0..2 {
        assert!(next(&mut slow).is_some());
    }
    // Looking for more is what shows that it has caught up.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut slow).poll_next(&mut cx).is_pending());
    let sid = slow.sid();
    let mut events = events.iter();
    assert_eq!(events.next(), Some(Notice::Connected));
    assert_eq!(events.next(), Some(Notice::SlowConsumer { sid }));
    assert_eq!(events.next(), Some(Notice::SlowConsumerRecovered { sid, dropped: 3 }));
}

#[test]
fn events_come_in_order() {
    let (sender, events) = std::sync::mpsc::channel();
    let callback = move |event| {
        // The test may have ended.
        let _ = sender.send(event);
        async {}
    };
    let (server, peer, client) = connect(options().event_callback(callback));
    drop(peer);
    let _peer = {
        let mut peer = server.accept();
        peer.greet();
        peer
    };
    let expected = |event: &Event| !matches!(event, Event::ClientError(_));
    let mut events = events.iter().filter(expected);
    assert_eq!(events.next(), Some(Event::Connected));
    assert_eq!(events.next(), Some(Event::Disconnected));
    assert_eq!(events.next(), Some(Event::Connected));
    drop(client);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let connect = |url: &'static str| block_on(options().connect(url));
    let error = connect("nats://127.0.0.1:65535").expect_err("nobody there");
    assert_eq!(error.kind(), ConnectErrorKind::Io);
    assert!(error.to_string().contains("nats://127.0.0.1:65535"), "{error}");
    let error = connect("nats://no-such-host:4222").expect_err("no such host");
    assert_eq!(error.kind(), ConnectErrorKind::Dns);
    if cfg!(not(feature = "tls")) {
        let error = connect("tls://127.0.0.1:4222").expect_err("no TLS");
        assert_eq!(error.kind(), ConnectErrorKind::Tls);
        assert!(error.to_string().contains("feature \"tls\""), "{error}");
    }
    let error = connect("nats://127.0.0.1:port").expect_err("no address");
    assert_eq!(error.kind(), ConnectErrorKind::ServerParse);
}

#[test]
fn refused_credentials_are_told_from_other_failures() {
    let server = FakeServer::new();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = server.accept();
            peer.send("INFO {\"server_id\":\"x\",\"auth_required\":true,\"max_payload\":100}\r\n");
            peer.expect("PING\r\n");
            peer.send("-ERR 'Authorization Violation'\r\n");
            peer.expect_close();
        });
        let options = options().user_and_password("u".into(), "secret".into());
        block_on(options.connect(server.url())).expect_err("refused")
    });
    assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation);
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn options_do_not_show_secrets() {
    let options = options().user_and_password("u".into(), "canary".into());
    assert!(!format!("{options:?}").contains("canary"));
}

#[test]
fn a_driver_that_is_dropped_leaves_nobody_waiting() {
    let Rig { client, driver, .. } = Rig::new(options());
    let mut subscriber = block_on(client.subscribe("a")).expect("a subscription");
    let mut request = pin!(client.request("svc", Bytes::new()));
    let mut flush = pin!(client.flush());
    let mut closed = pin!(client.closed());
    assert!(poll(request.as_mut()).is_pending());
    assert!(poll(flush.as_mut()).is_pending());
    assert!(poll(closed.as_mut()).is_pending());
    drop(driver);
    assert!(block_on(request).is_err());
    assert!(block_on(flush).is_err());
    assert_eq!(block_on(closed).unsent, 1, "the request never left");
    assert!(next(&mut subscriber).is_none());
    assert!(block_on(client.publish("a", Bytes::new())).is_err());
    assert!(block_on(client.flush()).is_err());
}

#[test]
fn handles_and_futures_can_go_to_other_threads() {
    fn sendable<T: Send>(_: &T) {}
    let (_server, _peer, client) = connect(options());
    let subscriber = block_on(client.subscribe("a")).expect("a subscription");
    sendable(&client.publish("a", Bytes::new()));
    sendable(&client.request("a", Bytes::new()));
    sendable(&client.flush());
    sendable(&client.close());
    sendable(&subscriber);
    fn shareable<T: Sync>(_: &T) {}
    shareable(&client);
    sendable(&options().connect("nats://127.0.0.1"));
}
