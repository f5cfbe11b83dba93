//! Publishers of a client that keeps nothing for the next connection.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_sink::Sink;
use nats_proto::OutboundMessage;

use super::poll;
use super::rig::{Bell, Rig, poll_for};
use crate::PendingPolicy;
use crate::client::{PublishErrorKind, RequestErrorKind};
use crate::testing::options;

#[test]
fn nobody_waits_for_a_connection_where_nothing_is_kept() {
    let policies = [PendingPolicy::Wait, PendingPolicy::Error, PendingPolicy::DropOldest];
    for policy in policies {
        let rig = Rig::new(options().pending_limit(0).pending_policy(policy));
        let Poll::Ready(Err(error)) = poll(pin!(rig.client.publish("a", Bytes::new()))) else {
            panic!("{policy:?}: it waits");
        };
        assert_eq!(error.kind(), PublishErrorKind::Send, "{policy:?}");
        let Poll::Ready(Err(error)) = poll(pin!(rig.client.request("a", Bytes::new()))) else {
            panic!("{policy:?}: it waits");
        };
        assert_eq!(error.kind(), RequestErrorKind::Other, "{policy:?}");
        let mut sink = rig.client.clone();
        let message = OutboundMessage {
            subject: "a".into(),
            reply: None,
            payload: Bytes::new(),
            headers: None,
        };
        assert!(Pin::new(&mut sink).start_send(message).is_err(), "{policy:?}");
        assert_eq!(rig.client.delivery_statistics().published, 0);
    }
}

#[test]
fn nobody_waits_to_publish_what_is_larger_than_all_that_the_oldest_could_make_room_for() {
    let options = options().pending_limit(64).pending_policy(PendingPolicy::DropOldest);
    let rig = Rig::new(options);
    rig.client.try_publish("a", Bytes::from(vec![b'x'; 40])).expect("room");
    let large = || Bytes::from(vec![b'x'; 100]);
    let Poll::Ready(Err(error)) = poll(pin!(rig.client.publish("a", large()))) else {
        panic!("it waits");
    };
    let text = error.to_string();
    assert_eq!(error.kind(), PublishErrorKind::Send, "{text}");
    assert!(text.contains("a message of 113 bytes: 52 of 64 are waiting"), "{text}");
    let Poll::Ready(Err(error)) = poll(pin!(rig.client.request("a", large()))) else {
        panic!("it waits");
    };
    assert_eq!(error.kind(), RequestErrorKind::Other);
    // Smaller ones still make the oldest go.
    rig.client.try_publish("a", Bytes::from(vec![b'x'; 40])).expect("room is made");
    assert_eq!(rig.client.delivery_statistics().dropped, 1);
}

#[test]
fn a_request_that_made_room_ends_even_if_another_one_has_its_place_before_the_driver_runs() {
    let options = options().pending_limit(150).pending_policy(PendingPolicy::DropOldest);
    let rig = Rig::new(options);
    let mut first = pin!(rig.client.request("a", Bytes::from(vec![b'x'; 40])));
    assert!(poll(first.as_mut()).is_pending());
    rig.client.try_publish("a", Bytes::from(vec![b'x'; 100])).expect("room is made");
    let mut second = pin!(rig.client.request("a", Bytes::from(vec![b'x'; 40])));
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(rig.client.delivery_statistics().dropped, 2);
    rig.drive();
    let Poll::Ready(Err(error)) = poll(first.as_mut()) else {
        panic!("it waits for ever");
    };
    assert_eq!(error.kind(), RequestErrorKind::Other);
    assert!(poll(second.as_mut()).is_pending(), "told of the end of another one");
}

#[test]
fn who_waits_for_room_is_refused_when_the_connection_breaks_and_nothing_is_kept() {
    let (rig, peer) = Rig::connected(options().send_buffer_limit(1_000).pending_limit(0));
    peer.stall(true);
    let bell = Arc::new(Bell::default());
    let large = || Bytes::from(vec![b'x'; 800]);
    let mut waiting = rig.client.publish("a", large());
    let mut sent = 0;
    while poll_for(&bell, &mut waiting).is_ready() {
        sent += 1;
        assert!(sent < 100, "there is room for ever");
        waiting = rig.client.publish("a", large());
    }
    drop(peer);
    rig.drive();
    assert!(bell.rung() > 0);
    let Poll::Ready(Err(error)) = poll_for(&bell, &mut waiting) else {
        panic!("it goes on waiting");
    };
    assert_eq!(error.kind(), PublishErrorKind::Send);
}
