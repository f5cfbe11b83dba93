//! What the workspace consists of.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Result;
use crate::process::{cargo, output};

/// Packages that are not members of the workspace: one is built with sanitizers, the other without std.
pub(crate) const OUTSIDE: [&str; 2] = ["fuzz/Cargo.toml", "no-std-check/Cargo.toml"];

/// The directory of the workspace, whatever the current one is.
pub(crate) fn root() -> PathBuf {
    // Cargo says it to every program that it runs. What it said at compile time may be another checkout that
    // shares the target directory.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

/// Where cargo builds to.
///
/// # Errors
/// Cargo cannot read the workspace.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let json = output(cargo(None).args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&json)?;
    let dir = metadata["target_directory"].as_str().ok_or("cargo metadata names no target")?;
    Ok(PathBuf::from(dir))
}

/// A crate that goes to the registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) name: String,
    /// Its features without `default`, sorted.
    pub(crate) features: Vec<String>,
}

/// The crates of the workspace that are published.
///
/// # Errors
/// Cargo cannot read the workspace.
pub(crate) fn published() -> Result<Vec<Published>> {
    let json = output(cargo(None).args(["metadata", "--no-deps", "--format-version=1"]))?;
    parse_metadata(&json)
}

fn parse_metadata(json: &str) -> Result<Vec<Published>> {
    let metadata: Value = serde_json::from_str(json)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let mut published = Vec::new();
    for package in packages {
        // `publish = false` is an empty list of registries; no such line is null.
        if !package["publish"].is_null() {
            continue;
        }
        let name = package["name"].as_str().ok_or("a package has no name")?;
        let mut features: Vec<String> = package["features"]
            .as_object()
            .ok_or_else(|| format!("{name} has no table of features"))?
            .keys()
            .filter(|feature| *feature != "default")
            .cloned()
            .collect();
        features.sort_unstable();
        published.push(Published { name: name.to_owned(), features });
    }
    Ok(published)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_published_crates_are_listed() {
        let json = r#"{"packages": [
            {"name": "front", "publish": null, "features": {"tls": [], "default": ["tls"], "a": []}},
            {"name": "tests", "publish": [], "features": {}}
        ]}"#;
        let front = Published { name: "front".into(), features: vec!["a".into(), "tls".into()] };
        assert_eq!(parse_metadata(json).unwrap(), [front]);
    }

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().join("nats-proto/Cargo.toml").is_file());
    }
}
