//! An application that calls every verb at any moment, and checks all it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nats_proto::connection::{
    DisconnectReason, EndReason, FlushError, PendingPolicy, PublishError, RequestError,
    SubscribeError,
};
use nats_proto::{
    Connection, Event, FlushId, Instant, Message, Outgoing, RequestId, Rng, State, SubscriptionId,
};

use nats_sim::{Application, between};

use super::books::{Books, SharedArrivals, Stamp};
use super::servers::Servers;
use super::topics::{TOPICS, Topic, topic};

const SERVICES: u64 = 2;

#[derive(Clone, Copy, Debug)]
struct Asked {
    deadline: Instant,
    stamp: Stamp,
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
    dropped: u64,
    pub(super) closed: bool,
    pub(super) has_inbox: bool,
    pub(super) digest: u64,
    /// Whether to print what it is told.
    trace: bool,
    servers: Servers,
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
            dropped: 0,
            closed: false,
            has_inbox: false,
            digest: 0xcbf2_9ce4_8422_2325,
            trace: std::env::var_os("SIM_TRACE").is_some(),
            servers,
        }
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

    fn len(&mut self) -> usize {
        match self.rng.below(40) {
            0 => 4096 + self.rng.below(4096) as usize,
            1 => self.rng.below(12_000) as usize,
            2..10 => self.rng.below(1500) as usize,
            _ => self.rng.below(64) as usize,
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp { client: self.me, seq: self.books.published() }
    }

    fn note(
        &mut self,
        connection: &Connection,
        stamp: Stamp,
        len: usize,
        result: Result<(), PublishError>,
    ) {
        match result {
            Ok(()) => {
                let state = connection.state();
                self.books.accepted(stamp, len, state == State::HangingUp);
                let limit = connection.config().pending_limit;
                let offline = matches!(state, State::Choosing | State::Backoff | State::Dialing);
                let buffered = connection.buffered();
                assert!(!offline || buffered <= limit, "{buffered} bytes wait, more than {limit}");
            }
            Err(PublishError::BufferFull { .. } | PublishError::MaxPayloadExceeded { .. }) => {}
            Err(error @ (PublishError::Draining | PublishError::Closed)) => {
                assert!(self.is_ending(), "{error} without a reason");
            }
            Err(error) => panic!("a publish is refused: {error}"),
        }
    }

    pub(super) fn publish(&mut self, connection: &mut Connection, number: u64) {
        let stamp = self.stamp();
        let len = self.len();
        let payload = stamp.payload(None, len);
        let result = connection.publish(Outgoing::new(&topic(number), &payload));
        self.note(connection, stamp, payload.len(), result);
    }

    /// Publishes a little to a subject, whatever else happens.
    pub(super) fn probe(&mut self, connection: &mut Connection, number: u64) {
        let stamp = self.stamp();
        let payload = stamp.payload(None, 0);
        let result = connection.publish(Outgoing::new(&topic(number), &payload));
        assert_eq!(result, Ok(()));
        self.note(connection, stamp, payload.len(), result);
    }

    fn request(&mut self, now: Instant, connection: &mut Connection) {
        let somebody = !self.chance(4);
        let service = self.rng.below(SERVICES);
        let subject = if somebody { format!("svc.{service}") } else { "nobody".into() };
        let stamp = self.stamp();
        let len = self.len() / 4;
        let payload = stamp.payload(None, len);
        let deadline = now + between(&mut self.rng, (Duration::ZERO, Duration::from_millis(1500)));
        let result = connection.request(Outgoing::new(&subject, &payload), deadline);
        self.has_inbox = true;
        if let Ok(id) = result {
            let before = self.requests.insert(id, Asked { deadline, stamp });
            assert!(before.is_none(), "{id:?} is given twice");
        }
        self.note(connection, stamp, payload.len(), result.map(drop));
    }

    fn subscribe(&mut self, connection: &mut Connection) {
        if self.topics.len() >= 6 {
            return;
        }
        let subject = match self.rng.below(6) {
            0 | 1 => format!("svc.{}", self.rng.below(SERVICES)),
            2 => "topic.*".into(),
            _ => topic(self.rng.below(TOPICS)),
        };
        let queue = self.chance(4).then_some("q");
        match connection.subscribe(&subject, queue) {
            Ok(id) => {
                let known = Topic::new(subject, queue.is_none() && self.echo);
                let before = self.topics.insert(id, known);
                assert!(before.is_none(), "{id:?} is given twice");
            }
            Err(SubscribeError::Draining | SubscribeError::Closed) if self.is_ending() => {}
            Err(error) => panic!("a subscription is refused: {error}"),
        }
    }

    fn any_topic(&mut self) -> Option<SubscriptionId> {
        let index = self.rng.below(self.topics.len() as u64) as usize;
        self.topics.keys().nth(index).copied()
    }

    fn unsubscribe_after(&mut self, connection: &mut Connection) {
        let Some(id) = self.any_topic() else { return };
        let max = self.rng.below(12);
        let known = self.topics.get_mut(&id).expect("it is one of them");
        if connection.unsubscribe_after(id, max).is_ok() {
            known.raised |= known.max.is_some_and(|before| before < max);
            known.max = Some(max);
            known.settling = true;
            known.over = max < known.delivered;
        }
    }

    fn flush(&mut self, now: Instant, connection: &mut Connection) -> FlushId {
        let deadline = (!self.chance(3))
            .then(|| now + between(&mut self.rng, (Duration::ZERO, Duration::from_secs(1))));
        self.flush_by(connection, deadline)
    }

    pub(super) fn flush_by(
        &mut self,
        connection: &mut Connection,
        deadline: Option<Instant>,
    ) -> FlushId {
        let id = connection.flush(deadline);
        let (count, breaks) = (self.books.published(), self.books.breaks);
        self.flushes.insert(id, Flushing { deadline, count, breaks });
        id
    }

    pub(super) fn drain(&mut self, now: Instant, connection: &mut Connection) {
        if !self.is_ending() {
            self.ends_by = Some(now + connection.config().drain_timeout);
        }
        connection.drain(now);
    }

    pub(super) fn close(&mut self, now: Instant, connection: &mut Connection) {
        let timeout = Duration::from_millis(self.rng.below(1000));
        if !self.closed {
            self.ends_by = self.ends_by.max(Some(now + timeout));
        }
        connection.close(now, timeout);
    }

    /// One verb.
    fn act(&mut self, now: Instant, connection: &mut Connection) {
        match self.rng.below(100) {
            0..45 => {
                for _ in 0..=self.rng.below(6) {
                    let number = self.rng.below(TOPICS);
                    self.publish(connection, number);
                }
            }
            45..56 => self.subscribe(connection),
            56..60 => {
                if let Some(id) = self.any_topic() {
                    // What is unknown has ended, and the event is on its way.
                    if connection.unsubscribe(id).is_ok() {
                        self.topics.remove(&id);
                        self.left.0.insert(id, self.round);
                    }
                }
            }
            60..66 => self.unsubscribe_after(connection),
            66..69 => {
                if let Some(id) = self.any_topic() {
                    let _ = connection.drain_subscription(id);
                }
            }
            69..82 => self.request(now, connection),
            82..84 => {
                if let Some(id) = self.requests.keys().next().copied() {
                    connection.cancel_request(id);
                    self.requests.remove(&id);
                    self.cancelled.0.insert(id, self.round);
                }
            }
            84..94 => drop(self.flush(now, connection)),
            94..96 => {
                if let Some(id) = self.flushes.keys().next().copied() {
                    connection.cancel_flush(id);
                    self.flushes.remove(&id);
                    self.forgotten.0.insert(id, self.round);
                }
            }
            96 if self.chance(2) => {
                self.servers.hurry();
                connection.force_reconnect(now);
            }
            97 if self.chance(2) => {
                let ending = self.is_ending();
                self.servers.replace(now, &mut self.rng, connection, ending);
            }
            98 if self.may_end && self.chance(8) => self.drain(now, connection),
            99 if self.may_end && self.chance(8) => self.close(now, connection),
            _ => {}
        }
    }

    fn is_on_time(&self, now: Instant, deadline: Instant) -> bool {
        now <= deadline.max(self.jumped_to)
    }

    fn flushed(
        &mut self,
        now: Instant,
        connection: &Connection,
        id: FlushId,
        result: Result<(), FlushError>,
    ) {
        let Some(flushing) = self.flushes.remove(&id) else {
            assert!(self.forgotten.0.contains_key(&id), "{id:?} ends twice");
            return;
        };
        let Flushing { deadline, count, breaks } = flushing;
        assert!(deadline.is_none_or(|at| self.is_on_time(now, at)), "{id:?} ends too late");
        match result {
            Ok(()) => {
                let kept = self.books.check_flush(count, breaks);
                let dropped = connection.statistics().dropped;
                assert!(kept <= dropped, "{id:?} succeeds with {kept} unsent, {dropped} dropped");
                self.flushed.insert(id);
            }
            Err(FlushError::TimedOut) => assert!(deadline.is_some_and(|at| at <= now)),
            Err(FlushError::Uncertain { count: told }) => {
                assert_eq!(told, self.books.lost(count, breaks), "uncertain");
            }
            Err(FlushError::Closed) => assert!(self.is_ending(), "closed without a reason"),
            Err(error) => panic!("{id:?} fails: {error}"),
        }
    }

    fn ended(&mut self, id: SubscriptionId, reason: &EndReason) {
        let Some(known) = self.topics.remove(&id) else {
            assert!(self.left.0.contains_key(&id), "{id:?} ends twice");
            return;
        };
        match reason {
            EndReason::MaxReached => {
                let exact = known.max == Some(known.delivered);
                let more = known.max.is_some_and(|max| max < known.delivered);
                assert!(exact || (more && (known.settling || known.over)), "{known:?}");
            }
            EndReason::Drained => self.books.check_drained(id.sid()),
            EndReason::Closed => assert!(self.is_ending()),
            reason => panic!("{id:?} ends: {reason:?}"),
        }
    }
}

impl Application for Restless {
    fn start(&mut self, _now: Instant, connection: &mut Connection) {
        for _ in 0..self.rng.below(4) {
            self.subscribe(connection);
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
        if let Some(reply) = &message.reply {
            let answer = self.stamp();
            let len = self.len() / 8;
            let payload = answer.payload(Some(stamp), len);
            let result = connection.publish(Outgoing::new(reply.as_str(), &payload));
            self.note(connection, answer, payload.len(), result);
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
        // It may have come together with the deadline.
        assert!(self.is_on_time(now, asked.deadline), "{request:?} ends too late");
    }

    fn handle_event(&mut self, now: Instant, connection: &mut Connection, event: &Event) {
        if self.trace {
            eprintln!("{:>12} client {}: {event:?}", now.as_nanos(), self.me);
        }
        let active = self.active;
        self.servers.handle_event(now, &mut self.rng, connection, event, active);
        match event {
            Event::RequestFailed { request, error } => {
                let Some(asked) = self.requests.remove(request) else {
                    assert!(self.cancelled.0.contains_key(request), "{request:?} ends twice");
                    return;
                };
                assert!(self.is_on_time(now, asked.deadline), "{request:?} ends too late");
                match error {
                    RequestError::TimedOut => {
                        assert!(asked.deadline <= now, "too early");
                        self.books.check_not_left_out(asked.stamp);
                    }
                    RequestError::Dropped => {
                        let policy = connection.config().pending_policy;
                        self.books.given_up(asked.stamp, policy == PendingPolicy::DropOldest);
                    }
                    RequestError::NoResponders => {}
                    RequestError::Closed => assert!(self.is_ending()),
                    error => panic!("{request:?} fails: {error}"),
                }
            }
            Event::Flushed { flush, result } => {
                self.flushed(now, connection, *flush, *result);
            }
            Event::SubscriptionEnded { subscription, reason } => self.ended(*subscription, reason),
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
            self.books.read(bytes);
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
        let config = connection.config();
        // What a broken link leaves comes on top of what may be kept, and of what came meanwhile.
        let limit = 8 * config.send_limit;
        let bound = config.pending_limit.max(limit) + 2 * limit + 64 * 1024;
        assert!(connection.buffered() <= bound, "{} bytes are buffered", connection.buffered());
        let on_time = self.ends_by.is_none_or(|at| self.is_on_time(now, at));
        assert!(on_time || self.closed, "not closed by {:?}: {connection:?}", self.ends_by);
        if self.round.is_multiple_of(64) {
            self.servers.check(connection);
            for asked in self.requests.values() {
                assert!(self.is_on_time(now, asked.deadline), "no end by {asked:?}");
            }
        }
    }
}
