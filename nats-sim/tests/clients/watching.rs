//! How long operations take, what a client tells, and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use nats_client::{Client, Notice, Notices};
use nats_proto::{Instant, Rng};

use super::settings::Limits;
use super::strict::{Patience, strictly};
use super::world::{now, try_with, with};

/// How late an operation may end that has a deadline.
const SLACK: Duration = Duration::from_millis(2);

/// Notes that something is being waited for, until it is dropped.
pub(crate) struct Waiting {
    key: u64,
    what: &'static str,
    pub(crate) since: Instant,
}

impl Waiting {
    pub(crate) fn new(what: &'static str) -> Self {
        let since = now();
        let key = with(|world| world.books.wait(what, since));
        Self { key, what, since }
    }

    /// It is over, and must not have taken longer than that.
    pub(crate) fn within(&self, limit: Duration) {
        let took = Duration::from_nanos(now().as_nanos() - self.since.as_nanos());
        assert!(took <= limit + SLACK, "{} took {took:?} instead of {limit:?}", self.what);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        try_with(|world| world.books.waited(self.key));
    }
}

/// Reads what a client tells without being asked, until it ends.
pub(crate) async fn listen(mut notices: Notices, me: usize) {
    let mut slow = BTreeSet::new();
    let mut closed = false;
    with(|world| world.books.told.insert(me, BTreeMap::new()));
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
            Notice::Closed => closed = true,
            _ => {}
        }
    }
    assert!(closed, "the notices end without the end");
    assert!(slow.is_empty(), "slow for ever: {slow:?}");
}

/// Brings a client to its end in one of its ways, and gives up on waiting for that now and then.
pub(crate) async fn end(client: &Client, me: usize, rng: &mut Rng, limits: Limits) {
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
            let timeout = Duration::from_millis(rng.below(1_000));
            let ended = strictly(patience, client.drain_within(timeout)).await.is_some();
            waiting.within(timeout);
            ended
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
