//! One thread's world: tasks, timers, streams, and the network between them.
//!
//! A task runs only when it was woken, and time moves only when nothing can run: whoever forgets to wake somebody makes
//! the run hang, and whoever wakes himself for ever makes it spin, and both are noticed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use nats_proto::{Instant, Rng};
use nats_sim::{Simulation, StreamId};

use super::books::Books;
use super::transport::Transports;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls of all tasks without time going on, beyond which there must be a loop without delay.
const POLLS: u64 = 50_000;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Everything of one seed.
pub(crate) struct World {
    pub(crate) sim: Simulation<()>,
    /// For the order of tasks and for applications.
    pub(crate) rng: Rng,
    pub(crate) books: Books,
    /// Each has the same waker for all of its life, and is not here while it is polled.
    tasks: BTreeMap<u64, (Waker, Option<Task>)>,
    /// The tasks that the client has spawned by itself.
    background: BTreeSet<u64>,
    last_task: u64,
    ready: Ready,
    pub(crate) timers: BTreeMap<(Instant, u64), Waker>,
    last_timer: u64,
    pub(crate) streams: BTreeMap<StreamId, Ends>,
    pub(crate) transports: Transports,
    /// Whether streams keep what is written until they are flushed.
    pub(crate) collects: bool,
    /// Polls since time went on last, and polls of background tasks in all.
    polls: u64,
    pub(crate) background_polls: u64,
    /// A task runs in the middle of another one.
    interrupted: bool,
    /// How far the clock has jumped in all.
    pub(crate) jumped: Duration,
    /// A hash of everything that happened, and when.
    digest: u64,
}

/// Whose a stream is, and who waits for it.
pub(crate) struct Ends {
    pub(crate) client: usize,
    pub(crate) read: Option<Waker>,
    pub(crate) write: Option<Waker>,
    /// It takes nothing until then.
    pub(crate) clogged: Instant,
}

type Ready = Arc<Mutex<BTreeSet<u64>>>;

struct TaskWaker(u64, Ready);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.1.lock().expect("nobody panics with it").insert(self.0);
    }
}

/// Runs `f` with this thread's world. Futures must not be polled or dropped in it.
pub(crate) fn with<T>(f: impl FnOnce(&mut World) -> T) -> T {
    try_with(f).expect("there is a world")
}

/// The same for what may be dropped when the world has gone.
pub(crate) fn try_with<T>(f: impl FnOnce(&mut World) -> T) -> Option<T> {
    WORLD.with(|world| Some(f(world.try_borrow_mut().ok()?.as_mut()?)))
}

/// Where the virtual clock begins, as a time of the real one.
static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// The virtual time in the words of std.
pub(crate) fn std_now() -> std::time::Instant {
    let now = try_with(|world| world.sim.now()).unwrap_or(Instant::ZERO);
    *START + Duration::from_nanos(now.as_nanos())
}

/// Runs a task. One of the `background` is the client's own.
pub(crate) fn spawn(future: Task, background: bool) {
    with(|world| {
        world.last_task += 1;
        let id = world.last_task;
        let waker = Waker::from(Arc::new(TaskWaker(id, world.ready.clone())));
        world.tasks.insert(id, (waker, Some(future)));
        if background {
            world.background.insert(id);
        }
        world.ready.lock().expect("nobody panics with it").insert(id);
    });
}

enum Step {
    Poll(u64, Waker, Task),
    Again,
    Over,
}

/// Runs until this time.
pub(crate) fn run_until(end: Instant) {
    loop {
        match with(|world| world.step(end)) {
            Step::Poll(id, waker, future) => poll(id, &waker, future),
            Step::Again => {}
            Step::Over => return,
        }
    }
}

pub(crate) fn run_for(duration: Duration) {
    run_until(with(|world| world.sim.now()) + duration);
}

fn poll(id: u64, waker: &Waker, mut future: Task) {
    let pending = future.as_mut().poll(&mut Context::from_waker(waker)).is_pending();
    let over = with(|world| {
        world.note(id, u64::from(pending));
        match world.tasks.get_mut(&id) {
            Some((_, place)) if pending => {
                *place = Some(future);
                None
            }
            _ => {
                world.tasks.remove(&id);
                world.background.remove(&id);
                Some(future)
            }
        }
    });
    drop(over);
}

/// Lets a task of a program run in the middle of another one, now and then, as if on another thread. Never one of a client's
/// own: that might wait for a lock which the other one holds.
pub(crate) fn interrupt() {
    if let Some((id, waker, future)) = with(World::interrupt) {
        poll(id, &waker, future);
        with(|world| world.interrupted = false);
    }
}

/// Drops all that clients do by themselves.
pub(crate) fn lose_background() {
    let tasks = with(|world| {
        let ids = std::mem::take(&mut world.background);
        ids.into_iter().filter_map(|id| world.tasks.remove(&id)).collect::<Vec<_>>()
    });
    drop(tasks);
}

/// A world for this seed, until it is dropped.
pub(crate) struct Guard;

impl Guard {
    pub(crate) fn new(seed: u64) -> Self {
        let mut sim = Simulation::new(seed);
        let books = Books::new(&mut sim);
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let world = World {
            sim,
            rng: Rng::from_seed(bytes),
            books,
            tasks: BTreeMap::new(),
            background: BTreeSet::new(),
            last_task: 0,
            ready: Ready::default(),
            timers: BTreeMap::new(),
            last_timer: 0,
            streams: BTreeMap::new(),
            transports: Transports::default(),
            collects: false,
            polls: 0,
            background_polls: 0,
            interrupted: false,
            jumped: Duration::ZERO,
            digest: 0,
        };
        WORLD.with(|place| *place.borrow_mut() = Some(world));
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // What tasks do when they are dropped may need the world.
        let tasks = try_with(|world| std::mem::take(&mut world.tasks));
        drop(tasks);
        let world = WORLD.with(|place| place.borrow_mut().take());
        drop(world);
    }
}

impl World {
    fn step(&mut self, end: Instant) -> Step {
        self.wake_streams();
        let now = self.sim.now();
        let network = self.sim.next_step().is_some_and(|at| at <= now);
        let timer = self.timers.first_key_value().is_some_and(|((at, _), _)| *at <= now);
        let mut ready = self.ready.lock().expect("nobody panics with it");
        // Late tasks, timers and packets are as likely as early ones.
        if !ready.is_empty() && !((network || timer) && self.rng.below(4) == 0) {
            let at = self.rng.below(ready.len() as u64) as usize;
            let id = *ready.iter().nth(at).expect("there are as many");
            ready.remove(&id);
            drop(ready);
            let Some((waker, task)) = self.tasks.get_mut(&id) else {
                return Step::Again;
            };
            let (waker, future) = (waker.clone(), task.take().expect("polled one at a time"));
            self.polls += 1;
            let background = self.background.contains(&id);
            self.background_polls += u64::from(background);
            assert!(
                self.polls < POLLS,
                "a loop without delay: task {id}, of the client: {background}"
            );
            return Step::Poll(id, waker, future);
        }
        drop(ready);
        if timer {
            let (_, waker) = self.timers.pop_first().expect("there is one");
            waker.wake();
            return Step::Again;
        }
        if network {
            self.sim.run_for(Duration::ZERO);
            return Step::Again;
        }
        let timer = self.timers.first_key_value().map(|((at, _), _)| *at);
        let readable = self.streams.iter().filter(|(_, ends)| ends.read.is_some());
        let readable = readable.filter_map(|(id, _)| self.sim.stream_readable_at(*id)).min();
        let clogged = self.streams.values().filter(|ends| ends.write.is_some());
        let unclogged = clogged.map(|ends| ends.clogged).filter(|at| *at > now).min();
        let next = [self.sim.next_step(), timer, readable, unclogged].into_iter().flatten().min();
        let until = next.unwrap_or(end).min(end);
        self.polls = 0;
        self.sim.run_for(Duration::from_nanos(until.as_nanos() - now.as_nanos()));
        match next {
            Some(next) if next <= end => Step::Again,
            _ => Step::Over,
        }
    }

    /// A task that may run in the middle of another one.
    fn interrupt(&mut self) -> Option<(u64, Waker, Task)> {
        if self.interrupted || self.rng.below(4) > 0 {
            return None;
        }
        let mut ready = self.ready.lock().expect("nobody panics with it");
        let (tasks, background) = (&mut self.tasks, &self.background);
        let may_run = |id: &&u64| {
            !background.contains(id) && tasks.get(id).is_some_and(|(_, task)| task.is_some())
        };
        let count = ready.iter().filter(may_run).count() as u64;
        let at = self.rng.below(count.max(1)) as usize;
        let id = *ready.iter().filter(may_run).nth(at)?;
        ready.remove(&id);
        let (waker, task) = tasks.get_mut(&id)?;
        self.interrupted = true;
        self.polls += 1;
        Some((id, waker.clone(), task.take()?))
    }

    /// The clock goes on, and nobody runs meanwhile: a machine that slept.
    pub(crate) fn jump(&mut self, duration: Duration) {
        self.sim.jump(duration);
        self.jumped += duration;
    }

    /// From now on, a stream takes nothing for so long.
    pub(crate) fn clog(&mut self, stream: StreamId, time: Duration) {
        let until = self.sim.now() + time;
        self.streams.entry(stream).and_modify(|ends| ends.clogged = until);
    }

    /// The same of every stream.
    pub(crate) fn clog_all(&mut self, time: Duration) {
        let until = self.sim.now() + time;
        self.streams.values_mut().for_each(|ends| ends.clogged = until);
    }

    /// Whether a stream takes nothing.
    pub(crate) fn is_clogged(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|ends| ends.clogged > self.sim.now())
    }

    fn wake_streams(&mut self) {
        let now = self.sim.now();
        for (id, ends) in &mut self.streams {
            if ends.read.is_some() && self.sim.stream_readable_at(*id).is_some_and(|at| at <= now) {
                ends.read.take().into_iter().for_each(Waker::wake);
            }
            let writable = ends.clogged <= now && self.sim.is_stream_writable(*id);
            if ends.write.is_some() && writable {
                ends.write.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Adds something that has happened to the digest.
    pub(crate) fn note(&mut self, what: u64, more: u64) {
        let time = self.sim.now().as_nanos();
        for word in [what, more, time] {
            self.digest = (self.digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Waits for `at`; gives the key of the timer.
    pub(crate) fn set_timer(&mut self, at: Instant, waker: Waker) -> (Instant, u64) {
        self.last_timer += 1;
        self.timers.insert((at, self.last_timer), waker);
        (at, self.last_timer)
    }

    /// How many subscriptions the brokers have of a client.
    pub(crate) fn subscriptions_at_brokers(&self, client: usize) -> usize {
        let streams = self.streams.iter().filter(|(_, ends)| ends.client == client);
        streams.filter_map(|(id, _)| self.sim.subscriptions_at_broker(*id)).sum()
    }

    /// Tasks that are not over, and how many of them are the client's own.
    pub(crate) fn tasks(&self) -> (usize, usize) {
        (self.tasks.len(), self.background.len())
    }
}

/// Another source of randomness, which follows from this one.
pub(crate) fn fork(rng: &mut Rng) -> Rng {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
    Rng::from_seed(seed)
}

/// A random decision of the world.
pub(crate) fn below(limit: u64) -> u64 {
    with(|world| world.rng.below(limit))
}

/// A random time.
pub(crate) fn millis(least: u64, most: u64) -> Duration {
    Duration::from_millis(least + below(most - least + 1))
}

pub(crate) fn now() -> Instant {
    with(|world| world.sim.now())
}
