//! Deadlines of futures that the protocol core knows nothing of.
//!
//! A `Client` names no runtime, so it cannot sleep; the driver can, and wakes these futures in time.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Deref;
use std::task::{Context, Poll, Waker};

use nats_proto::Instant;

use crate::shared::Shared;

/// The deadline of one future: when, and a number that no other one has.
pub(crate) type TimerKey = (Instant, u64);

/// The futures that want to be woken at some time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    next: u64,
    waiting: BTreeMap<TimerKey, Waker>,
}

impl Timers {
    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(deadline, _)| *deadline)
    }

    /// Adds a deadline.
    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        let key = (deadline, self.next);
        self.next = self.next.wrapping_add(1);
        self.waiting.insert(key, waker);
        key
    }

    /// Renews the waker of a deadline that has not come; gives back the one it replaces.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn renew(&mut self, key: TimerKey, waker: &Waker) -> Option<Waker> {
        let old = self.waiting.get_mut(&key)?;
        (!old.will_wake(waker)).then(|| mem::replace(old, waker.clone()))
    }

    /// Forgets a deadline.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        self.waiting.remove(&key)
    }

    /// Takes out everyone whose time has come.
    pub(crate) fn fire(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            wakers.push(entry.remove());
        }
    }
}

/// A deadline that the driver watches.
pub(crate) struct Timer<S: Deref<Target = Shared>> {
    shared: S,
    deadline: Instant,
    key: Option<TimerKey>,
}

impl<S: Deref<Target = Shared>> Timer<S> {
    pub(crate) fn new(shared: S, deadline: Instant) -> Self {
        Self { shared, deadline, key: None }
    }

    /// Whether the deadline has come. Wakes nobody when it does.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.now() >= self.deadline
    }

    /// Ready when the deadline has come. At the end of the client nobody looks at deadlines: whoever has one waits for
    /// something else as well, which ends then.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.is_over() {
            return Poll::Ready(());
        }
        let mut core = self.shared.lock();
        if core.ended.is_some() {
            return Poll::Pending;
        }
        let (old, driver) = match self.key {
            Some(key) => (core.timers.renew(key, cx.waker()), None),
            None => {
                self.key = Some(core.timers.insert(self.deadline, cx.waker().clone()));
                (None, core.wake_for_deadline())
            }
        };
        core.tell(driver);
        drop(core);
        drop(old);
        Poll::Pending
    }
}

impl<S: Deref<Target = Shared>> Drop for Timer<S> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let old = self.shared.lock().timers.remove(key);
            drop(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_fire_in_order_and_once() {
        let mut timers = Timers::default();
        let at = Instant::from_millis;
        timers.insert(at(20), Waker::noop().clone());
        timers.insert(at(10), Waker::noop().clone());
        let removed = timers.insert(at(5), Waker::noop().clone());
        assert!(timers.remove(removed).is_some());
        assert_eq!(timers.first(), Some(at(10)));
        let mut wakers = Vec::new();
        timers.fire(at(10), &mut wakers);
        assert_eq!((wakers.len(), timers.first()), (1, Some(at(20))));
        timers.fire(at(30), &mut wakers);
        assert_eq!((wakers.len(), timers.first()), (2, None));
    }
}
