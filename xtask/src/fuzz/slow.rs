//! Inputs that took long, once more: on a machine that does other things as well, the clock goes on while a target does not.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use super::target_command;
use crate::Result;

/// Runs alone the inputs that a run says were slow, by its `text`, and gives the milliseconds that the slowest takes. The files
/// of those that take no more than `limit` are removed.
///
/// libFuzzer writes down an input only if it is slower than all before.
///
/// # Errors
/// The target does not say how long it took.
pub(super) fn again(
    target: &str,
    build_options: &[&str],
    text: &str,
    limit: u64,
) -> Result<Option<u64>> {
    let mut slowest = None;
    for input in inputs(text) {
        let mut command = target_command(target, build_options, &input, &[]);
        let output = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let took = milliseconds(&said)
            .ok_or_else(|| format!("{target} did not say how long {} takes", input.display()))?;
        println!("{target}: {} takes {took} ms when it is run alone", input.display());
        if took <= limit {
            fs::remove_file(&input)?;
        }
        slowest = slowest.max(Some(took));
    }
    Ok(slowest)
}

/// Where a run has put what was slow.
fn inputs(text: &str) -> Vec<PathBuf> {
    let written = text.lines().filter_map(|line| line.split_once("Test unit written to "));
    written
        .map(|(_, path)| path.trim())
        .filter(|path| path.contains("slow-unit-"))
        .map(PathBuf::from)
        .collect()
}

/// How long the input of a run took that had only one.
fn milliseconds(text: &str) -> Option<u64> {
    let line = text.lines().rev().find(|line| line.starts_with("Executed "))?;
    let (_, time) = line.rsplit_once(" in ")?;
    time.strip_suffix(" ms")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_inputs_are_found_in_what_a_run_says() {
        let text = "\
#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb
Slowest unit: 2 s:
artifact_prefix='/fuzz/a b/'; Test unit written to /fuzz/a b/slow-unit-15
artifact_prefix='/fuzz/a b/'; Test unit written to /fuzz/a b/crash-16
";
        assert_eq!(inputs(text), [PathBuf::from("/fuzz/a b/slow-unit-15")]);
    }

    #[test]
    fn the_time_of_an_input_is_what_its_run_says() {
        let text = "Running: /fuzz/a in b\nExecuted /fuzz/a in b in 1200 ms\n***\n";
        assert_eq!(milliseconds(text), Some(1200));
        assert_eq!(milliseconds("Running: /fuzz/a\n"), None);
    }
}
