//! `cargo xtask faults`: servers that are killed, paused and retired, storms, soaks and slow consumers, with their figures.

use std::ffi::OsString;

use crate::process::{self, cargo, step};
use crate::{Result, server};

/// What the long form asks of each runtime with each release, over each set of transports. `tests/tests/faults` and `slow_consumer.rs` have the short
/// form.
const LONG: [(&str, &str); 10] = [
    ("FAULTS_CYCLES", "200"),
    ("FAULTS_CUTS", "100"),
    ("FAULTS_PAUSES", "20"),
    ("FAULTS_MESSAGES", "1000000"),
    ("FAULTS_ROUNDS", "2"),
    ("FAULTS_CLIENTS", "500"),
    ("FAULTS_PAUSE_MS", "10000"),
    ("FAULTS_SOAK_MESSAGES", "50000000"),
    ("FAULTS_SOAK_RECONNECTS", "1000"),
    ("SLOW_CONSUMER_MIB", "1024"),
];

/// Runs the tests whose names contain one of `filters`, or all: one after the other, so that the figures mean something,
/// and not optimized, so that arithmetic is checked. A number that is in the environment already stays.
///
/// # Errors
/// A server is missing, no test has such a name, or one fails.
pub(crate) fn run(long: bool, filters: &[OsString]) -> Result {
    step("nats-server releases");
    let servers = server::ensure()?;
    step(if long { "faults, the long form" } else { "faults" });
    let mut tests = cargo(None);
    let programs = ["--test=faults", "--test=slow_consumer"];
    tests.args(["test", "--package=nats-tests"]).args(programs).arg("--");
    tests.args(["--nocapture", "--test-threads=1"]).args(filters);
    tests.envs(servers.iter().map(|(variable, path)| (variable, path)));
    if long {
        let unset = LONG.iter().filter(|(variable, _)| std::env::var_os(variable).is_none());
        for (variable, number) in unset {
            println!("{variable}={number}");
            tests.env(variable, number);
        }
    }
    process::run_tests(&mut tests)
}
