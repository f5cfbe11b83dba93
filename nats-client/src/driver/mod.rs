//! The future in the background that owns the socket of one client.
//!
//! It is polled as one task, so reading and writing do not wait for each other. Every round reads, books what came
//! under the shared lock, leaves it in the mailboxes, and writes.

mod ask;
mod blocks;
mod booking;
mod dial;
mod dispatch;
mod ending;
mod events;
mod pace;
mod race;
mod read;
mod replies;
mod secure;
mod socket;

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nats_proto::connection::{Delivery, DialError, DisconnectReason, Event as CoreEvent, TlsError};
use nats_proto::wire::ServerOps;
use nats_proto::{DecodeError, DialId, Instant, Rng};

use crate::faults::fault;
use crate::link::Stream;
use crate::mailbox::Mailbox;
use crate::notice::Notice;
use crate::runtime::Runtime;
use crate::shared::{Shared, wake_all};
use crate::transport::{Inflates, Transport};
use ask::{Answer, Question};
pub(crate) use ask::{AuthCallback, Hooks};
use dial::Dial;
#[cfg(feature = "context")]
pub(crate) use dial::open;
use dispatch::{Router, Slow};
#[cfg(feature = "context")]
pub(crate) use race::First;
use read::Reader;
use replies::Replies;
use secure::Handshake;
use socket::{Garbage, Hold, take_leave};

/// Rounds of one poll before other tasks of the runtime get their turn.
const ROUNDS: usize = 16;

/// Bytes read in one poll before they do: about what a processor's own cache holds, so that subscribers still find it
/// there, and give it back before more memory is needed.
pub(crate) const TURN: usize = 512 * 1024;

/// The longest sleep. Waking early is harmless, and no runtime has trouble with an hour.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Drives one client. Ends when its connection is closed.
pub(crate) struct Driver<R: Runtime> {
    shared: Arc<Shared>,
    dial: Option<Dial>,
    handshake: Option<Handshake>,
    transport: Arc<Transport>,
    inflates: Inflates,
    hooks: Hooks,
    question: Option<Question>,
    sleep: Option<(Instant, Pin<Box<R::Sleep>>)>,
    reader: Reader,
    /// A stream that is over, to be dropped after the locks.
    closed: Option<Box<dyn Stream>>,
    /// The same, of what was given up.
    garbage: Garbage,
    router: Router,
    replies: Replies,
    news: News,
    batch: Batch,
    /// All subscriptions are drained; the application has not taken everything yet.
    draining: bool,
    /// Something has begun that the next round must look at.
    begun: bool,
    /// A deadline of a client that ends has come, and what it has buffered is written once more before that is told.
    ends: bool,
    /// Subscriptions that ended without the server having confirmed that nothing more comes.
    undrained: usize,
    /// Whether messages can come: only then may a subscriber hold up reading.
    up: bool,
    /// Whether nothing is read until a subscriber has caught up.
    held: Hold,
    /// Others run before the next round: this one has woken several tasks, or a stream may say nothing for their sake.
    rests: bool,
    /// For the order of a server's addresses.
    rng: Option<Rng>,
    released: bool,
}

/// What happened to the socket and is not told to the core yet.
#[derive(Default)]
struct News {
    answer: Option<Answer>,
    dialled: Option<(DialId, Result<(), DialError>)>,
    encrypted: Option<(DialId, Result<(), TlsError>)>,
    inbound: usize,
    decode_error: Option<DecodeError>,
    lost: Option<DisconnectReason>,
}

/// What one round works on, kept for its memory.
#[derive(Default)]
struct Batch {
    ops: ServerOps,
    deliveries: Vec<Delivery>,
    events: Vec<CoreEvent>,
    wakers: Vec<Waker>,
    /// Publishers for whom there is room, to be woken after the write: see [`Driver::book`].
    publishers: Vec<Waker>,
    slow: Slow<Arc<Mailbox>>,
}

// The futures in it are boxed, and nothing is pinned in place.
impl<R: Runtime> Unpin for Driver<R> {}

impl<R: Runtime> Driver<R> {
    /// A driver; `seed` puts the addresses of a server into a random order.
    pub(crate) fn new(
        shared: Arc<Shared>,
        hooks: Hooks,
        transport: Arc<Transport>,
        read_buffer: usize,
        seed: Option<[u8; 32]>,
    ) -> Self {
        let limits = shared.lock().conn.config().limits;
        Self {
            shared,
            dial: None,
            handshake: None,
            hooks,
            question: None,
            transport,
            inflates: Inflates::default(),
            sleep: None,
            reader: Reader::new(read_buffer, limits),
            closed: None,
            garbage: Garbage::default(),
            router: Router::default(),
            replies: Replies::default(),
            news: News::default(),
            batch: Batch::default(),
            draining: false,
            begun: false,
            ends: false,
            undrained: 0,
            up: false,
            held: Hold::Nothing,
            rests: false,
            rng: seed.map(Rng::from_seed),
            released: false,
        }
    }

    /// Sees to it that the task is woken at `deadline`. True if that is now, or a sleep has just ended: what is waited for
    /// next must be booked first, for those who rely on it that this task wakes in time.
    fn poll_sleep(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else {
            self.sleep = None;
            return false;
        };
        let sleeping = match &mut self.sleep {
            Some((armed, sleep)) if *armed <= deadline || fault!(SleepIsNotMoved) => sleep,
            _ => {
                let wait = deadline.saturating_duration_since(self.shared.now());
                if wait.is_zero() {
                    return true;
                }
                let sleep = Box::pin(R::sleep(wait.min(LONGEST_SLEEP)));
                &mut self.sleep.insert((deadline, sleep)).1
            }
        };
        let ended = sleeping.as_mut().poll(cx).is_ready();
        if ended {
            self.sleep = None;
        }
        ended && !fault!(EndOfSleepIsIgnored)
    }

    /// Writes once. True if there may be more to do.
    fn write(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let mut link = shared.link();
        let again = link.write(cx);
        if !again && !link.out.is_empty() && !fault!(StuckIsNotTold) {
            shared.lock().turns.get_stuck(&mut self.batch.publishers);
        }
        again
    }

    /// Sees whether the application has answered. Not to be called under a lock.
    fn poll_question(&mut self, cx: &mut Context<'_>) {
        if let Some(question) = &mut self.question
            && let Poll::Ready(answer) = question.as_mut().poll(cx)
        {
            self.question = None;
            if matches!(answer, Answer::Server(_, false)) {
                self.shared.emit(Notice::ServerNotInPool);
            }
            self.news.answer = Some(answer);
        }
    }

    /// Does what must not be done under the lock. True at the end.
    fn dispatch(&mut self) -> bool {
        let batch = &mut self.batch;
        self.router.deliver(&batch.ops, &batch.deliveries, &mut batch.wakers, &mut batch.slow);
        batch.deliveries.clear();
        batch.ops.clear();
        for (sid, mailbox) in batch.slow.drain(..) {
            mailbox.tell_slow(sid, |notice| self.shared.emit(notice));
        }
        let mut closed = None;
        let mut events = mem::take(&mut self.batch.events);
        for event in events.drain(..) {
            if let CoreEvent::Closed { unfinished, .. } = &event {
                closed = Some(*unfinished);
            }
            self.react(event);
        }
        self.batch.events = events;
        self.rests |= self.batch.wakers.len() > 1;
        wake_all(&mut self.batch.wakers);
        if let Some(unfinished) = closed {
            self.release(unfinished);
        }
        closed.is_some()
    }
}

impl<R: Runtime> Future for Driver<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let shared = Arc::clone(&this.shared);
        let mut read = 0;
        for _ in 0..ROUNDS {
            this.poll_question(cx);
            let mut again = this.poll_dial(&shared, cx);
            again |= this.poll_handshake(&shared, cx);
            let mut link = shared.link();
            again |= this.read_unless_blocked(&mut link, cx);
            read += this.news.inbound;
            let (deadline, listening) = this.book(&shared, &mut link, cx);
            drop(link);
            this.closed = None;
            take_leave(mem::take(&mut this.garbage));
            let closed = this.dispatch();
            again |= !closed && this.write(&shared, cx);
            if !fault!(RoomIsNotTold) {
                wake_all(&mut this.batch.publishers);
            }
            if closed {
                return Poll::Ready(());
            }
            again |= mem::take(&mut this.begun) || (!listening && !fault!(SwapIsDeaf));
            // Subscribers wake this task if they catch up after this; what they did before is seen here.
            again |= this.hold() != this.held;
            // Those woken may all be about to send something. An executor that runs next what was woken last would
            // have this task write each on its own; behind all of them, it writes them together.
            if mem::take(&mut this.rests) || read >= TURN {
                break;
            }
            let deadline = deadline.into_iter().chain(this.router.pace.deadline()).min();
            if !again && !this.poll_sleep(deadline, cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
