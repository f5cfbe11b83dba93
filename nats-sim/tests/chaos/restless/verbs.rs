//! What an application may want.

use std::time::Duration;

use nats_proto::connection::{PublishError, SubscribeError};
use nats_proto::{Connection, FlushId, Instant, Outgoing, State, SubscriptionId};

use nats_sim::between;

use super::{Asked, Flushing, Restless};
use crate::chaos::arrivals::Stamp;
use crate::chaos::books::Size;
use crate::chaos::counts::Seen;
use crate::chaos::extras::Extras;
use crate::chaos::topics::{TOPICS, Topic, Word, topic};

const SERVICES: u64 = 2;

/// More than any frame has beside headers and payload.
const LINE: usize = 128;

/// The verb that takes a message.
type Take<T> = fn(&mut Connection, Outgoing<'_>) -> Result<T, PublishError>;

/// As those do who publish much: the short way first.
fn publish_shortly(connection: &mut Connection, message: Outgoing<'_>) -> Result<(), PublishError> {
    if connection.publish_full_again(&message) { Ok(()) } else { connection.publish(message) }
}

impl Restless {
    fn len(&mut self) -> usize {
        match self.rng.below(40) {
            0 => 4096 + self.rng.below(4096) as usize,
            1 => self.rng.below(12_000) as usize,
            2..10 => self.rng.below(1500) as usize,
            _ => self.rng.below(64) as usize,
        }
    }

    /// Offers a message of at least `len` bytes to the connection, and keeps books of what it says.
    fn offer<T>(
        &mut self,
        connection: &mut Connection,
        subject: &str,
        about: Option<Stamp>,
        len: usize,
        take: impl FnOnce(&mut Connection, Outgoing<'_>) -> Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        let stamp = self.stamp();
        let extras = Extras::of(stamp);
        let payload = stamp.payload(about, len);
        let reply = extras.reply.as_deref().filter(|_| subject.starts_with("topic."));
        let headers = extras.headers.as_ref();
        let size = Size { headers: extras.headers_len(), payload: payload.len() };
        let before = connection.buffered();
        let message = Outgoing { subject, reply, headers, payload: &payload };
        let result = take(connection, message);
        match &result {
            Ok(_) => {
                let unordered = connection.state() == State::HangingUp;
                self.books.accepted(stamp, size, unordered);
                self.longest = self.longest.max(size.headers + size.payload + LINE);
                self.check_room(connection, before);
            }
            Err(error) => self.check_refusal(connection, size, error),
        }
        result
    }

    fn stamp(&self) -> Stamp {
        Stamp { client: self.me, seq: self.books.published() }
    }

    fn publish(&mut self, connection: &mut Connection, number: u64) {
        let len = self.len();
        let take: Take<()> = if self.chance(2) { publish_shortly } else { Connection::publish };
        let _ = self.offer(connection, &topic(number), None, len, take);
    }

    /// Publishes a little to a subject, whatever else happens.
    pub(in crate::chaos) fn probe(&mut self, connection: &mut Connection, number: u64) {
        let take = Connection::publish;
        let result = self.offer(connection, &topic(number), None, 0, take);
        assert_eq!(result, Ok(()));
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, connection: &mut Connection, reply: &str, about: Stamp) {
        let len = self.len() / 8;
        let take = Connection::publish;
        let _ = self.offer(connection, reply, Some(about), len, take);
    }

    fn request(&mut self, now: Instant, connection: &mut Connection) {
        let somebody = !self.chance(4);
        let service = self.rng.below(SERVICES);
        let subject = if somebody { format!("svc.{service}") } else { "nobody".into() };
        let stamp = self.stamp();
        let len = self.len() / 4;
        let deadline = now + between(&mut self.rng, (Duration::ZERO, Duration::from_millis(1500)));
        let result = self.offer(connection, &subject, None, len, |connection, message| {
            connection.request(message, deadline)
        });
        if let Ok(id) = result {
            self.has_inbox = true;
            let before = self.requests.insert(id, Asked { deadline, stamp, subject });
            assert!(before.is_none(), "{id:?} is given twice");
        }
    }

    pub(super) fn subscribe(&mut self, now: Instant, connection: &mut Connection) {
        if self.topics.len() >= 6 {
            return;
        }
        let subject = match self.rng.below(6) {
            0 | 1 => format!("svc.{}", self.rng.below(SERVICES)),
            2 => "topic.*".into(),
            _ => topic(self.rng.below(TOPICS)),
        };
        let queue = self.chance(4).then_some("q");
        let (result, word) = if self.chance(2) {
            let wait = between(&mut self.rng, (Duration::ZERO, Duration::from_secs(1)));
            let deadline = (!self.chance(3)).then(|| now + wait);
            let result = connection.subscribe_confirmed(&subject, queue, deadline);
            (result, Word::Awaited { deadline, breaks: self.books.breaks })
        } else {
            (connection.subscribe(&subject, queue), Word::Unasked)
        };
        match result {
            Ok(id) => {
                let known = Topic::new(subject, queue.is_none() && self.echo, word);
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
            known.changed |= known.max.is_some();
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

    pub(in crate::chaos) fn flush_by(
        &mut self,
        connection: &mut Connection,
        deadline: Option<Instant>,
    ) -> FlushId {
        let id = connection.flush(deadline);
        let (count, breaks) = (self.books.published(), self.books.breaks);
        self.flushes.insert(id, Flushing { deadline, count, breaks });
        id
    }

    pub(in crate::chaos) fn drain(&mut self, now: Instant, connection: &mut Connection) {
        let timeout = Duration::from_millis(self.rng.below(1000));
        if self.chance(2) {
            self.counts += Seen::DrainedWithin;
            self.ends_within(now, timeout);
            connection.drain_within(now, timeout);
        } else {
            self.ends_within(now, connection.config().drain_timeout);
            connection.drain(now);
        }
    }

    pub(in crate::chaos) fn close(&mut self, now: Instant, connection: &mut Connection) {
        let timeout = Duration::from_millis(self.rng.below(1000));
        self.ends_within(now, timeout);
        connection.close(now, timeout);
    }

    /// The end has begun, or comes nearer.
    fn ends_within(&mut self, now: Instant, timeout: Duration) {
        let deadline = now + timeout;
        if self.ends_by.is_some_and(|at| deadline < at) && !self.closed {
            self.counts += Seen::DrainedSooner;
        }
        self.ends_by = Some(self.ends_by.map_or(deadline, |at| at.min(deadline)));
    }

    /// One verb.
    pub(super) fn act(&mut self, now: Instant, connection: &mut Connection) {
        match self.rng.below(100) {
            0..45 => {
                for _ in 0..=self.rng.below(6) {
                    let number = self.rng.below(TOPICS);
                    self.publish(connection, number);
                }
            }
            45..56 => self.subscribe(now, connection),
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
                if let Some(id) = self.any_topic()
                    && connection.drain_subscription(id).is_ok()
                {
                    self.topics.get_mut(&id).expect("it is one of them").draining = true;
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
}
