//! Publishing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use nats_proto::{HeaderMap, OutboundMessage, Outgoing, Subject, ToSubject};

use super::PublishError;
use crate::shared::{Core, Handle};
use crate::waiters::WakerSet;

/// The future of [`Client::publish`](super::Client::publish) and its variants. Nothing happens before it is
/// polled; if it is dropped while it waits for room in the buffer, the message is not published.
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
    /// The message, once there was no room for it.
    waiting: Option<Box<Waiting>>,
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

    fn reply(&self) -> Option<&str> {
        None
    }

    fn headers(&self) -> Option<&HeaderMap> {
        None
    }

    fn take(&mut self) -> Full {
        Full { reply: None, headers: None }
    }
}

impl Extra for Plain {
    const NONE: bool = true;
}

impl Extra for Full {
    fn reply(&self) -> Option<&str> {
        self.reply.as_deref()
    }

    fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_ref()
    }

    fn take(&mut self) -> Full {
        Full { reply: self.reply.take(), headers: self.headers.take() }
    }
}

impl<'a, S: ToSubject, E> Publish<'a, S, E> {
    #[inline(always)]
    pub(super) fn new(handle: &'a Handle, subject: S, extra: E, payload: Bytes) -> Self {
        Self { handle, subject, extra, payload, waiting: None }
    }
}

#[allow(private_bounds, reason = "what else a message may have is decided here")]
impl<S: ToSubject, E: Extra> Publish<'_, S, E> {
    /// Everything but the short way.
    #[inline(never)]
    fn poll_slowly(&mut self, collided: bool, waker: &Waker) -> Poll<Result<(), PublishError>> {
        if let Some(waiting) = &mut self.waiting {
            return waiting.poll(waker);
        }
        let message = Outgoing {
            subject: &self.subject.subject_text(),
            reply: self.extra.reply(),
            headers: self.extra.headers(),
            payload: &self.payload,
        };
        let reason = match self.handle.publish_in_turn(message, collided) {
            Some(Ok(())) => return Poll::Ready(Ok(())),
            Some(Err(error)) if self.handle.waits(&error) => Reason::Full,
            Some(Err(error)) => return Poll::Ready(Err(error.into())),
            None => Reason::Turn,
        };
        let Full { reply, headers } = self.extra.take();
        let (subject, payload) = (self.subject.to_subject(), std::mem::take(&mut self.payload));
        let message = OutboundMessage { subject, reply, payload, headers };
        self.waiting.insert(Waiting::new(self.handle, message, reason)).poll(waker)
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
        let mut collided = false;
        if E::NONE && this.waiting.is_none() {
            let text = this.subject.subject_text();
            match this.handle.publish_again(&text, &this.payload) {
                Some(true) => return Poll::Ready(Ok(())),
                Some(false) => {}
                None => collided = true,
            }
        }
        this.poll_slowly(collided, cx.waker())
    }
}

impl<S, E> fmt::Debug for Publish<'_, S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("payload", &self.payload.len())
            .field("waiting", &self.waiting.is_some())
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

/// A message that waits to be published.
pub(super) struct Waiting {
    handle: Handle,
    message: OutboundMessage,
    reason: Reason,
    /// Whether it has waited for its turn: once is enough.
    waited: bool,
    key: Option<u64>,
}

impl Waiting {
    pub(super) fn new(handle: &Handle, message: OutboundMessage, reason: Reason) -> Box<Self> {
        Box::new(Self { handle: handle.clone(), message, reason, waited: false, key: None })
    }

    /// Tries again; registers `waker` before it says `Pending`.
    pub(super) fn poll(&mut self, waker: &Waker) -> Poll<Result<(), PublishError>> {
        let mut core = self.handle.lock();
        let waits = !std::mem::replace(&mut self.waited, true)
            && self.reason == Reason::Turn
            && core.turn_is_over(true);
        let (mut result, mut old) = (None, None);
        if !waits {
            result = Some(core.publish(Outgoing::from(&self.message)));
            if matches!(&result, Some(Err(error)) if self.handle.waits(error)) {
                result = None;
                if self.reason == Reason::Turn {
                    old = Reason::Turn.set(&mut core).remove(&mut self.key);
                    self.reason = Reason::Full;
                }
            }
        }
        let Some(result) = result else {
            let renewed = self.reason.set(&mut core).register(&mut self.key, waker);
            drop(core);
            drop((old, renewed));
            return Poll::Pending;
        };
        let driver = core.wake_for_output();
        drop(core);
        if let Some(driver) = driver {
            driver.wake();
        }
        Poll::Ready(result.map_err(PublishError::from))
    }
}

impl Reason {
    fn set(self, core: &mut Core) -> &mut WakerSet {
        match self {
            Self::Full => &mut core.turns.room,
            Self::Turn => &mut core.turns.turn,
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.key.is_some() {
            let old = self.reason.set(&mut self.handle.lock()).remove(&mut self.key);
            drop(old);
        }
    }
}
