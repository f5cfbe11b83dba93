//! `cargo xtask simulate`: many seeds of the simulations, and that the first one finds what is wrong.

use std::process::Command;

use crate::Result;
use crate::process::{self, cargo, step};

/// A seed of whole clients takes several times as long as one of their connections alone.
const SEEDS_OF_WHOLE_CLIENTS: u64 = 5;

/// Runs so many seeds, a part of them with whole clients, then plants one mistake after the other in
/// `nats-proto` and `nats-client`.
///
/// # Errors
/// A seed fails (how to replay it is printed), or a planted mistake is not found.
pub(crate) fn run(seeds: u64) -> Result {
    step(&format!("{seeds} seeds of the simulation"));
    let test = ["test", "--profile=checked", "--package=nats-sim"];
    let shown = ["--", "--nocapture"];
    let mut simulation = all();
    simulation.args(test).arg("--test=simulation").args(shown);
    process::run_tests(simulation.env("SIM_SEEDS", seeds.to_string()))?;
    let seeds = seeds.div_ceil(SEEDS_OF_WHOLE_CLIENTS);
    step(&format!("{seeds} seeds of whole clients"));
    let mut simulation = all();
    simulation.args(test).arg("--test=whole_clients").args(shown);
    process::run_tests(simulation.env("SIM_SEEDS", seeds.to_string()))?;
    step("mistakes planted in nats-proto and nats-client are found");
    let planted =
        ["--features=planted-faults", "--test=planted_faults", "--test=planted_in_clients"];
    let mut planted_faults = all();
    planted_faults.args(test).args(planted).args(shown);
    process::run_tests(&mut planted_faults)
}

/// A cargo that is told of no single seed or mistake: a shell may still have one from looking at it.
fn all() -> Command {
    let mut command = cargo(None);
    for variable in ["SIM_SEED", "SIM_FIRST", "SIM_FAULT"] {
        command.env_remove(variable);
    }
    command
}
