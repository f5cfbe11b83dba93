//! The one core that all tasks share, and who wakes whom.

use core::ops::Deref;
use core::task::Waker;
use core::time::Duration;
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time;
use std::vec::Vec;

use nats_proto::Instant;

use crate::{Broker, BrokerEvent, SessionId};

/// What the broker wants to become of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    #[default]
    Open,
    /// What is buffered is written, then it is closed.
    Hangup,
    /// It is closed at once.
    Abort,
}

/// What the core knows of a connection's task.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) fate: Fate,
    /// Wakes the task.
    pub(super) waker: Option<Waker>,
}

/// What lies behind the lock.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) broker: Broker,
    /// The latest time that was told.
    now: Instant,
    pub(super) links: BTreeMap<SessionId, Link>,
    /// Whether further clients are accepted.
    pub(super) listening: bool,
    /// Whether the handle is gone.
    pub(super) stopped: bool,
    pub(super) accept_waker: Option<Waker>,
    pub(super) timer_waker: Option<Waker>,
    /// When the timer's task will look at the core by itself.
    pub(super) armed: Option<Instant>,
    tasks: usize,
    done_waker: Option<Waker>,
    /// Those to be woken when the lock is released.
    woken: Vec<Waker>,
}

impl Core {
    /// Acts on what the broker asks for, and notes who must be woken.
    fn act_on_events(&mut self) {
        while let Some(event) = self.broker.poll_event() {
            let (session, fate) = match event {
                BrokerEvent::Transmit(session) => (session, Fate::Open),
                BrokerEvent::Hangup(session) => (session, Fate::Hangup),
                BrokerEvent::Abort(session) => (session, Fate::Abort),
            };
            // Without a link, the task is about to close the connection anyhow.
            if let Some(link) = self.links.get_mut(&session) {
                if fate != Fate::Open {
                    link.fate = fate;
                }
                self.woken.extend(link.waker.take());
            }
        }
        if !self.listening {
            self.woken.extend(self.accept_waker.take());
        }
        let deadline = self.broker.poll_timeout();
        let is_earlier = match (deadline, self.armed) {
            (Some(deadline), Some(armed)) => deadline < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if self.stopped || is_earlier {
            self.woken.extend(self.timer_waker.take());
        }
    }
}

/// One core, shared by the handle, the listener, the timer and all connections.
#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    clock: fn() -> time::Instant,
    origin: time::Instant,
    pub(super) write_timeout: Duration,
    /// Bytes that may wait to be written to one client.
    pub(super) max_pending: u64,
}

impl Shared {
    pub(super) fn new(
        broker: Broker,
        clock: fn() -> time::Instant,
        write_timeout: Duration,
    ) -> Self {
        let max_pending = broker.config().max_pending as u64;
        let core = Core {
            broker,
            now: Instant::ZERO,
            links: BTreeMap::new(),
            listening: true,
            stopped: false,
            accept_waker: None,
            timer_waker: None,
            armed: None,
            tasks: 0,
            done_waker: None,
            woken: Vec::new(),
        };
        Self { core: Mutex::new(core), clock, origin: clock(), write_timeout, max_pending }
    }

    /// The core as it is. What is changed this way wakes nobody.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        // The core does not panic; should an allocation fail inside of it, it is as good as before.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `visit` use the core, acts on the broker's events, and then, with the lock released, wakes whoever has
    /// something to do.
    pub(super) fn with<T>(&self, visit: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let result = visit(&mut core);
        core.act_on_events();
        let woken = mem::take(&mut core.woken);
        drop(core);
        for waker in woken {
            waker.wake();
        }
        result
    }

    /// Like [`with`](Self::with), and tells the time. It never runs backwards.
    pub(super) fn with_now<T>(&self, visit: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let now = Instant::ZERO + (self.clock)().saturating_duration_since(self.origin);
        self.with(|core| {
            core.now = core.now.max(now);
            let now = core.now;
            visit(core, now)
        })
    }

    /// Hangs up on everybody and lets all tasks end.
    pub(super) fn stop(&self) {
        self.with(|core| {
            core.listening = false;
            core.stopped = true;
            core.broker.shutdown();
            // Also those that the broker has forgotten, and who still write what is left for their clients.
            let Core { links, woken, .. } = core;
            woken.extend(links.values_mut().filter_map(|link| link.waker.take()));
        });
    }

    /// Whether no task is left; if one is, `waker` will be woken.
    pub(super) fn is_done(&self, waker: &Waker) -> bool {
        let mut core = self.lock();
        if core.tasks > 0 {
            core.done_waker = Some(waker.clone());
        }
        core.tasks == 0
    }
}

/// A share in the core that counts as a task until it is dropped.
///
/// It is counted from when it is made, not from when the task first runs, so that a shutdown waits for it.
#[derive(Debug)]
pub(super) struct Task(Arc<Shared>);

impl Task {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let mut core = shared.lock();
        core.tasks = core.tasks.saturating_add(1);
        drop(core);
        Self(shared.clone())
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Deref for Task {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.with(|core| {
            core.tasks = core.tasks.saturating_sub(1);
            if core.tasks == 0 {
                let waker = core.done_waker.take();
                core.woken.extend(waker);
            }
        });
    }
}
