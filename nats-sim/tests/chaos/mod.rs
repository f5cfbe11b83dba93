//! One seed: a network, clients with random plans, faults, and what must hold in the end.

mod books;
mod restless;
mod servers;
mod topics;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nats_proto::connection::{AuthSource, PendingPolicy, TlsMode};
use nats_proto::{Config, Rng, ServerAddr, State};

use nats_sim::{Dials, Observed, Simulation, Weather};

use self::books::{Arrivals, SharedArrivals};
use self::restless::Restless;
use self::servers::Servers;
use self::topics::{TOPICS, topic};

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
    /// Whether to print what is done.
    trace: bool,
}

fn millis(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + rng.below(most - least + 1))
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut simulation = Simulation::new(seed);
        let arrivals: SharedArrivals = Rc::new(RefCell::new(Arrivals::default()));
        let seen = Rc::clone(&arrivals);
        simulation.observe(move |Observed { broker, incarnation, subject, payload }| {
            seen.borrow_mut().add(broker, incarnation, subject, payload);
        });
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
        Self { simulation, lame, steps: 0, trace }
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

    fn fault(&mut self) {
        let client = self.any_client();
        let brokers = self.simulation.brokers() as u64;
        let broker = self.simulation.rng().below(brokers) as usize;
        let rng = self.simulation.rng();
        let coin = rng.below(2) == 0;
        let kind = rng.below(36);
        if self.trace {
            let now = self.simulation.now().as_nanos();
            eprintln!("{now:>12} fault {kind}, client {client}, broker {broker}, {coin}");
        }
        let rng = self.simulation.rng();
        match kind {
            0..6 => {
                let bytes = if coin { rng.below(400) } else { rng.below(6000) } as usize;
                let to_client = rng.below(3) == 0;
                self.simulation.cut_after(client, bytes, to_client);
            }
            6..8 => self.simulation.cut(client),
            8 => self.simulation.half_open(client, true, coin),
            9 => self.simulation.half_open(client, coin, true),
            10..12 => {
                let duration = millis(rng, 1, 1500);
                self.simulation.stall(client, duration, coin);
            }
            12 => {
                let weather = weather(rng);
                self.simulation.set_weather(weather);
            }
            13 => self.simulation.set_weather(Weather::default()),
            14..16 => self.simulation.crash_broker(broker, coin),
            16..20 => {
                let config = broker_config(rng, broker as u64, brokers);
                *self.simulation.broker_config(broker) = config;
                self.simulation.start_broker(broker);
            }
            20 => self.simulation.set_dials(Dials::AreRefused),
            21 => self.simulation.set_dials(Dials::Vanish),
            22..24 => self.simulation.set_dials(Dials::Work),
            24 => {
                let now = self.simulation.now();
                if let Some(broker) = self.simulation.broker(broker) {
                    broker.lame_duck(now);
                }
                self.lame[broker] = self.simulation.broker(broker).is_some();
            }
            25 => {
                let urls = if coin { vec!["broker-1:4222".into()] } else { Vec::new() };
                if let Some(broker) = self.simulation.broker(broker) {
                    broker.set_connect_urls(urls);
                }
            }
            26..29 => self.inject(client),
            29 => {
                if let Some(broker) = self.simulation.broker(broker) {
                    broker.disconnect_all();
                }
            }
            30 => {
                let duration = millis(rng, 1, 3000);
                self.jump(duration);
            }
            32 => self.simulation.set_handshakes(Dials::AreRefused),
            33 => self.simulation.set_handshakes(Dials::Vanish),
            34 => self.simulation.set_handshakes(Dials::Work),
            _ => {}
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
        let rng = self.simulation.rng();
        let bytes = match rng.below(8) {
            0..3 => {
                let max_payload = 64 + rng.below(8192);
                format!("INFO {{\"proto\":1,\"headers\":true,\"max_payload\":{max_payload}}}\r\n")
            }
            3 => "-ERR 'Stale Connection'\r\n".into(),
            4 => "-ERR 'Permissions Violation for Publish to \"topic.0\"'\r\n".into(),
            5 => "PING\r\n+OK\r\nPING\r\n".into(),
            6 => "MSG nobody.asked 4000000000 2\r\nhi\r\n".into(),
            _ => "GARBAGE\r\n".into(),
        };
        self.simulation.inject(client, bytes.as_bytes());
    }

    /// The faults end: everything has to come back.
    fn recover(&mut self) {
        for broker in 0..self.simulation.brokers() {
            if self.lame[broker] {
                self.simulation.crash_broker(broker, false);
            }
        }
        self.simulation.heal();
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
                assert_eq!(connection.pending_requests(), 0);
                let raced = restless.topics.values().any(|topic| topic.raised);
                let here = connection.subscriptions() + usize::from(restless.has_inbox);
                assert_eq!(connection.subscriptions(), restless.topics.len());
                assert!(raced || at_broker == Some(here), "{at_broker:?} of {here} subscriptions");
            });
        }
        self.check_delivered(&before);
    }

    fn delivered(&mut self) -> Vec<Vec<u64>> {
        let clients = 0..self.simulation.clients();
        let delivered = |restless: &mut Restless| {
            restless.topics.values().map(|topic| topic.delivered).collect()
        };
        clients.map(|client| self.simulation.client(client, |app, _| delivered(app))).collect()
    }

    /// Each subscription must have got the probes of its own client, or have ended with them.
    fn check_delivered(&mut self, before: &[Vec<u64>]) {
        for (client, before) in before.iter().enumerate() {
            self.simulation.client(client, |restless, _| {
                let same = before.len() == restless.topics.len();
                for (known, before) in restless.topics.values().zip(before) {
                    let must = (0..TOPICS).any(|number| known.must_get(&topic(number)));
                    assert!(!must || !same || known.delivered > *before, "silent: {known:?}");
                }
            });
        }
    }

    /// Everybody leaves.
    fn end(mut self) -> Outcome {
        let now = self.simulation.now();
        let mut outcome = Outcome::default();
        for client in 0..self.simulation.clients() {
            let coin = self.simulation.rng().below(2) == 0;
            self.simulation.client(client, |restless, connection| {
                if coin {
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
                outcome.digest = outcome.digest.rotate_left(7) ^ restless.digest;
            });
        }
        outcome.steps = self.steps;
        outcome
    }
}

fn broker_config(rng: &mut Rng, index: u64, brokers: u64) -> nats_broker::Config {
    let mut config = nats_broker::Config::default();
    config.max_payload = [2048, 8192, 16_384][rng.below(3) as usize];
    config.ping_interval = millis(rng, 500, 2000);
    config.first_ping = millis(rng, 50, 500);
    config.lame_duck_grace = millis(rng, 10, 200);
    config.lame_duck_duration = millis(rng, 200, 600);
    let others = (0..brokers).filter(|other| *other != index);
    config.connect_urls = others.map(|other| format!("broker-{other}:4222")).collect();
    config
}

/// How a client knows the brokers: with TLS or without.
fn addresses(rng: &mut Rng, servers: &[ServerAddr]) -> Vec<ServerAddr> {
    if rng.below(4) > 0 {
        return servers.to_vec();
    }
    let tls = |server: &ServerAddr| format!("tls://{}:{}", server.host(), server.port()).parse();
    servers.iter().map(|server| tls(server).expect("a valid address")).collect()
}

fn client_config(rng: &mut Rng, servers: &[ServerAddr]) -> Config {
    let known = 1 + rng.below(servers.len() as u64) as usize;
    let mut config = Config::new(servers[..known].to_vec());
    config.retry_on_initial_connect = true;
    config.max_reconnects = None;
    config.connect_timeout = millis(rng, 100, 800);
    config.ping_interval = millis(rng, 100, 800);
    config.max_pings_outstanding = 1 + rng.below(2) as u32;
    config.reconnect_wait = millis(rng, 0, 200);
    config.reconnect_jitter = millis(rng, 1, 50);
    config.drain_timeout = millis(rng, 50, 2000);
    config.tls = TlsMode::Available;
    if rng.below(4) == 0 {
        config.auth = AuthSource::Ask;
    }
    config.choose_server = rng.below(4) == 0;
    config.leave_lame_duck = rng.below(2) == 0;
    config.verbose = rng.below(8) == 0;
    config.no_echo = rng.below(8) == 0;
    config.ignore_discovered_servers = rng.below(4) == 0;
    config.send_limit = [2048, 16_384, 1 << 20][rng.below(3) as usize];
    config.pending_limit = [0, 3000, 32_768, 1 << 20][rng.below(4) as usize];
    let policies = [PendingPolicy::Wait, PendingPolicy::Error, PendingPolicy::DropOldest];
    config.pending_policy = policies[rng.below(3) as usize];
    config
}

fn weather(rng: &mut Rng) -> Weather {
    let least = Duration::from_micros(1 + rng.below(1000));
    let tiny = rng.below(3) == 0;
    Weather {
        delay: (least, least + millis(rng, 0, 60)),
        write: if tiny { 1 + rng.below(64) as usize } else { 1 << 16 },
        read: if rng.below(3) == 0 { 1 + rng.below(64) as usize } else { 1 << 16 },
        pause: Duration::from_micros(1 + rng.below(2) * rng.below(3000)),
        window: [256, 4096, 65_536][rng.below(3) as usize],
    }
}
