//! Payloads that are memory of the application's own, and use the client when they are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::poll;
use super::rig::Rig;
use crate::shared::Shared;
use crate::testing::{Fake, Peer, options};
use crate::{Client, ConnectOptions, PendingPolicy};

/// How large each payload is: it is not copied.
const SIZE: usize = 8192;

/// Memory that publishes when it is dropped.
struct Owned {
    bytes: Vec<u8>,
    client: Client,
    shared: Arc<Shared>,
    count: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Else it would wait for ever.
        let unlocked = self.shared.publish_again("gone", &Bytes::new()).is_some();
        assert!(unlocked, "dropped under the lock");
        let _ = self.client.try_publish("gone", "x".into());
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client, and how many of its payloads were dropped.
struct Gone {
    rig: Rig,
    count: Arc<AtomicUsize>,
}

impl Gone {
    fn new(options: ConnectOptions<Fake>) -> Self {
        Self { rig: Rig::new(options), count: Arc::default() }
    }

    fn payload(&self) -> Bytes {
        Bytes::from_owner(Owned {
            bytes: vec![b'x'; SIZE],
            client: self.rig.client.clone(),
            shared: Arc::clone(&self.rig.shared),
            count: Arc::clone(&self.count),
        })
    }

    fn publish(&self) {
        self.rig.client.try_publish("a", self.payload()).expect("room");
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[test]
fn what_makes_room_for_newer_publishes_is_dropped_behind_the_lock() {
    let options =
        options().pending_limit(2 * SIZE + 1000).pending_policy(PendingPolicy::DropOldest);
    let gone = Gone::new(options);
    gone.publish();
    gone.publish();
    assert_eq!(gone.count(), 0);
    gone.publish();
    assert_eq!(gone.count(), 1);
    assert!(poll(pin!(gone.rig.client.publish("a", gone.payload()))).is_ready());
    assert_eq!(gone.count(), 2);
    let mut request = pin!(gone.rig.client.request("a", gone.payload()));
    assert!(poll(request.as_mut()).is_pending());
    assert_eq!(gone.count(), 3);
}

#[test]
fn what_is_given_up_at_the_end_is_dropped_behind_the_lock() {
    let delay = || options().reconnect_delay_callback(|_| Duration::from_secs(3600));
    // In the midst of an attempt the driver ends it, and between two of them whoever closes.
    for dials in [true, false] {
        let gone = Gone::new(delay());
        match dials {
            true => gone.rig.drive(),
            false => drop(gone.rig.connect()),
        }
        gone.rig.drive();
        gone.publish();
        let mut close = pin!(gone.rig.client.close());
        assert!(poll(close.as_mut()).is_pending());
        assert_eq!(gone.count(), usize::from(!dials));
        gone.rig.drive();
        assert!(poll(close.as_mut()).is_ready());
        assert_eq!(gone.count(), 1);
    }
}

/// A client that has written one payload whole and one in part.
fn half_written() -> (Gone, Peer) {
    let gone = Gone::new(options());
    let peer = gone.rig.connect();
    peer.take(SIZE + SIZE / 2);
    gone.publish();
    gone.publish();
    gone.rig.drive();
    assert_eq!(gone.count(), 0);
    (gone, peer)
}

#[test]
fn what_is_lost_with_a_link_is_dropped_behind_the_lock() {
    let (gone, peer) = half_written();
    drop(peer);
    gone.rig.drive();
    assert_eq!(gone.count(), 1);
    assert_eq!(gone.rig.client.delivery_statistics().uncertain, 1);
}

#[test]
fn what_is_left_by_a_driver_that_is_gone_is_dropped_behind_the_lock() {
    let (gone, _peer) = half_written();
    let Gone { rig: Rig { driver, .. }, count } = gone;
    drop(driver);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn what_the_next_server_does_not_take_is_dropped_behind_the_lock() {
    let gone = Gone::new(options());
    gone.publish();
    gone.rig.drive();
    let peer = gone.rig.server.accept();
    peer.send("INFO {\"server_id\":\"x\",\"headers\":true,\"max_payload\":1000}\r\nPONG\r\n");
    gone.rig.drive();
    assert_eq!(gone.count(), 1);
    assert_eq!(gone.rig.client.delivery_statistics().dropped, 1);
}

/// Memory that panics when it is dropped.
struct Rotten([u8; SIZE]);

impl AsRef<[u8]> for Rotten {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Rotten {
    fn drop(&mut self) {
        panic!("a payload that panics, as a test wants it");
    }
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_keeps_nothing_from_the_driver() {
    let rig = Rig::new(options().reconnect_delay_callback(|_| Duration::from_secs(3600)));
    drop(rig.connect());
    rig.drive();
    rig.client.try_publish("a", Bytes::from_owner(Rotten([0; SIZE]))).expect("room");
    rig.drive();
    rig.bell.rung();
    let mut close = pin!(rig.client.close());
    let closed = catch_unwind(AssertUnwindSafe(|| poll(close.as_mut())));
    assert!(closed.is_err(), "it has panicked");
    assert!(rig.bell.rung() > 0, "the driver is not told of the end");
    rig.drive();
    assert!(poll(pin!(rig.client.closed())).is_ready());
}
