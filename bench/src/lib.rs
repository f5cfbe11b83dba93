//! Measures this client and its peers on the same work in one interleaved run.
//!
//! Every measurement is a process of its own, so that its processor time, its allocations and its
//! peak memory are those of one client at one job. See `BENCHMARKS.md`.

mod blocking;
mod job;
mod meter;
mod plan;
mod process;
mod progress;
mod report;
mod run;
mod servers;
mod tls;
mod trace;
mod worker;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask bench -- [--quick] [--runs N] [--only WORDS]... [--no-syscalls] [--list] [--out DIR]

  --quick        a part of the jobs, a tenth of the messages, 3 runs: within a minute
  --runs N       runs of each measurement, of which the median is shown (5)
  --only WORDS   only measurements whose name contains WORDS; more than once: any of them
  --no-syscalls  do not count system calls, which takes a further run of each measurement
  --list         only say which measurements there are
  --out DIR      where results.md and results.json go (target/bench)
";

/// What both programs do: the one that is measured, and the one whose allocations are counted.
pub fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let result = match args.next().as_deref() {
        // The roles of the processes that the bench starts.
        Some("worker") => worker::main(args),
        Some("trace") => trace::main(args),
        Some("sink") => servers::sink(),
        Some("flood") => servers::flood(),
        Some("responder") => blocking::responder(args),
        _ => run::main(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What can go wrong here is told and ends the run.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
