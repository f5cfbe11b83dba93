//! Deadlines of many things at once.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::Instant;

/// Deadlines, soonest first. Entries whose owner is gone are left in place and skipped later; they never
/// outnumber the live ones by more than a constant factor.
#[derive(Clone, Debug)]
pub(super) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    /// Adds a deadline; says whether it is now the soonest.
    pub(super) fn insert(&mut self, deadline: Instant, key: K) -> bool {
        let soonest = self.heap.peek().is_none_or(|Reverse((first, _))| deadline < *first);
        self.heap.push(Reverse((deadline, key)));
        soonest
    }

    /// The soonest deadline. It may belong to an owner that is gone: waking up for it is harmless.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes out one entry whose deadline is not after `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }

    /// To be called when an owner has gone: clears entries without an owner from the front, so that
    /// nobody wakes up for them, and all of them once they outnumber the `live` owners.
    pub(super) fn tidy(&mut self, live: usize, is_live: impl Fn(&K) -> bool) {
        const SLACK: usize = 64;
        if self.heap.len() > live.saturating_mul(2).saturating_add(SLACK) {
            self.heap.retain(|Reverse((_, key))| is_live(key));
        }
        while self.heap.peek().is_some_and(|Reverse((_, key))| !is_live(key)) {
            self.heap.pop();
        }
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_entries_come_out_soonest_first() {
        let mut deadlines = Deadlines::new();
        assert!(deadlines.insert(Instant::from_millis(20), 2));
        assert!(deadlines.insert(Instant::from_millis(10), 1));
        assert!(!deadlines.insert(Instant::from_millis(30), 3));
        let now = Instant::from_millis(20);
        assert_eq!(deadlines.pop_due(now), Some(1));
        assert_eq!(deadlines.pop_due(now), Some(2));
        assert_eq!(deadlines.pop_due(now), None);
        assert_eq!(deadlines.next(), Some(Instant::from_millis(30)));
    }

    #[test]
    fn entries_without_owner_do_not_pile_up() {
        let mut deadlines = Deadlines::new();
        // One owner that stays, with the soonest deadline, hides the dead ones behind it.
        deadlines.insert(Instant::from_millis(1), 0_u32);
        for key in 1..10_000 {
            deadlines.insert(Instant::from_millis(u64::from(key) + 1), key);
            deadlines.tidy(1, |key| *key == 0);
        }
        assert!(deadlines.heap.len() < 100);
        assert_eq!(deadlines.next(), Some(Instant::from_millis(1)));
    }

    #[test]
    fn an_entry_without_owner_at_the_front_wakes_nobody() {
        let mut deadlines = Deadlines::new();
        deadlines.insert(Instant::from_millis(1), 1);
        deadlines.insert(Instant::from_millis(2), 2);
        deadlines.tidy(1, |key| *key == 2);
        assert_eq!(deadlines.next(), Some(Instant::from_millis(2)));
    }
}
