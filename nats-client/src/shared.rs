//! What clients, subscribers and the driver share.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::vec::Drain;

use bytes::Bytes;
use nats_proto::connection::{
    Connection, EndReason, FlushError, PublishError, State, SubscriptionId,
};
use nats_proto::wire::OutBuf;
use nats_proto::{FlushId, Instant, Outgoing, RequestId};

use crate::awaited::{Awaited, Requests};
use crate::client::Remainder;
use crate::connect::Startup;
use crate::faults::fault;
use crate::hub::NoticeHub;
use crate::link::Link;
use crate::locked::Locked;
use crate::mailbox::Mailbox;
use crate::notice::Notice;
use crate::options::Settings;
use crate::statistics::Statistics;
use crate::timers::Timers;
use crate::trace;
use crate::turns::{Turns, needs_much};
use crate::waiters::WakerSet;

/// Queued bytes that a publisher writes by itself: enough for a write to cost little for each message, and few
/// enough to be in the cache still.
const ENOUGH: usize = 64 * 1024;

/// The same for payloads that are not copied: they are not in the cache because they are queued, and larger writes cost
/// less.
const ENOUGH_SHARED: usize = 256 * 1024;

/// Writes in which a publisher gets that out: TLS and WebSockets take 64 KiB at a time.
const WRITES: usize = 4;

/// Everything about one client that its handles and its driver share.
///
/// The core's lock is held for as long as it takes to encode a message or to book a batch; nothing is woken,
/// dropped or called back under it, not even what [the core gives up](Locked). A mailbox may be locked while it
/// is held, not the other way round. The link's lock is the driver's; it is held while the driver reads or writes,
/// and the core's lock may be taken under it. Nobody else waits for it.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    link: Mutex<Link>,
    clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) notices: Arc<NoticeHub>,
    /// Clients and subscribers.
    pub(crate) handles: AtomicUsize,
    /// Publishes of which it is not known whether the server has them, since a link broke.
    pub(crate) uncertain: AtomicU64,
}

/// The runtime's clock, without its type, as the protocol core reads it.
#[derive(Debug)]
pub(crate) struct Clock {
    pub(crate) now: fn() -> std::time::Instant,
    pub(crate) origin: std::time::Instant,
}

/// What is under the lock.
pub(crate) struct Core {
    pub(crate) conn: Connection,
    /// The driver's waker, unless it has been woken already or is running.
    pub(crate) driver: Option<Waker>,
    /// When the driver will look again by itself, at the latest.
    pub(crate) armed: Option<Instant>,
    /// The driver reads nothing until a subscriber that holds up the connection has caught up.
    pub(crate) paused: bool,
    /// Subscriptions that the driver does not know yet, and those it need not know any longer, in order.
    pub(crate) changes: Vec<Change>,
    pub(crate) requests: Requests,
    /// The flushes that wait for their fences.
    pub(crate) flushes: Awaited<FlushId, FlushError>,
    /// The subscriptions that wait for the server to have them.
    pub(crate) confirms: Awaited<SubscriptionId, EndReason>,
    pub(crate) turns: Turns,
    /// Those who wait for the first connection or for the end.
    pub(crate) watchers: WakerSet,
    pub(crate) timers: Timers,
    pub(crate) startup: Startup,
    /// Set at the end: nobody drives the connection any more.
    pub(crate) ended: Option<Remainder>,
}

/// A change of the set of subscriptions.
#[derive(Debug)]
pub(crate) enum Change {
    Added(SubscriptionId, Arc<Mailbox>),
    Removed(SubscriptionId),
}

/// What becomes of a publish that does not go the short way.
#[derive(Debug)]
pub(crate) enum InTurn {
    Done(Result<(), PublishError>),
    /// It waits for its turn.
    Wait,
    /// Its task lets others run, and goes on.
    Rest,
}

impl Core {
    pub(crate) fn new(mut conn: Connection) -> Self {
        conn.keep_garbage();
        Self {
            conn,
            driver: None,
            armed: None,
            paused: false,
            changes: Vec::new(),
            requests: Requests::default(),
            flushes: Awaited::default(),
            confirms: Awaited::default(),
            turns: Turns::default(),
            watchers: WakerSet::default(),
            timers: Timers::default(),
            startup: Startup::default(),
            ended: None,
        }
    }

    /// When the driver must look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.conn.poll_timeout(), self.timers.first(), self.turns.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Whether messages flow.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.conn.state(), State::Connected | State::Draining)
    }

    /// Whether a publisher must wait for its turn.
    pub(crate) fn turn_is_over(&mut self, collided: bool) -> bool {
        let queued = self.conn.buffered() > 0;
        self.is_connected() && self.turns.is_over(queued, collided)
    }

    /// Whether what is queued now overtakes somebody who waits for room.
    pub(crate) fn overtakes(&self) -> bool {
        self.turns.overtakes(self.conn.buffered() > 0) && self.is_connected()
    }

    /// The connection may not know that nobody drives it any more.
    fn is_connected(&self) -> bool {
        self.ended.is_none() && self.conn.state() == State::Connected
    }

    /// Queues a message, unless nobody is there to write it.
    pub(crate) fn publish(&mut self, message: Outgoing<'_>) -> Result<(), PublishError> {
        match self.ended {
            // The connection may not know it: its driver may have panicked.
            Some(_) => Err(PublishError::Closed),
            None => {
                self.conn.publish(message)?;
                if self.turns.has_somebody_to_overtake() {
                    self.conn.close_short_way();
                }
                Ok(())
            }
        }
    }

    /// The driver's waker, if what was just published or requested is news to it: bytes for an empty buffer, or
    /// a nearer deadline.
    pub(crate) fn wake_for_output(&mut self) -> Option<Waker> {
        if self.conn.take_wake() && !fault!(OutputIsNotTold) { self.driver.take() } else { None }
    }

    /// The driver's waker, if it sleeps for longer than until the first of `timers`.
    pub(crate) fn wake_for_deadline(&mut self) -> Option<Waker> {
        let earlier = match (self.timers.first(), self.armed) {
            (Some(deadline), Some(armed)) => deadline < armed,
            (deadline, _) => deadline.is_some(),
        };
        if earlier && !fault!(TimerIsNotTold) { self.driver.take() } else { None }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("state", &self.conn.state())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        conn: Connection,
        clock: Clock,
        settings: Settings,
        notices: Arc<NoticeHub>,
    ) -> Self {
        Self {
            core: Mutex::new(Core::new(conn)),
            link: Mutex::default(),
            clock,
            settings,
            statistics: Arc::default(),
            notices,
            handles: AtomicUsize::new(0),
            uncertain: AtomicU64::new(0),
        }
    }

    /// A panic under the lock leaves nothing half done that a later call could trip over: go on.
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked::new(self.core.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the driver.
    pub(crate) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Queues a message.
    pub(crate) fn publish(&self, message: Outgoing<'_>) -> Result<(), PublishError> {
        self.publish_locked(self.lock(), message)
    }

    /// Queues a message by the short way, which leaves no garbage. `Some(false)` if there is more to do than that goes for,
    /// `None` if somebody else holds the lock; nothing is done then.
    #[inline]
    pub(crate) fn publish_again(&self, subject: &str, payload: &Bytes) -> Option<bool> {
        Some(self.core.try_lock().ok()?.conn.publish_again(subject, payload))
    }

    /// The same for a message that may have a reply subject and headers.
    #[inline]
    pub(crate) fn publish_full_again(&self, message: &Outgoing<'_>) -> Option<bool> {
        Some(self.core.try_lock().ok()?.conn.publish_full_again(message))
    }

    /// Queues a message, unless this publisher has to wait for its turn or to let others run. `collided` says whether it
    /// found the lock taken.
    pub(crate) fn publish_in_turn(&self, message: Outgoing<'_>, collided: bool) -> InTurn {
        let mut core = self.lock();
        if core.turn_is_over(collided) {
            return InTurn::Wait;
        }
        if core.turns.must_rest() {
            return InTurn::Rest;
        }
        InTurn::Done(self.publish_locked(core, message))
    }

    /// Queues a message; `None`, and nothing done, if it would overtake somebody who waits for room.
    pub(crate) fn publish_behind_others(
        &self,
        message: Outgoing<'_>,
    ) -> Option<Result<(), PublishError>> {
        let core = self.lock();
        (!core.overtakes()).then(|| self.publish_locked(core, message))
    }

    fn publish_locked<'a>(
        &'a self,
        mut core: Locked<'a>,
        message: Outgoing<'_>,
    ) -> Result<(), PublishError> {
        let enough = match message.payload.len() < OutBuf::SEGMENT_THRESHOLD {
            true => ENOUGH,
            false => ENOUGH_SHARED,
        };
        core.publish(message)?;
        if core.conn.buffered() >= enough {
            drop(core);
            // The driver has nothing to do if this goes well: waking it takes longer than a small write.
            if self.write_now() {
                return Ok(());
            }
            core = self.lock();
        }
        core.tell_of_output();
        Ok(())
    }

    /// Writes what is queued from here. What the stream does not take is left to the driver, which is woken, and
    /// so is what others queue meanwhile when the turn is over: it must get to read. False, and nothing done, if the
    /// driver or somebody else is at it.
    #[inline(never)]
    fn write_now(&self) -> bool {
        // Told also if the stream panics, which is the driver's to find out.
        let mut rest = Rest(Some(self));
        let link = match self.link.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let Some(mut link) = link.filter(|link| link.is_idle()) else {
            rest.0 = None;
            return false;
        };
        // The stream notes a waker if it takes nothing. The driver, woken then, puts its own in its place.
        let mut cx = Context::from_waker(Waker::noop());
        let mut wrote = false;
        while link.is_idle() {
            let mut core = self.lock();
            // A lone request is no part of a turn. But another write costs something, however little is written.
            let queued = core.conn.buffered();
            let counts = wrote || queued >= ENOUGH;
            if counts && queued > 0 && core.turns.is_spent() {
                break;
            }
            if !core.conn.poll_transmit(&mut link.out) {
                self.statistics.store(&core.conn);
                if core.is_up() && core.turns.nobody_waits() {
                    rest.0 = None;
                    return true;
                }
                // They may have seen what the driver was not told of, and rely on it. And without a connection older
                // messages may have been given up for this one, of which the driver has to tell.
                break;
            }
            if counts {
                core.turns.spend(link.out.len().max(ENOUGH));
            }
            drop(core);
            wrote = true;
            for _ in 0..WRITES {
                if !link.write(&mut cx) || link.out.is_empty() {
                    break;
                }
            }
        }
        drop(link);
        if fault!(RestIsNotTold) {
            rest.0 = None;
        }
        true
    }

    /// Queues a request that `waker`'s task waits for, or registers it among those who wait for room: also if there is
    /// some, and it would overtake one of them.
    pub(crate) fn request(
        &self,
        message: Outgoing<'_>,
        deadline: Instant,
        waker: &Waker,
        room: &mut Option<u64>,
    ) -> Poll<Result<(RequestId, u32), PublishError>> {
        let mut core = self.lock();
        if core.ended.is_some() {
            return Poll::Ready(Err(PublishError::Closed));
        }
        let mut much = false;
        // Who has waited is no longer behind others.
        let queued = match room.is_none() && core.overtakes() {
            true => None,
            false => match core.conn.request(message, deadline) {
                Ok(id) => Some(id),
                Err(error) if self.waits(&error) => {
                    much = needs_much(&error);
                    None
                }
                Err(error) => return Poll::Ready(Err(error)),
            },
        };
        let Some(id) = queued else {
            let old = core.turns.wait_for_room(room, waker, much);
            drop(core);
            drop(old);
            return Poll::Pending;
        };
        let old = core.turns.leave_room(room);
        let key = core.requests.insert(id, waker.clone());
        self.send_request(core, deadline);
        drop(old);
        Poll::Ready(Ok((id, key)))
    }

    /// Sees to it that a request which was queued goes out.
    fn send_request<'a>(&'a self, mut core: Locked<'a>, deadline: Instant) {
        // A lone request is written from here: the driver need not run before the reply comes, unless it would
        // sleep for too long, or reads nothing and has not looked whether it might again. With others under way it writes
        // several at once; and those whose replies came together are about to ask again together.
        let lone = core.requests.waiters.len() == 1 && !core.paused;
        let timed = core.armed.is_some_and(|armed| armed <= deadline || fault!(LoneRequestIsLate));
        if lone && timed {
            drop(core);
            if self.write_now() {
                return;
            }
            core = self.lock();
        }
        core.tell_of_output();
    }

    /// Runs `change` under the lock and wakes the driver: for everything that is not done for each message.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let result = change(&mut core);
        if !fault!(ChangeIsNotTold) {
            core.tell_driver();
        }
        result
    }

    /// Whether an async publisher waits for room instead of giving `error` to its caller.
    pub(crate) fn waits(&self, error: &PublishError) -> bool {
        match error {
            // Where nothing is kept, no room is made by waiting.
            PublishError::BufferFull { connected: false, limit: 0, .. } => false,
            PublishError::BufferFull { connected, .. } => {
                *connected || self.settings.wait_while_disconnected
            }
            _ => false,
        }
    }

    /// Tells everyone who wants to know. Not to be called under the lock.
    pub(crate) fn emit(&self, notice: Notice) {
        trace::notice(&notice);
        self.notices.emit(notice);
    }
}

/// What a publisher leaves to the driver, which is told of it behind the locks.
struct Rest<'a>(Option<&'a Shared>);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            shared.lock().tell_driver();
        }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        let elapsed = (self.now)().saturating_duration_since(self.origin);
        Instant::ZERO + elapsed
    }
}

/// Wakes everyone, keeping the memory of the list. Not to be called under the lock. If one panics, the others are woken
/// nevertheless.
pub(crate) fn wake_all(wakers: &mut Vec<Waker>) {
    let mut sleeping = Sleeping(wakers.drain(..));
    sleeping.0.by_ref().for_each(Waker::wake);
}

/// Those who are still to be woken.
struct Sleeping<'a>(Drain<'a, Waker>);

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}
