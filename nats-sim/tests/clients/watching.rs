//! How long operations take, what a client tells, and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use nats_client::{Client, Notice, Notices, Request};
use nats_proto::{Instant, Rng};

use super::books::{Phase, payload_of};
use super::settings::Limits;
use super::strict::{Patience, strictly};
use super::world::{now, try_with, with};

/// How long draining takes at most if everybody is there and takes what has come.
const PROMPT: Duration = Duration::from_millis(1_500);

/// How late an operation may end that has a deadline.
const SLACK: Duration = Duration::from_millis(2);

/// Notes that something is being waited for, until it is dropped.
pub(crate) struct Waiting {
    key: u64,
    what: &'static str,
    pub(crate) since: Instant,
    jumped: Duration,
    /// Whose message it is that waits to be published.
    publisher: Option<usize>,
}

impl Waiting {
    pub(crate) fn new(what: &'static str) -> Self {
        let since = now();
        let (key, jumped) = with(|world| (world.books.wait(what, since), world.jumped));
        Self { key, what, since, jumped, publisher: None }
    }

    /// Of a message that waits to be published.
    pub(crate) fn to_publish(client: usize, what: &'static str) -> Self {
        with(|world| *world.books.publishing.entry(client).or_default() += 1);
        let mut waiting = Self::new(what);
        waiting.publisher = Some(client);
        waiting
    }

    /// It is over, and must not have taken longer than that.
    pub(crate) fn within(&self, limit: Duration) {
        let took = Duration::from_nanos(now().as_nanos() - self.since.as_nanos());
        // Nobody can be in time while the clock jumps.
        let took = took.saturating_sub(with(|world| world.jumped) - self.jumped);
        assert!(took <= limit + SLACK, "{} took {took:?} instead of {limit:?}", self.what);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        try_with(|world| {
            world.books.waited(self.key);
            let publishing = self.publisher.and_then(|me| world.books.publishing.get_mut(&me));
            publishing.into_iter().for_each(|count| *count -= 1);
        });
    }
}

/// Reads what a client tells without being asked, until it ends.
pub(crate) async fn listen(mut notices: Notices, me: usize, connected: bool) {
    let mut slow = BTreeSet::new();
    let mut closed = false;
    with(|world| {
        world.books.told.insert(me, BTreeMap::new());
        world.books.told_connected.insert(me, connected);
    });
    while let Some(notice) = notices.next().await {
        assert!(!closed, "{notice} after the end");
        match notice {
            Notice::SlowConsumer { sid } => assert!(slow.insert(sid), "slow twice: {sid}"),
            Notice::SlowConsumerRecovered { sid, dropped } => {
                assert!(slow.remove(&sid), "not slow: {sid}");
                assert!(dropped > 0);
                with(|world| {
                    let told = world.books.told.get_mut(&me).expect("listened to");
                    *told.entry(sid).or_default() += dropped;
                });
            }
            Notice::Connected | Notice::Disconnected { .. } => {
                let connected = notice == Notice::Connected;
                with(|world| world.books.told_connected.insert(me, connected));
            }
            Notice::Closed => closed = true,
            _ => {}
        }
    }
    assert!(closed, "the notices end without the end");
    assert!(slow.is_empty(), "slow for ever: {slow:?}");
}

/// Brings a client to its end in one of its ways, and gives up on waiting for that now and then.
pub(crate) async fn end(client: &Client, me: usize, rng: &mut Rng, limits: Limits) {
    let calm = with(|world| world.books.phase) == Phase::End;
    if calm && rng.below(2) == 0 {
        // Nobody waits for the reply any more, and draining does not either.
        let id = with(|world| world.books.next_id(me));
        let request = Request::new().payload(payload_of(id, 20).into()).timeout(Some(3 * PROMPT));
        let at_once = Patience::Time(Duration::from_micros(50));
        let _ = strictly(at_once, client.send_request("t.0", request)).await;
    }
    let patience = match Patience::any(rng) {
        // What is not polled even once does nothing.
        Patience::Polls(polls) => Patience::Polls(polls.max(1)),
        patience => patience,
    };
    let waiting = Waiting::new("end");
    let ended = match rng.below(3) {
        0 => {
            let _ = client.drain().await;
            let ended = strictly(patience, client.closed()).await.is_some();
            waiting.within(limits.drain);
            ended
        }
        1 => {
            let timeout = if calm { 3 * PROMPT } else { Duration::from_millis(rng.below(1_000)) };
            let ended = strictly(patience, client.drain_within(timeout)).await;
            waiting.within(if calm { PROMPT } else { timeout });
            if let Some(Ok(remainder)) = ended {
                assert!(remainder.is_empty() || !calm, "{remainder:?} in spite of a calm network");
                with(|world| remainder.is_empty() && world.books.drained.insert(me));
            }
            ended.is_some()
        }
        _ => {
            let ended = strictly(patience, client.close()).await.is_some();
            waiting.within(limits.flush);
            ended
        }
    };
    if ended {
        // Nobody waits for a client that has ended.
        assert!(client.try_publish("t.0", "late".into()).is_err());
        assert!(client.flush().await.is_err());
        assert!(client.request("r.0", "late".into()).await.is_err());
        assert!(client.subscribe("t.0").await.is_err());
        with(|world| world.books.ended.insert(me, client.delivery_statistics()));
    }
}
