//! `cargo xtask test`: every test there is, on real servers.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, thread};

use crate::process::{self, cargo, step};
use crate::{Result, server, workspace};

/// Cases of each property of the wire format, and of what is written and read back.
const WIRE_CASES: u32 = 100_000;

/// How many tests of a binary run at the same time.
const THREADS: &str = "RUST_TEST_THREADS";

/// Tests at the same time, for each processor: most of them wait for a server, or for time to pass.
const TESTS_AT_ONCE: usize = 3;

/// Where they are, and what their names contain.
const READ_BACK: [(&str, &str); 4] = [
    ("wire_properties", ""),
    ("header", "what_is_encoded_is_read_back"),
    ("subject", "what_may_be_published_cannot_break_a_line"),
    ("server_addr", "any_credentials_can_be_written"),
];

/// Runs everything; `cargo_args` go to the first and largest part, `cargo test --workspace`.
///
/// # Errors
/// A server is missing, or a part fails. Nothing is ever skipped.
pub(crate) fn run(cargo_args: &[OsString]) -> Result {
    step("nats-server releases");
    let servers = server::ensure()?;
    for (variable, path) in &servers {
        println!("{variable}={}", path.display());
    }
    workspace_tests(cargo_args, &servers)?;
    examples()?;
    wire_properties()?;
    corpus_replay()?;
    no_std()
}

/// Unit tests, doctests, property tests, and scenarios on the servers.
fn workspace_tests(cargo_args: &[OsString], servers: &[(&str, PathBuf)]) -> Result {
    step("tests of the workspace");
    let servers = servers.iter().map(|(variable, path)| (variable, path));
    let mut command = cargo(None);
    command.args(["test", "--workspace"]).args(cargo_args).envs(servers);
    several_at_once(&mut command);
    in_short_form(&mut command);
    // These run nothing.
    let runs = !cargo_args.iter().any(|arg| arg == "--no-run" || arg == "--list");
    if runs { process::run_tests(&mut command) } else { process::run(&mut command) }
}

/// Forgets what a shell may still have from looking at one seed or one mistake: then hardly anything would be tested.
fn in_short_form(command: &mut Command) {
    for variable in ["SIM_SEED", "SIM_FIRST", "SIM_SEEDS", "SIM_FAULT"] {
        command.env_remove(variable);
    }
}

/// Has a run of tests start as many at the same time as is best, unless the environment says how many.
pub(crate) fn several_at_once(command: &mut Command) {
    if env::var_os(THREADS).is_none() {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        command.env(THREADS, processors.saturating_mul(TESTS_AT_ONCE).to_string());
    }
}

/// Runs the programs that bring their own server to their ends.
///
/// # Errors
/// One of them fails.
fn examples() -> Result {
    step("examples");
    process::run(cargo(None).args(["build", "--workspace", "--examples"]))?;
    let programs = workspace::target_dir()?.join("debug").join("examples");
    for adapter in ["nats-tokio", "nats-async-std"] {
        for entry in fs::read_dir(workspace::root().join(adapter).join("examples"))? {
            let path = entry?.path();
            // One file, or a directory with a `main.rs`; the others have what several share.
            if path.is_dir() && !path.join("main.rs").exists() {
                continue;
            }
            if let Some(name) = path.file_stem() {
                process::run(&mut Command::new(programs.join(name)))?;
            }
        }
    }
    Ok(())
}

/// The properties of the wire format once more, with as many cases as RELIABILITY.md promises: more than anybody
/// would wait for without optimization.
fn wire_properties() -> Result {
    step(&format!("properties of the wire format, {WIRE_CASES} cases each"));
    let package = ["test", "--profile=checked", "--package=nats-proto"];
    for (test, properties) in READ_BACK {
        let mut command = cargo(None);
        command.args(package).args(["--test", test, "--", properties]);
        process::run_tests(command.env("PROPTEST_CASES", WIRE_CASES.to_string()))?;
    }
    Ok(())
}

/// What fuzzing has found, or was begun with, as ordinary tests on the stable toolchain.
fn corpus_replay() -> Result {
    step("fuzz corpora, replayed");
    process::run(cargo(None).args(["test", "--manifest-path=fuzz/Cargo.toml"]))
}

/// Builds and runs a program without std that opens, drives and closes a connection.
///
/// # Errors
/// It does not build, which is what happens if any dependency brings std in, or it does not behave.
pub(crate) fn no_std() -> Result {
    step("nats-proto in a program without std");
    process::run(cargo(None).args([
        "run",
        "--manifest-path=no-std-check/Cargo.toml",
        "--target-dir=target/no-std-check",
    ]))
}
