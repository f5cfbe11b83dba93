//! `cargo xtask bench`: this client and its peers, measured.

use std::ffi::OsString;

use crate::process::{self, cargo, step};
use crate::{Result, server};

/// Builds the bench in release mode and runs it with `args` on a real server.
///
/// # Errors
/// No server, or a measurement fails.
pub(crate) fn run(args: &[OsString]) -> Result {
    step("benchmarks");
    let servers = server::ensure()?;
    // It starts another one of its package.
    process::run(cargo(None).args(["build", "--release", "--package=nats-bench", "--bins"]))?;
    let mut command = cargo(None);
    command.args(["run", "--release", "--package=nats-bench", "--"]).args(args).envs(servers);
    process::run(&mut command)
}
