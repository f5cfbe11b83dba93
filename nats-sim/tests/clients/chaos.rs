//! One seed: brokers, clients with programs on them, faults, and what must hold in the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use nats_client::connection::State;
use nats_client::{Client, connect_with_options};
use nats_sim::{Dials, StreamId, Weather};

use super::aftermath::{errands, leave, probe, recover};
use super::application::Worker;
use super::books::{Phase, Quiet};
use super::settings::{self, Limits};
use super::strict::{Patience, strictly};
use super::watching::listen;
use super::world::{Guard, below, fork, millis, run_for, spawn, with};

/// How many clients there may be.
pub(super) const MOST_CLIENTS: usize = 3;

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
    /// Those of them that were encrypted, and those that were WebSockets.
    pub(crate) encrypted: u64,
    pub(crate) websockets: u64,
    /// Polls of the clients' own tasks.
    pub(crate) polls: u64,
    /// Subscriptions that got exactly what was sent in the end.
    pub(crate) probes: u64,
    /// A hash of every poll, read and write, and when: equal if the run was.
    pub(crate) digest: u64,
}

/// The clients that are held until the end, by number.
pub(super) type Held = Arc<Mutex<BTreeMap<usize, (Client, Limits)>>>;

/// Runs one seed.
///
/// # Panics
///
/// Something that must hold does not.
pub(crate) fn run_seed(seed: u64) -> Outcome {
    let _world = Guard::new(seed);
    let quiet = Quiet { clients: below(2) == 0, brokers: below(4) > 0 };
    let collects = below(2) == 0;
    with(|world| (world.books.quiet, world.collects) = (quiet, collects));
    let brokers = 1 + below(2);
    for index in 0..brokers {
        let config = settings::broker(index, brokers);
        with(|world| world.sim.add_broker(config));
    }
    let held = Held::default();
    for me in 0..1 + below(MOST_CLIENTS as u64) as usize {
        start_client(me, brokers, &held);
    }
    rage(brokers, &held);
    recover(&held);
    errands(&held);
    let probes = probe(&held);
    leave(&held);
    with(|world| Outcome {
        handled: world.books.handled() as u64,
        received: world.books.received,
        dropped: world.books.subscriptions.values().map(|known| known.dropped).sum(),
        given_up: world.books.given_up,
        streams: world.books.streams(),
        encrypted: world.transports.encrypted,
        websockets: world.transports.websockets,
        polls: world.background_polls,
        probes,
        digest: world.digest(),
    })
}

/// Connects, and lets some tasks loose on the client.
fn start_client(me: usize, brokers: u64, held: &Held) {
    let (mut options, limits) = settings::client(me);
    let transport = with(|world| world.transport(me));
    let servers = match below(3) {
        0 => vec!["broker-0"],
        1 if brokers > 1 => vec!["any"],
        _ if brokers > 1 => vec!["broker-1", "broker-0"],
        _ => vec!["broker-0"],
    };
    let servers: Vec<String> = servers.into_iter().map(|host| transport.address(host)).collect();
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
            let connected = client.connection_state() == State::Connected;
            spawn(Box::pin(listen(client.notices(), me, connected)), false);
        }
        if rng.below(2) == 0 {
            let mut events = client.events();
            spawn(Box::pin(async move { while events.next().await.is_some() {} }), false);
        }
        for _ in 0..1 + rng.below(5) {
            let (client, rng, phase) = (client.clone(), fork(&mut rng), Phase::Rage);
            Worker::new(client, me, rng, limits, phase).start();
        }
    };
    spawn(Box::pin(program), false);
}

/// Faults, for some seconds.
fn rage(brokers: u64, held: &Held) {
    for _ in 0..5 + below(20) {
        run_for(millis(0, 150));
        check_publishers(held);
        fault(brokers);
    }
}

/// Whoever does not wait for a connection must have been told that there is none.
pub(super) fn check_publishers(held: &Held) {
    for (me, (client, limits)) in &*held.lock().expect("nobody panics with it") {
        let waiting = with(|world| world.books.publishing.get(me).copied().unwrap_or(0));
        let state = client.connection_state();
        assert!(
            limits.waits || state == State::Connected || waiting == 0,
            "{waiting} of client {me} wait to publish, which is {state}"
        );
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
    let (kind, coin, broker) = (below(33), below(2) == 0, below(brokers) as usize);
    let quiet = with(|world| world.books.quiet.clients);
    if let Some(stream) = any_stream() {
        let bytes = if coin { below(400) } else { below(6_000) } as usize;
        let (time, to_client) = (millis(1, 1_500), below(3) == 0);
        with(|world| match kind {
            0..6 => world.sim.cut_after(stream, bytes, to_client),
            6..8 => world.sim.cut(stream),
            // Without keepalive nobody would ever know.
            8 if !quiet => world.sim.half_open(stream, true, coin),
            9 if !quiet => world.sim.half_open(stream, coin, true),
            10..12 => world.sim.stall(stream, time, coin),
            31 | 32 => world.clog(stream, time),
            27 | 28 => {
                let text = STRANGE[bytes % STRANGE.len()];
                world.sim.inject(stream, text.as_bytes());
            }
            _ => {}
        });
    }
    let config = settings::broker(broker as u64, brokers);
    let jump = millis(1, 5_000);
    with(|world| {
        let now = world.sim.now();
        if kind == 30 {
            world.jump(jump);
        }
        let sim = &mut world.sim;
        match kind {
            12..14 => {
                let weather = settings::weather(&mut world.rng);
                sim.set_weather(weather);
            }
            14 => sim.set_weather(Weather::default()),
            15 => sim.crash_broker(broker, coin && !quiet),
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
