//! One seed: brokers, clients with programs on them, faults, and what must hold in the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use nats_client::connection::State;
use nats_client::{Client, connect_with_options};
use nats_sim::{Dials, StreamId, Weather};

use super::application::Worker;
use super::books::{Known, Phase, payload_of};
use super::settings::{self, Limits};
use super::strict::{Patience, strictly};
use super::watching::{Waiting, end, listen};
use super::world::{Guard, below, fork, millis, run_for, spawn, with};

/// The time within which everything is up again once the faults have ended.
const RECOVERY: Duration = Duration::from_secs(6);

/// The time within which everybody has left; the last publishes of a client may take five seconds.
const LEAVING: Duration = Duration::from_secs(7);

/// Polls of a client's own tasks in a second in which nothing happens.
const IDLE_POLLS: u64 = 300;

/// What a server may say at any time, and what none should.
const STRANGE: [&str; 6] = [
    "PING\r\n+OK\r\nPING\r\n",
    "INFO {\"proto\":1,\"headers\":true,\"max_payload\":4096}\r\n",
    "-ERR 'Permissions Violation for Publish to \"t.0\"'\r\n",
    "-ERR 'Stale Connection'\r\n",
    "MSG nobody.asked 4000000000 2\r\nhi\r\n",
    "GARBAGE\r\n",
];

/// What came of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Publishes that brokers have handled.
    pub(crate) handled: u64,
    /// Messages that subscribers have got, and those that were dropped because they were slow.
    pub(crate) received: u64,
    pub(crate) dropped: u64,
    /// Futures that were dropped before their end.
    pub(crate) given_up: u64,
    /// Streams that were opened.
    pub(crate) streams: u64,
    /// Polls of the clients' own tasks.
    pub(crate) polls: u64,
    /// Subscriptions that got exactly what was sent in the end.
    pub(crate) probes: u64,
    /// A hash of every poll, read and write, and when: equal if the run was.
    pub(crate) digest: u64,
}

/// The clients that are held until the end, by number.
type Held = Arc<Mutex<BTreeMap<usize, (Client, Limits)>>>;

/// Runs one seed.
///
/// # Panics
///
/// Something that must hold does not.
pub(crate) fn run_seed(seed: u64) -> Outcome {
    let _world = Guard::new(seed);
    let brokers = 1 + below(2);
    for index in 0..brokers {
        let config = settings::broker(index, brokers);
        with(|world| world.sim.add_broker(config));
    }
    let held = Held::default();
    for me in 0..1 + below(3) as usize {
        start_client(me, brokers, &held);
    }
    rage(brokers);
    recover(&held);
    let probes = probe(&held);
    leave(&held);
    with(|world| Outcome {
        handled: world.books.handled() as u64,
        received: world.books.received,
        dropped: world.books.subscriptions.values().map(|known| known.dropped).sum(),
        given_up: world.books.given_up,
        streams: world.books.streams(),
        polls: world.background_polls,
        probes,
        digest: world.digest(),
    })
}

/// Connects, and lets some tasks loose on the client.
fn start_client(me: usize, brokers: u64, held: &Held) {
    let (mut options, limits) = settings::client(me);
    let servers = match below(3) {
        0 => vec!["nats://broker-0"],
        1 if brokers > 1 => vec!["nats://any"],
        _ if brokers > 1 => vec!["nats://broker-1", "nats://broker-0"],
        _ => vec!["broker-0:4222"],
    };
    let (mut retries, is_held) = (below(2) == 0, below(4) > 0);
    let (held, mut rng) = (Arc::clone(held), with(|world| fork(&mut world.rng)));
    let program = async move {
        let client = loop {
            let patience = if retries { Patience::Endless } else { Patience::any(&mut rng) };
            if retries {
                options = options.retry_on_initial_connect();
            }
            let connecting = connect_with_options(servers.clone(), options.clone());
            if let Some(Ok(client)) = strictly(patience, connecting).await {
                break client;
            }
            assert!(!retries, "an attempt that is to be repeated fails");
            retries = true;
        };
        if is_held {
            let both = (client.clone(), limits);
            held.lock().expect("nobody panics with it").insert(me, both);
        }
        if rng.below(2) == 0 {
            spawn(Box::pin(listen(client.notices(), me)), false);
        }
        if rng.below(2) == 0 {
            let mut events = client.events();
            spawn(Box::pin(async move { while events.next().await.is_some() {} }), false);
        }
        for _ in 0..1 + rng.below(5) {
            let worker = Worker { client: client.clone(), me, rng: fork(&mut rng), limits };
            spawn(Box::pin(worker.run()), false);
        }
    };
    spawn(Box::pin(program), false);
}

/// Faults, for some seconds.
fn rage(brokers: u64) {
    for _ in 0..5 + below(20) {
        run_for(millis(0, 150));
        fault(brokers);
    }
}

/// Any stream that is open.
fn any_stream() -> Option<StreamId> {
    with(|world| {
        let count = world.streams.len() as u64;
        let at = world.rng.below(count.max(1)) as usize;
        world.streams.keys().nth(at).copied()
    })
}

fn fault(brokers: u64) {
    let (kind, coin, broker) = (below(30), below(2) == 0, below(brokers) as usize);
    if let Some(stream) = any_stream() {
        let bytes = if coin { below(400) } else { below(6_000) } as usize;
        let (time, to_client) = (millis(1, 1_500), below(3) == 0);
        with(|world| match kind {
            0..6 => world.sim.cut_after(stream, bytes, to_client),
            6..8 => world.sim.cut(stream),
            8 => world.sim.half_open(stream, true, coin),
            9 => world.sim.half_open(stream, coin, true),
            10..12 => world.sim.stall(stream, time, coin),
            27 | 28 => {
                let text = STRANGE[bytes % STRANGE.len()];
                world.sim.inject(stream, text.as_bytes());
            }
            _ => {}
        });
    }
    let config = settings::broker(broker as u64, brokers);
    with(|world| {
        let now = world.sim.now();
        let sim = &mut world.sim;
        match kind {
            12..14 => {
                let weather = settings::weather(&mut world.rng);
                sim.set_weather(weather);
            }
            14 => sim.set_weather(Weather::default()),
            15 => sim.crash_broker(broker, coin),
            16..20 => {
                *sim.broker_config(broker) = config;
                sim.start_broker(broker);
            }
            20 => sim.set_dials(Dials::AreRefused),
            21 => sim.set_dials(Dials::Vanish),
            22..25 => sim.set_dials(Dials::Work),
            25 => {
                if let Some(running) = sim.broker(broker) {
                    running.lame_duck(now);
                    world.books.lame.insert(broker);
                }
            }
            26 => {
                if let Some(broker) = sim.broker(broker) {
                    broker.disconnect_all();
                }
            }
            _ => {}
        }
    });
}

/// The clients that are held and do not end.
fn running(held: &Held) -> Vec<(usize, Client)> {
    let held = held.lock().expect("nobody panics with it");
    let ending = with(|world| world.books.ending.clone());
    let running = held.iter().filter(|(me, _)| !ending.contains(me));
    running.map(|(me, (client, _))| (*me, client.clone())).collect()
}

/// The faults end: what has begun comes to its end, and everybody is connected.
fn recover(held: &Held) {
    with(|world| {
        for broker in std::mem::take(&mut world.books.lame) {
            world.sim.crash_broker(broker, false);
        }
        world.sim.heal();
        world.books.phase = Phase::Calm;
    });
    run_for(RECOVERY);
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "something waits for ever: {waiting:?}");
    for (me, client) in running(held) {
        assert_eq!(client.connection_state(), State::Connected, "client {me}");
        must_flush(me, client);
    }
    run_for(Duration::from_secs(1));
    for (me, client) in running(held) {
        let s = client.delivery_statistics();
        assert_eq!(s.pending, 0, "client {me}: {s:?}");
        with(|world| {
            let known = world.books.subscriptions.values();
            let here = known.filter(|known| known.client == me && !known.ended).count();
            let there = world.subscriptions_at_brokers(me);
            // There may be one more, for the replies to requests.
            assert!((here..=here + 1).contains(&there), "client {me}: {there} of {here}");
        });
    }
    let (clients, before) = with(|world| (world.books.clients(), world.background_polls));
    run_for(Duration::from_secs(1));
    let polls = with(|world| world.background_polls) - before;
    assert!(polls <= clients * IDLE_POLLS, "{polls} polls of {clients} idle clients in a second");
}

/// Flushes, which must succeed in time.
fn must_flush(me: usize, client: Client) {
    let waiting = Waiting::new("flush in the end");
    let flush = async move {
        let result = strictly(Patience::Endless, client.flush()).await;
        assert!(matches!(result, Some(Ok(()))), "client {me} is not flushed: {result:?}");
        drop(waiting);
    };
    spawn(Box::pin(flush), false);
}

/// Sends a few messages, which must come to every subscription or be counted there.
fn probe(held: &Held) -> u64 {
    let (before, first) = with(|world| (world.books.subscriptions.clone(), world.books.handled()));
    with(|world| world.books.phase = Phase::Probe);
    let mut probes = BTreeMap::new();
    for (me, client) in running(held) {
        for subject in ["t.0", "t.1", "t.2", "t.topic.of.some.length", "r.0", "r.1"] {
            let id = with(|world| world.books.next_id(me));
            let payload = Bytes::from(payload_of(id, 30));
            client.try_publish(subject, payload).expect("room in a client that is connected");
            probes.insert(me, id);
        }
        must_flush(me, client);
    }
    run_for(Duration::from_secs(2));
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "a flush does not end: {waiting:?}");
    with(|world| {
        let books = &world.books;
        let end = books.handled();
        let mut count = 0;
        for (key, known) in &books.subscriptions {
            assert!(known.ended || known.pending == 0, "nobody takes what has come: {known:?}");
            let Some(probe) = probes.get(&known.client).filter(|_| known.gets_all && !known.ended)
            else {
                continue;
            };
            let (_, broker) = books.place(*probe).expect("it is flushed");
            let expected = books.matching(first, end, broker, &known.subject);
            let came = known.total - before.get(key).map_or(0, |known: &Known| known.total);
            assert_eq!(came, expected, "messages for {known:?}");
            count += 1;
        }
        count
    })
}

/// Everybody leaves, in one way or another, and nothing is left.
fn leave(held: &Held) {
    let clients = std::mem::take(&mut *held.lock().expect("nobody panics with it"));
    with(|world| world.books.phase = Phase::End);
    for (me, (client, limits)) in clients {
        // Otherwise its last handle is dropped.
        if below(2) == 0 {
            with(|world| world.books.ending.insert(me));
            let mut rng = with(|world| fork(&mut world.rng));
            spawn(Box::pin(async move { end(&client, me, &mut rng, limits).await }), false);
        }
    }
    run_for(LEAVING);
    with(|world| {
        let waiting = world.books.waiting();
        assert_eq!(world.tasks(), (0, 0), "tasks, and those of clients, are left: {waiting:?}");
        assert!(world.streams.is_empty(), "streams are left");
        assert!(world.timers.is_empty(), "timers are left");
        world.books.check_told();
        world.books.check_ended();
    });
}
