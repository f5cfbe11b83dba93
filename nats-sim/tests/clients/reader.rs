//! What reads a subscription, in one task after the other, and checks what comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use nats_client::{Client, Message, Subscriber, WhenFull};
use nats_proto::Rng;

use super::books::{Known, Phase, filler, id_of, matches, payload_of};
use super::runtime::{Sleep, sleep};
use super::strict::{Gate, Patience, strictly};
use super::watching::Waiting;
use super::world::{fork, spawn, with};

/// How often a reader looks up from its subscription.
const TICK: Duration = Duration::from_millis(50);

/// How long a reader may hold on to a subscriber that has ended: longer than a drain takes that waits for nothing else.
const HELD: Duration = Duration::from_secs(3);

/// What a subscription is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) subject: String,
    pub(crate) queue: Option<String>,
    pub(crate) max: Option<u64>,
    pub(crate) when_full: WhenFull,
    /// Messages and bytes that may wait, if something is dropped beyond that.
    pub(crate) room: (u64, u64),
    /// Whether requests are answered.
    pub(crate) answers: bool,
    /// Whether the reader takes its time.
    pub(crate) slow: bool,
}

/// What may wait where a subscription says nothing of it: at most so much, whatever the options of the client are.
pub(crate) const ROOM: (u64, u64) = (64 * 1024, 64 * 1024 * 1024);

/// A subscription and what came of it.
pub(crate) struct Reader {
    subscriber: Subscriber,
    client: Client,
    rng: Rng,
    plan: Plan,
    me: usize,
    key: u64,
    gate: Gate,
    got: u64,
    /// The place of the last message in the order of handling.
    last: Option<usize>,
    /// Messages that did not come though the ones before and after did, over one stream.
    missing: u64,
    left: bool,
    /// It has been told to end.
    leaving: Option<Waiting>,
}

enum News {
    Message(Message),
    End,
    Tick,
}

impl Reader {
    pub(crate) fn new(
        subscriber: Subscriber,
        client: Client,
        me: usize,
        rng: Rng,
        plan: Plan,
    ) -> Self {
        let known = Known {
            client: me,
            sid: subscriber.sid(),
            subject: plan.subject.clone(),
            gets_all: plan.queue.is_none() && plan.max.is_none(),
            ended: false,
            total: 0,
            pending: 0,
            dropped: 0,
        };
        let key = with(|world| world.books.subscribed(known));
        let gate = Gate::default();
        let (got, last, missing, left) = (0, None, 0, false);
        let leaving = None;
        Self { subscriber, client, rng, plan, me, key, gate, got, last, missing, left, leaving }
    }

    /// Reads in a task of its own.
    pub(crate) fn start(self) {
        spawn(Box::pin(self.run()), false);
    }

    async fn run(mut self) {
        let mut here = self.rng.below(60);
        loop {
            match self.next().await {
                News::Message(message) => {
                    self.check(&message);
                    if self.plan.answers && message.reply.is_some() {
                        self.answer(message).await;
                    }
                    self.dawdle().await;
                }
                News::End => return self.end().await,
                News::Tick => {}
            }
            self.note();
            let phase = with(|world| world.books.phase);
            if phase == Phase::End && !with(|world| world.books.ending.contains(&self.me)) {
                // The subscription is one of the handles, of which the last one ends the client.
                return self.forget();
            }
            let busy = matches!(phase, Phase::Rage | Phase::Errands);
            if busy && !self.left && self.interfere().await {
                return self.forget();
            }
            here = here.saturating_sub(1);
            // Later on it would make good a wake that is lost.
            if here == 0 && phase == Phase::Rage {
                // On to another task, whose waker is another one.
                self.gate = Gate::default();
                return self.start();
            }
        }
    }

    async fn next(&mut self) -> News {
        let (subscriber, gate) = (&mut self.subscriber, &mut self.gate);
        let mut tick = Box::pin(Sleep::new(TICK));
        poll_fn(|cx| {
            match gate.poll(cx, |cx| Pin::new(&mut *subscriber).poll_next(cx)) {
                Poll::Ready(Some(message)) => return Poll::Ready(News::Message(message)),
                Poll::Ready(None) => return Poll::Ready(News::End),
                Poll::Pending => {}
            }
            tick.as_mut().poll(cx).map(|()| News::Tick)
        })
        .await
    }

    fn check(&mut self, message: &Message) {
        self.got += 1;
        let id = id_of(&message.payload).expect("a payload that was published here");
        let (plan, me) = (&self.plan, self.me);
        let (prefix, rest) = message.payload.split_at(10);
        assert!(rest.iter().all(|byte| *byte == filler(id)), "{prefix:?} with another's payload");
        if let Some(headers) = &message.headers {
            assert_eq!(headers.get("Id").map(|value| value.as_str()), Some(&*id.to_string()));
        }
        assert!(matches(&plan.subject, &message.subject), "{} for {plan:?}", message.subject);
        with(|world| {
            let books = &mut world.books;
            books.received += 1;
            assert!(!books.drained.contains(&me), "a message after the end of the drain");
            assert_eq!(books.subject(id).as_deref(), Some(&*message.subject));
            let (at, broker) = books.place(id).expect("handled before it comes");
            if let Some(last) = self.last {
                assert!(
                    last < at,
                    "message {id} comes out of order, or twice, for {plan:?} of client {me}"
                );
                if plan.queue.is_none() && books.same_stream(me, last, at) {
                    self.missing += books.matching(last + 1, at, broker, &plan.subject);
                }
            }
            if let Some(queue) = &plan.queue {
                let group = format!("{queue} {}", plan.subject);
                assert!(!books.share(group, id), "message {id} comes to two members of a group");
            }
        });
        self.last = with(|world| world.books.place(id)).map(|(at, _)| at);
        let statistics = self.subscriber.statistics();
        assert_eq!(statistics.delivered, self.got, "{statistics:?}, {plan:?}");
        assert!(
            self.missing <= statistics.dropped,
            "{} messages are missing, {statistics:?}, {plan:?} of client {me}",
            self.missing
        );
        if plan.when_full == WhenFull::Block {
            assert_eq!(statistics.dropped, 0);
        }
    }

    /// Brings the books up to date.
    fn note(&mut self) {
        let statistics = self.subscriber.statistics();
        assert!(statistics.pending_messages > 0 || statistics.pending_bytes == 0, "{statistics:?}");
        let (messages, bytes) = self.plan.room;
        let fits = statistics.pending_messages <= messages && statistics.pending_bytes <= bytes;
        assert!(fits || self.plan.when_full == WhenFull::Block, "{statistics:?}, {:?}", self.plan);
        let total = statistics.delivered + statistics.pending_messages + statistics.dropped;
        assert!(self.plan.max.is_none_or(|max| total <= max), "{statistics:?}, {:?}", self.plan);
        if self.plan.max == Some(total) {
            self.leave();
        }
        with(|world| {
            let known = world.books.subscriptions.get_mut(&self.key).expect("known");
            known.gets_all &= !self.left;
            (known.total, known.dropped) = (total, statistics.dropped);
            known.pending = statistics.pending_messages;
        });
    }

    async fn answer(&mut self, message: Message) {
        let Some(reply) = message.reply else {
            return;
        };
        let id = id_of(&message.payload).expect("checked");
        // The answer carries the number of the question in its headers, and one of its own.
        let mut headers = nats_client::HeaderMap::new();
        headers.insert("Question", id.to_string().as_str());
        let own = with(|world| world.books.next_id(self.me));
        let payload = Bytes::from(payload_of(own, 20));
        // It may be refused: the client may be ending, or keep nothing while it is away.
        let _waiting = Waiting::new("answer");
        let answering = self.client.publish_with_headers(reply, headers, payload);
        let _ = strictly(Patience::Endless, answering).await;
    }

    fn leave(&mut self) {
        self.leaving.get_or_insert_with(|| Waiting::new("the end of a subscription"));
    }

    async fn dawdle(&mut self) {
        if !self.plan.slow {
            return;
        }
        let may_drop = self.plan.when_full != WhenFull::Block;
        let time = match with(|world| world.books.phase) {
            Phase::Rage if self.rng.below(3) == 0 => self.rng.below(150),
            Phase::Errands if self.rng.below(8) == 0 => self.rng.below(1_000),
            Phase::End => 3,
            Phase::Probe if may_drop => 30,
            _ => return,
        };
        sleep(Duration::from_millis(time)).await;
    }

    /// Ends the subscription in one way or another, now and then. True if it is to be dropped.
    async fn interfere(&mut self) -> bool {
        let kind = self.rng.below(150);
        let result = match kind {
            0 => self.subscriber.unsubscribe().await,
            1 => self.subscriber.drain().await,
            2 if self.plan.max.is_none() => {
                let statistics = self.subscriber.statistics();
                let total = statistics.delivered + statistics.pending_messages + statistics.dropped;
                let max = total + self.rng.below(5);
                self.plan.max = Some(max);
                self.subscriber.unsubscribe_after(max).await
            }
            3 => return true,
            _ => return false,
        };
        self.left = true;
        if kind < 2 {
            self.leave();
        }
        // Another one may get its place, before the client has told of the end.
        if let Ok(other) = self.client.subscribe("t.0").await {
            let plan = Plan {
                subject: "t.0".to_owned(),
                queue: None,
                max: None,
                when_full: WhenFull::DropNewest,
                // The client's own policy may be another.
                room: (u64::MAX, u64::MAX),
                answers: false,
                slow: false,
            };
            let rng = fork(&mut self.rng);
            Self::new(other, self.client.clone(), self.me, rng, plan).start();
        }
        let ending = with(|world| world.books.ending.contains(&self.me));
        assert!(result.is_ok() || ending, "an open client refuses to unsubscribe");
        false
    }

    fn forget(&mut self) {
        self.note();
        with(|world| {
            world.books.subscriptions.get_mut(&self.key).expect("known").ended = true;
        });
    }

    /// The stream has ended.
    async fn end(mut self) {
        let statistics = self.subscriber.statistics();
        assert_eq!((statistics.pending_messages, statistics.delivered), (0, self.got));
        let ending = with(|world| world.books.ending.contains(&self.me));
        assert!(ending || self.left || self.plan.max.is_some(), "{:?} ends by itself", self.plan);
        self.forget();
        if ending {
            // Nobody is to wait for a subscriber that has given out everything to be dropped as well.
            sleep(HELD).await;
        }
    }
}
