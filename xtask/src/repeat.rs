//! `cargo xtask repeat`: the tests again and again, to find those that do not always pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::process::{self, cargo, step};
use crate::{Result, server, test, workspace};

/// Runs the tests of the workspace so many times, optimized, so that many rounds are done in reasonable time, but with
/// the checks of a debug build. What a round that fails has printed is kept in `target/repeat`.
///
/// # Errors
/// A server is missing, the tests do not build, or one of them fails in any round.
pub(crate) fn run(rounds: u32) -> Result {
    step("nats-server releases");
    let servers = server::ensure()?;
    process::run(tests().arg("--no-run"))?;
    step(&format!("tests of the workspace, {rounds} times"));
    let logs = workspace::root().join("target/repeat");
    fs::create_dir_all(&logs)?;
    let mut failures: BTreeMap<String, u32> = BTreeMap::new();
    for round in 1..=rounds {
        let started = Instant::now();
        let outcome = run_once(&servers)?;
        let (seconds, passed) = (started.elapsed().as_secs(), outcome.passed);
        println!("round {round}: {passed} passed, {} failed, {seconds} s", outcome.failed.len());
        if !outcome.success {
            let log = logs.join(format!("{round}.log"));
            fs::write(&log, &outcome.text)?;
            println!("  {}: target/repeat/{round}.log", outcome.failed.join(", "));
            // A round that failed without naming a test counts, too: a program that did not come to its end.
            let unnamed = outcome.failed.is_empty().then(|| String::from("a whole program"));
            for test in outcome.failed.into_iter().chain(unnamed) {
                let times = failures.entry(test).or_default();
                *times = times.saturating_add(1);
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        failures.iter().map(|(test, times)| format!("{test}: {times} of {rounds}")).collect();
    Err(format!("tests failed:\n{}", list.join("\n")).into())
}

fn tests() -> Command {
    let mut command = cargo(None);
    command.args(["test", "--workspace", "--profile=checked", "--lib", "--bins", "--tests"]);
    command
}

/// What one round came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    success: bool,
    passed: u64,
    failed: Vec<String>,
    text: String,
}

fn run_once(servers: &[(&str, PathBuf)]) -> Result<Outcome> {
    let mut command = tests();
    command.arg("--no-fail-fast").envs(servers.iter().map(|(variable, path)| (variable, path)));
    test::several_at_once(&mut command);
    let output = command.stdin(Stdio::null()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(read(output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn read(success: bool, text: String) -> Outcome {
    // `test result: ok. 12 passed; 0 failed; …`
    let results = text.lines().filter_map(|line| line.strip_prefix("test result: "));
    let passed = results.filter_map(|result| result.split_whitespace().nth(1)?.parse::<u64>().ok());
    let failed = text.lines().filter_map(|line| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(name.to_owned())
    });
    Outcome { success, passed: passed.sum(), failed: failed.collect(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_read_from_what_cargo_prints() {
        let text = "\
running 2 tests
test a::works ... ok
test b::fails ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let outcome = read(false, text.to_owned());
        assert_eq!((outcome.passed, outcome.failed), (4, vec!["b::fails".to_owned()]));
    }
}
