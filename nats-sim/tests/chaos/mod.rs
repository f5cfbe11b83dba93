//! One seed: a network, clients with random plans, faults, and what must hold in the end.

mod arrivals;
mod books;
mod counts;
mod extras;
mod restless;
mod servers;
mod settings;
mod topics;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use nats_proto::{Connection, State, SubscriptionId};

use nats_sim::{Dials, Simulation, Weather};

use self::arrivals::{Arrivals, SharedArrivals};
use self::counts::{Counts, Seen};
use self::restless::Restless;
use self::servers::Servers;
use self::settings::{
    CONTROL_LINE, addresses, broker_config, client_config, is_drip, millis, weather,
};
use self::topics::{TOPICS, Topic, Word, topic};

/// The time within which everything is up again once the faults have ended.
const RECOVERY: Duration = Duration::from_secs(6);

/// What came of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Steps of the simulation.
    pub(crate) steps: u64,
    /// Publishes accepted, over all clients.
    pub(crate) published: u64,
    /// Those of which the server has said that it has them.
    pub(crate) confirmed: u64,
    /// Those that may or may not have reached it.
    pub(crate) uncertain: u64,
    /// Those that were given up.
    pub(crate) dropped: u64,
    /// Those that were kept over a broken link.
    pub(crate) replayed: u64,
    /// Connections that came up.
    pub(crate) connects: u64,
    /// How often each kind of fault and event was seen.
    pub(crate) counts: Counts,
    /// A hash of every byte read and written, and when: equal if the run was.
    pub(crate) digest: u64,
}

/// Runs one seed.
///
/// # Panics
///
/// Something that must always hold does not.
pub(crate) fn run_seed(seed: u64) -> Outcome {
    let mut chaos = Chaos::new(seed);
    chaos.rage();
    chaos.recover();
    chaos.end()
}

struct Chaos {
    simulation: Simulation<Restless>,
    lame: Vec<bool>,
    steps: u64,
    counts: Counts,
    /// Whether to print what is done.
    trace: bool,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut simulation = Simulation::new(seed);
        let arrivals: SharedArrivals = Rc::new(RefCell::new(Arrivals::default()));
        let seen = Rc::clone(&arrivals);
        simulation.observe(move |observed| seen.borrow_mut().add(&observed));
        let brokers = 1 + simulation.rng().below(2);
        let mut servers = Vec::new();
        for index in 0..brokers {
            let config = broker_config(simulation.rng(), index, brokers);
            servers.push(simulation.add_broker(config));
        }
        for client in 0..=simulation.rng().below(3) {
            let rng = simulation.rng();
            let servers = addresses(rng, &servers);
            let config = client_config(rng, &servers);
            let (decodes, may_end) = (rng.below(2) == 0, rng.below(4) == 0);
            let me = u8::try_from(client).expect("few clients");
            let way = Servers::new(servers, config.servers.clone());
            let (arrivals, echo) = (Rc::clone(&arrivals), !config.no_echo);
            let restless = Restless::new(me, seed, arrivals, may_end, echo, way);
            simulation.add_client(config, decodes, restless);
        }
        let lame = vec![false; simulation.brokers()];
        let trace = std::env::var_os("SIM_TRACE").is_some();
        Self { simulation, lame, steps: 0, counts: Counts::default(), trace }
    }

    fn run_for(&mut self, duration: Duration) {
        self.steps += self.simulation.run_for(duration);
    }

    fn any_client(&mut self) -> usize {
        let clients = self.simulation.clients() as u64;
        self.simulation.rng().below(clients) as usize
    }

    /// Faults, for some seconds.
    fn rage(&mut self) {
        for _ in 0..10 + self.simulation.rng().below(30) {
            let pause = millis(self.simulation.rng(), 0, 150);
            self.run_for(pause);
            self.fault();
        }
    }

    /// Takes note of a fault, if it happens to anybody.
    fn note(&mut self, happens: bool, seen: Seen) {
        if happens {
            self.counts += seen;
        }
    }

    fn fault(&mut self) {
        let client = self.any_client();
        let brokers = self.simulation.brokers() as u64;
        let broker = self.simulation.rng().below(brokers) as usize;
        let rng = self.simulation.rng();
        let coin = rng.below(2) == 0;
        let kind = rng.below(40);
        if self.trace {
            let now = self.simulation.now().as_nanos();
            eprintln!("{now:>12} fault {kind}, client {client}, broker {broker}, {coin}");
        }
        let linked = self.simulation.is_linked(client);
        let runs = self.simulation.broker(broker).is_some();
        let rng = self.simulation.rng();
        match kind {
            0..6 => {
                let bytes = if coin { rng.below(400) } else { rng.below(6000) } as usize;
                let to_client = rng.below(3) == 0;
                self.simulation.cut_after(client, bytes, to_client);
                self.note(linked, Seen::CutSoon);
            }
            6..8 => {
                self.simulation.cut(client);
                self.note(linked, Seen::Cut);
            }
            8 | 9 => {
                let (from_client, to_client) = if kind == 8 { (true, coin) } else { (coin, true) };
                self.simulation.half_open(client, from_client, to_client);
                self.note(linked, Seen::HalfOpen);
            }
            10..12 => {
                let duration = millis(rng, 1, 1500);
                self.simulation.stall(client, duration, coin);
                self.note(linked, Seen::Stall);
            }
            12 | 37 => {
                let weather = weather(rng);
                self.note(linked, if is_drip(&weather) { Seen::Drip } else { Seen::Weather });
                self.simulation.set_weather(weather);
            }
            13 => self.simulation.set_weather(Weather::default()),
            14..16 => {
                self.simulation.crash_broker(broker, coin);
                self.note(runs, if coin { Seen::SilentCrash } else { Seen::Crash });
            }
            16..20 => {
                let config = broker_config(rng, broker as u64, brokers);
                *self.simulation.broker_config(broker) = config;
                self.simulation.start_broker(broker);
                self.note(!runs, Seen::Restart);
            }
            20 => {
                self.simulation.set_dials(Dials::AreRefused);
                self.counts += Seen::DialsRefused;
            }
            21 => {
                self.simulation.set_dials(Dials::Vanish);
                self.counts += Seen::DialsUnanswered;
            }
            22..24 => self.simulation.set_dials(Dials::Work),
            24..26 => self.trouble(broker, kind == 24, coin),
            26..30 => self.inject(client),
            30 => {
                if let Some(broker) = self.simulation.broker(broker) {
                    broker.disconnect_all();
                }
                self.note(runs, Seen::AllDisconnected);
            }
            31 => {
                let duration = millis(rng, 1, 3000);
                self.jump(duration);
                self.counts += Seen::Jump;
            }
            32 => {
                self.simulation.set_handshakes(Dials::AreRefused);
                self.counts += Seen::HandshakesRefused;
            }
            33 => {
                self.simulation.set_handshakes(Dials::Vanish);
                self.counts += Seen::HandshakesUnanswered;
            }
            34 => self.simulation.set_handshakes(Dials::Work),
            35 | 36 => {
                let duration = millis(rng, 1, 3000);
                self.simulation.pause(client, duration);
                self.note(linked, Seen::Pause);
            }
            _ => {}
        }
    }

    /// What a broker does by itself: it is about to shut down, or tells of others.
    fn trouble(&mut self, index: usize, is_lame: bool, coin: bool) {
        let now = self.simulation.now();
        let Some(broker) = self.simulation.broker(index) else { return };
        if is_lame {
            broker.lame_duck(now);
            self.lame[index] = true;
            self.counts += Seen::LameDuckMode;
        } else {
            broker.set_connect_urls(if coin { vec!["broker-1:4222".into()] } else { Vec::new() });
            self.counts += Seen::OtherUrls;
        }
    }

    /// The clock goes on, and nobody is served: a machine that slept.
    fn jump(&mut self, duration: Duration) {
        self.simulation.jump(duration);
        let now = self.simulation.now();
        for client in 0..self.simulation.clients() {
            self.simulation.client(client, |restless, _| restless.jumped_to = now);
        }
    }

    fn inject(&mut self, client: usize) {
        let stands = |connection: &Connection| (connection.state(), connection.buffered() > 0);
        let (state, waits) = self.simulation.client(client, |_, connection| stands(connection));
        let rng = self.simulation.rng();
        // It is about the credentials only while a connection is made.
        let refuses = state != State::Connected && rng.below(4) > 0;
        let kind = if waits { rng.below(4) } else { rng.below(12) };
        let (seen, bytes) = match kind {
            _ if refuses => (Seen::AuthError, "-ERR 'Authorization Violation'\r\n".into()),
            0..3 => {
                // Before it is connected, the server would be told that the client takes none.
                let headers = state != State::Connected || (!waits && rng.below(3) > 0);
                let max_payload = 64 + rng.below(8192);
                let seen = if headers { Seen::OtherLimits } else { Seen::NoHeaders };
                let text = format!("\"headers\":{headers},\"max_payload\":{max_payload}");
                (seen, format!("INFO {{\"proto\":1,{text}}}\r\n"))
            }
            3 => (Seen::StaleError, "-ERR 'Stale Connection'\r\n".into()),
            4..7 => {
                let subject = ["svc.0", "nobody"][rng.below(2) as usize];
                let error = format!("Permissions Violation for Publish to \"{subject}\"");
                (Seen::PermissionError, format!("-ERR '{error}'\r\n"))
            }
            7 => (Seen::AuthError, "-ERR 'Authorization Violation'\r\n".into()),
            8 => (Seen::Pings, "PING\r\n+OK\r\nPING\r\n".into()),
            9 => (Seen::StrayMessage, "MSG nobody.asked 4000000000 2\r\nhi\r\n".into()),
            10 => (Seen::Garbage, "GARBAGE\r\n".into()),
            _ => (Seen::EndlessLine, format!("MSG {}", "endless".repeat(CONTROL_LINE / 6))),
        };
        let happens = self.simulation.inject(client, bytes.as_bytes());
        self.note(happens, seen);
    }

    /// The faults end: everything has to come back.
    fn recover(&mut self) {
        for broker in 0..self.simulation.brokers() {
            if self.lame[broker] {
                self.simulation.crash_broker(broker, false);
            }
        }
        self.simulation.heal();
        for index in 0..self.simulation.brokers() {
            // Whoever was told of other limits than there are is told the truth.
            let broker = self.simulation.broker(index).expect("they all run again");
            broker.set_connect_urls(broker.config().connect_urls.clone());
        }
        for client in 0..self.simulation.clients() {
            self.simulation.client(client, |restless, _| restless.active = false);
        }
        self.run_for(RECOVERY);
        let running = |chaos: &mut Self| -> Vec<usize> {
            let clients = 0..chaos.simulation.clients();
            clients
                .filter(|client| chaos.simulation.client(*client, |app, _| !app.is_ending()))
                .collect()
        };
        let mut flushes = Vec::new();
        for client in running(self) {
            flushes.push(self.simulation.client(client, |restless, connection| {
                assert_eq!(connection.state(), State::Connected, "client {client}");
                (0..TOPICS).for_each(|number| restless.probe(connection, number));
                (client, restless.flush_by(connection, None))
            }));
        }
        let before = self.delivered();
        self.run_for(Duration::from_secs(1));
        for (client, flush) in flushes {
            let at_broker = self.simulation.subscriptions_at_broker(client);
            self.simulation.client(client, |restless, connection| {
                assert!(restless.flushed.contains(&flush), "client {client} is not flushed");
                assert_eq!(connection.statistics().pending, 0);
                assert_eq!(restless.waiting(), 0, "something waits for ever");
                let waits = |topic: &Topic| matches!(topic.word, Word::Awaited { .. });
                let waiting = restless.topics.values().find(|topic| waits(topic));
                assert!(waiting.is_none(), "neither confirmed nor ended: {waiting:?}");
                assert_eq!(connection.pending_requests(), 0);
                let raced = restless.topics.values().any(|topic| topic.raised);
                let here = connection.subscriptions() + usize::from(restless.has_inbox);
                assert_eq!(connection.subscriptions(), restless.topics.len());
                assert!(raced || at_broker == Some(here), "{at_broker:?} of {here} subscriptions");
            });
        }
        self.check_delivered(&before);
    }

    /// How many messages each subscription has got.
    fn delivered(&mut self) -> Vec<BTreeMap<SubscriptionId, u64>> {
        let clients = 0..self.simulation.clients();
        let delivered = |restless: &mut Restless| {
            restless.topics.iter().map(|(id, topic)| (*id, topic.delivered)).collect()
        };
        clients.map(|client| self.simulation.client(client, |app, _| delivered(app))).collect()
    }

    /// Each subscription must have got the probes of its own client, or have ended with them.
    fn check_delivered(&mut self, before: &[BTreeMap<SubscriptionId, u64>]) {
        for (client, before) in before.iter().enumerate() {
            self.simulation.client(client, |restless, _| {
                for (id, known) in &restless.topics {
                    let must = (0..TOPICS).any(|number| known.must_get(&topic(number)));
                    let before = before.get(id).expect("nobody subscribes any more");
                    assert!(!must || known.delivered > *before, "silent: {known:?}");
                }
            });
        }
    }

    /// Everybody leaves.
    fn end(mut self) -> Outcome {
        let now = self.simulation.now();
        let mut outcome = Outcome { counts: self.counts, ..Outcome::default() };
        for client in 0..self.simulation.clients() {
            let coin = self.simulation.rng().below(2) == 0;
            self.simulation.client(client, |restless, connection| {
                if coin {
                    restless.drain(now, connection);
                    restless.drain(now, connection);
                } else {
                    restless.close(now, connection);
                }
            });
        }
        self.run_for(Duration::from_secs(4));
        for client in 0..self.simulation.clients() {
            self.simulation.client(client, |restless, connection| {
                assert!(restless.closed, "client {client} does not close");
                let s = connection.statistics();
                outcome.published += s.published;
                outcome.confirmed += s.confirmed;
                outcome.uncertain += s.uncertain;
                outcome.dropped += s.dropped;
                outcome.replayed += s.replayed;
                outcome.connects += s.connects;
                outcome.counts += restless.counts();
                outcome.digest = outcome.digest.rotate_left(7) ^ restless.digest;
            });
        }
        outcome.steps = self.steps;
        outcome
    }
}
