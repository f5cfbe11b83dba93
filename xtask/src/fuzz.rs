//! `cargo xtask fuzz`: every fuzz target, for a while.

use std::fs;
use std::process::Stdio;

use crate::process::{self, cargo, output, shown, step, succeeds};
use crate::{Result, workspace};

/// A decoder that allocates what a length on the wire says before it has checked it meets this limit, long
/// before the machine runs out of memory.
const MEMORY_MIB: u32 = 512;

/// A single input that takes longer is a finding. Generous, because CI machines stall.
const TIMEOUT_SECONDS: u32 = 10;

/// Runs every target for `seconds`.
///
/// # Errors
/// A target does not build, or an input made one crash, hang or take too much memory.
pub(crate) fn run(seconds: u64) -> Result {
    step(&format!("fuzzing, {seconds} s a target"));
    if !succeeds(cargo(Some("nightly")).args(["fuzz", "--version"])) {
        process::run(cargo(None).args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let list = output(cargo(Some("nightly")).args(["fuzz", "list"]))?;
    let targets: Vec<&str> = list.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if targets.is_empty() {
        return Err("there are no fuzz targets".into());
    }
    process::run(cargo(Some("nightly")).args(["fuzz", "build"]))?;

    let mut total = 0;
    let mut failed = Vec::new();
    for target in targets {
        let outcome = fuzz_target(target, seconds)?;
        total += outcome.runs;
        let verdict = if outcome.passed { "ok" } else { "FAILED" };
        println!("{target}: {} runs, {verdict}", outcome.runs);
        if !outcome.passed {
            failed.push(target);
        }
    }
    println!("{total} runs in all, failed targets: {}", failed.len());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("fuzzing failed: {}; the inputs are in fuzz/artifacts", failed.join(", "))
            .into())
    }
}

struct Outcome {
    runs: u64,
    passed: bool,
}

fn fuzz_target(target: &str, seconds: u64) -> Result<Outcome> {
    // New inputs go to the first directory: a run leaves the corpus that is under version control alone.
    let found = workspace::root().join("target/fuzz-corpus").join(target);
    fs::create_dir_all(&found)?;
    let seeds = workspace::root().join("fuzz/corpus").join(target);
    let mut command = cargo(Some("nightly"));
    command.args(["fuzz", "run", target]).arg(&found);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    command
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .args(["-print_final_stats=1", "-verbosity=0"])
        // Freed memory is kept back by the sanitizer to find uses of it; at its default of 256 MiB that
        // would be half of the limit above.
        .env("ASAN_OPTIONS", "quarantine_size_mb=32")
        .stdin(Stdio::null());
    println!("$ {}", shown(&command));
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success();
    let runs = executions(&text);
    if !passed {
        eprintln!("{text}");
    } else if runs.is_none() {
        // A target that says nothing of its runs may not have run at all.
        return Err(format!("{target} did not report its runs:\n{text}").into());
    }
    Ok(Outcome { runs: runs.unwrap_or(0), passed })
}

/// The number of runs, from the statistics that libFuzzer prints at its end.
fn executions(output: &str) -> Option<u64> {
    output
        .lines()
        .find_map(|line| line.trim().strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_from_the_final_statistics() {
        let output = "Done 4096 runs in 2 second(s)\n\
                      stat::number_of_executed_units: 4096\n\
                      stat::average_exec_per_sec:     2048\n";
        assert_eq!(executions(output), Some(4096));
        assert_eq!(executions("==1== ERROR: libFuzzer: deadly signal"), None);
    }
}
