//! Leaving messages in the mailboxes of their subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use nats_proto::connection::{Delivery, EndReason, Route};
use nats_proto::wire::ServerOps;
use nats_proto::{Instant, SubscriptionId};

use super::pace::Pace;
use crate::faults::fault;
use crate::mailbox::{Mailbox, Pushed};
use crate::shared::Change;

/// The driver's own table of mailboxes, so that finding one takes neither a lock nor a reference count.
#[derive(Default)]
pub(super) struct Router {
    /// By [`SubscriptionId::index`].
    mailboxes: Vec<Option<(u64, Arc<Mailbox>)>>,
    /// By number: mailboxes whose places others have by now. Their subscriptions have ended, of which the core is about
    /// to tell.
    replaced: BTreeMap<u64, Arc<Mailbox>>,
    /// Mailboxes of ended subscriptions from which something is still to be taken.
    finishing: Finishing<Arc<Mailbox>>,
    /// Mailboxes for which nothing is read, unless their subscriptions have ended.
    blocking: Vec<(SubscriptionId, Arc<Mailbox>)>,
    /// Mailboxes whose subscribers are behind.
    pub(super) pace: Pace,
}

/// What has ended and is not consumed. Of what is consumed meanwhile, it keeps at most as much again, or [`FEW`].
struct Finishing<T> {
    kept: Vec<T>,
    /// So many may still end before it is seen to what is consumed meanwhile.
    until_sweep: usize,
}

/// So many at least end between two sweeps.
const FEW: usize = 16;

/// The number of a subscription with an episode of dropped messages, and its mailbox or what the episode has cost.
pub(super) type Slow<T> = Vec<(u64, T)>;

impl Router {
    /// Learns of new subscriptions and forgets old ones.
    pub(super) fn apply(&mut self, changes: &mut Vec<Change>) {
        for change in changes.drain(..) {
            match change {
                Change::Added(id, mailbox) => {
                    if self.mailboxes.len() <= id.index() {
                        self.mailboxes.resize(id.index() + 1, None);
                    }
                    // The core gives a place to somebody else before it is asked how the last one ended.
                    let place = self.mailboxes.get_mut(id.index());
                    let replaced = place.and_then(|it| it.replace((id.sid(), mailbox)));
                    self.replaced
                        .extend(replaced.filter(|_| !fault!(ReplacedSubscriberIsForgotten)));
                }
                Change::Removed(id) => {
                    // What has come already is still given out.
                    if let Some(mailbox) = self.remove(id) {
                        self.finishing.add(mailbox, |mailbox| mailbox.is_consumed());
                    }
                }
            }
        }
    }

    /// Leaves the messages of a batch for the subscriptions. Returns those that have
    /// become slow through `slow`.
    pub(super) fn deliver(
        &mut self,
        ops: &ServerOps,
        deliveries: &[Delivery],
        wakers: &mut Vec<Waker>,
        slow: &mut Slow<Arc<Mailbox>>,
    ) {
        for Delivery { route, messages } in deliveries {
            let Route::Subscription(id) = *route else {
                continue;
            };
            let (Some(mailbox), Some(run)) =
                (mailbox(&self.mailboxes, id), ops.items.get(messages.clone()))
            else {
                continue;
            };
            match mailbox.push(&ops.chunk, run, wakers) {
                Pushed::Done => {}
                Pushed::Slow => slow.push((id.sid(), Arc::clone(mailbox))),
                Pushed::Blocks => self.blocking.push((id, Arc::clone(mailbox))),
                Pushed::Behind => self.pace.add(id, mailbox),
            }
        }
    }

    /// Whether nothing is to be read, because some subscriber must catch up first.
    pub(super) fn is_blocking(&mut self) -> bool {
        let mailboxes = &self.mailboxes;
        any_blocks(&mut self.blocking, |(id, blocking)| {
            mailbox(mailboxes, *id).is_some() && blocking.holds_up()
        })
    }

    /// Whether nothing is to be read for a moment, because some subscriber is about to catch up.
    pub(super) fn is_waiting(&mut self, now: impl FnOnce() -> Instant) -> bool {
        let mailboxes = &self.mailboxes;
        self.pace.is_waiting(now, |id| mailbox(mailboxes, id).is_some())
    }

    /// Tells a subscriber that nothing more comes. Gives the number of messages dropped in an episode that ends
    /// with it.
    pub(super) fn finish(
        &mut self,
        id: SubscriptionId,
        reason: EndReason,
        wakers: &mut Vec<Waker>,
    ) -> Option<u64> {
        let mailbox = self.remove(id)?;
        let missed = mailbox.finish(Some(reason), wakers);
        self.finishing.add(mailbox, |mailbox| mailbox.is_consumed());
        missed
    }

    /// Tells all subscribers that nothing more comes. Gives the episodes that end with it.
    pub(super) fn finish_all(&mut self, reason: &EndReason, wakers: &mut Vec<Waker>) -> Slow<u64> {
        self.finishing = Finishing::default();
        self.blocking.clear();
        self.pace.clear();
        let replaced = std::mem::take(&mut self.replaced);
        let mailboxes = self.mailboxes.drain(..).flatten().chain(replaced);
        let missed = mailboxes.filter_map(|(sid, mailbox)| {
            Some((sid, mailbox.finish(Some(reason.clone()), wakers)?))
        });
        missed.collect()
    }

    /// Messages that wait for their subscribers.
    pub(super) fn pending(&self) -> u64 {
        self.all().map(|mailbox| mailbox.pending()).sum()
    }

    /// Subscriptions that have not ended.
    pub(super) fn open(&self) -> usize {
        self.mailboxes.iter().flatten().count()
    }

    /// Whether every subscriber has taken everything, or is gone.
    pub(super) fn is_consumed(&self) -> bool {
        self.all().all(|mailbox| mailbox.is_consumed())
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let open = self.mailboxes.iter().flatten().map(|(_, mailbox)| mailbox);
        open.chain(self.replaced.values()).chain(&self.finishing.kept)
    }

    fn remove(&mut self, id: SubscriptionId) -> Option<Arc<Mailbox>> {
        let place = self.mailboxes.get_mut(id.index())?;
        match place.take_if(|(sid, _)| *sid == id.sid()) {
            Some((_, mailbox)) => Some(mailbox),
            None => self.replaced.remove(&id.sid()),
        }
    }
}

/// Whether one of those that blocked still does. Forgets those at the end that do not: nothing is read until none does,
/// so that each is looked at a few times, however many they are and in whatever order they catch up or end.
pub(super) fn any_blocks<T>(blocking: &mut Vec<T>, blocks: impl Fn(&T) -> bool) -> bool {
    while let Some(last) = blocking.last() {
        if blocks(last) {
            return true;
        }
        blocking.pop();
    }
    false
}

fn mailbox(mailboxes: &[Option<(u64, Arc<Mailbox>)>], id: SubscriptionId) -> Option<&Arc<Mailbox>> {
    match mailboxes.get(id.index())? {
        Some((sid, mailbox)) if *sid == id.sid() => Some(mailbox),
        _ => None,
    }
}

impl<T> Default for Finishing<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), until_sweep: FEW }
    }
}

impl<T> Finishing<T> {
    /// Keeps what has ended, until it is consumed.
    ///
    /// To look at all others each time would take a time that grows with the square of their number. So they are
    /// looked at after as many ends as were left of them the last time.
    fn add(&mut self, ended: T, is_consumed: impl Fn(&T) -> bool) {
        if !is_consumed(&ended) && !fault!(EndedIsNotAwaited) {
            self.kept.push(ended);
        }
        self.until_sweep = self.until_sweep.saturating_sub(1);
        if self.until_sweep == 0 {
            self.kept.retain(|other| !is_consumed(other));
            self.until_sweep = self.kept.len().max(FEW);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_that_does_not_block_any_more_costs_a_few_looks_however_many_do() {
        const MANY: usize = 10_000;
        let looks = Cell::new(0);
        let mut blocking: Vec<usize> = (0..MANY).collect();
        for eased in 0..MANY {
            let blocks = any_blocks(&mut blocking, |number| {
                looks.set(looks.get() + 1);
                *number > eased
            });
            assert_eq!(blocks, eased + 1 < MANY);
        }
        assert!(blocking.is_empty());
        assert!(looks.get() <= 2 * MANY, "{looks:?}");
    }

    #[test]
    fn each_end_costs_a_few_looks_however_many_are_not_consumed() {
        const MANY: usize = 10_000;
        let looks = Cell::new(0);
        let mut finishing = Finishing::default();
        for number in 0..MANY {
            finishing.add(number, |_| {
                looks.set(looks.get() + 1);
                false
            });
        }
        assert_eq!(finishing.kept.len(), MANY);
        assert!(looks.get() <= 4 * MANY, "{looks:?}");
    }

    #[test]
    fn what_is_consumed_is_let_go_however_many_end() {
        const WAITING: usize = 100;
        let mut finishing = Finishing::default();
        for number in 0..10_000 {
            finishing.add(number, |older| older + WAITING <= number);
            assert!(finishing.kept.len() <= 2 * WAITING + FEW, "{}", finishing.kept.len());
        }
        assert!((10_000 - WAITING..10_000).all(|number| finishing.kept.contains(&number)));
        for _ in 0..3 * WAITING {
            finishing.add(0, |_| true);
        }
        assert!(finishing.kept.is_empty());
    }
}
