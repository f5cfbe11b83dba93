//! Futures that wait for the driver.
//!
//! Nothing here wakes or drops a waker: both may run code of the executor, which may come back for the lock
//! under which these structures are used. So wakers are handed out, to be woken or dropped after it.

use std::collections::{BTreeMap, btree_map};
use std::task::Waker;
use std::{iter, mem};

use crate::faults::fault;

/// Tasks that want to look again when something has changed.
///
/// Many may wait, and each is found and removed under the lock: neither may take longer for that.
#[derive(Debug, Default)]
pub(crate) struct WakerSet {
    next: u64,
    /// By key: the one that has waited for longest is the first.
    tasks: BTreeMap<u64, Waker>,
}

impl WakerSet {
    /// Adds or renews the waker of the task that holds `key`. Gives back the one it replaces. Who was woken, and waits
    /// again, is where it was before.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn register(&mut self, key: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let key = *key.get_or_insert_with(|| {
            self.next = self.next.wrapping_add(1);
            self.next
        });
        match self.tasks.entry(key) {
            btree_map::Entry::Occupied(entry)
                if entry.get().will_wake(waker) || fault!(PublisherIsNotRenewed) =>
            {
                None
            }
            btree_map::Entry::Occupied(mut entry) => Some(entry.insert(waker.clone())),
            btree_map::Entry::Vacant(entry) => {
                entry.insert(waker.clone());
                None
            }
        }
    }

    /// Forgets the task that holds `key`.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn remove(&mut self, key: &mut Option<u64>) -> Option<Waker> {
        self.tasks.remove(&key.take()?)
    }

    /// The waker of the task that has waited for longest, to be woken after the lock.
    #[must_use = "to be woken after the lock"]
    pub(crate) fn take_first(&mut self) -> Option<Waker> {
        self.tasks.pop_first().map(|(_, waker)| waker)
    }

    /// Moves all wakers to `wakers`, to be woken after the lock.
    pub(crate) fn take_all(&mut self, wakers: &mut Vec<Waker>) {
        self.take_up_to(usize::MAX, wakers);
    }

    /// Moves those that have waited for longest to `wakers`, to be woken after the lock.
    pub(crate) fn take_up_to(&mut self, count: usize, wakers: &mut Vec<Waker>) {
        // One by one: the map keeps memory for the next few then.
        wakers.extend(iter::from_fn(|| self.take_first()).take(count));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether the task that holds `key` waits, and was not woken.
    pub(crate) fn contains(&self, key: u64) -> bool {
        self.tasks.contains_key(&key)
    }

    /// Tasks that wait.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

/// Futures that each wait for an outcome of their own.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

/// What there is of one waiting future.
#[derive(Debug)]
pub(crate) enum Entry<T> {
    /// Nobody.
    Free,
    /// A future that has not seen its outcome because there is none.
    Waiting(Waker),
    /// An outcome that its future has not seen.
    Done(T),
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Waiters<T> {
    /// Adds a future; the key is its own until it takes its outcome or is removed.
    pub(crate) fn insert(&mut self, waker: Waker) -> u32 {
        if let Some(key) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(key as usize)
        {
            *entry = Entry::Waiting(waker);
            return key;
        }
        self.entries.push(Entry::Waiting(waker));
        // Four thousand million futures do not fit into memory.
        (self.entries.len() - 1) as u32
    }

    /// Leaves an outcome. Gives the waker of the future that waits for it.
    #[must_use = "to be woken after the lock"]
    pub(crate) fn complete(&mut self, key: u32, outcome: T) -> Option<Waker> {
        let entry = self.entries.get_mut(key as usize)?;
        if !matches!(entry, Entry::Waiting(_)) {
            return None;
        }
        match mem::replace(entry, Entry::Done(outcome)) {
            Entry::Waiting(waker) => Some(waker),
            Entry::Free | Entry::Done(_) => None,
        }
    }

    /// Leaves an outcome for everyone who has none.
    pub(crate) fn complete_all(&mut self, outcome: impl Fn() -> T, wakers: &mut Vec<Waker>) {
        for key in 0..self.entries.len() {
            wakers.extend(self.complete(key as u32, outcome()));
        }
    }

    /// The outcome, if there is one: the key is free then. Otherwise renews the waker, and gives back the
    /// one it replaces.
    pub(crate) fn poll(&mut self, key: u32, waker: &Waker) -> Result<T, Option<Waker>> {
        match self.entries.get_mut(key as usize) {
            Some(Entry::Waiting(old)) if old.will_wake(waker) || fault!(WaiterIsNotRenewed) => {
                Err(None)
            }
            Some(Entry::Waiting(old)) => Err(Some(mem::replace(old, waker.clone()))),
            _ => match self.remove(key) {
                Entry::Done(outcome) => Ok(outcome),
                Entry::Free | Entry::Waiting(_) => Err(None),
            },
        }
    }

    /// Forgets a future.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn remove(&mut self, key: u32) -> Entry<T> {
        let Some(entry) = self.entries.get_mut(key as usize) else {
            return Entry::Free;
        };
        let removed = mem::replace(entry, Entry::Free);
        if !matches!(removed, Entry::Free) {
            self.free.push(key);
            self.free.extend(fault!(PlaceIsFreedTwice).then_some(key));
        }
        removed
    }

    /// Futures that have not taken an outcome.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::task::Wake;

    use super::*;

    #[test]
    fn an_outcome_is_taken_once_and_frees_its_place() {
        let mut waiters = Waiters::default();
        let a = waiters.insert(Waker::noop().clone());
        let b = waiters.insert(Waker::noop().clone());
        assert!(waiters.complete(a, 'a').is_some());
        assert!(waiters.complete(a, 'x').is_none());
        assert_eq!(waiters.poll(a, Waker::noop()).ok(), Some('a'));
        assert!(waiters.poll(b, Waker::noop()).is_err());
        assert_eq!(waiters.len(), 1);
        assert_eq!(waiters.insert(Waker::noop().clone()), a);
    }

    #[test]
    fn a_removed_future_is_gone() {
        let mut waiters = Waiters::default();
        let key = waiters.insert(Waker::noop().clone());
        assert!(matches!(waiters.remove(key), Entry::Waiting(_)));
        assert!(waiters.complete(key, ()).is_none());
        assert!(matches!(waiters.remove(key), Entry::Free));
        assert_eq!(waiters.len(), 0);
    }

    #[test]
    fn a_task_is_registered_once_and_again_after_it_was_woken() {
        let (mut set, mut key, mut wakers) = (WakerSet::default(), None, Vec::new());
        for _ in 0..2 {
            drop(set.register(&mut key, Waker::noop()));
            assert_eq!(set.len(), 1);
        }
        set.take_all(&mut wakers);
        assert_eq!(wakers.len(), 1);
        assert!(set.is_empty());
        assert!(set.register(&mut key, Waker::noop()).is_none());
        assert!(set.remove(&mut key).is_some());
        assert!(set.is_empty());
    }
    /// Notes its number when it is woken.
    struct Numbered(usize, mpsc::Sender<usize>);

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.send(self.0).expect("a test that listens");
        }
    }

    #[test]
    fn tasks_are_woken_in_order_without_those_that_were_removed() {
        const TASKS: usize = 1_000;
        let (sender, woken) = mpsc::channel();
        let waker = |number| Waker::from(Arc::new(Numbered(number, sender.clone())));
        let (mut set, mut keys) = (WakerSet::default(), [None; TASKS]);
        for (number, key) in keys.iter_mut().enumerate() {
            assert!(set.register(key, &waker(number)).is_none());
        }
        for key in keys.iter_mut().skip(1).step_by(2) {
            assert!(set.remove(key).is_some());
            assert_eq!(*key, None);
        }
        // Who is registered keeps its place, and who was removed goes behind all others.
        assert!(set.register(&mut keys[2], &waker(2)).is_some());
        assert!(set.register(&mut keys[1], &waker(1)).is_none());
        assert_eq!(set.len(), TASKS / 2 + 1);
        set.take_first().expect("the first").wake();
        // Who was woken, and waits again, comes before all others; who does not is gone.
        assert!(set.register(&mut keys[0], &waker(0)).is_none());
        set.take_first().expect("the first again").wake();
        assert!(set.remove(&mut keys[0]).is_none(), "it is woken");
        let mut wakers = Vec::new();
        set.take_all(&mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        let order: Vec<_> = woken.try_iter().collect();
        let expected: Vec<_> = [0].into_iter().chain((0..TASKS).step_by(2)).chain([1]).collect();
        assert_eq!(order, expected);
        assert!(set.is_empty());
    }
}
