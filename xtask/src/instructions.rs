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

/// What the works begin with whose cost must grow in proportion.
const HOSTILE: &str = "hostile:";

/// How many there are of something hostile, and of which there are then four times as many.
const FEW: u64 = 4_000;

/// By how many per cent the cost may grow then: with a logarithm, and tables that double, it is more than 400.
const MOST_GROWTH: u64 = 600;

/// Counts, prints and compares with what is recorded; writes it down instead if `record` is set.
///
/// # Errors
/// valgrind is missing, something costs more than 5 % more than recorded, or is recorded and not counted any more, or
/// what the other side can make grow does so out of proportion.
pub(crate) fn run(record: bool) -> Result {
    step("instructions of the codec and the data path");
    if !process::succeeds(Command::new("valgrind").arg("--version")) {
        return Err("valgrind is not installed: `apt-get install valgrind` or the like".into());
    }
    let package = "--package=nats-bench-instructions";
    process::run(cargo(None).args(["build", "--release", package]))?;
    let program = workspace::target_dir()?.join("release/nats-bench-instructions");
    let mut counts = BTreeMap::new();
    let works = process::output(&mut Command::new(&program))?;
    let (hostile, usual): (Vec<_>, Vec<_>) =
        works.lines().partition(|work| work.starts_with(HOSTILE));
    for work in usual {
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
    compare(&counts, &recorded)?;
    check_growth(&program, &hostile)
}

/// Counts what so many hostile things cost, and four times as many.
///
/// # Errors
/// Four times as many cost much more than four times as much, or so little that nothing can have been done.
fn check_growth(program: &Path, hostile: &[&str]) -> Result {
    step("what a hostile server or client can make grow");
    if hostile.is_empty() {
        return Err(format!("there is no work that begins with {HOSTILE:?}").into());
    }
    let mut worse = Vec::new();
    println!("{:>12} {:>12} {:>12}", FEW, 4 * FEW, "per cent");
    for work in hostile {
        let nothing = count(program, work, 0)?;
        let few = count(program, work, FEW)?.saturating_sub(nothing);
        let many = count(program, work, 4 * FEW)?.saturating_sub(nothing);
        let growth = growth(few, many);
        println!("{few:>12} {many:>12} {growth:>12}  {work}");
        worse.extend(too_much(few, growth).map(|why| format!("{work:?} {why}")));
    }
    if worse.is_empty() { Ok(()) } else { Err(worse.join("\n").into()) }
}

/// What many cost, in per cent of what few do.
fn growth(few: u64, many: u64) -> u64 {
    many * 100 / few.max(1)
}

/// What is wrong with such a growth.
fn too_much(few: u64, growth: u64) -> Option<String> {
    if few < FEW {
        return Some(format!("does nothing: {FEW} of it cost {few} instructions"));
    }
    (growth > MOST_GROWTH).then(|| format!("costs {growth} % if there is four times as much of it"))
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
    // Else a work that is renamed or lost would never fail again.
    for work in recorded.keys().filter(|work| !counts.contains_key(*work)) {
        worse.push(format!(
            "{work:?} is recorded but was not counted: if it is meant to be gone, `cargo xtask instructions --record`"
        ));
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

    #[test]
    fn work_that_is_recorded_and_not_counted_is_an_error() {
        let mut recorded = counts(100);
        recorded.insert("lost".into(), 100);
        let error = compare(&counts(100), &recorded).unwrap_err();
        assert!(error.to_string().contains("\"lost\" is recorded but was not counted"), "{error}");
        let error = compare(&BTreeMap::new(), &counts(100)).unwrap_err();
        assert!(error.to_string().contains("\"work\" is recorded"), "{error}");
    }

    #[test]
    fn four_times_as_much_may_cost_six_times_as_much_and_no_more() {
        assert_eq!(growth(10_000, 40_000), 400);
        assert_eq!(growth(0, 0), 0);
        assert_eq!(too_much(10_000, growth(10_000, 60_000)), None);
        let quadratic = too_much(10_000, growth(10_000, 160_000));
        assert!(quadratic.is_some_and(|why| why.starts_with("costs 1600 %")));
        assert!(too_much(10_000, growth(10_000, 60_100)).is_some());
    }

    #[test]
    fn hostile_work_that_does_nothing_is_an_error() {
        assert!(too_much(0, growth(0, 0)).is_some());
        assert!(too_much(FEW - 1, growth(FEW - 1, FEW)).is_some());
    }

    #[test]
    fn no_hostile_work_at_all_is_an_error() {
        assert!(check_growth(Path::new("not-run"), &[]).is_err());
    }
}
