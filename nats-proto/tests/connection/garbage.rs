//! Payloads that nobody needs any more, and who drops them.

use std::time::Duration;

use bytes::Bytes;
use nats_proto::connection::PendingPolicy;
use nats_proto::wire::OutBuf;
use nats_proto::{Config, Connection, Outgoing};

use crate::support::{Wire, config};

const SIZE: usize = OutBuf::SEGMENT_THRESHOLD;

fn publish(connection: &mut Connection, payload: &Bytes) {
    connection.publish(Outgoing::new("a", payload)).expect("room");
}

/// A connection that has given up the first of its payloads, in one of several ways, and that payload.
fn given_up(way: usize, keeps: bool) -> (Wire, Bytes) {
    let mut config: Config = config();
    (config.pending_limit, config.pending_policy) = (2 * SIZE, PendingPolicy::DropOldest);
    let mut wire = Wire::new(config);
    if keeps {
        wire.connection.keep_garbage();
    }
    let payload = Bytes::from(vec![b'x'; SIZE]);
    match way {
        // It makes room for a newer one.
        0 => {
            publish(&mut wire.connection, &payload);
            publish(&mut wire.connection, &Bytes::from(vec![b'y'; SIZE]));
        }
        // The end.
        1 => {
            publish(&mut wire.connection, &payload);
            wire.connection.close(wire.now, Duration::ZERO);
            wire.cut();
        }
        // A link is lost that it was written to.
        2 => {
            wire.connect();
            publish(&mut wire.connection, &payload);
            publish(&mut wire.connection, &Bytes::from(vec![b'y'; SIZE]));
            wire.cut_after(SIZE + 100);
        }
        // The server does not take it.
        _ => {
            wire.connect();
            publish(&mut wire.connection, &payload);
            wire.feed("INFO {\"max_payload\":1000}\r\n");
        }
    }
    (wire, payload)
}

#[test]
fn payloads_are_dropped_by_whom_the_caller_wants() {
    for way in 0..4 {
        let (mut wire, payload) = given_up(way, false);
        assert!(payload.is_unique(), "{way}");
        assert!(wire.connection.take_garbage().is_empty());
        let (mut wire, payload) = given_up(way, true);
        assert!(!payload.is_unique(), "{way}");
        let garbage = wire.connection.take_garbage();
        assert!(garbage.contains(&payload), "{way}");
        drop(garbage);
        assert!(payload.is_unique(), "{way}");
        assert!(wire.connection.take_garbage().is_empty());
    }
}
