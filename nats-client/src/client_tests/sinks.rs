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
use crate::testing::{FakeServer, block_on, options};

#[test]
fn a_sink_keeps_the_message_that_does_not_fit() {
    let server = FakeServer::new();
    let options = options().retry_on_initial_connect().pending_limit(64);
    let mut sink = block_on(options.connect(server.url())).expect("a handle at once");
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..2 {
        assert!(Pin::new(&mut sink).poll_ready(&mut cx).is_ready());
        let message = OutboundMessage {
            subject: "a".into(),
            reply: None,
            payload: Bytes::from(format!("{number:040}")),
            headers: None,
        };
        Pin::new(&mut sink).start_send(message).expect("taken");
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
            let payload = Bytes::from_static(b"hi");
            let message =
                OutboundMessage { subject: "a".into(), reply: None, payload, headers: None };
            Pin::new(&mut sink).start_send(message).expect("taken");
        }
        assert_eq!(task.rung(), 1, "it goes on by itself");
        assert!(Pin::new(&mut sink).poll_flush(&mut cx).is_ready(), "nothing waits");
    }
}
