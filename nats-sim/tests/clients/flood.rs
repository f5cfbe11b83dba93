//! More comes for one subscriber than it has taken yet, as fast as the network has it: others get theirs all the same.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future::join};
use nats_client::{Client, Subscriber, WhenFull};
use nats_proto::Rng;
use nats_sim::Weather;

use super::books::payload_of;
use super::runtime::sleep;
use super::settings::Limits;
use super::strict::{Patience, strictly};
use super::watching::Waiting;
use super::world::{below, fork, run_for, spawn, with};

/// Messages and bytes that may wait: so much that the client waits for the subscriber when half of it does.
const ROOM: (usize, usize) = (8_192, 2 * 1024 * 1024);

/// Bytes that come: more than half of that, and not all.
const FLOOD: usize = ROOM.1 / 4 * 3;

/// The time within which a message comes for somebody else.
const BESIDE: Duration = Duration::from_millis(80);

/// Lets it happen to some of these clients.
pub(super) fn flood(running: Vec<(usize, Client, Limits)>) {
    let delay = (Duration::from_micros(50), Duration::from_micros(100));
    with(|world| world.sim.set_weather(Weather { delay, window: 65_536, ..Weather::default() }));
    for (me, client, _) in running {
        if below(4) == 0 {
            let rng = with(|world| fork(&mut world.rng));
            spawn(Box::pin(Flooded { client, me, rng }.run()), false);
        }
    }
    run_for(Duration::from_secs(1));
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "somebody waits beside a flood: {waiting:?}");
}

/// A client with a subscriber for whom much comes at once.
struct Flooded {
    client: Client,
    me: usize,
    rng: Rng,
}

impl Flooded {
    async fn run(mut self) {
        let (subject, beside) = (format!("flood.{}", self.me), format!("beside.{}", self.me));
        let mut flooded = self.subscribe(subject.clone()).await;
        let mut other = self.subscribe(beside.clone()).await;
        let size = self.client.max_payload().min(32_768);
        let count = FLOOD / size;
        let (at_once, mut rng) = (self.rng.below(2) == 0, fork(&mut self.rng));
        let publishing = async {
            for _ in 0..count {
                self.publish(&subject, size).await;
            }
            let waiting = Waiting::new("a message beside a flood");
            self.publish(&beside, 30).await;
            assert!(strictly(Patience::Endless, other.next()).await.flatten().is_some());
            waiting.within(BESIDE);
        };
        let taking = async {
            for _ in 0..count {
                assert!(strictly(Patience::Endless, flooded.next()).await.flatten().is_some());
                if rng.below(4) == 0 {
                    sleep(Duration::from_micros(rng.below(400))).await;
                }
            }
            assert_eq!(flooded.statistics().dropped, 0, "there was room");
        };
        if at_once {
            join(publishing, taking).await;
        } else {
            publishing.await;
            taking.await;
        }
    }

    async fn subscribe(&self, subject: String) -> Subscriber {
        let new = self.client.subscription(subject).when_full(WhenFull::DropNewest);
        let new = new.capacity(ROOM.0).byte_capacity(ROOM.1);
        new.await.expect("an open client")
    }

    async fn publish(&self, subject: &str, size: usize) {
        let id = with(|world| world.books.next_id(self.me));
        let payload = Bytes::from(payload_of(id, size));
        let _waiting = Waiting::to_publish(self.me, "publish in a flood");
        let publish = self.client.publish(subject.to_owned(), payload);
        let result = strictly(Patience::Endless, publish).await;
        result.expect("it is not given up").expect("an open client");
        with(|world| world.books.accepted(self.me, id));
    }
}
