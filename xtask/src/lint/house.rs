//! House rules that no general tool knows: the adapters are thin, and the core is pure.

use std::path::PathBuf;

use proc_macro2::TokenTree;

use crate::process::step;
use crate::source::{self, SourceFile, is_ident, is_punct};
use crate::{Result, workspace};

/// Lines of code of an adapter: what does not fit belongs into `nats-client`, where all runtimes share it.
const ADAPTER_LINES: usize = 150;

const ADAPTERS: [&str; 2] = ["nats-tokio", "nats-async-std"];

/// The names of clocks, entropy, threads, locks and wakers. `std` has them all.
const IMPURE: [&str; 12] = [
    "std",
    "SystemTime",
    "UNIX_EPOCH",
    "rand",
    "getrandom",
    "thread",
    "thread_local",
    "spin",
    "Mutex",
    "RwLock",
    "Condvar",
    "Waker",
];

pub(super) fn check() -> Result {
    step("size of the adapters");
    for adapter in ADAPTERS {
        let lines = lines_of_code(&library(adapter)?);
        println!("{adapter}: {lines} lines of code, at most {ADAPTER_LINES}");
        if lines > ADAPTER_LINES {
            return Err(
                format!("{adapter} has {lines} lines of code, more than {ADAPTER_LINES}").into()
            );
        }
    }

    step("purity of the core");
    let files = library("nats-proto")?;
    let findings: Vec<String> = files.iter().flat_map(impurities).collect();
    println!("nats-proto: {} files, {} findings", files.len(), findings.len());
    if findings.is_empty() {
        Ok(())
    } else {
        Err(format!("the core is not pure:\n{}", findings.join("\n")).into())
    }
}

fn library(package: &str) -> Result<Vec<SourceFile>> {
    let src: PathBuf = workspace::root().join(package).join("src");
    source::library(&src)
}

fn lines_of_code(files: &[SourceFile]) -> usize {
    files.iter().map(SourceFile::lines_of_code).sum()
}

/// Every use of what the core must not touch, as `file:line: what`.
fn impurities(file: &SourceFile) -> Vec<String> {
    let mut findings = Vec::new();
    file.visit(|token, rest, line| {
        if let Some(name) = impurity(token, rest) {
            findings.push(format!("{}:{line}: {name}", file.path.display()));
        }
    });
    findings
}

fn impurity(token: &TokenTree, rest: &[TokenTree]) -> Option<&'static str> {
    // The core's own `Instant` is a number; one that can be asked for the time is a clock.
    if let [first, second, third, ..] = rest {
        let path = is_punct(first, ':') && is_punct(second, ':');
        if is_ident(token, "Instant") && path && is_ident(third, "now") {
            return Some("Instant::now");
        }
    }
    IMPURE.into_iter().find(|name| is_ident(token, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let file = SourceFile::parse(PathBuf::from("lib.rs"), text).unwrap();
        impurities(&file)
    }

    #[test]
    fn clocks_locks_and_entropy_are_found_however_deep() {
        assert_eq!(findings("use std::time::Duration;"), ["lib.rs:1: std"]);
        assert_eq!(
            findings("fn f() {\n    loop {\n        let t = Instant::now();\n    }\n}"),
            ["lib.rs:3: Instant::now"]
        );
        assert_eq!(findings("struct A {\n    lock: Mutex<u32>,\n}"), ["lib.rs:2: Mutex"]);
    }

    #[test]
    fn what_only_talks_about_them_is_not_found() {
        assert!(findings("/// Like std::time.\nfn f() {}").is_empty());
        assert!(findings("// Instant::now\nconst A: &str = \"std::thread\";").is_empty());
        assert!(findings("fn f(now: Instant) { g(now) }").is_empty());
        assert!(findings("#[cfg(feature = \"std\")]\nfn f() {}").is_empty());
        assert!(findings("#[cfg(test)]\nmod tests { use std::thread; }").is_empty());
    }
}
