//! The lock of the core, while it is held.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::task::Waker;

use bytes::Bytes;

use crate::shared::Core;

/// The core, locked. The payloads that it gives up meanwhile are dropped behind the lock: they may be memory of the
/// application's own, which does as it likes when it is dropped. Should it panic, the driver was woken before.
pub(crate) struct Locked<'a> {
    // Fields go in order: the lock first.
    core: MutexGuard<'a, Core>,
    told: Told,
    garbage: Vec<Bytes>,
}

/// Woken when dropped.
struct Told(Option<Waker>);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

impl<'a> Locked<'a> {
    pub(crate) fn new(core: MutexGuard<'a, Core>) -> Self {
        Self { core, told: Told(None), garbage: Vec::new() }
    }

    /// Wakes the driver behind the lock.
    pub(crate) fn tell_driver(&mut self) {
        let driver = self.core.driver.take();
        self.tell(driver);
    }

    /// The same, if what was just published or requested is news to it.
    pub(crate) fn tell_of_output(&mut self) {
        let driver = self.core.wake_for_output();
        self.tell(driver);
    }

    /// Wakes the driver, whose waker this is, behind the lock.
    pub(crate) fn tell(&mut self, driver: Option<Waker>) {
        if driver.is_some() {
            self.told.0 = driver;
        }
    }
}

impl Deref for Locked<'_> {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Core {
        &mut self.core
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.garbage = self.core.conn.take_garbage();
    }
}
