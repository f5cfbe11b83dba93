//! Publishers and the driver take turns.

#[cfg(test)]
mod tests;

use std::task::Waker;
use std::time::Duration;

use nats_proto::Instant;
use nats_proto::connection::PublishError;

use crate::faults::fault;
use crate::waiters::WakerSet;

/// Bytes that publishers may write by themselves before the driver gets its turn, to read what has come. Less if
/// others wait for theirs, but not less than [`SHORTEST`].
const TURN: usize = 1024 * 1024;

/// Bytes of the shortest turn: enough for the change to cost little for each.
const SHORTEST: usize = 64 * 1024;

/// Times in a turn that the driver may find something new when it has just written, before publishers have to wait.
const OVERTAKEN: usize = 4;

/// Of so many bytes at least: less is what a slow publisher leaves there.
const OVERTAKING: usize = 512;

/// Times in a turn that a publisher may find the lock taken, before those who do have to wait.
const COLLISIONS: usize = 16;

/// The same in a turn for which somebody else waits: those who collided will do so again.
const COLLISIONS_AMONG_MANY: usize = 3;

/// After so many publishes in a row that did not go the short way, and did not wait for a turn, a task lets others run.
pub(crate) const ROW: usize = 512;

/// So many of those who wait for room are told of it at a time: mostly more than it serves. To tell all would take, for
/// each write, a time that grows with their number, and all but a few would wait again.
const CROWD: usize = 256;

/// How long a turn is kept for somebody who is not heard of while others wait. A future need not be polled when it is
/// woken: it may wait in a `select!` whose task does something else, such as publishing.
const PATIENCE: Duration = Duration::from_millis(1);

/// Who waits to publish, and for what.
///
/// Several threads that publish at full speed, or one and the driver, are slower than one alone: each takes
/// from the other's cache what it needs next, and the writes are small. So when that happens again and again, all
/// but one wait until the driver comes by. It wakes the one that has waited for longest as the last thing it does, and
/// many executors run what was woken on the thread that woke it: there, one goes on alone, and writes large pieces by
/// itself, for the length of a turn. Who publishes now and then never waits.
///
/// Nobody waits unless the driver is sure to come by: it is connected, and has something to write or is to be told
/// that there is. Whoever is woken publishes, of which the driver is told, or [tells it][Place] that it does not, or
/// is passed over [after a while](PATIENCE); so it comes by again for the next. It is the same with those who wait
/// for room, of whom a [crowd](CROWD) is woken at a time, those first who have waited for longest. One of them that finds
/// none, because others were faster and it needs much, is woken [alone](Overtaken) the next time. Nobody waits while
/// the stream takes nothing, either: who knows when it will, and the buffer is there for that.
///
/// [Place]: crate::client::publish::Place
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Publishers that wait for room.
    pub(crate) room: WakerSet,
    /// Publishers that wait for their turn.
    pub(crate) turn: WakerSet,
    /// Bytes of this turn.
    spent: usize,
    collisions: usize,
    /// Publishes that did not go the short way since a publisher last waited for its turn or rested.
    in_a_row: usize,
    /// Somebody was given the turn at this time, and not heard of since.
    given: Option<Instant>,
    /// Some were told of room at this time, while others wait for it.
    offered: Option<Instant>,
    overtaken: Overtaken,
    driver: Driver,
}

/// One that was told of room and found none for a large message. Small ones would take it again and again: executors
/// differ in whom they run first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Overtaken {
    #[default]
    Nobody,
    /// Who holds this key in [`Turns::room`]. It is told of room before all others.
    Waits(u64),
    /// It was told at this time, and not heard of since. Nobody else goes on meanwhile.
    Told { key: u64, since: Instant },
}

/// What the driver is at, when nobody has told it of anything new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Driver {
    /// It has nothing to write.
    #[default]
    Idle,
    /// It has something to write, and will be back when that is done.
    Writes,
    /// It has something to write, and the stream takes nothing.
    Stuck,
}

impl Turns {
    /// Whether a publisher must wait for its turn. `queued` says whether something is queued for a driver that is
    /// connected, `collided` whether the publisher found the lock taken.
    pub(crate) fn is_over(&mut self, queued: bool, collided: bool) -> bool {
        if collided {
            self.collisions = self.collisions.saturating_add(1);
        }
        let collides = collided && self.collisions > COLLISIONS;
        let over =
            self.overtakes(queued) || (self.comes_by(queued) && (self.is_spent() || collides));
        if over {
            self.in_a_row = 0;
        }
        over
    }

    /// Whether a message would be queued before that of somebody who waits for room: small ones would take it from a
    /// large one again and again. `queued` as above.
    pub(crate) fn overtakes(&self, queued: bool) -> bool {
        let others = (queued && !self.room.is_empty()) || self.awaits_overtaken();
        others && self.comes_by(queued)
    }

    /// Whether somebody waits for room, or has just been told of some: nobody is to publish without having looked whether that
    /// [overtakes](Self::overtakes).
    pub(crate) fn has_somebody_to_overtake(&self) -> bool {
        !self.room.is_empty() || self.awaits_overtaken()
    }

    /// Whether the driver is sure to come by.
    fn comes_by(&self, queued: bool) -> bool {
        match self.driver {
            // It has a deadline for the one that it has told of room.
            Driver::Idle => queued || self.awaits_overtaken(),
            Driver::Writes => true,
            Driver::Stuck => false,
        }
    }

    fn awaits_overtaken(&self) -> bool {
        matches!(self.overtaken, Overtaken::Told { .. })
    }

    /// Registers `waker` among those who wait for room, and gives back the one it replaces. `much` says whether it needs
    /// most of what there may be.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn wait_for_room(
        &mut self,
        key: &mut Option<u64>,
        waker: &Waker,
        much: bool,
    ) -> Option<Waker> {
        let told = key.filter(|key| !self.room.contains(*key));
        if let Some(key) = told {
            self.heard_of(key);
            if much && self.overtaken == Overtaken::Nobody {
                self.overtaken = Overtaken::Waits(key);
            }
        }
        self.room.register(key, waker)
    }

    /// Who holds `key` waits for room no longer. Gives the waker, unless it was told of room.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn leave_room(&mut self, key: &mut Option<u64>) -> Option<Waker> {
        if let Some(key) = *key {
            self.heard_of(key);
        }
        self.room.remove(key)
    }

    fn heard_of(&mut self, who: u64) {
        if matches!(self.overtaken, Overtaken::Told { key, .. } if key == who) {
            self.overtaken = Overtaken::Nobody;
        }
    }

    /// Counts a publish that does not go the short way. True if its task is to let others run before: nobody may ever
    /// have to wait, because what does not fit is dropped or refused, or the driver is faster.
    pub(crate) fn must_rest(&mut self) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let rests = self.in_a_row > ROW;
        if rests {
            self.in_a_row = 0;
        }
        rests
    }

    /// Whether publishers have written as much as they may before the driver gets its turn.
    pub(crate) fn is_spent(&self) -> bool {
        let others = self.turn.len();
        self.spent >= (TURN / others.saturating_add(1)).max(SHORTEST)
    }

    /// Whether nobody relies on the driver to come by.
    pub(crate) fn nobody_waits(&self) -> bool {
        self.room.is_empty() && self.turn.is_empty()
    }

    /// Notes that a publisher writes so many bytes.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes);
    }

    /// The driver comes by: it has `bytes` to write, `taken` just now or left over. `no_link` says that there is no room
    /// without another link, with which everyone is told that they [may try again](Self::end). Moves those who may go on
    /// to `wakers`.
    pub(crate) fn come_by(
        &mut self,
        now: Instant,
        bytes: usize,
        taken: bool,
        no_link: bool,
        wakers: &mut Vec<Waker>,
    ) {
        // However little it is: those who wait must not do so for as long as there is always some.
        if taken && self.driver != Driver::Idle && (bytes >= OVERTAKING || !self.turn.is_empty()) {
            self.spend(TURN / OVERTAKEN);
        }
        self.driver = if bytes > 0 { Driver::Writes } else { Driver::Idle };
        if bytes == 0 {
            // It has had its turn, and publishers have theirs again.
            self.spent = 0;
        }
        // While something is left to write, the driver comes by when that is written.
        self.offered = None;
        if matches!(self.overtaken, Overtaken::Told { since, .. } if now >= since + PATIENCE) {
            self.overtaken = Overtaken::Nobody;
        }
        let next = bytes == 0 || self.is_spent();
        if next && !self.nobody_waits() {
            self.spent = 0;
        }
        // Else all would be woken again and again for nothing, a crowd at a time.
        if (next || taken) && !no_link {
            self.offer_room(now, wakers);
        }
        if next {
            self.give_to_next(now, wakers);
        }
    }

    /// Tells some of those who wait that there is room.
    fn offer_room(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        if let Overtaken::Waits(key) = self.overtaken {
            let waker = self.room.remove(&mut Some(key));
            self.overtaken = match waker {
                Some(_) => Overtaken::Told { key, since: now },
                None => Overtaken::Nobody,
            };
            wakers.extend(waker);
        }
        if self.awaits_overtaken() {
            return;
        }
        self.room.take_up_to(CROWD, wakers);
        self.offered = (!self.room.is_empty()).then_some(now);
    }

    /// The driver is about to wait for the stream to take more. Moves those who wait for their turn to `wakers`.
    pub(crate) fn get_stuck(&mut self, wakers: &mut Vec<Waker>) {
        self.driver = Driver::Stuck;
        self.turn.take_all(wakers);
    }

    /// Whoever was given a turn has taken it, or is gone.
    pub(crate) fn taken(&mut self) {
        self.given = None;
    }

    /// When the driver is to come by for those who wait, even if nobody tells it anything.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let given = self.given.filter(|_| !self.turn.is_empty() && !fault!(TurnIsNeverOverdue));
        let offered = self.offered.filter(|_| !self.room.is_empty());
        let told = match self.overtaken {
            Overtaken::Told { since, .. } => Some(since),
            Overtaken::Nobody | Overtaken::Waits(_) => None,
        };
        given.into_iter().chain(offered).chain(told).min().map(|since| since + PATIENCE)
    }

    /// A new turn begins, of the one that has waited for longest; no other before that was heard of, or is overdue.
    fn give_to_next(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        if self.given.is_some_and(|given| now < given + PATIENCE) {
            return;
        }
        // Also if nobody else gets it now: the driver must not come back for what is over.
        self.given = None;
        if self.awaits_overtaken() {
            return;
        }
        let next = self.turn.take_first();
        self.given = next.is_some().then_some(now);
        self.collisions = match self.turn.is_empty() {
            true => 0,
            false => COLLISIONS - COLLISIONS_AMONG_MANY,
        };
        wakers.extend(next);
    }

    /// Moves everyone to `wakers`: a new turn begins.
    pub(crate) fn end(&mut self, wakers: &mut Vec<Waker>) {
        if !self.nobody_waits() {
            self.spent = 0;
        }
        self.collisions = 0;
        self.given = None;
        self.offered = None;
        self.overtaken = Overtaken::Nobody;
        self.room.take_all(wakers);
        self.turn.take_all(wakers);
    }

    /// Publishers that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.room.len() + self.turn.len()
    }
}

/// Whether a message for which there is no room needs most of what there may be, and others leave it none.
pub(crate) fn needs_much(error: &PublishError) -> bool {
    matches!(error, PublishError::BufferFull { size, limit, .. } if *size > limit / 2)
}
