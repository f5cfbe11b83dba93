//! `cargo xtask fuzz`: every fuzz target, for a while.

mod minimize;
mod slow;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::process::{self, cargo, output, shown, step, succeeds};
use crate::{Result, workspace};

pub(crate) use minimize::minimize;

/// A decoder that allocates what a length on the wire says before it has checked it meets this limit, long
/// before the machine runs out of memory.
const MEMORY_MIB: u32 = 512;

/// A single input that takes longer is a finding, and stopped. Generous, because CI machines stall.
const TIMEOUT_SECONDS: u32 = 10;

/// A single input that takes longer is a finding, too, if it does so again when it is run alone. libFuzzer counts whole seconds
/// and rounds down, so that it takes two of them to be above.
const SLOWEST_SECONDS: u64 = 1;

/// Bytes of an input where runs are counted: what is longer takes longer, and comes with the corpus.
const SHORT: u32 = 128;

/// How much to fuzz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Seconds for each target.
    Seconds(u64),
    /// Minutes for all of them together, shared out evenly. Several run at the same time if there are processors for
    /// them.
    MinutesInAll(u64),
    /// Runs of each target, as fast as they go.
    Runs(u64),
}

impl Limit {
    /// What each of so many targets is told, of which some run at the same time.
    fn options(self, targets: usize, at_once: usize) -> Vec<String> {
        let seconds = |seconds: u64| vec![format!("-max_total_time={seconds}")];
        match self {
            Self::Seconds(each) => seconds(each),
            Self::MinutesInAll(minutes) => {
                let rounds = targets.div_ceil(at_once.max(1)).max(1);
                seconds((minutes.saturating_mul(60) / rounds as u64).max(1))
            }
            // Choosing inputs by how rare they are, and how often each reaches a place, costs up to half of the time.
            Self::Runs(runs) => {
                let (runs, length) = (format!("-runs={runs}"), format!("-max_len={SHORT}"));
                vec![runs, length, "-entropic=0".into(), "-use_counters=0".into()]
            }
        }
    }

    /// What cargo-fuzz is told. Watching every comparison helps to find what is worth comparing with, which is in the
    /// dictionaries and corpora already, and costs half of the time again.
    fn build_options(self) -> &'static [&'static str] {
        match self {
            Self::Seconds(_) | Self::MinutesInAll(_) => &[],
            Self::Runs(_) => &["--no-trace-compares"],
        }
    }
}

/// Runs every target, or those of these names.
///
/// # Errors
/// A target does not build, or an input made one crash, hang, or take too much time or memory.
pub(crate) fn run(limit: Limit, only: &[String]) -> Result {
    let targets = Targets::of(only)?;
    let number = targets.names.len();
    let at_once = thread::available_parallelism().map_or(1, usize::from).min(number);
    let options = limit.options(number, at_once);
    let each = options.join(" ");
    step(&format!("fuzzing, {number} targets, each with {each}, {at_once} at once"));
    let build_options = limit.build_options();
    targets.build(build_options)?;

    let outcomes = run_targets(&targets.names, build_options, &options, at_once)?;
    print!("{}", table(&outcomes));
    verdict(&outcomes)
}

/// What there is to fuzz.
struct Targets {
    names: Vec<String>,
}

impl Targets {
    /// All of them, or those of these names. Installs cargo-fuzz if need be.
    ///
    /// # Errors
    /// There is none, or none of a name.
    fn of(only: &[String]) -> Result<Self> {
        if !succeeds(cargo(Some("nightly")).arg("--version")) {
            let install = "`rustup toolchain install nightly`";
            return Err(
                format!("there is no nightly toolchain, which fuzzing needs: {install}").into()
            );
        }
        if !succeeds(cargo(Some("nightly")).args(["fuzz", "--version"])) {
            process::run(cargo(None).args(["install", "cargo-fuzz", "--locked"]))?;
        }
        let list = output(cargo(Some("nightly")).args(["fuzz", "list"]))?;
        let known: Vec<&str> =
            list.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = only.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("there is no target '{unknown}', only {}", known.join(", ")).into());
        }
        let wanted = |name: &&str| only.is_empty() || only.iter().any(|wanted| wanted == name);
        let names: Vec<String> = known.into_iter().filter(wanted).map(str::to_owned).collect();
        for path in names.iter().flat_map(|name| [corpus(name), dictionary(name)]) {
            if !path.exists() {
                return Err(format!("a target has no {}", path.display()).into());
            }
        }
        if names.is_empty() { Err("there are no fuzz targets".into()) } else { Ok(Self { names }) }
    }

    fn build(&self, options: &[&str]) -> Result {
        process::run(cargo(Some("nightly")).args(["fuzz", "build"]).args(options))
    }
}

/// The inputs of a target that are under version control: what it begins with.
fn corpus(target: &str) -> PathBuf {
    workspace::root().join("fuzz/corpus").join(target)
}

/// The words of a target's format.
fn dictionary(target: &str) -> PathBuf {
    workspace::root().join("fuzz/dictionaries").join(format!("{target}.dict"))
}

/// # Errors
/// Names the targets that failed, and those with an input that took too long or too much memory.
fn verdict(outcomes: &[Outcome]) -> Result {
    let mut wrong = Vec::new();
    for outcome in outcomes {
        let target = &outcome.target;
        if !outcome.passed {
            wrong.push(format!("{target} failed"));
        }
        if let Some(slowest) = outcome.report.slowest.filter(|slowest| *slowest > SLOWEST_SECONDS) {
            wrong.push(format!(
                "an input of {target} took {slowest} s, the limit is {SLOWEST_SECONDS} s"
            ));
        }
        // libFuzzer looks once a second, and does not see what an input of its last second takes.
        if let Some(peak) = outcome.report.memory_mib.filter(|peak| *peak > MEMORY_MIB.into()) {
            wrong.push(format!("{target} took {peak} MiB, the limit is {MEMORY_MIB} MiB"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{}; the inputs are in fuzz/artifacts", wrong.join("; ")).into())
    }
}

/// What became of each target, in the order of the list.
fn run_targets(
    targets: &[String],
    build_options: &[&str],
    options: &[String],
    at_once: usize,
) -> Result<Vec<Outcome>> {
    let queue: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(target) = next() {
                    // The error goes to another thread, as a text.
                    let outcome = fuzz_target(target, build_options, options);
                    let outcome = outcome.map_err(|error| error.to_string());
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut outcomes = done.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    outcomes.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(outcomes)
}

#[derive(Debug)]
struct Outcome {
    target: String,
    report: Report,
    passed: bool,
}

fn fuzz_target(target: &str, build_options: &[&str], options: &[String]) -> Result<Outcome> {
    // New inputs go to the first directory: a run leaves the corpus that is under version control alone.
    let found = workspace::root().join("target/fuzz-corpus").join(target);
    fs::create_dir_all(&found)?;
    let mut command = target_command(target, build_options, &found, &[corpus(target)]);
    command
        .args(options)
        // What takes less is not even counted: without this, the slowest takes 0 s unless it takes 10.
        .arg(format!("-report_slow_units={SLOWEST_SECONDS}"))
        .arg("-print_final_stats=1")
        .arg(format!("-dict={}", dictionary(target).display()))
        .stdin(Stdio::null());
    println!("$ {}", shown(&command));
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success();
    let mut report = Report::read(&text);
    if passed && report.slowest.is_some_and(|slowest| slowest > SLOWEST_SECONDS) {
        let limit = SLOWEST_SECONDS * 1_000;
        let again = slow::again(target, build_options, &text, limit)?;
        report.slowest = again.map(|took| took.div_ceil(1_000)).or(report.slowest);
    }
    if !passed {
        eprintln!("{text}");
    } else if report.runs.is_none() || report.slowest.is_none() {
        // A target that says nothing of its runs may not have run at all.
        return Err(format!("{target} did not report its runs:\n{text}").into());
    }
    Ok(Outcome { target: target.to_owned(), report, passed })
}

/// Runs a target with inputs from all of the directories, of which the first gets new ones.
fn target_command(
    target: &str,
    build_options: &[&str],
    first: &Path,
    others: &[PathBuf],
) -> Command {
    let mut command = cargo(Some("nightly"));
    command.args(["fuzz", "run"]).args(build_options).arg(target).arg(first).args(others);
    command
        .arg("--")
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        // Freed memory is kept back by the sanitizer to find uses of it; at its default of 256 MiB that
        // would be half of the limit above.
        .env("ASAN_OPTIONS", "quarantine_size_mb=32");
    command
}

/// What libFuzzer tells of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    runs: Option<u64>,
    /// Places in the code that inputs have reached, and what else was different about them.
    coverage: Option<u64>,
    features: Option<u64>,
    /// Inputs that are worth keeping.
    corpus: Option<String>,
    /// Whole seconds that the slowest input took.
    slowest: Option<u64>,
    memory_mib: Option<u64>,
}

impl Report {
    fn read(text: &str) -> Self {
        let statistic = |name: &str| {
            let found = text.lines().rev().find_map(|line| line.trim().strip_prefix(name));
            found.and_then(|number| number.trim().parse().ok())
        };
        // `#4096 DONE cov: 310 ft: 1024 corp: 71/3021b …`
        let progress =
            text.lines().rev().find(|line| line.starts_with('#') && line.contains("cov:"));
        let word = |name: &str| {
            let mut words = progress?.split_whitespace();
            words.find(|word| *word == name).and_then(|_| words.next())
        };
        Self {
            runs: statistic("stat::number_of_executed_units:"),
            coverage: word("cov:").and_then(|number| number.parse().ok()),
            features: word("ft:").and_then(|number| number.parse().ok()),
            corpus: word("corp:").map(str::to_owned),
            slowest: statistic("stat::slowest_unit_time_sec:"),
            memory_mib: statistic("stat::peak_rss_mb:"),
        }
    }
}

/// All targets, one a line, and their sum: a target ends at its first crash, so that there are as many as targets that
/// failed.
fn table(outcomes: &[Outcome]) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| String::from("?"), |n| n.to_string());
    let mut lines = format!(
        "\n{:<18}{:>12}{:>8}{:>8}{:>14}{:>11}{:>10}  result\n",
        "target", "runs", "cov", "ft", "corpus", "slowest s", "peak MiB"
    );
    for Outcome { target, report, passed } in outcomes {
        lines.push_str(&format!(
            "{target:<18}{:>12}{:>8}{:>8}{:>14}{:>11}{:>10}  {}\n",
            number(report.runs),
            number(report.coverage),
            number(report.features),
            report.corpus.as_deref().unwrap_or("?"),
            number(report.slowest),
            number(report.memory_mib),
            if *passed { "ok" } else { "FAILED" }
        ));
    }
    let sum = |of: fn(&Report) -> Option<u64>| -> u64 {
        outcomes.iter().filter_map(|outcome| of(&outcome.report)).sum()
    };
    let (runs, coverage, features) =
        (sum(|of| of.runs), sum(|of| of.coverage), sum(|of| of.features));
    let slowest = outcomes.iter().filter_map(|outcome| outcome.report.slowest).max();
    let memory = outcomes.iter().filter_map(|outcome| outcome.report.memory_mib).max();
    let crashes = outcomes.iter().filter(|outcome| !outcome.passed).count();
    lines.push_str(&format!(
        "{:<18}{runs:>12}{coverage:>8}{features:>8}{:>14}{:>11}{:>10}  crashes: {crashes}\n",
        "all",
        "",
        number(slowest),
        number(memory),
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb
#4096\tDONE   cov: 310 ft: 1024 corp: 71/3021b lim: 48 exec/s: 2048 rss: 51Mb
Done 4096 runs in 2 second(s)
stat::number_of_executed_units: 4096
stat::average_exec_per_sec:     2048
stat::new_units_added:          70
stat::slowest_unit_time_sec:    1
stat::peak_rss_mb:              51
";

    #[test]
    fn what_a_run_did_is_read_from_its_last_lines() {
        let report = Report::read(OUTPUT);
        let expected = Report {
            runs: Some(4096),
            coverage: Some(310),
            features: Some(1024),
            corpus: Some("71/3021b".into()),
            slowest: Some(1),
            memory_mib: Some(51),
        };
        assert_eq!(report, expected);
        assert_eq!(Report::read("==1== ERROR: libFuzzer: deadly signal"), Report::default());
    }

    fn outcome(target: &str, text: &str, passed: bool) -> Outcome {
        Outcome { target: target.into(), report: Report::read(text), passed }
    }

    #[test]
    fn an_input_that_takes_two_seconds_fails_although_the_target_passed() {
        assert!(verdict(&[outcome("a", OUTPUT, true)]).is_ok());
        let slow = OUTPUT.replace("time_sec:    1", "time_sec:    2");
        let error = verdict(&[outcome("a", OUTPUT, true), outcome("b", &slow, true)]).unwrap_err();
        let expected = "an input of b took 2 s, the limit is 1 s; the inputs are in fuzz/artifacts";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn too_much_memory_fails_although_the_target_passed() {
        let full = OUTPUT.replace("rss_mb:              51", "rss_mb:              512");
        assert!(verdict(&[outcome("a", &full, true)]).is_ok());
        let large = OUTPUT.replace("rss_mb:              51", "rss_mb:              513");
        let error = verdict(&[outcome("a", &large, true)]).unwrap_err();
        assert!(error.to_string().starts_with("a took 513 MiB, the limit is 512 MiB"), "{error}");
    }

    #[test]
    fn a_target_that_fails_is_named() {
        let error = verdict(&[outcome("a", "", false), outcome("b", OUTPUT, true)]).unwrap_err();
        assert_eq!(error.to_string(), "a failed; the inputs are in fuzz/artifacts");
    }

    #[test]
    fn the_table_sums_up() {
        let table = table(&[outcome("a", OUTPUT, true), outcome("b", "", false)]);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert!(lines[0].starts_with("a ") && lines[0].ends_with("ok"), "{table}");
        assert!(lines[1].contains('?') && lines[1].ends_with("FAILED"), "{table}");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words, ["all", "4096", "310", "1024", "1", "51", "crashes:", "1"], "{table}");
    }

    #[test]
    fn every_target_has_a_corpus_and_a_dictionary_that_is_replayed() {
        let read = |path: &str| fs::read_to_string(workspace::root().join(path)).unwrap();
        let replayed = read("fuzz/tests/replay.rs");
        let manifest = read("fuzz/Cargo.toml");
        let mut targets = 0;
        for entry in fs::read_dir(workspace::root().join("fuzz/fuzz_targets")).unwrap() {
            let path = entry.unwrap().path();
            let target = path.file_stem().unwrap().to_str().unwrap();
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not built");
            assert!(replayed.contains(&format!("replay(\"{target}\"")), "{target} is not replayed");
            assert!(corpus(target).is_dir() && dictionary(target).is_file(), "{target}");
            targets += 1;
        }
        assert_eq!(targets, manifest.matches("[[bin]]").count());
    }

    #[test]
    fn minutes_are_shared_out() {
        assert_eq!(Limit::MinutesInAll(10).options(13, 2), ["-max_total_time=85"]);
        assert_eq!(Limit::MinutesInAll(1).options(200, 1), ["-max_total_time=1"]);
        assert_eq!(Limit::Seconds(8).options(13, 2), ["-max_total_time=8"]);
        assert_eq!(Limit::Runs(5).options(13, 2)[0], "-runs=5");
    }
}
