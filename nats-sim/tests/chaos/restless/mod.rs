//! An application that calls every verb at any moment, and checks all it is told.

mod checks;
mod verbs;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nats_proto::connection::DisconnectReason;
use nats_proto::{
    Connection, Event, FlushId, Instant, Message, PermissionTarget, RequestId, Rng, ServerError,
    State, SubscriptionId,
};

use nats_sim::{Application, between};

use super::arrivals::{SharedArrivals, Stamp};
use super::books::Books;
use super::counts::{Counts, Seen};
use super::extras::Extras;
use super::servers::Servers;
use super::topics::Topic;

#[derive(Clone, Debug)]
struct Asked {
    deadline: Instant,
    stamp: Stamp,
    subject: String,
}

#[derive(Clone, Copy, Debug)]
struct Flushing {
    deadline: Option<Instant>,
    /// Publishes accepted, and links broken, when it was called.
    count: u64,
    breaks: u64,
}

/// Ids that the application has let go of, whose events may be queued already.
#[derive(Debug)]
struct LetGo<T>(BTreeMap<T, u64>);

impl<T: Ord> LetGo<T> {
    fn tidy(&mut self, round: u64) {
        self.0.retain(|_, at| *at + 1 >= round);
    }
}

/// One client's application.
pub(super) struct Restless {
    me: u8,
    rng: Rng,
    arrivals: SharedArrivals,
    pub(super) books: Books,
    /// Whether it acts by itself.
    pub(super) active: bool,
    may_end: bool,
    echo: bool,
    next: Instant,
    /// When it may interfere again.
    quiet_until: Instant,
    round: u64,
    /// Whether the link has ended in this round: messages that come now are from before.
    unlinked: bool,
    pub(super) topics: BTreeMap<SubscriptionId, Topic>,
    left: LetGo<SubscriptionId>,
    requests: BTreeMap<RequestId, Asked>,
    cancelled: LetGo<RequestId>,
    flushes: BTreeMap<FlushId, Flushing>,
    forgotten: LetGo<FlushId>,
    pub(super) flushed: BTreeSet<FlushId>,
    /// The clock has jumped to this time: what was due before is late for that reason.
    pub(super) jumped_to: Instant,
    drained: Option<Instant>,
    subscriptions_drained: bool,
    ends_by: Option<Instant>,
    /// By when a server that is about to shut down must have confirmed what it has got.
    leaves_by: Instant,
    /// What the server does not allow, as it said last.
    forbidden: Option<PermissionTarget>,
    dropped: u64,
    pub(super) closed: bool,
    pub(super) has_inbox: bool,
    pub(super) digest: u64,
    /// Whether to print what it is told.
    trace: bool,
    servers: Servers,
    counts: Counts,
    /// The longest frame that it has published.
    longest: usize,
}

impl Restless {
    pub(super) fn new(
        me: u8,
        seed: u64,
        arrivals: SharedArrivals,
        may_end: bool,
        echo: bool,
        servers: Servers,
    ) -> Self {
        let mut bytes = [me; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            me,
            rng: Rng::from_seed(bytes),
            books: Books::new(arrivals.clone()),
            arrivals,
            active: true,
            may_end,
            echo,
            next: Instant::ZERO,
            quiet_until: Instant::ZERO,
            round: 0,
            unlinked: false,
            topics: BTreeMap::new(),
            left: LetGo(BTreeMap::new()),
            requests: BTreeMap::new(),
            cancelled: LetGo(BTreeMap::new()),
            flushes: BTreeMap::new(),
            forgotten: LetGo(BTreeMap::new()),
            flushed: BTreeSet::new(),
            jumped_to: Instant::ZERO,
            drained: None,
            subscriptions_drained: false,
            ends_by: None,
            leaves_by: Instant::ZERO,
            forbidden: None,
            dropped: 0,
            closed: false,
            has_inbox: false,
            digest: 0xcbf2_9ce4_8422_2325,
            trace: std::env::var_os("SIM_TRACE").is_some(),
            servers,
            counts: Counts::default(),
            longest: 0,
        }
    }

    /// What it has seen.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.counts;
        counts += self.books.counts;
        counts
    }

    /// Whether it is on its way to the end, or there.
    pub(super) fn is_ending(&self) -> bool {
        self.ends_by.is_some() || self.closed
    }

    /// How much it still waits for.
    pub(super) fn waiting(&self) -> usize {
        self.requests.len() + self.flushes.len()
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    fn digest(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            self.digest = (self.digest ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        }
    }
}

impl Application for Restless {
    fn start(&mut self, now: Instant, connection: &mut Connection) {
        for _ in 0..self.rng.below(4) {
            self.subscribe(now, connection);
        }
    }

    fn handle_message(
        &mut self,
        _now: Instant,
        connection: &mut Connection,
        subscription: SubscriptionId,
        message: Message,
    ) {
        let stamp = Stamp::of(&message.payload);
        let link = self.books.breaks - u64::from(self.unlinked);
        match self.topics.get_mut(&subscription) {
            Some(known) => {
                let arrivals = self.arrivals.borrow();
                known.deliver(&arrivals, link, message.subject.as_str(), stamp);
            }
            None => assert!(self.left.0.contains_key(&subscription), "to nobody: {stamp:?}"),
        }
        assert!(!self.subscriptions_drained, "{stamp:?} comes after everything was drained");
        Extras::of(stamp).check(&message);
        if message.subject.as_str().starts_with("svc.")
            && let Some(reply) = &message.reply
        {
            self.answer(connection, reply.as_str(), stamp);
        }
    }

    fn handle_reply(
        &mut self,
        now: Instant,
        _connection: &mut Connection,
        request: RequestId,
        message: Message,
    ) {
        let Some(asked) = self.requests.remove(&request) else {
            assert!(self.cancelled.0.contains_key(&request), "{request:?} ends twice");
            return;
        };
        assert_eq!(Stamp::about(&message.payload), asked.stamp, "the reply to another request");
        Extras::of(Stamp::of(&message.payload)).check(&message);
        self.counts += Seen::Reply;
        // It may have come together with the deadline.
        assert!(self.is_on_time(now, asked.deadline), "{request:?} ends too late");
    }

    fn handle_event(&mut self, now: Instant, connection: &mut Connection, event: &Event) {
        if self.trace {
            eprintln!("{:>12} client {}: {event:?}", now.as_nanos(), self.me);
        }
        self.count(event);
        let active = self.active;
        self.servers.handle_event(now, &mut self.rng, connection, event, active);
        match event {
            Event::RequestFailed { request, error } => {
                self.request_failed(now, connection, *request, error);
            }
            Event::ServerError(ServerError::PermissionsViolation(target)) => {
                self.forbidden = Some(target.clone());
            }
            Event::Flushed { flush, result } => {
                self.flushed(now, connection, *flush, *result);
            }
            Event::SubscriptionConfirmed { subscription } => self.confirmed(now, *subscription),
            Event::SubscriptionEnded { subscription, reason } => {
                self.ended(now, *subscription, reason);
            }
            Event::Dropped { count } => self.dropped += count,
            Event::LameDuck => self.leaves_by = now + connection.config().connect_timeout,
            Event::Disconnected { reason: DisconnectReason::LameDuck } => {
                // Unless the server did not confirm in time.
                let lost = self.books.lost_last;
                assert!(lost == 0 || self.leaves_by <= now, "{lost} lost by leaving");
            }
            Event::SubscriptionsDrained => {
                assert!(self.topics.is_empty(), "drained, and there are {:?}", self.topics);
                self.subscriptions_drained = true;
                let pause = Duration::from_millis(self.rng.below(50));
                self.drained = Some(now + pause);
            }
            Event::Closed { error, unfinished } => {
                assert!(self.ends_by.is_some(), "closed without a reason: {error:?}");
                assert_eq!(*error, None);
                self.closed = true;
                let statistics = connection.statistics();
                assert_eq!(statistics.pending, 0);
                assert_eq!(self.dropped + unfinished.unsent, statistics.dropped);
                assert!(unfinished.uncertain <= statistics.uncertain);
                self.books.check_dropped(statistics.dropped);
                assert!(self.requests.is_empty(), "{:?}", self.requests);
                assert!(self.topics.is_empty(), "{:?}", self.topics);
            }
            _ => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = self.active.then_some(self.next);
        next.into_iter().chain(self.drained).chain(self.servers.next()).min()
    }

    fn handle_timeout(&mut self, now: Instant, connection: &mut Connection) {
        self.servers.handle_timeout(now, connection);
        if self.drained.is_some_and(|at| at <= now) {
            self.drained = None;
            connection.handle_drained(now);
        }
        if self.active && self.next <= now {
            self.act(now, connection);
            let pause = (Duration::from_micros(10), Duration::from_millis(30));
            self.next = now + between(&mut self.rng, pause);
        }
    }

    fn interleave(&mut self, now: Instant, connection: &mut Connection) {
        if self.active && self.quiet_until <= now && self.chance(8) {
            let pause = (Duration::from_micros(100), Duration::from_millis(20));
            self.quiet_until = now + between(&mut self.rng, pause);
            self.act(now, connection);
        }
    }

    fn written(&mut self, now: Instant, bytes: &[u8]) {
        self.digest(&now.as_nanos().to_le_bytes());
        self.digest(bytes);
        self.books.wrote(bytes);
    }

    fn read(&mut self, now: Instant, connection: &Connection, bytes: &[u8]) {
        // What was queued has been looked at.
        self.topics.values_mut().for_each(|known| known.settling = false);
        self.digest(&now.as_nanos().to_le_bytes());
        self.digest(bytes);
        // After a hang-up nothing counts.
        if !matches!(connection.state(), State::HangingUp | State::Closed) {
            self.books.read(bytes, connection.statistics().bytes_out);
        }
    }

    fn disconnected(&mut self, _now: Instant) {
        self.unlinked = true;
        self.books.disconnected();
    }

    fn check(&mut self, now: Instant, connection: &Connection) {
        self.round += 1;
        self.unlinked = false;
        self.left.tidy(self.round);
        self.cancelled.tidy(self.round);
        self.forgotten.tidy(self.round);
        let s = connection.statistics();
        assert_eq!(s.published, s.confirmed + s.uncertain + s.dropped + s.pending, "{s:?}");
        assert_eq!(s.published, self.books.published(), "{s:?}");
        assert_eq!(
            (s.confirmed, s.uncertain),
            (self.books.confirmed, self.books.uncertain),
            "{s:?}"
        );
        // Of what has ended, the event may be on its way.
        assert!(connection.pending_requests() <= self.requests.len(), "requests that nobody made");
        assert!(connection.subscriptions() <= self.topics.len(), "subscriptions that have ended");
        self.check_buffered(connection);
        let on_time = self.ends_by.is_none_or(|at| self.is_on_time(now, at));
        assert!(on_time || self.closed, "not closed by {:?}: {connection:?}", self.ends_by);
        if self.round.is_multiple_of(64) {
            self.servers.check(connection);
            for asked in self.requests.values() {
                assert!(self.is_on_time(now, asked.deadline), "no end by {asked:?}");
            }
            for known in self.topics.values() {
                let on_time = known.word_by().is_none_or(|at| self.is_on_time(now, at));
                assert!(on_time || self.is_ending(), "neither confirmed nor ended: {known:?}");
            }
        }
    }
}
