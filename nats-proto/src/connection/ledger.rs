//! The books of what was published.

use crate::faults::fault;

/// Accounts for every accepted publish until it ends in exactly one of confirmed, uncertain or dropped.
///
/// Publishes have positions in the order in which they go out: 1, 2, 3… Everything up to `resolved` has
/// ended; what lies between `resolved` and `head` is pending. Dropping takes pending ones out and moves
/// `head` back; whoever keeps a position over a drop must move it back as well.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    head: u64,
    resolved: u64,
    pub(super) published: u64,
    pub(super) confirmed: u64,
    pub(super) uncertain: u64,
    pub(super) dropped: u64,
    pub(super) replayed: u64,
}

impl Ledger {
    /// Takes one more publish into the books.
    #[inline]
    pub(super) fn accept(&mut self) {
        // Counting one by one to the end of 64 bits takes centuries.
        self.published = self.published.wrapping_add(1);
        self.head = self.head.wrapping_add(1);
    }

    /// The position of the publish that was accepted last.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Publishes up to `position` that have not ended.
    pub(super) fn pending_before(&self, position: u64) -> u64 {
        position.saturating_sub(self.resolved)
    }

    /// Publishes that have not ended.
    pub(super) fn pending(&self) -> u64 {
        self.head.saturating_sub(self.resolved)
    }

    /// The server has seen everything up to `position`.
    pub(super) fn confirm(&mut self, position: u64) {
        let more = u64::from(fault!(ConfirmsOneTooMany));
        let less = u64::from(fault!(ConfirmsOneTooFew));
        let position = position.saturating_add(more).saturating_sub(less);
        let position = position.min(self.head);
        let newly = position.saturating_sub(self.resolved);
        self.confirmed = self.confirmed.saturating_add(newly);
        self.resolved = self.resolved.max(position);
    }

    /// The link broke with `kept` publishes unsent. Says how many became uncertain.
    pub(super) fn break_link(&mut self, kept: u64) -> u64 {
        let pending = self.pending();
        self.take_back(kept);
        let lost = pending.saturating_sub(kept);
        self.uncertain = self.uncertain.saturating_add(lost);
        self.resolved = self.resolved.saturating_add(lost);
        lost
    }

    /// If more are queued than pending, the server answered a PING that had not been written, which proves nothing. What it
    /// "confirmed" that way is pending again.
    fn take_back(&mut self, queued: u64) {
        let overstated = queued.saturating_sub(self.pending());
        self.confirmed = self.confirmed.saturating_sub(overstated);
        self.resolved = self.resolved.saturating_sub(overstated);
    }

    /// A link that was up has broken: what is kept goes out again with the next one.
    pub(super) fn replay_pending(&mut self) {
        self.replayed = self.replayed.saturating_add(self.pending());
    }

    /// `count` publishes that were queued are given up.
    pub(super) fn drop_pending(&mut self, count: u64) {
        self.take_back(count);
        let count = count.min(self.pending());
        self.head = self.head.saturating_sub(count);
        if !fault!(LedgerDoesNotAddUp) {
            self.dropped = self.dropped.saturating_add(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced(ledger: &Ledger) -> bool {
        ledger.published == ledger.confirmed + ledger.uncertain + ledger.dropped + ledger.pending()
    }

    fn with_accepted(count: u64) -> Ledger {
        let mut ledger = Ledger::default();
        (0..count).for_each(|_| ledger.accept());
        ledger
    }

    #[test]
    fn a_broken_link_splits_pending_into_uncertain_and_kept() {
        let mut ledger = with_accepted(10);
        ledger.confirm(4);
        assert_eq!(ledger.break_link(3), 3);
        assert_eq!((ledger.confirmed, ledger.uncertain, ledger.pending()), (4, 3, 3));
        ledger.replay_pending();
        assert_eq!(ledger.replayed, 3);
        assert!(balanced(&ledger));
    }

    #[test]
    fn dropped_publishes_leave_the_pending_ones() {
        let mut ledger = with_accepted(5);
        ledger.drop_pending(2);
        ledger.accept();
        ledger.confirm(ledger.head());
        assert_eq!((ledger.confirmed, ledger.dropped, ledger.pending()), (4, 2, 0));
        assert!(balanced(&ledger));
    }

    #[test]
    fn a_confirmation_that_came_too_early_is_taken_back() {
        let mut ledger = with_accepted(3);
        ledger.confirm(3);
        assert_eq!(ledger.break_link(3), 0);
        assert_eq!((ledger.confirmed, ledger.pending()), (0, 3));
        assert!(balanced(&ledger));
    }

    #[test]
    fn what_is_dropped_was_not_confirmed_whatever_the_server_says() {
        let mut ledger = with_accepted(5);
        ledger.confirm(3);
        ledger.drop_pending(4);
        assert_eq!((ledger.confirmed, ledger.dropped, ledger.pending()), (1, 4, 0));
        assert!(balanced(&ledger));
        ledger.accept();
        ledger.confirm(ledger.head());
        assert_eq!((ledger.confirmed, ledger.pending()), (2, 0));
        assert!(balanced(&ledger));
    }

    #[test]
    fn a_confirmation_never_goes_beyond_what_was_accepted() {
        let mut ledger = with_accepted(1);
        ledger.confirm(100);
        assert_eq!(ledger.confirmed, 1);
        ledger.accept();
        assert_eq!(ledger.pending(), 1);
        assert!(balanced(&ledger));
    }
}
