//! What the layers must not depend on, and how much they do, checked on the tree that cargo resolves.

use std::collections::BTreeSet;
use std::fs;

use crate::process::{cargo, output, step};
use crate::{Result, workspace};

/// The crates whose numbers are in the README.
const COUNTED: [&str; 2] = ["nats-tokio", "nats-async-std"];

/// What the numbers are for, so that they are the same wherever they are counted.
const TARGET: &str = "--target=x86_64-unknown-linux-gnu";

/// Runtimes and their parts, by the beginning of their names.
const RUNTIMES: [&str; 9] = [
    "tokio",
    "async-std",
    "async-executor",
    "async-global-executor",
    "async-io",
    "smol",
    "polling",
    "mio",
    "embassy",
];

/// Crates that are called after a runtime and do not need it: without its feature `tokio`, this one speaks over the
/// streams of futures-io.
const NEUTRAL: [&str; 1] = ["tokio-socks"];

/// For the core, which has no use for futures either.
const ASYNC: [&str; 4] = ["tokio", "async", "futures", "mio"];

struct Layer {
    package: &'static str,
    forbidden: &'static [&'static [&'static str]],
}

const LAYERS: [Layer; 5] = [
    Layer { package: "nats-proto", forbidden: &[&RUNTIMES, &ASYNC] },
    Layer { package: "nats-client", forbidden: &[&RUNTIMES] },
    Layer { package: "nats-broker", forbidden: &[&RUNTIMES] },
    Layer { package: "nats-tokio", forbidden: &[&["async-std", "smol"]] },
    Layer { package: "nats-async-std", forbidden: &[&["tokio"]] },
];

pub(super) fn check() -> Result {
    step("dependencies of the layers");
    for layer in LAYERS {
        let dependencies = dependencies(layer.package)?;
        println!("{}: {} dependencies", layer.package, dependencies.len());
        if let Some(found) = first_forbidden(&dependencies, layer.forbidden) {
            return Err(format!("{} depends on {found}", layer.package).into());
        }
    }
    numbers()
}

/// The README says how many crates a program gets. It must be right.
fn numbers() -> Result {
    step("crates behind the adapters");
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    let mut wrong = Vec::new();
    for package in COUNTED {
        let (default, minimal) =
            (count(package, &[])?, count(package, &["--no-default-features"])?);
        println!("{package}: {default} crates, {minimal} without default features");
        let row = row(package, default, minimal);
        if !readme.contains(&row) {
            wrong.push(row);
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("README.md should say:\n{}", wrong.join("\n")).into())
    }
}

/// A row of the README's table.
fn row(package: &str, default: usize, minimal: usize) -> String {
    format!("| `{package}` | {default} | {minimal} |")
}

/// The crates that a program gets with `package`, that one among them; versions of one crate count each.
fn count(package: &str, features: &[&str]) -> Result<usize> {
    let tree = output(
        cargo(None)
            .args(["tree", "--package", package, "--edges=normal", "--prefix=none", "--no-dedupe"])
            .arg(TARGET)
            .args(features),
    )?;
    Ok(tree.lines().collect::<BTreeSet<_>>().len())
}

/// The names of all packages, direct or not, that users of `package` with all its features get, without itself.
fn dependencies(package: &str) -> Result<BTreeSet<String>> {
    let tree = output(cargo(None).args([
        "tree",
        "--package",
        package,
        "--all-features",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
    ]))?;
    Ok(parse_tree(&tree, package))
}

fn parse_tree(tree: &str, package: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

fn first_forbidden<'a>(
    dependencies: &'a BTreeSet<String>,
    forbidden: &[&[&str]],
) -> Option<&'a String> {
    dependencies.iter().filter(|name| !NEUTRAL.contains(&name.as_str())).find(|name| {
        forbidden.iter().flat_map(|prefixes| prefixes.iter()).any(|prefix| name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "nats-client v0.1.0 (/src/nats-client)\n\
                        bytes v1.11.0\n\
                        futures-core v0.3.31\n\
                        bytes v1.11.0 (*)\n";

    #[test]
    fn each_package_counts_once() {
        let names = parse_tree(TREE, "nats-client");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["bytes", "futures-core"]);
    }

    #[test]
    fn a_row_of_the_readme_has_both_numbers() {
        assert_eq!(row("nats-tokio", 99, 27), "| `nats-tokio` | 99 | 27 |");
    }

    #[test]
    fn what_is_only_called_after_a_runtime_is_allowed() {
        let names = ["tokio-socks", "tokio-util"].map(str::to_owned).into();
        let found = first_forbidden(&names, &[&RUNTIMES]);
        assert_eq!(found.map(String::as_str), Some("tokio-util"));
    }

    #[test]
    fn traits_of_futures_are_allowed_where_runtimes_are_not() {
        let names = parse_tree(TREE, "nats-client");
        assert_eq!(first_forbidden(&names, &[&RUNTIMES]), None);
        let found = first_forbidden(&names, &[&RUNTIMES, &ASYNC]);
        assert_eq!(found.map(String::as_str), Some("futures-core"));
    }
}
