//! Publishers and the driver take turns.

use std::task::Waker;

use crate::waiters::WakerSet;

/// Bytes that publishers may write by themselves before the driver gets its turn, to read what has come.
const TURN: usize = 1024 * 1024;

/// Times in a turn that the driver may find something new when it has just written, before publishers have to wait.
const OVERTAKEN: usize = 4;

/// Of so many bytes at least: less is what a slow publisher leaves there.
const OVERTAKING: usize = 512;

/// Times in a turn that a publisher may find the lock taken, before those who do have to wait.
const COLLISIONS: usize = 16;

/// Who waits to publish, and for what.
///
/// Several threads that publish at full speed, or one and the driver, are slower than one alone: each takes
/// from the other's cache what it needs next, and the writes are small. So when that happens again and again, all
/// but one wait until the driver comes by. It wakes them as the last thing it does, and many executors run what
/// was woken on the thread that woke it: there, one goes on alone, and writes large pieces by itself, for the length
/// of a turn. Who publishes now and then never waits.
///
/// Nobody waits unless the driver is sure to come by: it is connected, and has something to write or is to be told
/// that there is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Publishers that wait for room.
    pub(crate) room: WakerSet,
    /// Publishers that wait for their turn.
    pub(crate) turn: WakerSet,
    /// Bytes of this turn.
    spent: usize,
    collisions: usize,
    /// Whether the driver has something to write, and will be back when that is done.
    driver_writes: bool,
}

impl Turns {
    /// Whether a publisher must wait for its turn. `queued` says whether something is queued for a driver that is
    /// connected, `collided` whether the publisher found the lock taken.
    pub(crate) fn is_over(&mut self, queued: bool, collided: bool) -> bool {
        if collided {
            self.collisions = self.collisions.saturating_add(1);
        }
        (self.spent >= TURN || (collided && self.collisions > COLLISIONS))
            && (queued || self.driver_writes)
    }

    /// Notes that a publisher writes so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes);
    }

    /// The driver comes by: it has `bytes` to write, `taken` just now or left over. Moves those who may go on
    /// to `wakers`.
    pub(crate) fn come_by(&mut self, bytes: usize, taken: bool, wakers: &mut Vec<Waker>) {
        if taken && self.driver_writes && bytes >= OVERTAKING {
            self.spend(TURN / OVERTAKEN);
        }
        self.driver_writes = bytes > 0;
        if taken || bytes == 0 {
            self.room.take_all(wakers);
        }
        if bytes == 0 || self.spent >= TURN {
            self.end(wakers);
        }
    }

    /// Moves everyone to `wakers`: a new turn begins.
    pub(crate) fn end(&mut self, wakers: &mut Vec<Waker>) {
        if !self.turn.is_empty() {
            self.spent = 0;
        }
        self.collisions = 0;
        self.room.take_all(wakers);
        self.turn.take_all(wakers);
    }

    /// Publishers that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.room.len() + self.turn.len()
    }
}
