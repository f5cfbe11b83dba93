//! A client as a sink.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_sink::Sink;
use nats_proto::OutboundMessage;

use super::rig::{Bell, Rig};
use crate::PendingPolicy;
use crate::client::PublishErrorKind;
use crate::testing::{FakeServer, block_on, options};

/// A message with this number, of 52 bytes on the wire.
fn message(number: usize) -> OutboundMessage {
    let payload = Bytes::from(format!("{number:040}"));
    OutboundMessage { subject: "a".into(), reply: None, payload, headers: None }
}

#[test]
fn a_message_that_waits_is_not_overtaken_by_one_that_does_not_ask() {
    let rig = Rig::new(options().pending_limit(64));
    let mut sink = rig.client.clone();
    for number in 0..2 {
        Pin::new(&mut sink).start_send(message(number)).expect("taken");
    }
    let mut peer = rig.connect();
    // There is room by now, but nobody has looked.
    let error = Pin::new(&mut sink).start_send(message(2)).expect_err("one waits");
    assert_eq!(error.kind(), PublishErrorKind::Send, "{error}");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_ready());
    Pin::new(&mut sink).start_send(message(3)).expect("room");
    rig.drive();
    for number in [0, 1, 3] {
        let before = peer.expect(&format!("{number:040}\r\n"));
        assert!(!before.contains("0000"), "{before:?} before {number}");
    }
}

#[test]
fn a_sink_keeps_the_message_that_does_not_fit() {
    let server = FakeServer::new();
    let options = options().retry_on_initial_connect().pending_limit(64);
    let mut sink = block_on(options.connect(server.url())).expect("a handle at once");
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..2 {
        assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_ready());
        Pin::new(&mut sink).start_send(message(number)).expect("taken");
    }
    assert!(Pin::new(&mut sink).poll_flush(&mut cx).is_pending());
    let mut peer = server.accept();
    peer.greet();
    block_on(poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx))).expect("room");
    peer.expect(&format!("{:040}", 1));
}

#[test]
fn a_sink_that_never_has_to_wait_lets_others_run_now_and_then() {
    let dropping = options().pending_policy(PendingPolicy::DropOldest).pending_limit(1_000);
    let rig = Rig::new(dropping);
    let mut sink = rig.client.clone();
    let task = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&task));
    let mut cx = Context::from_waker(&waker);
    for _ in 0..3 {
        // What `forward` does with a stream that always has more.
        let mut sent = 0;
        while Pin::new(&mut sink).poll_ready(&mut cx).is_ready() {
            sent += 1;
            assert!(sent < 10_000, "others may run");
            Pin::new(&mut sink).start_send(message(sent)).expect("taken");
        }
        assert_eq!(task.rung(), 1, "it goes on by itself");
        assert!(Pin::new(&mut sink).poll_flush(&mut cx).is_ready(), "nothing waits");
    }
}
