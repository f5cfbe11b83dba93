//! What runs on a simulated client.

use nats_proto::{Connection, Event, Instant, Message, RequestId, SubscriptionId};

/// The logic on top of one simulated client.
///
/// Every method gets the connection and may call any of its verbs. Nothing here may block, or depend on
/// anything but its arguments and its own state: otherwise a seed would not replay.
pub trait Application {
    /// The simulation begins.
    fn start(&mut self, now: Instant, connection: &mut Connection) {
        let _ = (now, connection);
    }

    /// A message for a subscription.
    fn handle_message(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        subscription: SubscriptionId,
        message: Message,
    ) {
        let _ = (now, connection, subscription, message);
    }

    /// The reply to a request.
    fn handle_reply(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        request: RequestId,
        message: Message,
    ) {
        let _ = (now, connection, request, message);
    }

    /// Any other event. `Dial` and `Hangup` are obeyed by the simulation, and shown here.
    fn handle_event(&mut self, now: Instant, connection: &mut Connection, event: &Event) {
        let _ = (now, connection, event);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The time has come. The next [`poll_timeout`](Self::poll_timeout) must be later.
    fn handle_timeout(&mut self, now: Instant, connection: &mut Connection) {
        let _ = (now, connection);
    }

    /// Called between any two calls that the simulation makes to the connection: another thread's moment.
    fn interleave(&mut self, now: Instant, connection: &mut Connection) {
        let _ = (now, connection);
    }

    /// The client has written these bytes: the peer gets them unless the network fails.
    fn written(&mut self, now: Instant, bytes: &[u8]) {
        let _ = (now, bytes);
    }

    /// These bytes came in, and the connection is told next.
    fn read(&mut self, now: Instant, connection: &Connection, bytes: &[u8]) {
        let _ = (now, connection, bytes);
    }

    /// The byte stream is gone, and the connection is told next.
    fn disconnected(&mut self, now: Instant) {
        let _ = now;
    }

    /// After every step of this client: the place to check what must always hold.
    fn check(&mut self, now: Instant, connection: &Connection) {
        let _ = (now, connection);
    }
}

/// For simulations whose clients are all outside of them: see [`Simulation::open_stream`](crate::Simulation::open_stream).
impl Application for () {}
