//! A client whose driver runs when a test says so, and not otherwise.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::client::PublishError;
use crate::driver::Driver;
use crate::handle::Handle;
use crate::shared::{Clock, Shared};
use crate::testing::{Fake, FakeServer, Peer};
use crate::{Client, ConnectOptions};

thread_local! {
    /// How much has passed for the clients of this thread's test.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A clock on which time passes when a test [says so](pass), and not otherwise.
pub(super) fn virtual_now() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + PASSED.get()
}

/// Lets time pass.
pub(super) fn pass(time: Duration) {
    PASSED.set(PASSED.get() + time);
}

/// Counts how often it is woken.
#[derive(Default)]
pub(super) struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    /// How often it was woken since the last call.
    pub(super) fn rung(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

pub(super) struct Rig {
    pub(super) client: Client,
    pub(super) shared: Arc<Shared>,
    pub(super) driver: Mutex<Driver<Fake>>,
    /// Woken for the driver.
    pub(super) bell: Arc<Bell>,
    pub(super) server: FakeServer,
}

impl Rig {
    /// A client that has not begun to connect.
    pub(super) fn new(options: ConnectOptions<Fake>) -> Self {
        Self::with_clock(options, Instant::now)
    }

    /// A client that is connected, for whom no time passes, however busy the machine is.
    pub(super) fn connected_outside_of_time(options: ConnectOptions<Fake>) -> (Self, Peer) {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let rig = Self::with_clock(options, || *START);
        let peer = rig.connect();
        (rig, peer)
    }

    /// A client that has not begun to connect, and whose time is that of `now`.
    pub(super) fn with_clock(options: ConnectOptions<Fake>, now: fn() -> Instant) -> Self {
        let server = FakeServer::new();
        Self::with_url(options, now, &server.url(), server)
    }

    /// A client of a server with this URL.
    pub(super) fn with_url(
        options: ConnectOptions<Fake>,
        now: fn() -> Instant,
        url: &str,
        server: FakeServer,
    ) -> Self {
        Self::with_seed(options, now, url, server, [1; 32])
    }

    /// A client for whom this seed decides what is left to chance.
    pub(super) fn with_seed(
        options: ConnectOptions<Fake>,
        now: fn() -> Instant,
        url: &str,
        server: FakeServer,
        seed: [u8; 32],
    ) -> Self {
        let addr = url.parse().expect("a valid address");
        let parts = options.into_parts(vec![addr]);
        let shuffle = (!parts.config.retain_servers_order).then_some(seed);
        let conn =
            nats_proto::Connection::new(parts.config.into(), seed, nats_proto::Instant::ZERO)
                .expect("valid settings");
        let clock = Clock { now, origin: now() };
        let shared = Arc::new(Shared::new(conn, clock, parts.settings, Arc::default()));
        let client = Client::new(Handle::new(Arc::clone(&shared)));
        let transport = Arc::new(parts.transport);
        let driver = Driver::new(Arc::clone(&shared), parts.hooks, transport, 4096, shuffle);
        let driver = Mutex::new(driver);
        Self { client, shared, driver, bell: Arc::default(), server }
    }

    /// A client that is connected.
    pub(super) fn connected(options: ConnectOptions<Fake>) -> (Self, Peer) {
        let rig = Self::new(options);
        let peer = rig.connect();
        (rig, peer)
    }

    /// Connects, with all that the driver does for it.
    pub(super) fn connect(&self) -> Peer {
        self.drive();
        let mut peer = self.server.accept();
        peer.send("INFO {\"server_id\":\"x\",\"headers\":true,\"max_payload\":1048576}\r\n");
        self.drive();
        peer.expect("CONNECT ");
        peer.expect("PING\r\n");
        peer.send("PONG\r\n");
        self.drive();
        self.bell.rung();
        peer
    }

    /// Polls the driver for as long as it is woken meanwhile.
    pub(super) fn drive(&self) {
        let mut driver = self.driver.lock().expect("no panic");
        self.bell.rung();
        while poll_for(&self.bell, &mut *driver).is_pending() && self.bell.rung() > 0 {}
    }

    /// Publishes messages that begin with the numbers from 0 on until a publisher has to wait, or there are
    /// `most`. Gives how many there are.
    pub(super) fn publish_up_to(&self, most: usize, size: usize) -> usize {
        let message = |number: usize| {
            let mut payload = format!("{number:0>8} ").into_bytes();
            payload.resize(size, b'.');
            Bytes::from(payload)
        };
        (0..most)
            .take_while(|number| match poll(&mut self.client.publish("a", message(*number))) {
                Poll::Ready(result) => {
                    result.expect("a live client");
                    true
                }
                Poll::Pending => false,
            })
            .count()
    }
}

/// Polls once, with nobody to be woken.
pub(super) fn poll<F: Future<Output = Result<(), PublishError>> + Unpin>(
    future: &mut F,
) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls once, for `bell`.
pub(super) fn poll_for<F: Future + Unpin>(bell: &Arc<Bell>, future: &mut F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(bell));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Sees these numbers come in order, and no others.
pub(super) fn expect_numbers(peer: &mut Peer, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let head = peer.expect("\r\n");
        assert!(head.starts_with("PUB a "), "{head:?} before {number}");
        let body = peer.expect("\r\n");
        assert!(body.starts_with(&format!("{number:0>8} ")), "{body:?} instead of {number}");
    }
}
