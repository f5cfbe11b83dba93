//! A program that uses every verb of its client at random, and gives up on some.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use nats_client::message::OutboundMessage;
use nats_client::{Client, HeaderMap, PublishError, Request, RequestErrorKind, WhenFull};
use nats_proto::{Rng, connection};

use super::books::{Phase, id_of, payload_of};
use super::reader::{Plan, ROOM, Reader};
use super::runtime::{rest, sleep};
use super::settings::Limits;
use super::strict::{Patience, strictly};
use super::watching::{Waiting, end};
use super::world::{fork, now, spawn, with};

/// Some take the short way, and some are too short for it.
const SUBJECTS: [&str; 4] = ["t.0", "t.1", "t.2", "t.topic.of.some.length"];

/// One task of a program.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) me: usize,
    pub(crate) rng: Rng,
    pub(crate) limits: Limits,
    /// When it is at work.
    pub(crate) phase: Phase,
    /// Publishes that were uncertain when the client was cloned, or a flush failed.
    pub(crate) told: u64,
}

impl Worker {
    /// With a clone of its own.
    pub(crate) fn new(client: Client, me: usize, rng: Rng, limits: Limits, phase: Phase) -> Self {
        let told = client.delivery_statistics().uncertain;
        Self { client, me, rng, limits, phase, told }
    }

    /// Works, in a task of its own.
    pub(crate) fn start(self) {
        spawn(Box::pin(self.run()), false);
    }

    async fn run(mut self) {
        for _ in 0..5 + self.rng.below(40) {
            if with(|world| world.books.phase) != self.phase {
                return;
            }
            self.act().await;
            self.check_books();
            match self.rng.below(4) {
                0 => sleep(Duration::from_micros(self.rng.below(100_000))).await,
                1 => rest().await,
                _ => {}
            }
        }
    }

    fn check_books(&self) {
        let s = self.client.delivery_statistics();
        assert_eq!(s.published, s.confirmed + s.uncertain + s.dropped + s.pending, "{s:?}");
    }

    async fn act(&mut self) {
        // Errands have nothing that ends a link or a client.
        let kinds = if self.phase == Phase::Rage { 32 } else { 29 };
        match self.rng.below(kinds) {
            0..10 => self.publish().await,
            10..12 => self.burst().await,
            12 => self.try_publish(),
            13 => self.send().await,
            14..17 => self.subscribe().await,
            17..21 => self.request().await,
            21 => self.request_many().await,
            22..25 => self.flush().await,
            25 => self.clone_and_drop(),
            26 => self.look(),
            27 | 28 => self.crowd(&SUBJECTS).await,
            29 => drop(self.client.force_reconnect().await),
            30 => self.change_servers().await,
            _ => self.maybe_end().await,
        }
    }

    fn is_ending(&self) -> bool {
        with(|world| world.books.ending.contains(&self.me))
    }

    fn next_payload(&mut self) -> (u64, Bytes) {
        let id = with(|world| world.books.next_id(self.me));
        let size = match self.rng.below(12) {
            0 => self.rng.below(3_000),
            1 => self.rng.below(30_000),
            _ => self.rng.below(200),
        };
        (id, Bytes::from(payload_of(id, size as usize)))
    }

    fn subject(&mut self) -> String {
        SUBJECTS[self.rng.below(4) as usize].to_owned()
    }

    async fn publish(&mut self) {
        let (id, payload) = self.next_payload();
        let subject = self.subject();
        let patience = Patience::any(&mut self.rng);
        let _waiting = Waiting::to_publish(self.me, "publish");
        let mut headers = HeaderMap::new();
        headers.insert("Id", id.to_string().as_str());
        let client = &self.client;
        let result = match self.rng.below(5) {
            0 => strictly(patience, client.publish_with_reply(subject, "nobody", payload)).await,
            1 => strictly(patience, client.publish_with_headers(subject, headers, payload)).await,
            2 => {
                let publish =
                    client.publish_with_reply_and_headers(subject, "nobody", headers, payload);
                strictly(patience, publish).await
            }
            _ => strictly(patience, client.publish(subject, payload)).await,
        };
        self.published(id, result);
    }

    pub(super) fn published(&self, id: u64, result: Option<Result<(), PublishError>>) {
        match result {
            Some(Ok(())) => with(|world| world.books.accepted(self.me, id)),
            Some(Err(error)) => {
                with(|world| world.books.cancelled(id));
                self.check_refusal(&error);
            }
            None => with(|world| {
                world.books.given_up += 1;
                world.books.cancelled(id);
            }),
        }
    }

    /// An open client accepts what it can.
    fn check_refusal(&self, error: &PublishError) {
        let source = error.source().and_then(|source| source.downcast_ref());
        match source {
            Some(connection::PublishError::MaxPayloadExceeded { .. }) => {}
            Some(connection::PublishError::BufferFull { .. }) => {
                assert!(!self.limits.waits, "a full buffer is told of: {error}");
            }
            _ => assert!(self.is_ending(), "an open client refuses: {error}, {source:?}"),
        }
    }

    /// Many messages, as fast as they are taken.
    async fn burst(&mut self) {
        let subject = self.subject();
        for _ in 0..self.rng.below(120) {
            let (id, payload) = self.next_payload();
            let _waiting = Waiting::to_publish(self.me, "publish in a burst");
            let result =
                strictly(Patience::Endless, self.client.publish(subject.clone(), payload)).await;
            let over = !matches!(result, Some(Ok(())));
            self.published(id, result);
            if over {
                return;
            }
        }
    }

    fn try_publish(&mut self) {
        let (id, payload) = self.next_payload();
        let subject = self.subject();
        match self.client.try_publish(subject, payload) {
            Ok(()) => with(|world| world.books.accepted(self.me, id)),
            Err(error) => {
                assert_eq!(id_of(&error.payload), Some(id), "another payload comes back");
                with(|world| world.books.cancelled(id));
            }
        }
    }

    /// The client as a sink. What its last message comes to is not known if it is given up.
    async fn send(&mut self) {
        let mut sink = self.client.clone();
        let patience = Patience::any(&mut self.rng);
        let (mut messages, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.rng.below(5) {
            let (id, payload) = self.next_payload();
            ids.push(id);
            let subject = self.subject().into();
            messages.push(OutboundMessage { subject, reply: None, payload, headers: None });
        }
        let _waiting = Waiting::to_publish(self.me, "sink");
        let sending = async {
            for message in messages {
                sink.feed(message).await?;
            }
            SinkExt::flush(&mut sink).await
        };
        match strictly(patience, sending).await {
            Some(Ok(())) => {
                with(|world| ids.into_iter().for_each(|id| world.books.accepted(self.me, id)));
            }
            Some(Err(error)) => self.check_refusal(&error),
            None => {}
        }
    }

    async fn subscribe(&mut self) {
        let subjects = ["t.0", "t.1", "t.*", "t.>", "r.0", "r.0", "r.*"];
        let subject = subjects[self.rng.below(7) as usize].to_owned();
        let queue =
            (!subject.contains(['*', '>']) && self.rng.below(4) == 0).then(|| "group".into());
        let when_full = [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Block];
        let mut plan = Plan {
            answers: subject.starts_with('r'),
            subject,
            queue,
            max: (self.rng.below(8) == 0).then(|| 1 + self.rng.below(30)),
            when_full: when_full[self.rng.below(3) as usize],
            room: ROOM,
            slow: self.rng.below(3) == 0,
        };
        let mut new = self.client.subscription(plan.subject.clone()).when_full(plan.when_full);
        if let Some(queue) = &plan.queue {
            new = new.queue_group(queue.clone());
        }
        if let Some(max) = plan.max {
            new = new.max_messages(max);
        }
        if self.rng.below(2) == 0 {
            plan.room.0 = 1 + self.rng.below(12);
            new = new.capacity(plan.room.0 as usize);
        }
        if self.rng.below(4) == 0 {
            plan.room.1 = [100, 1_000, 10_000][self.rng.below(3) as usize];
            new = new.byte_capacity(plan.room.1 as usize);
        }
        let waiting = Waiting::new("subscribe");
        let subscriber = if self.rng.below(3) == 0 {
            let confirmed = strictly(Patience::any(&mut self.rng), new.confirmed()).await;
            waiting.within(self.limits.flush);
            let Some(Ok(subscriber)) = confirmed else {
                return;
            };
            subscriber
        } else {
            match new.await {
                Ok(subscriber) => subscriber,
                Err(error) => {
                    assert!(self.is_ending(), "an open client refuses: {error}");
                    return;
                }
            }
        };
        let rng = fork(&mut self.rng);
        Reader::new(subscriber, self.client.clone(), self.me, rng, plan).start();
    }

    async fn request(&mut self) {
        let (id, payload) = self.next_payload();
        let timeout = Duration::from_millis(1 + self.rng.below(1_500));
        let mut request = Request::new().payload(payload).timeout(Some(timeout));
        if self.rng.below(4) == 0 {
            request = request.inbox(self.client.new_inbox());
        }
        let subject = ["r.0", "r.1"][self.rng.below(2) as usize];
        let patience = Patience::any(&mut self.rng);
        let waiting = Waiting::new("request");
        let result = strictly(patience, self.client.send_request(subject, request)).await;
        waiting.within(timeout);
        match result {
            Some(Ok(reply)) => {
                let headers = reply.headers.expect("answers have headers");
                let question = headers.get("Question").map(|value| value.as_str().to_owned());
                assert_eq!(question, Some(id.to_string()), "the reply to another request");
            }
            Some(Err(error)) if error.kind() == RequestErrorKind::TimedOut => {
                let took = now().as_nanos() - waiting.since.as_nanos();
                assert!(u128::from(took) >= timeout.as_nanos(), "timed out too early");
            }
            Some(Err(_)) => {}
            None => with(|world| world.books.given_up += 1),
        }
    }

    async fn request_many(&mut self) {
        let (id, payload) = self.next_payload();
        let wait = Duration::from_millis(1 + self.rng.below(800));
        let mut request = self.client.request_many().max_wait(Some(wait));
        let stall = Duration::from_millis(1 + self.rng.below(300));
        let stalls = self.rng.below(2) == 0;
        if stalls {
            request = request.stall_wait(stall);
        }
        if self.rng.below(2) == 0 {
            request = request.max_messages(1 + self.rng.below(3) as usize);
        }
        let patience = Patience::any(&mut self.rng);
        let waiting = Waiting::new("request for many");
        let all = async {
            let Ok(mut replies) = request.send("r.0", payload).await else {
                return;
            };
            loop {
                let waiting = Waiting::new("next of many replies");
                let limit = if stalls && replies.received() > 0 { stall } else { wait };
                let reply = replies.next().await;
                waiting.within(limit);
                let Some(reply) = reply else {
                    break;
                };
                let headers = reply.headers.expect("answers have headers");
                let question = headers.get("Question").map(|value| value.as_str().to_owned());
                assert_eq!(question, Some(id.to_string()), "the reply to another request");
            }
            assert!(replies.end().is_some());
        };
        strictly(patience, all).await;
        waiting.within(wait);
    }

    pub(crate) async fn flush(&mut self) {
        let accepted = with(|world| world.books.accepted_by(self.me));
        let patience = Patience::any(&mut self.rng);
        let waiting = Waiting::new("flush");
        let result = strictly(patience, self.client.flush()).await;
        waiting.within(self.limits.flush);
        let s = self.client.delivery_statistics();
        match result {
            Some(Ok(())) => {
                let lost = with(|world| world.books.unhandled(self.me, 0..accepted)) as u64;
                let known = self.told + s.dropped;
                assert!(lost <= known, "{lost} flushed messages are lost, {known} known: {s:?}");
            }
            Some(Err(_)) => self.told = s.uncertain,
            None => {}
        }
    }

    fn clone_and_drop(&mut self) {
        let other = self.client.clone();
        drop(std::mem::replace(&mut self.client, other));
        self.told = self.client.delivery_statistics().uncertain;
    }

    async fn change_servers(&mut self) {
        let pool = self.client.server_pool().await;
        assert!(pool.is_ok_and(|pool| !pool.is_empty()) || self.is_ending());
        let transport = with(|world| world.transport(self.me));
        let hosts = ["broker-1", "broker-0"];
        let hosts = &hosts[self.rng.below(2) as usize..];
        let servers: Vec<String> = hosts.iter().map(|host| transport.address(host)).collect();
        let changed = self.client.set_server_pool(servers).await;
        assert!(changed.is_ok() || self.is_ending());
    }

    fn look(&self) {
        let _ =
            (self.client.connection_state(), self.client.server_info(), self.client.statistics());
        let _ = (self.client.max_payload(), self.client.servers());
    }

    /// Some clients end before the others.
    async fn maybe_end(&mut self) {
        if !self.limits.may_end || self.rng.below(6) > 0 {
            return;
        }
        with(|world| world.books.ending.insert(self.me));
        end(&self.client, self.me, &mut self.rng, self.limits).await;
    }
}
