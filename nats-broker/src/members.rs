//! Those who subscribed to one subject in the same way.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::routing::SubscriptionKey;

/// Subscriptions, by age.
///
/// Most often there is one, which needs no memory of its own. When one of many ends, the others need not be moved: a
/// client that leaves may have hundreds of thousands.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The oldest. Without it there are no others either.
    first: Option<SubscriptionKey>,
    others: BTreeSet<SubscriptionKey>,
}

impl Members {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds one that is younger than all that are there: keys only ever grow.
    pub(crate) fn insert(&mut self, key: SubscriptionKey) {
        match self.first {
            None => self.first = Some(key),
            Some(_) => {
                self.others.insert(key);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: SubscriptionKey) {
        if self.first == Some(key) {
            self.first = self.others.pop_first();
        } else {
            self.others.remove(&key);
        }
        if self.others.is_empty() {
            // An emptied set would keep a part of its memory.
            self.others = BTreeSet::new();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len().saturating_add(usize::from(self.first.is_some()))
    }

    /// Appends all of them, from the oldest to the youngest.
    #[inline]
    pub(crate) fn append_to(&self, keys: &mut Vec<SubscriptionKey>) {
        keys.extend(self.first);
        // Every message to another subject than the one before it comes here, and mostly there are no others.
        if !self.others.is_empty() {
            keys.extend(&self.others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials(members: &Members) -> Vec<u64> {
        let mut keys = Vec::new();
        members.append_to(&mut keys);
        keys.iter().map(|key| key.serial).collect()
    }

    fn key(serial: u64) -> SubscriptionKey {
        SubscriptionKey { serial, slot: 0 }
    }

    #[test]
    fn whoever_leaves_the_others_keep_their_order() {
        for gone in 0..4 {
            let mut members = Members::default();
            (0..4).for_each(|serial| members.insert(key(serial)));
            members.remove(key(gone));
            members.insert(key(4));
            // What is not there can be removed without harm.
            members.remove(key(gone));
            assert_eq!(
                serials(&members),
                (0..5).filter(|serial| *serial != gone).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn when_all_have_left_there_is_none() {
        let mut members = Members::default();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            (0..3).for_each(|serial| members.insert(key(serial)));
            for serial in order {
                assert!(!members.is_empty());
                members.remove(key(serial));
            }
            assert!(members.is_empty() && serials(&members).is_empty());
        }
    }
}
