//! What a process uses.

use std::time::{Duration, Instant};

use crate::job::Sample;

/// Started with the work: knows what the process had used before.
pub(crate) struct Meter {
    start: Instant,
    cpu: Duration,
    allocations: u64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { allocations: allocations(), cpu: cpu(), start: Instant::now() }
    }

    pub(crate) fn stop(self, messages: u64, mut latencies: Vec<Duration>) -> Sample {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu_seconds = (cpu() - self.cpu).as_secs_f64();
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        Sample {
            messages,
            seconds,
            cpu_seconds,
            allocations: allocations() - self.allocations,
            peak_kib: status("VmHWM:"),
            latency_us: (!latencies.is_empty()).then(|| [at(0.5), at(0.99), at(0.999)]),
        }
    }
}

/// Allocations and reallocations since the start of the process.
fn allocations() -> u64 {
    let stats = crate::ALLOCATOR.stats();
    (stats.allocations + stats.reallocations) as u64
}

fn cpu() -> Duration {
    // Never fails: the clock is there on every Unix.
    nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

fn status(name: &str) -> u64 {
    field(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), name)
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
