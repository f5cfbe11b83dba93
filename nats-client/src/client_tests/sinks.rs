//! A client as a sink.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_sink::Sink;
use nats_proto::OutboundMessage;

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
