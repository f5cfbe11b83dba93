//! `cargo xtask deny`: licences, bans, sources and advisories of dependencies.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{cargo, run as run_command, step, succeeds};
use crate::workspace::OUTSIDE;
use crate::{Result, workspace};

/// What `deny.toml` says for all of them and one of them may not need.
const NOT_NEEDED_EVERYWHERE: [&str; 3] =
    ["license-not-encountered", "license-exception-not-encountered", "advisory-not-detected"];

/// Runs cargo-deny by `deny.toml` on every lock file, installing it first if need be.
///
/// Advisories are only checked if their database can be fetched or was fetched before: it is in a place of its own, which
/// not every machine can reach. That they are not is printed.
///
/// # Errors
/// A dependency breaks a rule, or has an advisory.
pub(crate) fn run() -> Result {
    if !succeeds(cargo(None).args(["deny", "--version"])) {
        run_command(cargo(None).args(["install", "cargo-deny", "--locked"]))?;
    }
    step("licences, bans and sources");
    for manifest in manifests() {
        check(manifest, &[], &["licenses", "bans", "sources"])?;
    }
    step("advisories");
    let fetched = succeeds(cargo(None).args(["deny", "fetch", "db"]));
    if !fetched && !is_database_in(&databases()) {
        println!(
            "not checked: the database of advisories cannot be fetched, and there is none in {}",
            databases().display()
        );
        return Ok(());
    }
    if !fetched {
        println!("the database of advisories cannot be fetched: the one that is there is taken");
    }
    for manifest in manifests() {
        // It need not be fetched once more for each.
        check(manifest, &["--offline"], &["advisories"])?;
    }
    Ok(())
}

fn manifests() -> impl Iterator<Item = &'static str> {
    ["Cargo.toml"].into_iter().chain(OUTSIDE)
}

fn check(manifest: &str, options: &[&str], what: &[&str]) -> Result {
    run_command(&mut command(manifest, options, what))
}

fn command(manifest: &str, options: &[&str], what: &[&str]) -> Command {
    let mut command = cargo(None);
    command.args(["deny", "--manifest-path", manifest, "--config", "deny.toml"]);
    command.args(options).arg("check");
    if manifest != "Cargo.toml" {
        command.args(NOT_NEEDED_EVERYWHERE.iter().flat_map(|lint| ["--allow", lint]));
    }
    command.args(what);
    command
}

/// Where cargo-deny has its databases.
fn databases() -> PathBuf {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    // A relative one is relative to where cargo runs.
    workspace::root().join(cargo_home.unwrap_or_default()).join("advisory-dbs")
}

/// Whether there is one: a failed attempt leaves a lock file behind, and nothing else.
fn is_database_in(databases: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(databases) else {
        return false;
    };
    entries.flatten().any(|entry| entry.path().join(".git").exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::shown;

    #[test]
    fn each_lock_file_is_checked_by_the_one_set_of_rules() {
        let shown: Vec<String> =
            manifests().map(|manifest| shown(&command(manifest, &[], &["bans"]))).collect();
        assert_eq!(shown.len(), 3);
        assert!(shown.iter().all(|command| command.contains("--config deny.toml")), "{shown:?}");
        assert!(shown.iter().all(|command| command.ends_with(" bans")), "{shown:?}");
        for manifest in manifests() {
            let root = workspace::root();
            assert!(root.join(manifest).with_file_name("Cargo.lock").is_file(), "{manifest}");
        }
    }

    #[test]
    fn a_database_is_a_repository_and_not_what_a_failed_attempt_leaves() {
        let directory = std::env::temp_dir().join(format!("xtask-deny-{}", std::process::id()));
        assert!(!is_database_in(&directory));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("db.lock"), "").unwrap();
        assert!(!is_database_in(&directory));
        std::fs::create_dir_all(directory.join("advisory-db-1/.git")).unwrap();
        assert!(is_database_in(&directory));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
