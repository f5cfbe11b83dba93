//! `cargo xtask deny`: licences, bans and sources of dependencies.
//!
//! Advisories are not checked here: their database has to be fetched from a place of its own, which not every
//! machine can reach. `cargo deny check` checks them, too, by the exceptions in `deny.toml`.

use crate::Result;
use crate::process::{cargo, run as run_command, step, succeeds};

/// Runs cargo-deny by `deny.toml`, installing it first if need be.
///
/// # Errors
/// A dependency breaks a rule.
pub(crate) fn run() -> Result {
    step("licences, bans and sources");
    if !succeeds(cargo(None).args(["deny", "--version"])) {
        run_command(cargo(None).args(["install", "cargo-deny", "--locked"]))?;
    }
    run_command(cargo(None).args(["deny", "check", "licenses", "bans", "sources"]))
}
