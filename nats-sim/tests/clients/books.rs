//! What was published, what brokers have handled, and what has come.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use nats_proto::Instant;
use nats_proto::connection::Statistics;
use nats_sim::{Observed, Simulation};

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Faults, and every verb.
    Rage,
    /// The network works; what was begun is brought to its end.
    Calm,
    /// The network works, and programs use it.
    Errands,
    /// Some messages, all of which must come.
    Probe,
    /// Everybody leaves.
    End,
}

/// Who has no keepalive that would come up in a seed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quiet {
    pub(crate) clients: bool,
    pub(crate) brokers: bool,
}

/// A publish that a broker has handled.
struct Entry {
    subject: String,
    /// The broker, and how often it was started.
    broker: (usize, u64),
}

/// What brokers have handled, in order.
#[derive(Default)]
struct Handled {
    order: Vec<Entry>,
    by_id: BTreeMap<u64, usize>,
    /// Messages whose publishers have given up before they were accepted.
    cancelled: BTreeSet<u64>,
}

impl Handled {
    fn add(&mut self, Observed { broker, incarnation, subject, payload, .. }: Observed<'_>) {
        let id = id_of(payload).expect("what brokers handle was published here");
        assert!(
            !self.cancelled.contains(&id),
            "message {id} is published, and its future was dropped"
        );
        let before = self.by_id.insert(id, self.order.len());
        assert_eq!(before, None, "message {id} is handled twice");
        self.order.push(Entry { subject: subject.to_owned(), broker: (broker, incarnation) });
    }
}

/// What is known of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) client: usize,
    pub(crate) sid: u64,
    pub(crate) subject: String,
    /// Whether each of its messages must come to it.
    pub(crate) gets_all: bool,
    pub(crate) ended: bool,
    /// Messages that came, dropped ones among them.
    pub(crate) total: u64,
    /// Those of them that the subscriber has not taken.
    pub(crate) pending: u64,
    pub(crate) dropped: u64,
}

/// All that is known.
pub(crate) struct Books {
    pub(crate) phase: Phase,
    /// Who says nothing unless there is something to say, so that nobody is woken by it.
    pub(crate) quiet: Quiet,
    handled: Rc<RefCell<Handled>>,
    /// Who has published each message.
    publishers: Vec<usize>,
    /// What each client got accepted.
    accepted: BTreeMap<usize, Vec<u64>>,
    /// How much was handled each time when a client opened a stream.
    opened: BTreeMap<usize, Vec<usize>>,
    /// What members of queue groups have got.
    shared: BTreeSet<(String, u64)>,
    pub(crate) subscriptions: BTreeMap<u64, Known>,
    last_subscription: u64,
    /// What is being waited for, and since when.
    waiting: BTreeMap<u64, (&'static str, Instant)>,
    last_wait: u64,
    /// How many wait to publish, of each client.
    pub(crate) publishing: BTreeMap<usize, u64>,
    /// Clients that are to end.
    pub(crate) ending: BTreeSet<usize>,
    /// Of each client whose notices are read: what they say was dropped, by the number of the subscription.
    pub(crate) told: BTreeMap<usize, BTreeMap<u64, u64>>,
    /// Whether these notices say that the client is connected.
    pub(crate) told_connected: BTreeMap<usize, bool>,
    /// Clients that have said of their drains that nothing was left.
    pub(crate) drained: BTreeSet<usize>,
    /// What clients have said at their end of what became of their messages.
    pub(crate) ended: BTreeMap<usize, Statistics>,
    /// Brokers that are about to retire.
    pub(crate) lame: BTreeSet<usize>,
    /// Messages given out, and operations given up.
    pub(crate) received: u64,
    pub(crate) given_up: u64,
}

/// The number at the front of a payload.
pub(crate) fn id_of(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload.get(..10)?).ok()?.trim().parse().ok()
}

/// A payload with a number in it.
pub(crate) fn payload_of(id: u64, size: usize) -> Vec<u8> {
    let mut payload = format!("{id:>10}").into_bytes();
    payload.resize(size.max(10), filler(id));
    payload
}

/// What is behind the number.
pub(crate) fn filler(id: u64) -> u8 {
    b'a' + (id % 26) as u8
}

/// Whether messages with this subject come to a subscription.
pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some(token), Some(other)) if token == "*" || token == other => {}
            _ => return false,
        }
    }
}

impl Books {
    pub(crate) fn new(sim: &mut Simulation<()>) -> Self {
        let handled: Rc<RefCell<Handled>> = Rc::default();
        let seen = Rc::clone(&handled);
        sim.observe(move |observed| seen.borrow_mut().add(observed));
        Self {
            phase: Phase::Rage,
            quiet: Quiet::default(),
            handled,
            publishers: Vec::new(),
            accepted: BTreeMap::new(),
            opened: BTreeMap::new(),
            shared: BTreeSet::new(),
            subscriptions: BTreeMap::new(),
            last_subscription: 0,
            waiting: BTreeMap::new(),
            last_wait: 0,
            publishing: BTreeMap::new(),
            ending: BTreeSet::new(),
            told: BTreeMap::new(),
            told_connected: BTreeMap::new(),
            drained: BTreeSet::new(),
            ended: BTreeMap::new(),
            lame: BTreeSet::new(),
            received: 0,
            given_up: 0,
        }
    }

    /// The number of a client's next message, from 1.
    pub(crate) fn next_id(&mut self, client: usize) -> u64 {
        self.publishers.push(client);
        self.publishers.len() as u64
    }

    pub(crate) fn opened(&mut self, client: usize) {
        let count = self.handled();
        self.opened.entry(client).or_default().push(count);
    }

    /// Streams that were opened.
    pub(crate) fn streams(&self) -> u64 {
        self.opened.values().map(|opened| opened.len() as u64).sum()
    }

    /// Clients that have ever opened one.
    pub(crate) fn clients(&self) -> u64 {
        self.opened.len() as u64
    }

    pub(crate) fn accepted(&mut self, client: usize, id: u64) {
        self.accepted.entry(client).or_default().push(id);
    }

    pub(crate) fn cancelled(&mut self, id: u64) {
        let mut handled = self.handled.borrow_mut();
        assert!(!handled.by_id.contains_key(&id), "message {id} went out while it waited");
        handled.cancelled.insert(id);
    }

    /// How much brokers have handled.
    pub(crate) fn handled(&self) -> usize {
        self.handled.borrow().order.len()
    }

    /// How many messages of a client were accepted.
    pub(crate) fn accepted_by(&self, client: usize) -> usize {
        self.accepted.get(&client).map_or(0, Vec::len)
    }

    /// Of these of the messages that were accepted of a client, how many no broker has handled.
    pub(crate) fn unhandled(&self, client: usize, which: Range<usize>) -> usize {
        let handled = self.handled.borrow();
        let accepted = self.accepted.get(&client).map(Vec::as_slice).unwrap_or_default();
        accepted[which].iter().filter(|id| !handled.by_id.contains_key(id)).count()
    }

    /// The broker that has handled a message, and its place in the order.
    pub(crate) fn place(&self, id: u64) -> Option<(usize, (usize, u64))> {
        let handled = self.handled.borrow();
        let at = *handled.by_id.get(&id)?;
        Some((at, handled.order[at].broker))
    }

    /// How many messages from `first` on, and before `end`, a broker has handled that match.
    pub(crate) fn matching(
        &self,
        first: usize,
        end: usize,
        broker: (usize, u64),
        pattern: &str,
    ) -> u64 {
        let handled = self.handled.borrow();
        let order = &handled.order[first..end];
        let matching = |entry: &&Entry| entry.broker == broker && matches(pattern, &entry.subject);
        order.iter().filter(matching).count() as u64
    }

    /// The subject with which a message was handled.
    pub(crate) fn subject(&self, id: u64) -> Option<String> {
        let handled = self.handled.borrow();
        let at = *handled.by_id.get(&id)?;
        Some(handled.order[at].subject.clone())
    }

    /// Whether the client has had the same stream from one place in the order to another.
    pub(crate) fn same_stream(&self, client: usize, from: usize, to: usize) -> bool {
        let opened = self.opened.get(&client).map(Vec::as_slice).unwrap_or_default();
        !opened.iter().any(|count| (from + 1..=to).contains(count))
    }

    /// A member of a queue group has got a message. True if another one had.
    pub(crate) fn share(&mut self, group: String, id: u64) -> bool {
        !self.shared.insert((group, id))
    }

    pub(crate) fn subscribed(&mut self, known: Known) -> u64 {
        self.last_subscription += 1;
        self.subscriptions.insert(self.last_subscription, known);
        self.last_subscription
    }

    /// A client's notices must have told of every message that was dropped for a slow subscriber.
    pub(crate) fn check_told(&self) {
        for known in self.subscriptions.values() {
            let told = self.told.get(&known.client);
            let told = told.map(|told| told.get(&known.sid).copied().unwrap_or(0));
            assert!(told.is_none_or(|told| told == known.dropped), "{told:?} of {known:?}");
        }
    }

    /// What clients say of their messages must be true: brokers have handled what is confirmed, and nothing but that and
    /// what is uncertain.
    pub(crate) fn check_ended(&self) {
        let handled = self.handled.borrow();
        for (client, s) in &self.ended {
            let own = |id: &&u64| self.publishers[**id as usize - 1] == *client;
            let count = handled.by_id.keys().filter(own).count() as u64;
            assert_eq!(s.published, s.confirmed + s.uncertain + s.dropped, "{s:?}");
            let possible = s.confirmed..=s.confirmed + s.uncertain;
            assert!(possible.contains(&count), "{count} of client {client} are handled: {s:?}");
        }
    }

    /// Something is being waited for.
    pub(crate) fn wait(&mut self, what: &'static str, now: Instant) -> u64 {
        self.last_wait += 1;
        self.waiting.insert(self.last_wait, (what, now));
        self.last_wait
    }

    /// It is not any more.
    pub(crate) fn waited(&mut self, key: u64) {
        self.waiting.remove(&key);
    }

    /// What is being waited for.
    pub(crate) fn waiting(&self) -> Vec<(&'static str, Instant)> {
        self.waiting.values().copied().collect()
    }
}
