//! What a process uses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use stats_alloc::INSTRUMENTED_SYSTEM;

use crate::job::{Growth, Sample};

/// Whether another process counts this one's system calls.
static TRACED: AtomicBool = AtomicBool::new(false);

/// Tells it where the work begins and ends from now on.
pub(crate) fn set_traced() {
    TRACED.store(true, Ordering::Relaxed);
}

/// A signal that nobody else sends, and that does nothing where nobody listens: whoever traces this process sees it.
pub(crate) const MARK: Signal = Signal::SIGURG;

/// Sent this often: the first two tell what sending one costs, the last two enclose the work.
pub(crate) const MARKS: usize = 3;

fn mark() {
    if TRACED.load(Ordering::Relaxed) {
        // Cannot fail for a signal that exists.
        let _ = raise(MARK);
    }
}

/// Started with the work: knows what the process had used before.
pub(crate) struct Meter {
    start: Instant,
    cpu: Duration,
    allocations: Option<u64>,
}

impl Meter {
    /// Once in a process, or the marks are counted wrongly.
    pub(crate) fn start() -> Self {
        mark();
        mark();
        Self { allocations: allocations(), cpu: cpu(), start: Instant::now() }
    }

    pub(crate) fn stop(self, messages: u64, mut latencies: Vec<Duration>) -> Sample {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu_seconds = (cpu() - self.cpu).as_secs_f64();
        mark();
        let allocations = allocations().zip(self.allocations).map(|(now, then)| now - then);
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        Sample {
            messages,
            seconds,
            cpu_seconds,
            allocations,
            peak_kib: field("/proc/self/status", "VmHWM:"),
            latency_us: (!latencies.is_empty()).then(|| [at(0.5), at(0.99), at(0.999)]),
            memory: None,
        }
    }
}

/// Allocations and reallocations since the start of the process, if this is the program that counts them: in the other
/// there has been none.
fn allocations() -> Option<u64> {
    let stats = INSTRUMENTED_SYSTEM.stats();
    let count = (stats.allocations + stats.reallocations) as u64;
    (count > 0).then_some(count)
}

fn cpu() -> Duration {
    // Never fails: the clock is there on every Unix.
    nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

/// The memory of this process at one time.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    heap: i64,
    private: i64,
    resident: i64,
}

impl Memory {
    pub(crate) fn now() -> Self {
        // Counted page by page. The figures in `status` are estimates, off by hundreds of KiB on newer kernels.
        let kib = |name| field("/proc/self/smaps_rollup", name) as i64 * 1024;
        let (private, resident) = (kib("Anonymous:"), kib("Rss:"));
        let stats = INSTRUMENTED_SYSTEM.stats();
        let heap = stats.bytes_allocated as i64 - stats.bytes_deallocated as i64;
        Self { heap, private, resident }
    }

    /// What has come on top since `earlier`, due to so many units.
    pub(crate) fn since(self, earlier: Self, units: u64) -> Growth {
        Growth {
            units,
            heap: self.heap - earlier.heap,
            private: self.private - earlier.private,
            resident: self.resident - earlier.resident,
        }
    }
}

/// A number in one of the files about this process.
fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_by_their_place_among_all() {
        let latencies = (1..=1_000).rev().map(Duration::from_micros).collect();
        let sample = Meter::start().stop(1_000, latencies);
        let [p50, p99, p999] = sample.latency_us.expect("there are some");
        for (this, expected) in [(p50, 501.0), (p99, 991.0), (p999, 1_000.0)] {
            assert!((this - expected).abs() < 1e-6, "{this} instead of {expected}");
        }
        assert!(sample.peak_kib > 0 && sample.seconds > 0.0);
        assert!(Meter::start().stop(1, Vec::new()).latency_us.is_none());
    }

    #[test]
    fn memory_is_seen_to_come_and_to_go() {
        const SIZE: usize = 64 * 1024 * 1024;
        let before = Memory::now();
        let held = vec![1_u8; SIZE];
        let grown = Memory::now().since(before, 1);
        drop(std::hint::black_box(held));
        let shrunk = Memory::now().since(before, 1);
        // Resident, and more than what other tests of this process take meanwhile.
        assert!(grown.private > SIZE as i64 / 2, "{grown:?}");
        assert!(shrunk.private < SIZE as i64 / 2, "{shrunk:?}");
    }
}
