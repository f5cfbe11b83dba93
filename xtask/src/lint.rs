//! `cargo xtask lint`: everything that can be said about the source without running it.

mod dependencies;
mod house;

use std::fs;
use std::path::Path;

use crate::process::{cargo, run as run_command, step};
use crate::workspace::{OUTSIDE, published, root};
use crate::{Result, process};

/// Runs all checks, also if one fails: whoever has to wait for them wants to know everything at once.
///
/// # Errors
/// Says what is wrong and where.
pub(crate) fn run() -> Result {
    let checks: [fn() -> Result; 6] =
        [formatting, house::check, dependencies::check, clippy, documentation, features];
    let errors: Vec<String> = checks
        .into_iter()
        .filter_map(|check| check().err())
        .map(|error| error.to_string())
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\nerror: ").into()) }
}

fn formatting() -> Result {
    step("formatting");
    run_command(cargo(None).args(["fmt", "--all", "--check"]))?;
    for manifest in OUTSIDE {
        run_command(cargo(None).args(["fmt", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

fn clippy() -> Result {
    step("clippy");
    run_command(cargo(None).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-Dwarnings",
    ]))?;
    for manifest in OUTSIDE {
        run_command(cargo(None).args(["clippy", "--manifest-path", manifest, "--", "-Dwarnings"]))?;
    }
    Ok(())
}

fn documentation() -> Result {
    step("documentation");
    run_command(
        cargo(None)
            .args(["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )
}

/// Every published library with every combination of its features that can matter: none, each, all, and all but
/// each; with up to three features that is the whole powerset. Of a library whose own code asks for no feature, which only
/// hands them on, none and all.
fn features() -> Result {
    step("combinations of features");
    for package in published()? {
        let asks = asks_for_features(&root().join(&package.name).join("src"))?;
        let with: Vec<&str> = package.features.iter().map(String::as_str).collect();
        for combination in if asks { combinations(&package.features) } else { vec![vec![], with] } {
            // Clippy and not check: `-Dwarnings` then concerns this package alone, and dependencies are
            // not built anew. An unused import without some feature is what this finds most often.
            let mut command = cargo(None);
            command
                .args(["clippy", "--quiet", "--no-deps", "--lib", "--package", &package.name])
                .args(["--no-default-features", "--features"])
                .arg(combination.join(","))
                .args(["--", "-Dwarnings"]);
            process::run(&mut command)?;
        }
    }
    Ok(())
}

/// Whether any source in a directory depends on a feature.
fn asks_for_features(directory: &Path) -> Result<bool> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let asks = if path.is_dir() {
            asks_for_features(&path)?
        } else {
            fs::read_to_string(&path)?.contains("feature = ")
        };
        if asks {
            return Ok(true);
        }
    }
    Ok(false)
}

fn combinations(features: &[String]) -> Vec<Vec<&str>> {
    let all: Vec<&str> = features.iter().map(String::as_str).collect();
    let each = all.iter().map(|feature| vec![*feature]);
    let without = all
        .iter()
        .map(|left_out| all.iter().copied().filter(|feature| feature != left_out).collect());
    let mut combinations: Vec<Vec<&str>> = vec![Vec::new(), all.clone()];
    combinations.extend(each);
    combinations.extend(without);
    combinations.sort();
    combinations.dedup();
    combinations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_are_none_each_all_but_each_and_all() {
        let features = ["a", "b", "c"].map(str::to_owned);
        let found = combinations(&features);
        let expected: [&[&str]; 8] =
            [&[], &["a"], &["a", "b"], &["a", "b", "c"], &["a", "c"], &["b"], &["b", "c"], &["c"]];
        assert_eq!(found, expected);
        assert_eq!(combinations(&[]), [Vec::<&str>::new()]);
    }
}
