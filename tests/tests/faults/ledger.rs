//! Books of every message: what its publisher was told, and who got it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::stream::StreamExt;
use nats_client::connection::State;
use nats_client::{Client, ConnectOptions, Notice, PendingPolicy};
use nats_proto::connection::{DisconnectReason, Statistics};

use crate::received::{Place, Received};
use crate::setting::Way;
use crate::support::{Rt, until};

/// Messages between two flushes of a publisher that flushes.
const BATCH: u64 = 250;

/// More than any subscriber has waiting: none may lose a message here.
const PLENTY: usize = 10_000_000;

/// How somebody publishes who does not flush.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bursts {
    pub(crate) messages: u32,
    pub(crate) pause: Duration,
    /// Room for what has to be kept, in bytes.
    pub(crate) room: usize,
}

/// Soon there is no room.
const STEADY: Bursts = Bursts { messages: 16, pause: Duration::from_millis(1), room: 16 * 1024 };

/// A client whose ends of links are counted.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) client: Client,
    stale: Arc<AtomicU64>,
}

impl Party {
    async fn connect<R: Rt>(urls: &[String], options: ConnectOptions<R>) -> Self {
        let stale = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&stale);
        let options = options.notice_callback(move |notice| {
            if notice == (Notice::Disconnected { reason: DisconnectReason::Stale }) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            std::future::ready(())
        });
        let client = options.connect(urls).await.expect("the server runs");
        Self { client, stale }
    }

    /// Connections up to now, if one is up.
    pub(crate) fn connects(&self) -> u64 {
        self.client.delivery_statistics().connects
    }

    /// Whether it has had more connections than these, and has one.
    pub(crate) fn is_back(&self, before: u64) -> bool {
        self.connects() > before && self.client.connection_state() == State::Connected
    }

    /// Links given up because nothing came over them.
    pub(crate) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }
}

/// A subscription to everything.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    pub(crate) party: Party,
    received: Arc<Mutex<Vec<Received>>>,
    _handle: Arc<Client>,
}

impl Witness {
    async fn connect<R: Rt>(
        urls: &[String],
        options: ConnectOptions<R>,
        publishers: usize,
        one_server: bool,
    ) -> Self {
        let party = Party::connect(urls, options.subscription_capacity(PLENTY)).await;
        let received: Vec<Received> = (0..publishers).map(|_| Received::default()).collect();
        let received = Arc::new(Mutex::new(received));
        let mut subscriber = party.client.subscribe("ledger.*").await.expect("the client is open");
        party.client.flush().await.expect("the server runs");
        let books = Arc::clone(&received);
        // The client ends with the witness, not with who reads for it.
        let handle = Arc::new(party.client.clone());
        let client = Arc::downgrade(&handle);
        R::spawn(async move {
            let mut place = Place::default();
            while let Some(message) = subscriber.next().await {
                let publisher: usize = parse(message.subject.rsplit('.').next());
                let number = parse(std::str::from_utf8(&message.payload).ok());
                let Some(client) = client.upgrade() else { return };
                let Statistics { connects, messages_in, .. } = client.delivery_statistics();
                let link = place.of_next(connects, messages_in);
                lock(&books)[publisher].book(number, link, !one_server && connects > 1);
            }
        });
        Self { party, received, _handle: handle }
    }

    /// Behind the newest message of this publisher.
    pub(crate) fn next(&self, publisher: usize) -> u64 {
        lock(&self.received)[publisher].next
    }

    fn count(&self) -> u64 {
        lock(&self.received).iter().map(|received| received.count + received.again).sum()
    }

    /// The link, if the server has answered over it: everything that the server had given it has come, and everything
    /// that the server gets from now on will be given to it.
    async fn link(&self) -> Option<u64> {
        let connects = self.party.connects();
        let flushed = self.party.client.flush().await.is_ok();
        // Else the answer may have come over another link.
        (flushed && self.party.connects() == connects).then_some(connects)
    }
}

fn parse<T: std::str::FromStr>(text: Option<&str>) -> T {
    let value = text.and_then(|text| text.parse().ok());
    value.expect("only what was published comes")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one publisher knows.
#[derive(Debug, Default)]
struct Known {
    published: u64,
    /// How many of them a flush has confirmed.
    confirmed: u64,
    /// What must have come to a witness: confirmed while its subscription was known to the server, and so was its
    /// link afterwards.
    arrived: Vec<(usize, Range<u64>)>,
}

/// Publishers and witnesses at work.
#[derive(Debug)]
pub(crate) struct Ledger {
    publishers: Vec<(Party, oneshot::Receiver<Known>)>,
    pub(crate) witnesses: Vec<Witness>,
    stop: Arc<AtomicBool>,
}

/// What has become of everything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) published: u64,
    pub(crate) confirmed: u64,
    pub(crate) uncertain: u64,
    pub(crate) dropped: u64,
    /// Kept over a broken link and sent later: part of the others.
    pub(crate) kept: u64,
    /// Neither confirmed, uncertain, dropped nor kept.
    pub(crate) unaccounted: u64,
    /// Messages that had to have come, and had.
    pub(crate) checked: u64,
    pub(crate) received: u64,
    pub(crate) late: u64,
    /// Received once more, over a link to another server.
    pub(crate) again: u64,
    /// Received over a link that is known, so that they would not have been taken twice.
    pub(crate) placed: u64,
    pub(crate) connects: u64,
}

impl Ledger {
    /// A publisher of each kind, one that flushes and one that does not, and a witness come by each of the ways; if there is
    /// only one, twice as many. The servers of each client begin with another one. `one_server` says that a confirmed
    /// message has been given to every subscription.
    pub(crate) async fn open<R: Rt>(ways: &[Way<R>], one_server: bool) -> Self {
        Self::open_apart(ways, ways, STEADY, one_server).await
    }

    /// The same for publishers and witnesses that come by different ways. Those that do not flush publish in such bursts.
    pub(crate) async fn open_apart<R: Rt>(
        ways: &[Way<R>],
        of_witnesses: &[Way<R>],
        bursts: Bursts,
        one_server: bool,
    ) -> Self {
        let witnesses_at_all = ways.len().max(2);
        let publishers_at_all = 2 * witnesses_at_all;
        let mut witnesses = Vec::new();
        for (index, way) in of_witnesses.iter().cycle().take(witnesses_at_all).enumerate() {
            let urls = way.rotated(index + 1);
            let options = way.options.clone();
            witnesses.push(Witness::connect(&urls, options, publishers_at_all, one_server).await);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut publishers = Vec::new();
        for index in 0..publishers_at_all {
            let flushes = index % 2 == 0;
            let way = &ways[index / 2 % ways.len()];
            let mut options = way.options.clone();
            if !flushes {
                options =
                    options.pending_limit(bursts.room).pending_policy(PendingPolicy::DropOldest);
            }
            let party = Party::connect(&way.rotated(index), options).await;
            let (sender, known) = oneshot::channel();
            let publisher = Publisher {
                client: party.client.clone(),
                subject: format!("ledger.{index}"),
                witnesses: if one_server { witnesses.clone() } else { Vec::new() },
                known: Known::default(),
                stop: Arc::clone(&stop),
            };
            R::spawn(async move {
                let known = if flushes {
                    publisher.flushing().await
                } else {
                    publisher.in_bursts::<R>(bursts).await
                };
                // Nobody listens if the test has failed.
                let _ = sender.send(known);
            });
            publishers.push((party, known));
        }
        Self { publishers, witnesses, stop }
    }

    /// Every client.
    pub(crate) fn parties(&self) -> impl Iterator<Item = &Party> {
        self.publishers().chain(self.witnesses.iter().map(|witness| &witness.party))
    }

    /// The clients that publish.
    pub(crate) fn publishers(&self) -> impl Iterator<Item = &Party> {
        self.publishers.iter().map(|(party, _)| party)
    }

    /// Messages of each publisher up to now.
    pub(crate) fn published(&self) -> Vec<u64> {
        let statistics = self.publishers().map(|party| party.client.delivery_statistics());
        statistics.map(|statistics| statistics.published).collect()
    }

    /// Waits until every publisher has published some more, and all together so many more.
    pub(crate) async fn more<R: Rt>(&self, count: u64) {
        let before = self.published();
        let goal = before.iter().sum::<u64>() + count;
        until::<R>("publishes", || {
            let now = self.published();
            now.iter().sum::<u64>() >= goal && now.iter().zip(&before).all(|(now, then)| now > then)
        })
        .await;
    }

    /// Waits until every client has had more connections than these, and has one.
    pub(crate) async fn reconnected<R: Rt>(&self, before: &[u64]) {
        until::<R>("the connections", || {
            self.parties().zip(before).all(|(party, before)| party.is_back(*before))
        })
        .await;
    }

    /// Ends the work and closes the books.
    ///
    /// # Panics
    /// They do not add up.
    pub(crate) async fn settle<R: Rt>(self) -> Sums {
        self.stop.store(true, Ordering::Relaxed);
        let mut sums = Sums::default();
        let mut publishers = Vec::new();
        for (party, known) in self.publishers {
            let known = known.await.expect("the publisher has not panicked");
            // What the last link has left in doubt, the first flush may say.
            while party.client.flush().await.is_err() {}
            let statistics = party.client.delivery_statistics();
            add(&mut sums, statistics, &known);
            publishers.push((known, statistics));
        }
        for (index, witness) in self.witnesses.iter().enumerate() {
            while witness.party.client.flush().await.is_err() {}
            let all_in = || witness.party.client.delivery_statistics().messages_in;
            // What has come may not have been looked at.
            until::<R>("the subscribers to catch up", || witness.count() >= all_in()).await;
            for (received, (known, statistics)) in lock(&witness.received).iter().zip(&publishers) {
                assert!(received.count <= statistics.confirmed + statistics.uncertain);
                received.check_order(statistics.connects, witness.party.connects());
                for (_, range) in known.arrived.iter().filter(|(witness, _)| *witness == index) {
                    let lost = range.clone().find(|number| !received.has(*number));
                    assert_eq!(lost, None, "of {range:?}, which was confirmed and had come");
                    sums.checked += range.end - range.start;
                }
                sums.received += received.count;
                sums.late += received.late;
                sums.again += received.again;
                sums.placed += received.placed;
            }
            sums.connects += witness.party.connects();
            // Who reads for it would keep it.
            witness.party.client.close().await;
        }
        sums
    }
}

fn add(sums: &mut Sums, statistics: Statistics, known: &Known) {
    let Statistics { published, confirmed, uncertain, dropped, pending, .. } = statistics;
    assert_eq!(published, known.published, "{statistics:?}");
    assert_eq!(published, confirmed + uncertain + dropped + pending, "{statistics:?}");
    assert_eq!(pending, 0, "{statistics:?}");
    assert!(known.confirmed <= confirmed, "{statistics:?}, {known:?}");
    sums.published += published;
    sums.confirmed += confirmed;
    sums.uncertain += uncertain;
    sums.dropped += dropped;
    sums.kept += statistics.replayed;
    sums.unaccounted += published.abs_diff(confirmed + uncertain + dropped + pending);
    sums.connects += statistics.connects;
}

struct Publisher {
    client: Client,
    subject: String,
    witnesses: Vec<Witness>,
    known: Known,
    stop: Arc<AtomicBool>,
}

impl Publisher {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn publish(&mut self) {
        let payload = self.known.published.to_string().into();
        self.client.publish(self.subject.clone(), payload).await.expect("the client is open");
        self.known.published += 1;
    }

    /// Publishes in batches, and learns of each what has become of it.
    async fn flushing(mut self) -> Known {
        while self.goes_on() {
            let mut links = Vec::new();
            for witness in &self.witnesses {
                links.push(witness.link().await);
            }
            let lost = |statistics: Statistics| (statistics.uncertain, statistics.dropped);
            let before = lost(self.client.delivery_statistics());
            let first = self.known.published;
            for _ in 0..BATCH {
                self.publish().await;
            }
            let flushed = self.client.flush().await.is_ok();
            if !flushed || lost(self.client.delivery_statistics()) != before {
                continue;
            }
            let batch = first..self.known.published;
            self.known.confirmed += BATCH;
            for (index, link) in links.into_iter().enumerate() {
                if link.is_some() && self.witnesses[index].link().await == link {
                    self.known.arrived.push((index, batch.clone()));
                }
            }
        }
        self.known
    }

    /// Publishes, whatever happens.
    async fn in_bursts<R: Rt>(mut self, bursts: Bursts) -> Known {
        while self.goes_on() {
            for _ in 0..bursts.messages {
                self.publish().await;
            }
            R::sleep(bursts.pause).await;
        }
        self.known
    }
}
