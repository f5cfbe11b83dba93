//! PINGs under way, and what their PONGs mean.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::event::{FlushId, SubscriptionId};
use super::timers::Deadlines;
use crate::Instant;

/// What a PING was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To hear from the server.
    Keepalive,
    /// The application waits for it.
    Flush(FlushId),
    /// The subscription ends with it.
    DrainSubscription(SubscriptionId),
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
    id: FlushId,
    /// Whether its PING is among those under way; if not, it goes out with the next connection.
    fenced: bool,
}

/// Keepalive and flush PINGs in one queue, because their PONGs cannot be told apart.
#[derive(Clone, Debug)]
pub(super) struct Fences {
    under_way: VecDeque<Fence>,
    /// In the order of their ids.
    flushes: VecDeque<FlushWaiter>,
    last_flush: u64,
    deadlines: Deadlines<FlushId>,
}

impl Fences {
    pub(super) const fn new() -> Self {
        Self {
            under_way: VecDeque::new(),
            flushes: VecDeque::new(),
            last_flush: 0,
            deadlines: Deadlines::new(),
        }
    }

    /// A PING was queued.
    pub(super) fn push(&mut self, purpose: Purpose, position: u64) {
        self.under_way.push_back(Fence { purpose, position });
    }

    /// A PONG came.
    pub(super) fn pop(&mut self) -> Option<Fence> {
        self.under_way.pop_front()
    }

    /// `count` queued publishes were given up, and those behind them moved up in the books. Which of the PINGs
    /// under way stand behind them is not known here, so all are taken to cover that many less: what one
    /// does not confirm, the next does.
    pub(super) fn retreat(&mut self, count: u64) {
        for fence in &mut self.under_way {
            fence.position = fence.position.saturating_sub(count);
        }
    }

    /// The link broke: all that was under way.
    pub(super) fn take_under_way(&mut self) -> VecDeque<Fence> {
        core::mem::take(&mut self.under_way)
    }

    /// Somebody waits for a flush. Says whether its deadline is now the soonest.
    pub(super) fn add_flush(&mut self, deadline: Option<Instant>, fenced: bool) -> (FlushId, bool) {
        self.last_flush = self.last_flush.saturating_add(1);
        let id = FlushId(self.last_flush);
        self.flushes.push_back(FlushWaiter { id, fenced });
        let soonest = deadline.is_some_and(|deadline| self.deadlines.insert(deadline, id));
        (id, soonest)
    }

    /// Nobody waits for it any more; false if nobody did.
    pub(super) fn finish_flush(&mut self, id: FlushId) -> bool {
        let Some(index) = find(&self.flushes, id) else {
            return false;
        };
        self.flushes.remove(index);
        let flushes = &self.flushes;
        self.deadlines.tidy(flushes.len(), |id| find(flushes, *id).is_some());
        true
    }

    /// Marks a flush whose PING was lost with the link: it goes out again with the next connection.
    pub(super) fn postpone_flush(&mut self, id: FlushId) {
        if let Some(waiter) = find(&self.flushes, id).and_then(|index| self.flushes.get_mut(index))
        {
            waiter.fenced = false;
        }
    }

    /// The flushes whose PING is to be sent now; marks them as under way.
    pub(super) fn take_postponed(&mut self) -> Vec<FlushId> {
        let postponed = self.flushes.iter_mut().filter(|waiter| !waiter.fenced);
        postponed
            .map(|waiter| {
                waiter.fenced = true;
                waiter.id
            })
            .collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes out one flush whose deadline has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<FlushId> {
        loop {
            let id = self.deadlines.pop_due(now)?;
            if let Some(index) = find(&self.flushes, id) {
                self.flushes.remove(index);
                return Some(id);
            }
        }
    }

    /// Takes out all flushes.
    pub(super) fn take_flushes(&mut self) -> Vec<FlushId> {
        self.deadlines.clear();
        self.flushes.drain(..).map(|waiter| waiter.id).collect()
    }
}

fn find(flushes: &VecDeque<FlushWaiter>, id: FlushId) -> Option<usize> {
    flushes.binary_search_by_key(&id, |waiter| waiter.id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postponed_flush_goes_out_once() {
        let mut fences = Fences::new();
        let (a, _) = fences.add_flush(None, true);
        let (b, _) = fences.add_flush(None, false);
        fences.postpone_flush(a);
        assert_eq!(fences.take_postponed(), [a, b]);
        assert_eq!(fences.take_postponed(), []);
    }

    #[test]
    fn a_finished_flush_has_no_deadline() {
        let mut fences = Fences::new();
        let (a, soonest) = fences.add_flush(Some(Instant::from_millis(5)), true);
        assert!(soonest);
        assert!(fences.finish_flush(a));
        assert!(!fences.finish_flush(a));
        assert_eq!(fences.next_deadline(), None);
        assert_eq!(fences.pop_due(Instant::from_millis(9)), None);
    }
}
