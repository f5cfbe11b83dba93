//! The virtual network and clock.

use std::time::Duration;

use nats_broker::Broker;
use nats_proto::connection::TlsError;
use nats_proto::{Config, Connection, Instant, Rng, ServerAddr};

use crate::application::Application;
use crate::between;
use crate::client::{Client, Dialing, Handshake};
use crate::host::{Host, Observed, Observer};
use crate::link::{Link, Links, Owner};
use crate::pipe::{Pipe, Weather};
use crate::streams::{StreamId, Wire};
use crate::terminator::Terminator;
use crate::watch::Watch;

/// How the network answers an attempt to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dials {
    /// As it is: refused if the broker is down.
    #[default]
    Work,
    /// Refused.
    AreRefused,
    /// Never answered.
    Vanish,
}

/// Clients and brokers on a virtual network, in virtual time, determined by one seed.
///
/// See the [module](super) for an example.
pub struct Simulation<A> {
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    clients: Vec<Client<A>>,
    hosts: Vec<(Host, nats_broker::Config)>,
    pub(crate) links: Links,
    last_link: u64,
    pub(crate) weather: Weather,
    pub(crate) dials: Dials,
    handshakes: Dials,
    observer: Option<Observer>,
    steps: u64,
}

impl<A: Application> Simulation<A> {
    /// A network with neither clients nor brokers.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            now: Instant::from_millis(1_000),
            rng: Rng::from_seed(bytes),
            clients: Vec::new(),
            hosts: Vec::new(),
            links: Links::new(),
            last_link: 0,
            weather: Weather::default(),
            dials: Dials::Work,
            handshakes: Dials::Work,
            observer: None,
            steps: 0,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The source of randomness, for decisions that are to follow from the seed as well.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A number that no other draw of this seed gives, as a seed for something else.
    fn subseed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed.chunks_exact_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&self.rng.next_u64().to_le_bytes()));
        seed
    }

    /// Shows `observer` every publish that a broker handles, of clients whose links are opened from now on.
    pub fn observe(&mut self, observer: impl FnMut(Observed<'_>) + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Adds a broker that runs. It is found at the address that this gives.
    pub fn add_broker(&mut self, config: nats_broker::Config) -> ServerAddr {
        let index = self.hosts.len();
        let addr = format!("nats://broker-{index}:4222").parse().expect("a valid address");
        self.hosts.push((Host::new(index), config));
        self.start_broker(index);
        addr
    }

    /// Adds a client that begins to connect. With `decodes`, it is driven by `handle_ops` instead of `receive`.
    /// Gives its index.
    pub fn add_client(&mut self, config: Config, decodes: bool, application: A) -> usize {
        let seed = self.subseed();
        let now = self.now;
        let mut client = Client::new(now, config, seed, decodes, application);
        client.with(|application, connection| application.start(now, connection));
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// A client's application and connection, to look at and to use.
    pub fn client<T>(&mut self, index: usize, f: impl FnOnce(&mut A, &mut Connection) -> T) -> T {
        self.clients[index].with(f)
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A broker, unless it is down.
    pub fn broker(&mut self, index: usize) -> Option<&mut Broker> {
        let (host, _) = &mut self.hosts[index];
        host.woken = true;
        host.broker.as_mut()
    }

    /// How many brokers there are.
    pub fn brokers(&self) -> usize {
        self.hosts.len()
    }

    /// The settings of a broker, as they will hold when it is started next.
    pub fn broker_config(&mut self, index: usize) -> &mut nats_broker::Config {
        &mut self.hosts[index].1
    }

    /// Starts a broker that is down.
    pub fn start_broker(&mut self, index: usize) {
        let seed = self.subseed();
        let (host, config) = &mut self.hosts[index];
        if host.broker.is_none() {
            host.start(config.clone(), seed);
        }
    }

    /// Kills a broker. Its clients see the end of their streams, or nothing at all if `silently`.
    pub fn crash_broker(&mut self, index: usize, silently: bool) {
        self.hosts[index].0.crash();
        for link in self.links.values_mut().filter(|link| link.host == index) {
            link.broker_gone = true;
            if silently {
                link.up.vanish();
                link.down.vanish();
            } else {
                link.down.end(self.now);
            }
        }
    }

    /// How the network behaves from now on, on all links.
    pub fn set_weather(&mut self, weather: Weather) {
        for link in self.links.values_mut() {
            link.up.set_weather(weather.clone());
            link.down.set_weather(weather.clone());
        }
        self.weather = weather;
    }

    /// How attempts to connect are answered from now on.
    pub fn set_dials(&mut self, dials: Dials) {
        self.dials = dials;
    }

    /// How TLS handshakes end from now on; some of those that are refused are tampered with. There are some only with servers whose address is `tls://…`.
    pub fn set_handshakes(&mut self, handshakes: Dials) {
        self.handshakes = handshakes;
    }

    /// Whether the client has a byte stream.
    pub fn is_linked(&self, client: usize) -> bool {
        self.clients[client].link.is_some()
    }

    /// Breaks a link after so many more bytes from the client or to it. What has arrived by then is read;
    /// then both sides see the end.
    pub fn cut_after(&mut self, wire: impl Into<Wire>, bytes: usize, to_client: bool) {
        if let Some(link) = self.link_of(wire) {
            let pipe = if to_client { &mut link.down } else { &mut link.up };
            pipe.break_after(bytes.max(1));
        }
    }

    /// Breaks a link now; what is under way is lost.
    pub fn cut(&mut self, wire: impl Into<Wire>) {
        let now = self.now;
        if let Some(link) = self.link_of(wire) {
            link.cut(now);
        }
    }

    /// From now on, bytes of a link vanish in one direction or both, and nobody is told.
    pub fn half_open(&mut self, wire: impl Into<Wire>, from_client: bool, to_client: bool) {
        if let Some(link) = self.link_of(wire) {
            if from_client {
                link.up.vanish();
            }
            if to_client {
                link.down.vanish();
            }
        }
    }

    /// Nothing arrives on a link for some time, in one direction.
    pub fn stall(&mut self, wire: impl Into<Wire>, duration: Duration, to_client: bool) {
        let until = self.now + duration;
        if let Some(link) = self.link_of(wire) {
            let pipe = if to_client { &mut link.down } else { &mut link.up };
            pipe.stall(until);
        }
    }

    /// The client reads nothing for some time, as one whose application has to catch up first.
    pub fn pause(&mut self, client: usize, duration: Duration) {
        let until = self.now + duration;
        self.clients[client].pause(Some(until));
    }

    /// Puts bytes (whole operations) between two operations of the broker. False if there is no place for them
    /// right now.
    pub fn inject(&mut self, wire: impl Into<Wire>, bytes: &[u8]) -> bool {
        let now = self.now;
        let id = self.link_id(wire.into());
        let Some(link) = id.and_then(|link| self.links.get_mut(&link)) else {
            return false;
        };
        let host = &mut self.hosts[link.host].0;
        // Another incarnation may have given the session's number to somebody else.
        if link.broker_gone
            || !host.is_between_operations(link.session)
            || link.down.room() < bytes.len()
        {
            return false;
        }
        if host.say(link.session, bytes) {
            return true;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = link.down.write(now, &mut self.rng, rest);
            rest = &rest[taken..];
        }
        true
    }

    /// How many subscriptions the broker at the other end of a link has of its client. `None` if it has let go of the
    /// link, as one that has crashed since.
    pub fn subscriptions_at_broker(&self, wire: impl Into<Wire>) -> Option<usize> {
        let link = self.links.get(&self.link_id(wire.into())?)?;
        if link.broker_gone {
            return None;
        }
        self.hosts[link.host].0.subscriptions(link)
    }

    fn link_id(&self, wire: Wire) -> Option<u64> {
        match wire {
            Wire::Client(client) => self.clients[client].link,
            Wire::Stream(StreamId(link)) => Some(link),
        }
    }

    fn link_of(&mut self, wire: impl Into<Wire>) -> Option<&mut Link> {
        let id = self.link_id(wire.into())?;
        self.links.get_mut(&id)
    }

    /// Ends all faults: brokers run, clients read, attempts work, no more delays than usual. Links that are half-open stay so
    /// until the keepalive of one side finds out.
    pub fn heal(&mut self) {
        // A link may have reached the byte at which it breaks, and not been looked at since.
        self.tidy();
        self.set_dials(Dials::Work);
        self.set_handshakes(Dials::Work);
        self.set_weather(Weather::default());
        for link in self.links.values_mut() {
            link.up.heal();
            link.down.heal();
        }
        self.clients.iter_mut().for_each(|client| client.pause(None));
        (0..self.hosts.len()).for_each(|index| self.start_broker(index));
    }

    /// Runs for so long. Gives the number of steps taken.
    ///
    /// # Panics
    ///
    /// A connection has broken its contract: it loops without delay, gives output after its end, or a
    /// deadline that is handled stays.
    pub fn run_for(&mut self, duration: Duration) -> u64 {
        let (end, before) = (self.now + duration, self.steps);
        while let Some(next) = self.next_step().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
        self.steps - before
    }

    /// The clock goes on, and nobody is served meanwhile: a machine that slept.
    pub fn jump(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// When something happens next, as far as the simulation knows.
    pub fn next_step(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(|client| client.next(self.now, &self.links));
        let hosts = self.hosts.iter().filter_map(|(host, _)| host.next(self.now, &self.links));
        clients.chain(hosts).min()
    }

    fn step(&mut self) {
        self.steps += 1;
        let now = self.now;
        let actors = self.clients.len() + self.hosts.len();
        let first = self.rng.below(actors as u64) as usize;
        for actor in (first..actors).chain(0..first) {
            if let Some(client) = self.clients.get_mut(actor) {
                if client.next(now, &self.links).is_some_and(|at| at <= now) {
                    client.run(now, &mut self.rng, &mut self.links);
                    self.dial(actor);
                    self.shake_hands(actor);
                }
            } else {
                let (host, _) = &mut self.hosts[actor - self.clients.len()];
                if host.next(now, &self.links).is_some_and(|at| at <= now) {
                    host.run(now, &mut self.rng, &mut self.links, &mut self.observer);
                }
            }
            self.tidy();
        }
    }

    /// Carries out what breaks by itself.
    fn tidy(&mut self) {
        let now = self.now;
        for link in self.links.values_mut() {
            if !link.broken && (link.up.is_broken() || link.down.is_broken()) {
                link.broken = true;
                link.up.end(now);
                link.down.end(now);
            }
        }
        let (hosts, clients) = (&self.hosts, &self.clients);
        self.links.retain(|id, link| {
            let held = match link.owner {
                Owner::Client(client) => clients[client].link == Some(*id),
                Owner::Program => true,
                Owner::Gone => false,
            };
            let served = hosts[link.host].0.broker.is_some();
            held || (served && !link.broker_gone)
        });
    }

    /// Begins the attempt that a client wants, and ends one whose time has come.
    fn dial(&mut self, index: usize) {
        let now = self.now;
        if let Some((id, server)) = self.clients[index].wanted.take() {
            let delay = between(&mut self.rng, self.weather.delay);
            let at = (self.dials != Dials::Vanish).then(|| now + delay);
            self.clients[index].dialing = Some(Dialing { id, server, at });
        }
        let due = |dialing: &Dialing| dialing.at.is_some_and(|at| at <= now);
        if !self.clients[index].dialing.as_ref().is_some_and(due) {
            return;
        }
        let Some(dialing) = self.clients[index].dialing.take() else {
            return;
        };
        let link = host_of(&dialing.server);
        let link = link.and_then(|host| self.open(Owner::Client(index), host, None));
        self.clients[index].dialled(now, dialing, link);
    }

    /// The same for a TLS handshake. What it stands for is when it ends and how: the bytes stay as they are.
    fn shake_hands(&mut self, index: usize) {
        let now = self.now;
        if let Some(id) = self.clients[index].wants_tls.take() {
            if self.handshakes == Dials::AreRefused && self.rng.below(2) == 0 {
                self.clients[index].tampered(now);
                return;
            }
            let delay = between(&mut self.rng, self.weather.delay);
            let at = (self.handshakes != Dials::Vanish).then(|| now + delay);
            let refused = || TlsError::Handshake("refused".into());
            let works = self.handshakes != Dials::AreRefused;
            let result = if works { Ok(()) } else { Err(refused()) };
            self.clients[index].handshake = Some(Handshake { id, at, result });
        }
        let due = |handshake: &Handshake| handshake.at.is_some_and(|at| at <= now);
        if self.clients[index].handshake.as_ref().is_some_and(due)
            && let Some(Handshake { id, result, .. }) = self.clients[index].handshake.take()
        {
            self.clients[index].encrypted(id, result);
        }
    }

    pub(crate) fn open(
        &mut self,
        owner: Owner,
        host: usize,
        terminator: Option<Box<dyn Terminator>>,
    ) -> Option<u64> {
        if self.dials == Dials::AreRefused {
            return None;
        }
        let id = self.last_link + 1;
        let watch = self.observer.is_some().then(Watch::new);
        let session = self.hosts.get_mut(host)?.0.accept(self.now, id, watch, terminator)?;
        self.last_link = id;
        let pipe = || Pipe::new(self.weather.clone());
        let link = Link {
            owner,
            host,
            session,
            up: pipe(),
            down: pipe(),
            broker_gone: false,
            broken: false,
        };
        self.links.insert(id, link);
        Some(id)
    }
}

fn host_of(server: &ServerAddr) -> Option<usize> {
    server.host().strip_prefix("broker-")?.parse().ok()
}
