//! Polling as strictly as the contract of futures allows.
//!
//! What waits is polled only if the waker of its last poll was woken, and the wakers of all earlier polls are dead. So a
//! wake that is lost, or goes to an old waker, is not made good by a poll for another reason.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use nats_proto::Rng;

use super::runtime::Sleep;

/// The waker of one poll.
struct Bell {
    rung: AtomicBool,
    live: AtomicBool,
    outer: Mutex<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if self.live.load(Ordering::Relaxed) {
            self.rung.store(true, Ordering::Relaxed);
            self.outer.lock().expect("nobody panics with it").wake_by_ref();
        }
    }
}

/// Lets polls through that were asked for.
#[derive(Default)]
pub(crate) struct Gate(Option<Arc<Bell>>);

impl Gate {
    /// Whether a poll was asked for; if not, `cx` is woken when one is.
    pub(crate) fn is_open(&self, cx: &Context<'_>) -> bool {
        let Some(bell) = &self.0 else {
            return true;
        };
        bell.outer.lock().expect("nobody panics with it").clone_from(cx.waker());
        bell.rung.load(Ordering::Relaxed)
    }

    /// Polls, if that was asked for.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.is_open(cx) {
            return Poll::Pending;
        }
        if let Some(old) = self.0.take() {
            old.live.store(false, Ordering::Relaxed);
        }
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            live: AtomicBool::new(true),
            outer: Mutex::new(cx.waker().clone()),
        });
        let result = poll(&mut Context::from_waker(&Waker::from(Arc::clone(&bell))));
        if result.is_pending() {
            self.0 = Some(bell);
        }
        result
    }
}

/// When a future is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    Endless,
    /// After so many polls, when the next one is asked for: whoever was woken does not do what he was woken for.
    Polls(u32),
    /// After a time.
    Time(Duration),
}

impl Patience {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.below(12) {
            0 => Self::Polls(rng.below(4) as u32),
            1 => Self::Polls(1),
            2 => Self::Time(Duration::from_micros(rng.below(300_000))),
            _ => Self::Endless,
        }
    }
}

/// What a future gives, unless it is given up.
pub(crate) async fn strictly<T>(patience: Patience, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut gate = Gate::default();
    let mut polls = 0;
    let mut sleep = match patience {
        Patience::Time(time) => Some(Box::pin(Sleep::new(time))),
        _ => None,
    };
    poll_fn(|cx| {
        if gate.is_open(cx) {
            if matches!(patience, Patience::Polls(most) if polls == most) {
                return Poll::Ready(None);
            }
            polls += 1;
            if let Poll::Ready(value) = gate.poll(cx, |cx| future.as_mut().poll(cx)) {
                return Poll::Ready(Some(value));
            }
        }
        match sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await
}
