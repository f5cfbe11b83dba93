//! What clients and subscribers hold of what they share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use crate::faults::fault;
use crate::shared::{Core, Shared};
use crate::waiters::WakerSet;

/// How long the last publishes may take to go out when the last handle is gone.
const PARTING_TIME: Duration = Duration::from_secs(5);

/// A client or subscriber. When the last one is dropped, what is buffered goes out, if there is a connection, which then
/// ends.
#[derive(Debug)]
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.handles.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 && !fault!(LastHandleIsSilent) {
            let now = self.now();
            self.change(|core| {
                if core.ended.is_none() {
                    core.conn.close(now, PARTING_TIME);
                }
            });
        }
    }
}

/// A place in one of the sets of wakers, given up when dropped.
pub(crate) struct Registration<'a> {
    shared: &'a Shared,
    set: fn(&mut Core) -> &mut WakerSet,
    key: Option<u64>,
}

impl<'a> Registration<'a> {
    pub(crate) fn new(shared: &'a Shared, set: fn(&mut Core) -> &mut WakerSet) -> Self {
        Self { shared, set, key: None }
    }

    /// Runs `attempt` under the lock and, if it gives nothing, registers `waker` before the lock is released.
    pub(crate) fn attempt<T>(
        &mut self,
        waker: &Waker,
        attempt: impl FnOnce(&mut Core) -> Option<T>,
    ) -> Option<T> {
        let mut core = self.shared.lock();
        let result = attempt(&mut core);
        let old = if result.is_none() {
            (self.set)(&mut core).register(&mut self.key, waker)
        } else {
            None
        };
        drop(core);
        drop(old);
        result
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        if self.key.is_some() {
            let old = (self.set)(&mut self.shared.lock()).remove(&mut self.key);
            drop(old);
        }
    }
}
