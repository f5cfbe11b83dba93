//! The table of all subscriptions.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::event::SessionId;
use crate::routing::SubscriptionKey;

/// One client's interest in a subject.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The client.
    pub(crate) session: SessionId,
    /// The client's name for it, which every message that is delivered carries.
    pub(crate) sid: Bytes,
    /// The subject, with its wildcards.
    pub(crate) subject: Bytes,
    /// The queue group.
    pub(crate) queue: Option<Bytes>,
    /// How many messages were delivered.
    pub(crate) delivered: u64,
    /// The subscription ends when so many messages were delivered.
    pub(crate) max: Option<u64>,
}

/// The table of all subscriptions: slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    slots: Vec<Option<(u64, Subscription)>>,
    free: Vec<usize>,
    next_serial: u64,
}

impl Subscriptions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(crate) fn insert(&mut self, subscription: Subscription) -> SubscriptionKey {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let entry = Some((serial, subscription));
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = entry;
        }
        SubscriptionKey { serial, slot }
    }

    pub(crate) fn get(&self, key: SubscriptionKey) -> Option<&Subscription> {
        match self.slots.get(key.slot) {
            Some(Some((serial, subscription))) if *serial == key.serial => Some(subscription),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Subscription> {
        match self.slots.get_mut(key.slot) {
            Some(Some((serial, subscription))) if *serial == key.serial => Some(subscription),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, key: SubscriptionKey) -> Option<Subscription> {
        self.get(key)?;
        let (_, subscription) = self.slots.get_mut(key.slot)?.take()?;
        self.free.push(key.slot);
        if self.len() == 0 {
            // There may have been a million. Serials go on, so that no old key fits.
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
        Some(subscription)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(session: u64) -> Subscription {
        Subscription {
            session: SessionId(session),
            sid: Bytes::new(),
            subject: Bytes::new(),
            queue: None,
            delivered: 0,
            max: None,
        }
    }

    #[test]
    fn when_all_have_left_their_memory_is_given_back_and_their_keys_stay_theirs() {
        let mut table = Subscriptions::default();
        let keys: Vec<_> = (0..1_000).map(|session| table.insert(subscription(session))).collect();
        keys.iter().for_each(|key| drop(table.remove(*key)));
        assert_eq!((table.slots.capacity(), table.free.capacity()), (0, 0));
        let next = table.insert(subscription(1));
        assert!(next > keys[999] && table.len() == 1);
        assert!(keys.iter().all(|key| table.get(*key).is_none() && table.remove(*key).is_none()));
    }

    #[test]
    fn an_old_key_does_not_reach_the_next_user_of_its_slot() {
        let mut table = Subscriptions::default();
        let first = table.insert(subscription(1));
        assert!(table.remove(first).is_some());
        let second = table.insert(subscription(2));
        assert_eq!(first.slot, second.slot);
        assert!(table.get(first).is_none());
        assert!(table.remove(first).is_none());
        assert_eq!(table.get(second).map(|found| found.session), Some(SessionId(2)));
        assert_eq!(table.len(), 1);
    }
}
