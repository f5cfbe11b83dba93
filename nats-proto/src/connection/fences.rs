//! PINGs under way, and what their PONGs mean.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::event::{FlushId, SubscriptionId};
use super::timers::Deadlines;
use crate::Instant;
use crate::faults::fault;

/// What a PING was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To hear from the server.
    Keepalive,
    /// The connection moves to another server with it.
    Leave,
    /// The application waits for it.
    Flush(FlushId),
    /// The subscription ends with it.
    DrainSubscription(SubscriptionId),
    /// A SUB follows that is to be confirmed, and its [`Confirm`](Self::Confirm).
    Subscribe,
    /// The server has the subscription, unless it has refused it: what it reported since the PONG before is
    /// about this one.
    Confirm(FlushId, SubscriptionId),
    /// All subscriptions end with it.
    DrainAll,
    /// The connection ends with it.
    Close,
}

/// One PING. The server answers in order, so its PONG proves that everything before has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) purpose: Purpose,
    /// The last publish before it, as the ledger counts.
    pub(super) position: u64,
}

#[derive(Clone, Copy, Debug)]
struct FlushWaiter {
    /// The last publish that it covers. Its PING may stand behind later ones.
    position: u64,
    /// Whose PING it waits for: its own, or that of one shortly before.
    shares: FlushId,
    /// The subscription that it confirms, if it is not a flush of publishes.
    subscription: Option<SubscriptionId>,
    /// Whether its PING is among those under way; if not, it goes out with the next connection.
    fenced: bool,
}

/// The oldest of the queued publishes that were given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// The last publish before those that are queued.
    pub(super) behind: u64,
    /// How many behind it are gone.
    pub(super) count: u64,
}

impl GivenUp {
    /// How many of them were not behind a position.
    fn before(self, position: u64) -> u64 {
        position.saturating_sub(self.behind).min(self.count)
    }
}

/// Keepalive and flush PINGs in one queue, because their PONGs cannot be told apart.
#[derive(Clone, Debug)]
pub(super) struct Fences {
    under_way: VecDeque<Fence>,
    /// If the last PING is that of a flush, and not written yet: how many bytes were queued with it.
    shared_end: Option<usize>,
    /// Those who wait.
    flushes: BTreeMap<FlushId, FlushWaiter>,
    /// Not taken from the positions yet: without a link each publish may push out another one, and no position is
    /// asked for before the next link.
    given_up: GivenUp,
    last_flush: u64,
    deadlines: Deadlines<FlushId>,
}

impl Fences {
    pub(super) const fn new() -> Self {
        Self {
            under_way: VecDeque::new(),
            shared_end: None,
            flushes: BTreeMap::new(),
            given_up: GivenUp { behind: 0, count: 0 },
            last_flush: 0,
            deadlines: Deadlines::new(),
        }
    }

    /// A PING was queued.
    pub(super) fn push(&mut self, purpose: Purpose, position: u64) {
        self.settle();
        self.under_way.push_back(Fence { purpose, position });
        self.shared_end = None;
    }

    /// The last PING is that of the flush that was added last, and may be [shared](Self::shareable) for as long as no more
    /// than so many bytes are queued.
    pub(super) fn share_last(&mut self, end: usize) {
        self.shared_end = Some(end);
    }

    /// All PINGs are handed out for writing.
    pub(super) fn handed_out(&mut self) {
        self.shared_end = None;
    }

    /// A flush whose PING serves for another one as well, where so many bytes are queued: nothing is behind it, no publish and
    /// no subscription. Who flushes again and again, and waits for none of them, must not fill the memory with PINGs that
    /// nobody takes.
    pub(super) fn shareable(&self, end: usize) -> Option<FlushId> {
        match self.under_way.back() {
            // A server may have answered it unseen.
            Some(Fence { purpose: Purpose::Flush(flush), .. }) if self.shared_end == Some(end) => {
                Some(*flush)
            }
            _ => None,
        }
    }

    /// The next of those who wait for the PING of this flush.
    pub(super) fn next_sharing(&self, flush: FlushId) -> Option<FlushId> {
        // Nobody else comes between them: who waits for another PING ends the sharing.
        let (id, waiter) = self.flushes.range(flush..).next()?;
        (waiter.shares == flush).then_some(*id)
    }

    /// Whether there is such a PING behind the last publish.
    pub(super) fn has(&self, purpose: Purpose, position: u64) -> bool {
        let mut last = self.under_way.iter().rev().take_while(|fence| fence.position == position);
        last.any(|fence| fence.purpose == purpose)
    }

    /// What the next PONG is for.
    pub(super) fn front(&self) -> Option<Purpose> {
        self.under_way.front().map(|fence| fence.purpose)
    }

    /// A PONG came.
    pub(super) fn pop(&mut self) -> Option<Fence> {
        self.settle();
        if fault!(PongsAreSwapped) {
            return self.under_way.pop_back();
        }
        self.under_way.pop_front()
    }

    /// Queued publishes were given up, and those behind them moved up in the books: `before` says how many of
    /// them were not behind a position.
    pub(super) fn retreat(&mut self, before: impl Fn(u64) -> u64) {
        self.settle();
        self.move_back(before);
    }

    /// The oldest of the queued publishes were given up, while there is no link. Constant time, however many flushes
    /// wait, if what stands before the queue is the same as the last time.
    pub(super) fn give_up(&mut self, oldest: GivenUp) {
        if self.given_up.behind != oldest.behind {
            self.settle();
        }
        let count = self.given_up.count.saturating_add(oldest.count);
        self.given_up = GivenUp { count, ..oldest };
    }

    /// Brings all positions up to date.
    fn settle(&mut self) {
        let given_up = core::mem::take(&mut self.given_up);
        if given_up.count > 0 {
            self.move_back(|position| given_up.before(position));
        }
    }

    fn move_back(&mut self, before: impl Fn(u64) -> u64) {
        // With fewer bytes queued, their number would mean nothing.
        self.shared_end = None;
        let fences = self.under_way.iter_mut().map(|fence| &mut fence.position);
        let flushes = self.flushes.values_mut().map(|waiter| &mut waiter.position);
        for position in fences.chain(flushes) {
            *position = position.saturating_sub(before(*position));
        }
    }

    /// The link broke: all that was under way.
    pub(super) fn take_under_way(&mut self) -> VecDeque<Fence> {
        self.shared_end = None;
        core::mem::take(&mut self.under_way)
    }

    /// Somebody waits for a flush of everything up to `position`, with a PING that it [shares](Self::shareable) or, if it is
    /// `fenced`, of its own. Says whether its deadline is now the soonest.
    pub(super) fn add_flush(
        &mut self,
        deadline: Option<Instant>,
        position: u64,
        fenced: bool,
        shares: Option<FlushId>,
    ) -> (FlushId, bool) {
        // As if it had waited when those were given up that are still to be taken from it.
        let position = position.saturating_add(self.given_up.count);
        self.add(deadline, position, None, fenced, shares)
    }

    /// Somebody waits for the server to have a subscription.
    pub(super) fn add_confirm(
        &mut self,
        deadline: Option<Instant>,
        subscription: SubscriptionId,
        fenced: bool,
    ) -> (FlushId, bool) {
        self.add(deadline, 0, Some(subscription), fenced, None)
    }

    fn add(
        &mut self,
        deadline: Option<Instant>,
        position: u64,
        subscription: Option<SubscriptionId>,
        fenced: bool,
        shares: Option<FlushId>,
    ) -> (FlushId, bool) {
        self.last_flush = self.last_flush.saturating_add(1);
        let id = FlushId(self.last_flush);
        let shares = shares.unwrap_or(id);
        self.flushes.insert(id, FlushWaiter { position, shares, subscription, fenced });
        let deadline = deadline.filter(|_| !fault!(FlushHasNoDeadline));
        let soonest = deadline.is_some_and(|deadline| self.deadlines.insert(deadline, id));
        (id, soonest)
    }

    /// Nobody waits for it any more; false if nobody did.
    pub(super) fn finish_flush(&mut self, id: FlushId) -> bool {
        self.take(id).is_some()
    }

    fn take(&mut self, id: FlushId) -> Option<FlushWaiter> {
        let waiter = self.flushes.remove(&id)?;
        let flushes = &self.flushes;
        self.deadlines.tidy(flushes.len(), |id| flushes.contains_key(id));
        Some(waiter)
    }

    /// The link broke: all flushes go out again with the next connection. Gives those that cannot succeed any
    /// more, with the number that `lost` says for what each covers.
    pub(super) fn postpone_flushes(&mut self, lost: impl Fn(u64) -> u64) -> Vec<(FlushId, u64)> {
        self.settle();
        let failed = self.flushes.iter_mut().filter_map(|(id, waiter)| {
            waiter.fenced &= fault!(FlushIsNotSentAgain);
            let lost = lost(waiter.position);
            (lost > 0).then_some((*id, lost))
        });
        failed.collect()
    }

    /// The flushes whose PING is to be sent now; marks them as under way.
    pub(super) fn take_postponed(&mut self) -> Vec<(FlushId, Option<SubscriptionId>)> {
        let postponed = self.flushes.iter_mut().filter(|(_, waiter)| !waiter.fenced);
        postponed
            .map(|(id, waiter)| {
                waiter.fenced = true;
                waiter.shares = *id;
                (*id, waiter.subscription)
            })
            .collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes out one flush whose deadline has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(FlushId, Option<SubscriptionId>)> {
        loop {
            let id = self.deadlines.pop_due(now)?;
            if let Some(waiter) = self.take(id) {
                return Some((id, waiter.subscription));
            }
        }
    }

    /// Takes out all flushes. Those that confirm subscriptions need not be told.
    pub(super) fn take_flushes(&mut self) -> Vec<FlushId> {
        self.deadlines.clear();
        let flushes = core::mem::take(&mut self.flushes);
        let flushes = flushes.into_iter().filter(|(_, waiter)| waiter.subscription.is_none());
        flushes.map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postponed_flush_goes_out_once() {
        let mut fences = Fences::new();
        let (a, _) = fences.add_flush(None, 0, true, None);
        let (b, _) = fences.add_flush(None, 0, false, None);
        assert_eq!(fences.postpone_flushes(|_| 0), []);
        assert_eq!(fences.take_postponed(), [(a, None), (b, None)]);
        assert_eq!(fences.take_postponed(), []);
    }

    #[test]
    fn what_is_given_up_without_a_link_is_taken_from_every_position_once() {
        // The books of a link that broke: 3 and what follows are queued, and push each other out.
        let (behind, mut head) = (2_u64, 5_u64);
        let mut fences = Fences::new();
        let mut expected = Vec::new();
        for position in [1, 2, 3, 5] {
            fences.add_flush(None, position, true, None);
            expected.push(position);
        }
        for count in [0, 1, 2, 1, 0, 3, 1] {
            fences.give_up(GivenUp { behind, count });
            for position in &mut expected {
                *position = (*position).min(behind.max(position.saturating_sub(count)));
            }
            head = behind.max(head - count) + 2;
            fences.add_flush(None, head, false, None);
            expected.push(head);
        }
        // Now others are queued.
        fences.give_up(GivenUp { behind: 6, count: 1 });
        expected.iter_mut().for_each(|position| *position -= u64::from(*position > 6));
        let positions = fences.postpone_flushes(|position| position);
        let positions: Vec<u64> = positions.into_iter().map(|(_, position)| position).collect();
        assert_eq!(positions, expected);
    }

    #[test]
    fn a_finished_flush_has_no_deadline() {
        let mut fences = Fences::new();
        let (a, soonest) = fences.add_flush(Some(Instant::from_millis(5)), 0, true, None);
        assert!(soonest);
        assert!(fences.finish_flush(a));
        assert!(!fences.finish_flush(a));
        assert_eq!(fences.next_deadline(), None);
        assert_eq!(fences.pop_due(Instant::from_millis(9)), None);
    }
}
