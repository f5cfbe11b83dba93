//! `cargo xtask instructions`: what the codec and the data path cost, in instructions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, cargo, step};
use crate::{Result, workspace};

/// How much more than recorded is too much, in per cent.
const TOLERANCE: u64 = 5;

/// The difference between so many times and twice as many is what is counted: what comes before and after
/// falls out.
const TIMES: u64 = 20_000;

/// Counts, prints and compares with what is recorded; writes it down instead if `record` is set.
///
/// # Errors
/// valgrind is missing, or something costs more than 5 % more than recorded.
pub(crate) fn run(record: bool) -> Result {
    step("instructions of the codec and the data path");
    if !process::succeeds(Command::new("valgrind").arg("--version")) {
        return Err("valgrind is not installed: `apt-get install valgrind` or the like".into());
    }
    let package = "--package=nats-bench-instructions";
    process::run(cargo(None).args(["build", "--release", package]))?;
    let program = workspace::target_dir()?.join("release/nats-bench-instructions");
    let mut counts = BTreeMap::new();
    for work in process::output(&mut Command::new(&program))?.lines() {
        let once = count(&program, work, TIMES)?;
        let twice = count(&program, work, 2 * TIMES)?;
        counts.insert(work.to_owned(), twice.saturating_sub(once) / TIMES);
    }
    let file = recorded_file();
    if record {
        std::fs::write(&file, serde_json::to_string_pretty(&counts)? + "\n")?;
        println!("recorded in {}", file.display());
        return Ok(());
    }
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    compare(&counts, &recorded)
}

fn recorded_file() -> PathBuf {
    workspace::root().join("bench/instructions/recorded.json")
}

/// Instructions of a whole run.
fn count(program: &Path, work: &str, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(work)
        .arg(times.to_string())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    match collected.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("{work:?} failed under valgrind:\n{text}").into()),
    }
}

fn compare(counts: &BTreeMap<String, u64>, recorded: &BTreeMap<String, u64>) -> Result {
    let mut worse = Vec::new();
    println!("{:>8} {:>8}", "now", "recorded");
    for (work, now) in counts {
        let Some(before) = recorded.get(work) else {
            return Err(
                format!("{work:?} is not recorded: `cargo xtask instructions --record`").into()
            );
        };
        println!("{now:>8} {before:>8}  {work}");
        if now * 100 > before * (100 + TOLERANCE) {
            worse.push(format!("{work:?} takes {now} instructions, {before} are recorded"));
        }
    }
    if worse.is_empty() { Ok(()) } else { Err(worse.join("\n").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([(String::from("work"), count)])
    }

    #[test]
    fn a_count_may_rise_by_five_per_cent_and_no_more() {
        assert!(compare(&counts(105), &counts(100)).is_ok());
        assert!(compare(&counts(50), &counts(100)).is_ok());
        let error = compare(&counts(106), &counts(100)).unwrap_err();
        assert!(error.to_string().contains("\"work\" takes 106"), "{error}");
    }

    #[test]
    fn work_that_is_not_recorded_is_an_error() {
        assert!(compare(&counts(1), &BTreeMap::new()).is_err());
    }
}
