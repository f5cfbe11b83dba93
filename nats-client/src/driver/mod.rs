//! The future in the background that owns the socket of one client.
//!
//! It is polled as one task, so reading and writing do not wait for each other. Every round reads, books what came
//! under the shared lock, leaves it in the mailboxes, and writes.

mod ask;
mod blocks;
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

use nats_proto::connection::{
    Delivery, DialError, DisconnectReason, Event as CoreEvent, Route, State, TlsError,
};
use nats_proto::wire::ServerOps;
use nats_proto::{DecodeError, DialId, Instant, Rng};

use crate::faults::fault;
use crate::link::{Link, Stream};
use crate::mailbox::Mailbox;
use crate::notice::Notice;
use crate::runtime::Runtime;
use crate::shared::{Core, Shared, wake_all};
use crate::transport::Transport;
use ask::{Answer, Question};
pub(crate) use ask::{AuthCallback, Hooks};
#[cfg(feature = "context")]
pub(crate) use dial::open;
use dial::{Dial, first_address};
use dispatch::{Router, Slow};
#[cfg(feature = "context")]
pub(crate) use race::First;
use read::Reader;
use replies::{Company, Replies};
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
    /// This round has woken several tasks.
    crowd: bool,
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
        Self {
            shared,
            dial: None,
            handshake: None,
            hooks,
            question: None,
            transport,
            sleep: None,
            reader: Reader::new(read_buffer),
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
            crowd: false,
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

    /// Tells the core what has happened, and learns what to do. Gives the next deadline, and whether this task
    /// is woken by what changes from now on.
    ///
    /// It is not if there is something to write: another round comes after that anyway, and until then
    /// publishers are spared the waking of a task that is running.
    ///
    /// Publishers who wait for room are woken after the write, not before: then this task has nothing to do until
    /// one of them publishes, and an executor that runs what was just woken on the thread that woke it has both take
    /// turns there. Side by side they would be slower, each taking from the other's cache what it needs next.
    fn book(
        &mut self,
        shared: &Shared,
        link: &mut Link,
        cx: &mut Context<'_>,
    ) -> (Option<Instant>, bool) {
        let now = shared.now();
        let mut core = shared.lock();
        self.router.apply(&mut core.changes);
        self.router.pace.look_again(now);
        self.tell(&mut core, link, now);
        // A moment is not worth telling.
        match self.held {
            Hold::Pause if !fault!(PauseIsNotTold) => core.conn.handle_pause(),
            _ => core.conn.handle_resume(now),
        }
        if self.draining && (self.router.is_consumed() || fault!(DrainIsHasty)) {
            self.draining = false;
            core.conn.handle_drained(now);
        }
        let due = core.conn.poll_timeout().is_some_and(|deadline| deadline <= now);
        let ends = due && core.conn.state() == State::Draining;
        // There may be no time at all: what the stream takes at once goes out in this round, and the end comes in the next.
        if !mem::replace(&mut self.ends, ends) && ends {
            self.begun = true;
        } else if due {
            core.conn.handle_timeout(now);
        }
        core.timers.fire(now, &mut self.batch.wakers);
        let mut garbage = self.take_events(&mut core, link, now);
        self.withdraw_question(core.conn.state(), &mut garbage);
        let written = link.stream.is_some() && link.out.is_empty();
        let swapped = written && core.conn.poll_transmit(&mut link.out);
        core.turns.come_by(now, link.out.len(), swapped, &mut self.batch.publishers);
        if link.stream.is_none() || !self.batch.events.is_empty() {
            core.turns.end(&mut self.batch.publishers);
        }
        shared.statistics.store(&core.conn);
        self.up = matches!(core.conn.state(), State::Connected | State::Draining);
        let deadline = core.deadline();
        // A timer that is set for an earlier time is left as it is.
        core.armed = deadline.map(|deadline| match &self.sleep {
            Some((armed, _)) => deadline.min(*armed),
            None => deadline,
        });
        let old = match &core.driver {
            _ if swapped => core.driver.take(),
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => core.driver.replace(cx.waker().clone()),
        };
        drop(core);
        drop(old);
        self.garbage = garbage;
        (deadline, !swapped)
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

    fn tell(&mut self, core: &mut Core, link: &mut Link, now: Instant) {
        let (news, batch) = (&mut self.news, &mut self.batch);
        let conn = &mut core.conn;
        if let Some((id, result)) = news.dialled.take() {
            conn.handle_dial(now, id, result);
        }
        if let Some((id, result)) = news.encrypted.take() {
            conn.handle_tls(id, result);
        }
        match news.answer.take() {
            Some(Answer::Auth(id, auth)) => conn.handle_auth(id, auth),
            Some(Answer::Server(choice, _)) => conn.handle_choice(now, choice),
            None => {}
        }
        if news.inbound > 0 {
            conn.handle_inbound(mem::take(&mut news.inbound));
        }
        if !batch.ops.is_empty() {
            conn.handle_ops(now, &mut batch.ops, &mut batch.deliveries);
            let mut company = Company::of_first(batch.deliveries.len());
            for Delivery { route, messages } in &batch.deliveries {
                if let Route::Request(id) = *route
                    && let Some(frame) = batch.ops.messages(messages.clone()).next()
                {
                    let reply = self.replies.take(&batch.ops.chunk, frame, &mut company);
                    batch.wakers.extend(core.requests.complete(id, Ok(reply)));
                }
            }
        }
        let conn = &mut core.conn;
        if let Some(error) = news.decode_error.take() {
            conn.handle_decode_error(error);
        }
        if let Some(reason) = news.lost.take() {
            conn.handle_disconnect(now, reason, mem::take(&mut link.out));
        }
    }

    /// Handles what concerns the socket and the waiting futures; keeps the rest for after the lock. Returns the
    /// streams and attempts that are over, to be dropped after it.
    fn take_events(&mut self, core: &mut Core, link: &mut Link, now: Instant) -> Garbage {
        let mut garbage = (None, None, None, None);
        while let Some(event) = core.conn.poll_event() {
            match event {
                CoreEvent::Dial { id, server } => {
                    let first = first_address(self.rng.as_mut(), &core.conn, &server);
                    self.give_up(link, &mut garbage);
                    let transport = Arc::clone(&self.transport);
                    self.dial = Some(Dial::new::<R>(id, server, transport, first));
                    self.begun = true;
                }
                CoreEvent::StartTls { id, server } => {
                    if let Err(error) = self.start_tls(id, server, link) {
                        core.conn.handle_tls(id, Err(error));
                    }
                }
                CoreEvent::Hangup => {
                    self.give_up(link, &mut garbage);
                    let unsent = mem::take(&mut link.out);
                    core.conn.handle_disconnect(now, DisconnectReason::Requested, unsent);
                }
                CoreEvent::RequestFailed { request, error } => {
                    let waker = core.requests.complete(request, Err(error));
                    self.batch.wakers.extend(waker);
                }
                CoreEvent::Flushed { flush, result } => {
                    let waker = core.flushes.complete(&flush, result);
                    self.batch.wakers.extend(waker);
                }
                CoreEvent::SubscriptionConfirmed { subscription } => {
                    let waker = core.confirms.complete(&subscription, Ok(()));
                    self.batch.wakers.extend(waker);
                }
                event => {
                    // Given up a moment ago: the time was over.
                    let dialling = garbage.1.is_some();
                    note(core, &event, dialling, &mut self.batch.wakers);
                    self.batch.events.push(event);
                }
            }
        }
        garbage
    }

    /// Does what must not be done under the lock. True at the end.
    fn dispatch(&mut self) -> bool {
        let batch = &mut self.batch;
        self.router.deliver(&batch.ops, &batch.deliveries, &mut batch.wakers, &mut batch.slow);
        batch.deliveries.clear();
        batch.ops.clear();
        for (sid, mailbox) in batch.slow.drain(..) {
            self.shared.emit(Notice::SlowConsumer { sid });
            self.shared.emit_recovered(sid, mailbox.told());
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
        self.crowd = self.batch.wakers.len() > 1;
        wake_all(&mut self.batch.wakers);
        if let Some(unfinished) = closed {
            self.release(unfinished);
        }
        closed.is_some()
    }
}

/// Notes what `connect` and subscriptions that are to be confirmed wait for.
fn note(core: &mut Core, event: &CoreEvent, dialling: bool, wakers: &mut Vec<Waker>) {
    match event {
        CoreEvent::ConnectFailed { server, error } => {
            return core.startup.failed(server, error, dialling);
        }
        CoreEvent::SubscriptionEnded { subscription, reason } => {
            wakers.extend(core.confirms.complete(subscription, Err(reason.clone())));
            return;
        }
        CoreEvent::Connected { .. } => core.startup.settle(Ok(())),
        CoreEvent::Closed { error, .. } => core.startup.settle(Err(error.clone())),
        _ => return,
    }
    if !fault!(FirstConnectionIsNotTold) {
        core.watchers.take_all(wakers);
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
            if mem::take(&mut this.crowd) || read >= TURN {
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
