//! The table of subscriptions.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use super::event::{FlushId, SubscriptionId};
use crate::faults::fault;
use crate::wire::{OutBuf, encoder};

/// The largest maximum that a server can be told: one of more than nine digits ends the subscription at once.
pub(super) const LARGEST_MAX: u64 = 999_999_999;

/// How far a subscription has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Somebody waits for the server to have it.
    Confirming(FlushId),
    /// Nobody doubts that the server has it.
    Open,
    /// UNSUB is out; it ends with the next fence or with the link.
    Draining,
}

/// One subscription, as long as the application or the server may still do something with it.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) subject: Box<str>,
    pub(super) queue: Option<Box<str>>,
    /// Messages routed to it, over all connections.
    pub(super) delivered: u64,
    /// How many of them before the link that it was last told to: the server's count begins there.
    pub(super) delivered_before: u64,
    /// Ends after so many.
    pub(super) max: Option<u64>,
    pub(super) phase: Phase,
}

impl Subscription {
    /// Tells a new server of the subscription, with what is left of its maximum.
    pub(super) fn restore(&mut self, out: &mut OutBuf) {
        if !fault!(MaximumBeginsAnew) {
            self.delivered_before = self.delivered;
        }
        let queue = self.queue.as_deref().map(str::as_bytes);
        encoder::subscribe(out, self.subject.as_bytes(), queue, self.id.sid);
        if let Some(max) = self.max_on_wire() {
            encoder::unsubscribe(out, self.id.sid, Some(max));
        }
    }

    /// The maximum as the server is told it, which counts the deliveries from the SUB of this link. `None` also if it could
    /// not read it: then the server goes on, and we count alone.
    pub(super) fn max_on_wire(&self) -> Option<u64> {
        let again = self.delivered_before > 0;
        let more = u64::from(again && fault!(MaximumIsOneMore));
        let less = u64::from(again && fault!(MaximumIsOneLess));
        let left = |max: u64| max.saturating_add(more).saturating_sub(self.delivered_before);
        let max = self.max.map(|max| left(max).saturating_sub(less));
        max.filter(|max| *max <= LARGEST_MAX)
    }
}

/// Spreads numbers that count up. The keys are our own: what a server sends is only looked up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SidHasher(u64);

impl Hasher for SidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, sid: u64) {
        let mixed = sid.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Subscriptions by place (for the caller's tables) and by number on the wire.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    slots: Vec<Option<Subscription>>,
    free: Vec<u32>,
    by_sid: HashMap<u64, u32, BuildHasherDefault<SidHasher>>,
    last_sid: u64,
    /// What was looked up last: messages come in runs for the same subscription.
    recent: (u64, u32),
    by_name: Option<ByName>,
    /// Subscriptions that have ended since that was made.
    ended: usize,
}

/// Subscriptions by subject, and by queue group behind a space if they have one.
///
/// Made when a server names one in that way, and kept until more have ended than there are: a server may do so as often as it
/// likes, and there may be tens of thousands. Those that have ended meanwhile are still there.
type ByName = BTreeMap<String, Vec<SubscriptionId>>;

fn name(subject: &str, queue: Option<&str>) -> String {
    queue.map_or_else(|| subject.into(), |queue| [subject, queue].join(" "))
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_sid.len()
    }

    /// A number for the wire that was never used before.
    pub(super) fn next_sid(&mut self) -> u64 {
        self.last_sid = self.last_sid.saturating_add(1);
        self.last_sid
    }

    pub(super) fn insert(&mut self, subject: &str, queue: Option<&str>) -> SubscriptionId {
        let sid = self.next_sid();
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let id = SubscriptionId { index, sid };
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = Some(Subscription {
                id,
                subject: subject.into(),
                queue: queue.map(Into::into),
                delivered: 0,
                delivered_before: 0,
                max: None,
                phase: Phase::Open,
            });
        }
        self.by_sid.insert(sid, index);
        if let Some(by_name) = &mut self.by_name {
            by_name.entry(name(subject, queue)).or_default().push(id);
        }
        id
    }

    pub(super) fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.slots.get_mut(id.index())?.as_mut().filter(|subscription| subscription.id == id)
    }

    #[inline(always)]
    pub(super) fn by_sid_mut(&mut self, sid: u64) -> Option<&mut Subscription> {
        if self.recent.0 != sid {
            self.look_up(sid)?;
        }
        let index = self.recent.1 as usize;
        // The place may have another subscription by now.
        self.slots
            .get_mut(index)?
            .as_mut()
            .filter(|subscription| subscription.id.sid == sid || fault!(WrongSubscriptionIsFound))
            .filter(|subscription| subscription.delivered_before == 0 || !fault!(RestoredIsDeaf))
    }

    #[inline(never)]
    fn look_up(&mut self, sid: u64) -> Option<()> {
        self.recent = (sid, *self.by_sid.get(&sid)?);
        Some(())
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        self.get_mut(id)?;
        self.by_sid.remove(&id.sid);
        self.ended = self.ended.saturating_add(1);
        if self.ended > self.by_sid.len() {
            self.by_name = None;
        }
        self.free.push(id.index);
        self.slots.get_mut(id.index())?.take()
    }

    /// Takes out all.
    pub(super) fn take_all(&mut self) -> Vec<SubscriptionId> {
        let ids: Vec<SubscriptionId> = self.iter().map(|subscription| subscription.id).collect();
        self.remove_each(ids)
    }

    /// Takes out all to a subject in this queue group, or in none.
    pub(super) fn remove_named(
        &mut self,
        subject: &str,
        queue: Option<&str>,
    ) -> Vec<SubscriptionId> {
        let named = self.by_name().remove(&name(subject, queue));
        self.remove_each(named.into_iter().flatten())
    }

    /// Takes out all to a subject, in whatever queue group.
    pub(super) fn remove_subject(&mut self, subject: &str) -> Vec<SubscriptionId> {
        let by_name = self.by_name();
        let mut named = by_name.remove(subject).unwrap_or_default();
        let queues = name(subject, Some(""));
        while let Some((found, _)) = by_name.range(queues.clone()..).next()
            && found.starts_with(&queues)
        {
            let found = found.clone();
            named.extend(by_name.remove(&found).unwrap_or_default());
        }
        self.remove_each(named)
    }

    /// Those of them that have not ended.
    fn remove_each(
        &mut self,
        ids: impl IntoIterator<Item = SubscriptionId>,
    ) -> Vec<SubscriptionId> {
        ids.into_iter().filter(|id| self.remove(*id).is_some()).collect()
    }

    fn by_name(&mut self) -> &mut ByName {
        let Self { slots, ended, by_name, .. } = self;
        by_name.get_or_insert_with(|| {
            *ended = 0;
            let mut by_name = ByName::new();
            for subscription in slots.iter().flatten() {
                let name = name(&subscription.subject, subscription.queue.as_deref());
                by_name.entry(name).or_default().push(subscription.id);
            }
            by_name
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.slots.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.slots.iter_mut().flatten()
    }

    /// Tells a new server of all subscriptions, but for those that are to be confirmed.
    pub(super) fn restore(&mut self, out: &mut OutBuf) {
        let told = self.iter_mut().filter(|s| !matches!(s.phase, Phase::Confirming(_)));
        for subscription in told.skip(usize::from(fault!(SubscriptionIsNotRestored))) {
            subscription.restore(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::connection::state::Link;
    use crate::{Config, Instant};

    #[test]
    fn places_are_used_again_and_numbers_are_not() {
        let mut table = Subscriptions::default();
        let a = table.insert("a", None);
        let b = table.insert("b", Some("q"));
        assert!(table.remove(a).is_some());
        assert!(table.remove(a).is_none());
        let c = table.insert("c", None);
        assert_eq!(c.index(), a.index());
        assert!(c.sid() > b.sid());
        assert!(table.by_sid_mut(a.sid()).is_none());
        assert_eq!(table.by_sid_mut(c.sid()).map(|s| &*s.subject), Some("c"));
        assert!(table.get_mut(a).is_none());
        assert_eq!(table.len(), 2);
    }

    /// Here, as nobody waits for so many messages.
    #[test]
    fn a_maximum_that_a_server_cannot_be_told_is_kept() {
        for max in [7, LARGEST_MAX, LARGEST_MAX + 1] {
            let config = Config::new(alloc::vec!["a".parse().expect("an address")]);
            let mut connection =
                Connection::new(config.into(), [1; 32], Instant::ZERO).expect("valid settings");
            connection.link = Link::Connected;
            let id = connection.subscribe("a", None).expect("open");
            connection.unsubscribe_after(id, max).expect("it exists");
            let mut out = OutBuf::new();
            connection.poll_transmit(&mut out);
            out.clear();
            connection.subscriptions.get_mut(id).expect("it exists").delivered = max - 2;
            for (left, end) in [(1, ""), (0, "UNSUB 1\r\n")] {
                connection.receive(Instant::ZERO, &mut "MSG a 1 0\r\n\r\n".into());
                connection.poll_transmit(&mut out);
                assert_eq!(out.chunks().collect::<Vec<_>>().concat(), end.as_bytes());
                assert_eq!(connection.subscriptions(), left);
            }
        }
    }

    #[test]
    fn subscriptions_are_found_by_their_names_until_they_end() {
        let mut table = Subscriptions::default();
        let plain = [table.insert("a", None), table.insert("a", None)];
        let queued = [table.insert("a", Some("q")), table.insert("a", Some("q!"))];
        let others = [table.insert("a.b", None), table.insert("a!", None)];
        for nobody in [("b", None), ("a", Some("")), ("a", Some("p")), ("", None)] {
            assert_eq!(table.remove_named(nobody.0, nobody.1), []);
        }
        table.remove(plain[0]);
        let later = table.insert("a", None);
        assert_eq!(table.remove_named("a", None), [plain[1], later]);
        assert_eq!(table.remove_named("a", None), []);
        let again = table.insert("a", None);
        assert_eq!(table.remove_subject("a"), [again, queued[0], queued[1]]);
        assert_eq!(table.remove_subject("a"), []);
        assert_eq!(table.len(), others.len());
    }

    #[test]
    fn the_hasher_tells_neighbours_apart_in_high_and_low_bits() {
        let hash = |sid: u64| {
            let mut hasher = SidHasher::default();
            hasher.write_u64(sid);
            hasher.finish()
        };
        let low: alloc::collections::BTreeSet<u64> = (0..128).map(|s| hash(s) & 0x7f).collect();
        let high: alloc::collections::BTreeSet<u64> = (0..128).map(|s| hash(s) >> 57).collect();
        assert!(low.len() > 64);
        assert!(high.len() > 64);
    }
}
