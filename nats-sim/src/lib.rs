//! Deterministic simulation: whole clients and brokers on a virtual network, in virtual time, from one seed.
//!
//! `nats-proto`'s connection and `nats-broker`'s core do no I/O and know no clock, so that a whole system of them
//! runs in one thread, as fast as the processor can, and does exactly the same again when it is given the same
//! seed. [`Simulation`] is the network: it delays bytes, splits them anywhere, cuts links at any byte, lets them
//! go half-open, crashes brokers, and has clients stop reading. The tests of this crate let clients with random
//! plans loose on it and check, after every step, what must always hold.
//!
//! # One's own logic on it
//!
//! Logic that is written against [`nats_proto::Connection`] as an [`Application`] runs on the same network, and so
//! can be tested against reconnects and lost replies in milliseconds:
//!
//! ```
//! use std::time::Duration;
//!
//! use nats_proto::{Config, Connection, Event, Instant, Message, Outgoing, RequestId, SubscriptionId};
//! use nats_sim::{Application, Simulation};
//!
//! /// Answers orders, or places one and repeats it until it is taken.
//! #[derive(Default)]
//! struct Shop {
//!     orders: u32,
//!     places: bool,
//!     taken: bool,
//! }
//!
//! impl Shop {
//!     fn place(&self, now: Instant, connection: &mut Connection) {
//!         let deadline = now + Duration::from_secs(1);
//!         connection.request(Outgoing::new("order", &"1 tea".into()), deadline).unwrap();
//!     }
//! }
//!
//! impl Application for Shop {
//!     fn start(&mut self, now: Instant, connection: &mut Connection) {
//!         if self.places {
//!             self.place(now, connection);
//!         } else {
//!             connection.subscribe("order", None).unwrap();
//!         }
//!     }
//!
//!     fn handle_message(
//!         &mut self,
//!         _now: Instant,
//!         connection: &mut Connection,
//!         _subscription: SubscriptionId,
//!         message: Message,
//!     ) {
//!         self.orders += 1;
//!         let reply = message.reply.unwrap();
//!         connection.publish(Outgoing::new(reply.as_str(), &"taken".into())).unwrap();
//!     }
//!
//!     fn handle_reply(&mut self, _: Instant, _: &mut Connection, _: RequestId, _: Message) {
//!         self.taken = true;
//!     }
//!
//!     fn handle_event(&mut self, now: Instant, connection: &mut Connection, event: &Event) {
//!         if let Event::RequestFailed { .. } = event {
//!             self.place(now, connection);
//!         }
//!     }
//! }
//!
//! for seed in 0..20 {
//!     let mut simulation = Simulation::new(seed);
//!     let mut config = Config::new(vec![simulation.add_broker(Default::default())]);
//!     config.retry_on_initial_connect = true;
//!     config.ping_interval = Duration::from_secs(1); // how soon a silent link is given up
//!     let shop = simulation.add_client(config.clone(), false, Shop::default());
//!     let customer = Shop { places: true, ..Shop::default() };
//!     let customer = simulation.add_client(config, false, customer);
//!
//!     // The customer's link breaks at some byte, the shop's goes silent, and the broker is restarted.
//!     simulation.run_for(Duration::from_micros(seed * 100));
//!     let bytes = simulation.rng().below(200) as usize;
//!     simulation.cut_after(customer, bytes, seed % 2 == 0);
//!     simulation.half_open(shop, true, true);
//!     simulation.run_for(Duration::from_secs(5));
//!     simulation.crash_broker(0, false);
//!     simulation.heal();
//!     simulation.run_for(Duration::from_secs(10));
//!
//!     assert!(simulation.client(customer, |shop, _| shop.taken), "seed {seed}");
//!     // Repeating may double an order: a shop has to cope with that.
//!     assert!(simulation.client(shop, |shop, _| shop.orders >= 1), "seed {seed}");
//! }
//! ```
//!
//! What belongs into such a test is an assertion that must hold for every seed. When it fails, the seed is all
//! that is needed to see the same again.

mod application;
mod client;
mod host;
mod link;
mod peer;
mod pipe;
mod simulation;
mod streams;
mod terminator;
mod watch;

use std::time::Duration;

use nats_proto::Rng;

pub use application::Application;
pub use host::{Observed, Observer};
pub use pipe::{Read, Weather};
pub use simulation::{Dials, Simulation};
pub use streams::{StreamId, Wire};
pub use terminator::Terminator;

/// A random duration between the two, both included.
pub fn between(rng: &mut Rng, (least, most): (Duration, Duration)) -> Duration {
    let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
    least + Duration::from_nanos(rng.below(span.saturating_add(1)))
}
