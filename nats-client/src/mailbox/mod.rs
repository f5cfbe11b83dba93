//! What lies between the driver and one subscriber.
//!
//! The driver leaves descriptors of messages and the chunks of input that they point into; the subscriber takes
//! all that is there under one lock and builds the messages on its own thread, one after the other. So the
//! driver neither allocates nor touches a reference count for each message, and nobody waits for anybody: unless a
//! subscription is to [hold up](WhenFull::Block) the connection.

mod batch;
mod bounds;
mod episode;
mod hand;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use nats_proto::connection::EndReason;
use nats_proto::wire::{MessageFrame, ServerOp};

use crate::faults::fault;
use crate::frames::{cost, cost_of, frame};
use batch::Batch;
pub(crate) use bounds::Bounds;
pub use bounds::WhenFull;
use episode::Rare;
pub(crate) use hand::Hand;

/// Messages on their way from the driver to one subscriber.
///
/// Lock order: the lock of `Shared` may be held when this one is taken, never the other way round.
#[derive(Debug)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    /// What the subscriber has taken and not yet given out; written by it alone.
    held: Held,
    /// [`FINISHED`], [`BLOCKS`] and [`ABANDONED`]: outside the lock for `Mailbox::hold`.
    watched: AtomicU8,
    /// Whether the driver does not wait for the subscriber for now, and how many times it did in vain. Used by the driver
    /// alone.
    slow: AtomicBool,
    in_vain: AtomicU8,
    bounds: Bounds,
}

/// Nothing more comes: the driver may wait for the last message to be given out.
const FINISHED: u8 = 1;

/// The driver reads nothing until there is room.
const BLOCKS: u8 = 2;

/// The subscriber is gone.
const ABANDONED: u8 = 4;

#[derive(Debug, Default)]
struct Held {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inbox {
    batch: Batch,
    waker: Option<Waker>,
    /// Messages that were not dropped.
    kept: u64,
    /// What most mailboxes never have.
    rare: Option<Box<Rare>>,
}

/// What became of a run of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    /// Nothing that the driver need know.
    Done,
    /// An episode of dropped messages has begun: [tell](Mailbox::tell_slow) of it.
    Slow,
    /// The driver must not read until [`Mailbox::holds_up`] is false.
    Blocks,
    /// The same, but for no longer than it pleases.
    Behind,
}

/// What a subscriber finds when it looks for more. The numbers tell of an episode of dropped messages that has ended,
/// and how many they were.
#[derive(Debug)]
pub(crate) enum Taken {
    /// There are messages now.
    Messages(Option<u64>),
    /// Nothing; the waker is registered.
    Nothing(Option<u64>),
    /// The messages in hand, of which so many were given out in a row that others must run first. No waker is
    /// registered.
    Rest,
    /// Nothing, and nothing will come.
    End,
}

/// Where the messages of a subscription are: see [`Subscriber::statistics`](crate::Subscriber::statistics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriberStatistics {
    /// Messages that wait to be taken.
    pub pending_messages: u64,
    /// Bytes (subject, reply, headers, payload) of the messages that wait.
    pub pending_bytes: u64,
    /// Messages that the subscriber has given out.
    pub delivered: u64,
    /// Messages that were dropped because too many were waiting.
    pub dropped: u64,
}

impl Mailbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        // With no room at all, not even a subscriber that waits would ever get anything.
        let bounds = Bounds { messages: bounds.messages.max(1), ..bounds };
        Self {
            inbox: Mutex::default(),
            held: Held::default(),
            watched: AtomicU8::new(0),
            slow: AtomicBool::new(false),
            in_vain: AtomicU8::new(0),
            bounds,
        }
    }

    /// Leaves a run of messages that lie in `chunk`, as far as there is room. Adds the waker of a waiting subscriber
    /// to `wakers`.
    pub(crate) fn push(&self, chunk: &Bytes, run: &[ServerOp], wakers: &mut Vec<Waker>) -> Pushed {
        let mut inbox = self.lock();
        // Before it tells of an end, the driver has left all that came before. Of one that the subscriber has made it may
        // not know yet, and then nobody looks for more.
        if self.is(FINISHED | ABANDONED) {
            return Pushed::Done;
        }
        let dropped = match self.bounds.when_full {
            WhenFull::DropNewest => self.push_what_fits(&mut inbox, chunk, run),
            WhenFull::DropOldest => self.push_newest(&mut inbox, chunk, run),
            WhenFull::Block => {
                inbox.keep(chunk, run, cost_of(run));
                0
            }
        };
        if inbox.batch.len() > 0 {
            wakers.extend(inbox.waker.take());
        }
        if dropped > 0 && self.drop_more(&mut inbox, dropped) {
            return Pushed::Slow;
        }
        let (messages, bytes) = self.waiting(&inbox);
        if !self.slow.load(Ordering::Relaxed)
            && self.bounds.hold_up().is_some_and(|most| most.is_full(messages, bytes))
        {
            // Before the driver looks whether there is room again, at the latest.
            let noted = if fault!(BlockIsNotNoted) { 0 } else { BLOCKS };
            let before = self.watched.fetch_or(noted, Ordering::SeqCst);
            return match self.bounds.when_full {
                // The driver knows: a batch may have many runs for the same subscription.
                _ if before & BLOCKS != 0 => Pushed::Done,
                WhenFull::Block => Pushed::Blocks,
                _ => Pushed::Behind,
            };
        }
        Pushed::Done
    }

    /// Appends the messages of a run for which there is room, each as if it came alone. Says for how many there is none.
    fn push_what_fits(&self, inbox: &mut Inbox, chunk: &Bytes, run: &[ServerOp]) -> u64 {
        let (messages, bytes) = self.waiting(inbox);
        let room = self.bounds.messages.saturating_sub(messages);
        let room_bytes = self.bounds.bytes.saturating_sub(bytes);
        let all = cost_of(run);
        if run.len() <= room && all <= room_bytes {
            inbox.keep(chunk, run, all);
            return 0;
        }
        let (mut fitting, mut size) = (0, 0_usize);
        let is_refused = |op: &ServerOp| {
            let sum = size.saturating_add(cost(frame(op)));
            let fits = fitting < room && sum <= room_bytes;
            if fits {
                (fitting, size) = (fitting + 1, sum);
            }
            !fits
        };
        for part in run.split(is_refused) {
            inbox.keep(chunk, part, cost_of(part));
        }
        run.len().saturating_sub(fitting) as u64
    }

    /// Appends the last messages of a run that fit, and makes room for them. Says how many are dropped for that.
    fn push_newest(&self, inbox: &mut Inbox, chunk: &Bytes, run: &[ServerOp]) -> u64 {
        // What the subscriber has taken takes room, and stays.
        let (messages, bytes) = self.held();
        let room = self.bounds.messages.saturating_sub(messages);
        let room_bytes = self.bounds.bytes.saturating_sub(bytes);
        let kept = inbox.kept;
        let waiting = inbox.batch.len();
        // What does not fit even if all that waits goes does not push anything out.
        for part in run.split(|op| cost(frame(op)) > room_bytes) {
            inbox.keep_newest(chunk, part, room, room_bytes);
        }
        let arrived = run.len() as u64;
        let dropped = (waiting as u64 + arrived).saturating_sub(inbox.batch.len() as u64);
        // What was pushed out had been kept before.
        let gone = if fault!(PushedOutIsKept) { 0 } else { dropped };
        inbox.kept = kept.saturating_add(arrived).saturating_sub(gone);
        dropped
    }

    /// Tells the subscriber that nothing more comes. The first reason stands. Gives the number of an episode of
    /// dropped messages that ends with it.
    pub(crate) fn finish(&self, reason: Option<EndReason>, wakers: &mut Vec<Waker>) -> Option<u64> {
        let mut inbox = self.lock();
        let before = self.watched.fetch_or(FINISHED, Ordering::SeqCst);
        if before & FINISHED == 0 && reason.is_some() {
            inbox.rare().reason = reason;
        }
        wakers.extend(inbox.waker.take().filter(|_| !fault!(EndIsNotTold)));
        inbox.rare.as_mut()?.end_episode()
    }

    /// Whether the driver must not read for now.
    pub(crate) fn holds_up(&self) -> bool {
        let inbox = self.lock();
        let holds_up = !self.is(FINISHED | ABANDONED) && !self.has_eased(&inbox, (0, 0));
        if !holds_up {
            self.in_vain.store(0, Ordering::Relaxed);
            self.watched.fetch_and(!BLOCKS, Ordering::SeqCst);
        }
        holds_up
    }

    /// The driver has waited in vain for a subscriber that is [behind](Pushed::Behind), and does so no longer. Says how many
    /// times that has happened before since the subscriber has last caught up.
    pub(crate) fn go_on_without(&self) -> u8 {
        self.slow.store(true, Ordering::Relaxed);
        self.watched.fetch_and(!BLOCKS, Ordering::SeqCst);
        let before = self.in_vain.load(Ordering::Relaxed);
        self.in_vain.store(before.saturating_add(1), Ordering::Relaxed);
        before
    }

    /// The driver would wait again.
    pub(crate) fn wait_again(&self) {
        self.slow.store(false, Ordering::Relaxed);
    }

    /// Whether the subscriber has given out everything that was left here, or is gone.
    pub(crate) fn is_consumed(&self) -> bool {
        self.pending() == 0
    }

    /// Messages that wait for their subscriber; none if it is gone.
    pub(crate) fn pending(&self) -> u64 {
        let inbox = self.lock();
        if self.is(ABANDONED) { 0 } else { self.waiting(&inbox).0 as u64 }
    }

    /// Moves everything to `hand`, from which nothing could be given out: or only some messages, if others may still push
    /// them out.
    pub(crate) fn take(&self, hand: &mut Hand, waker: &Waker) -> Taken {
        if hand.rest() {
            return Taken::Rest;
        }
        hand.reset();
        let mut inbox = self.lock();
        let waiting = inbox.batch.len();
        let caught_up = self.bounds.is_half(waiting, inbox.batch.bytes) && inbox.has_resumed();
        let missed = match &mut inbox.rare {
            Some(rare) if caught_up => rare.end_episode(),
            _ => None,
        };
        if waiting > 0 {
            if self.bounds.when_full == WhenFull::DropOldest {
                inbox.batch.move_first(self.bounds.portion(), &mut hand.batch);
            } else {
                mem::swap(&mut inbox.batch, &mut hand.batch);
            }
            self.held.messages.store(hand.batch.len(), Ordering::Relaxed);
            self.held.bytes.store(hand.batch.bytes, Ordering::Relaxed);
            return Taken::Messages(missed);
        }
        if self.is(FINISHED) {
            return Taken::End;
        }
        let unused = inbox.batch.shrink();
        let old = match &inbox.waker {
            Some(old) if old.will_wake(waker) || fault!(ReaderIsNotRenewed) => None,
            _ if fault!(ReaderIsNotRegistered) => None,
            _ => inbox.waker.replace(waker.clone()),
        };
        drop(inbox);
        hand.wait();
        drop((unused, old, hand.batch.shrink()));
        Taken::Nothing(missed)
    }

    /// Notes that the subscriber is gone and lets go of what waits for it. Gives the number of an episode of dropped
    /// messages that ends with it.
    pub(crate) fn abandon(&self) -> Option<u64> {
        let mut inbox = self.lock();
        let noted = if fault!(AbandonedStillBlocks) { 0 } else { ABANDONED };
        self.watched.fetch_or(noted, Ordering::SeqCst);
        let missed = inbox.rare.as_mut().and_then(|rare| rare.end_episode());
        let rest = (mem::take(&mut inbox.batch), inbox.waker.take());
        drop(inbox);
        drop(rest);
        missed
    }

    /// Where the messages are. For the subscriber, which does not give out any meanwhile.
    pub(crate) fn statistics(&self) -> SubscriberStatistics {
        let inbox = self.lock();
        let (messages, bytes) = self.waiting(&inbox);
        let pending_messages = messages as u64;
        SubscriberStatistics {
            pending_messages,
            pending_bytes: bytes as u64,
            delivered: inbox.kept.saturating_sub(pending_messages),
            dropped: inbox.rare.as_ref().map_or(0, |rare| rare.dropped),
        }
    }

    /// Why nothing more comes.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.lock().rare.as_ref()?.reason.clone()
    }

    /// Notes what the subscriber still has. True if the driver may be waiting for that to be nothing.
    #[inline]
    fn hold(&self, messages: usize, bytes: usize) -> bool {
        self.held.bytes.store(bytes, Ordering::Relaxed);
        if messages > 0 {
            self.held.messages.store(messages, Ordering::Relaxed);
            return false;
        }
        // The driver sets `watched` before it looks at `held`, so at least one of the two sees the other.
        self.held.messages.store(0, Ordering::SeqCst);
        self.watched.load(Ordering::SeqCst) != 0 && !fault!(ConsumedIsNotTold)
    }

    /// Whether the driver may be waiting for what is held and waits to be no more than this without the message that comes
    /// next. It is always told when the subscriber has nothing in hand; this lets it go on earlier.
    fn may_ease(&self, next: Option<&MessageFrame>) -> bool {
        self.watched.load(Ordering::Relaxed) & BLOCKS != 0
            && self.has_eased(&self.lock(), (1, next.map_or(0, cost)))
    }

    /// Whether what held up the driver does no longer, without so many messages and bytes.
    fn has_eased(&self, inbox: &Inbox, less: (usize, usize)) -> bool {
        let (messages, bytes) = self.waiting(inbox);
        let (messages, bytes) = (messages.saturating_sub(less.0), bytes.saturating_sub(less.1));
        self.bounds.hold_up().is_none_or(|most| most.is_half(messages, bytes))
    }

    /// What the subscriber has taken and not given out.
    fn held(&self) -> (usize, usize) {
        let messages = self.held.messages.load(Ordering::SeqCst);
        (messages, self.held.bytes.load(Ordering::Relaxed))
    }

    /// Messages that wait, and their bytes.
    fn waiting(&self, inbox: &Inbox) -> (usize, usize) {
        let (messages, bytes) = self.held();
        (inbox.batch.len().saturating_add(messages), inbox.batch.bytes.saturating_add(bytes))
    }

    /// Whether one of these is so.
    fn is(&self, any: u8) -> bool {
        self.watched.load(Ordering::SeqCst) & any != 0
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn keep(&mut self, chunk: &Bytes, run: &[ServerOp], bytes: usize) {
        self.batch.append(chunk, run, bytes);
        self.kept = self.kept.saturating_add(run.len() as u64);
    }

    /// Keeps the last messages of a run that fit into so much room, and drops as many of the oldest for them.
    fn keep_newest(&mut self, chunk: &Bytes, run: &[ServerOp], room: usize, room_bytes: usize) {
        let (mut fitting, mut size) = (0, 0_usize);
        for op in run.iter().rev().take(room) {
            let sum = size.saturating_add(cost(frame(op)));
            if sum > room_bytes {
                break;
            }
            (fitting, size) = (fitting + 1, sum);
        }
        let (older, newest) = run.split_at(run.len() - fitting);
        if !older.is_empty() {
            // There is no room for all of these, so there is none for what came before them.
            self.batch.clear();
        }
        let is_over = |batch: &Batch| {
            batch.len().saturating_add(fitting) > room
                || batch.bytes.saturating_add(size) > room_bytes
        };
        while self.batch.len() > 0 && is_over(&self.batch) {
            self.batch.drop_first();
        }
        self.keep(chunk, newest, size);
    }

    /// Whether an episode can be over.
    fn has_resumed(&self) -> bool {
        self.rare.as_ref().is_none_or(|rare| self.kept >= rare.resumed)
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}
