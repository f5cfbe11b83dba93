//! Publishing.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use nats_proto::{HeaderMap, Outgoing, Subject, ToSubject};

use super::PublishError;
use crate::handle::Handle;
use crate::shared::{Core, InTurn, Shared};
use crate::turns::needs_much;

/// The future of [`Client::publish`](super::Client::publish) and its variants. Nothing happens before it is
/// polled. If the future is dropped before its end, the message is not published. Polled again when it is done, it stays
/// pending: a message is published once.
///
/// `E` is what the message has beside subject and payload.
// A type of its own, and not that of an `async fn`: there is one for each message, and this one can be put together
// and polled in place, with nothing moved.
#[must_use = "futures do nothing unless polled"]
pub struct Publish<'a, S, E = Plain> {
    handle: &'a Handle,
    subject: S,
    extra: E,
    payload: Bytes,
    /// Once it waits.
    place: Option<Place<&'a Shared>>,
    done: bool,
}

/// A message that has a subject and a payload.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// A message that may have a reply subject and headers.
#[derive(Clone, Debug)]
pub struct Full {
    pub(super) reply: Option<Subject>,
    pub(super) headers: Option<HeaderMap>,
}

/// What a message has beside subject and payload.
trait Extra {
    /// Whether that is nothing.
    const NONE: bool = false;

    fn message<'a>(&'a self, subject: &'a str, payload: &'a Bytes) -> Outgoing<'a>;
}

impl Extra for Plain {
    const NONE: bool = true;

    fn message<'a>(&'a self, subject: &'a str, payload: &'a Bytes) -> Outgoing<'a> {
        Outgoing::new(subject, payload)
    }
}

impl Extra for Full {
    fn message<'a>(&'a self, subject: &'a str, payload: &'a Bytes) -> Outgoing<'a> {
        Outgoing { subject, reply: self.reply.as_deref(), headers: self.headers.as_ref(), payload }
    }
}

impl<'a, S: ToSubject, E> Publish<'a, S, E> {
    #[inline(always)]
    pub(super) fn new(handle: &'a Handle, subject: S, extra: E, payload: Bytes) -> Self {
        Self { handle, subject, extra, payload, place: None, done: false }
    }
}

#[allow(private_bounds, reason = "what else a message may have is decided here")]
impl<S: ToSubject, E: Extra> Publish<'_, S, E> {
    /// Everything but the short way.
    #[inline(never)]
    fn poll_slowly(&mut self, collided: bool, waker: &Waker) -> Poll<Result<(), PublishError>> {
        let text = self.subject.subject_text();
        let message = self.extra.message(&text, &self.payload);
        if let Some(place) = &mut self.place {
            return place.poll(message, waker);
        }
        let reason = match self.handle.publish_in_turn(message, collided) {
            InTurn::Done(Ok(())) => return Poll::Ready(Ok(())),
            InTurn::Done(Err(error)) if self.handle.waits(&error) => Reason::Full,
            InTurn::Done(Err(error)) => return Poll::Ready(Err(error.into())),
            InTurn::Wait => Reason::Turn,
            InTurn::Rest => {
                waker.wake_by_ref();
                return Poll::Pending;
            }
        };
        self.place.insert(Place::new(self.handle, reason)).poll(message, waker)
    }
}

// Nothing is pinned in place.
impl<S, E> Unpin for Publish<'_, S, E> {}

#[allow(private_bounds, reason = "as above")]
impl<S: ToSubject, E: Extra> Future for Publish<'_, S, E> {
    type Output = Result<(), PublishError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.done {
            return Poll::Pending;
        }
        let mut collided = false;
        if this.place.is_none() {
            let text = this.subject.subject_text();
            let done = match E::NONE {
                true => this.handle.publish_again(&text, &this.payload),
                false => this.handle.publish_full_again(&this.extra.message(&text, &this.payload)),
            };
            match done {
                Some(true) => {
                    this.done = true;
                    return Poll::Ready(Ok(()));
                }
                Some(false) => {}
                None => collided = true,
            }
        }
        let result = this.poll_slowly(collided, cx.waker());
        this.done = result.is_ready();
        result
    }
}

impl<S, E> fmt::Debug for Publish<'_, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("payload", &self.payload.len())
            .field("waiting", &self.place.is_some())
            .finish_non_exhaustive()
    }
}

/// What a publisher waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Room in the buffer.
    Full,
    /// Its turn.
    Turn,
}

/// A place among those who wait, given up when dropped. `H` leads to what they share.
pub(super) struct Place<H: Deref<Target = Shared>> {
    pub(super) shared: H,
    reason: Reason,
    /// Whether it has waited for its turn: once is enough.
    waited: bool,
    pub(super) key: Option<u64>,
}

impl<H: Deref<Target = Shared>> Place<H> {
    pub(super) fn new(shared: H, reason: Reason) -> Self {
        Self { shared, reason, waited: false, key: None }
    }

    /// Tries to publish again; registers `waker` before it says `Pending`.
    pub(super) fn poll(
        &mut self,
        message: Outgoing<'_>,
        waker: &Waker,
    ) -> Poll<Result<(), PublishError>> {
        let mut core = self.shared.lock();
        let waits = !std::mem::replace(&mut self.waited, true)
            && self.reason == Reason::Turn
            && core.turn_is_over(true);
        let (mut result, mut old, mut much) = (None, None, false);
        if !waits {
            result = match core.publish(message) {
                Err(error) if self.shared.waits(&error) => {
                    much = needs_much(&error);
                    None
                }
                result => Some(result),
            };
            // Who waits for room again keeps its place.
            if result.is_some() || self.reason == Reason::Turn {
                old = self.reason.leave(&mut core, &mut self.key);
            }
            self.reason = Reason::Full;
        }
        let Some(result) = result else {
            let renewed = self.reason.wait(&mut core, &mut self.key, waker, much);
            drop(core);
            drop((old, renewed));
            return Poll::Pending;
        };
        match result {
            Ok(()) => core.tell_of_output(),
            // Somebody else may be waiting for the driver to come by.
            Err(_) => core.tell_driver(),
        }
        drop(core);
        drop(old);
        Poll::Ready(result.map_err(PublishError::from))
    }
}

impl Reason {
    /// Takes or keeps a place. The waker is to be dropped after the lock.
    fn wait(
        self,
        core: &mut Core,
        key: &mut Option<u64>,
        waker: &Waker,
        much: bool,
    ) -> Option<Waker> {
        match self {
            Self::Full => core.turns.wait_for_room(key, waker, much),
            Self::Turn => core.turns.turn.register(key, waker),
        }
    }

    /// Gives up the place that holds `key`. The waker is to be dropped after the lock; there is none if it was woken.
    fn leave(self, core: &mut Core, key: &mut Option<u64>) -> Option<Waker> {
        let waited = key.is_some();
        match self {
            Self::Full => core.turns.leave_room(key),
            Self::Turn => {
                let waker = core.turns.turn.remove(key);
                if waited && waker.is_none() {
                    core.turns.taken();
                }
                waker
            }
        }
    }
}

impl<H: Deref<Target = Shared>> fmt::Debug for Place<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<H: Deref<Target = Shared>> Drop for Place<H> {
    fn drop(&mut self) {
        if self.key.is_some() {
            let mut core = self.shared.lock();
            let old = self.reason.leave(&mut core, &mut self.key);
            // Woken, and gone: the driver gives the turn to the next now, and not only when it is overdue.
            if old.is_none() {
                core.tell_driver();
            }
            drop(core);
            drop(old);
        }
    }
}
