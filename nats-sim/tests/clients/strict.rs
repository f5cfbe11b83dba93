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

    /// Lets the next poll through.
    pub(crate) fn open(&mut self) {
        if let Some(bell) = self.0.take() {
            bell.live.store(false, Ordering::Relaxed);
        }
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
        self.open();
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
    /// Never; but after a time it is polled for no reason.
    Restless(Duration),
    /// Not polled for so long when that is asked for, and then given up: as in a `select!` whose task does something else.
    Absent(Duration),
}

impl Patience {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.below(12) {
            0 => Self::Polls(rng.below(4) as u32),
            1 => Self::Polls(1),
            2 => Self::Time(Duration::from_micros(rng.below(300_000))),
            3 => Self::Restless(Duration::from_micros(rng.below(30_000))),
            _ => Self::Endless,
        }
    }

    /// Of one among many, of whom most give up.
    pub(crate) fn of_many(rng: &mut Rng) -> Self {
        match rng.below(8) {
            0..2 => Self::Polls(1),
            2 | 3 => Self::Absent(Duration::from_secs(6)),
            4 | 5 => Self::Restless(Duration::from_micros(rng.below(5_000))),
            _ => Self::Endless,
        }
    }

    /// Whether it is polled when that is asked for.
    pub(crate) fn is_there(self) -> bool {
        !matches!(self, Self::Absent(_))
    }
}

/// What a future gives, unless it is given up.
pub(crate) async fn strictly<T>(patience: Patience, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut gate = Gate::default();
    let mut polls = 0;
    let mut sleep = match patience {
        Patience::Time(time) | Patience::Restless(time) => Some(Box::pin(Sleep::new(time))),
        _ => None,
    };
    poll_fn(|cx| {
        if sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready()) {
            sleep = None;
            if !matches!(patience, Patience::Restless(_)) {
                return Poll::Ready(None);
            }
            gate.open();
        }
        if !gate.is_open(cx) {
            return Poll::Pending;
        }
        match patience {
            Patience::Polls(most) if polls == most => return Poll::Ready(None),
            Patience::Absent(time) if polls > 0 => {
                let sleep = sleep.get_or_insert_with(|| Box::pin(Sleep::new(time)));
                return sleep.as_mut().poll(cx).map(|()| None);
            }
            _ => polls += 1,
        }
        gate.poll(cx, |cx| future.as_mut().poll(cx)).map(Some)
    })
    .await
}
