//! `cargo xtask simulate`: many seeds of the simulation, and that it finds what is wrong.

use crate::Result;
use crate::process::{self, cargo, step};

/// Runs so many seeds, then plants one mistake after the other in `nats-proto`.
///
/// # Errors
/// A seed fails (how to replay it is printed), or a planted mistake is not found.
pub(crate) fn run(seeds: u64) -> Result {
    step(&format!("{seeds} seeds of the simulation"));
    let test = ["test", "--profile=checked", "--package=nats-sim"];
    let shown = ["--", "--nocapture"];
    let mut simulation = cargo(None);
    simulation.args(test).arg("--test=simulation").args(shown);
    process::run(simulation.env("SIM_SEEDS", seeds.to_string()))?;
    step("mistakes planted in nats-proto are found");
    let planted = ["--features=planted-faults", "--test=planted_faults"];
    process::run(cargo(None).args(test).args(planted).args(shown))
}
