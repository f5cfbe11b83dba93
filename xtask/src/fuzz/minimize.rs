//! The smallest corpus that reaches what fuzzing has reached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Targets, target_command};
use crate::process::{shown, step};
use crate::{Result, workspace};

/// Of the inputs that fuzzing has found, keeps those in `fuzz/corpus` that reach more than the ones with a name do.
///
/// `cargo fuzz cmin` does much the same, but knows no names: it would keep as few as it can of all, under new ones.
///
/// # Errors
/// A target does not build, or its inputs cannot be compared.
pub(crate) fn minimize(only: &[String]) -> Result {
    let targets = Targets::of(only)?;
    step("the smallest corpora");
    targets.build(&[])?;
    for target in &targets.names {
        let (found, kept) = minimize_target(target)?;
        println!("{target}: {kept} of {found} inputs without a name");
    }
    Ok(())
}

/// How many inputs there were without a name, and how many there are now.
fn minimize_target(target: &str) -> Result<(usize, usize)> {
    let corpus = workspace::root().join("fuzz/corpus").join(target);
    let by_runs = workspace::root().join("target/fuzz-corpus").join(target);
    let result = workspace::root().join("target/fuzz-minimized").join(target);
    if result.exists() {
        fs::remove_dir_all(&result)?;
    }
    fs::create_dir_all(&result)?;
    let (named, mut found) = divided(&corpus)?;
    for file in &named {
        fs::copy(file, result.join(file.file_name().unwrap_or_default()))?;
    }
    let kept_before = found.len();
    let mut sources = vec![corpus.clone()];
    if by_runs.is_dir() {
        found.extend(divided(&by_runs)?.1);
        sources.push(by_runs);
    }

    let mut command = target_command(target, &[], &result, &sources);
    // As few as possible that reach all the code that any of them reaches, beyond what the first directory does. How often
    // a place is reached does not count: that would be many times as many.
    command.args(["-set_cover_merge=1", "-use_counters=0"]).stdin(Stdio::null());
    println!("$ {}", shown(&command));
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the inputs of {target} cannot be compared:\n{text}").into());
    }
    let kept = divided(&result)?.1;
    for file in found.iter().take(kept_before) {
        fs::remove_file(file)?;
    }
    for file in &kept {
        fs::copy(file, corpus.join(file.file_name().unwrap_or_default()))?;
    }
    Ok((found.len(), kept.len()))
}

/// The files of a corpus that somebody has named, and those that libFuzzer has.
fn divided(corpus: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(corpus)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files
        .into_iter()
        .partition(|file| !file.file_name().and_then(|name| name.to_str()).is_some_and(is_hash)))
}

/// libFuzzer calls an input by the SHA-1 of its bytes.
fn is_hash(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_no_hash() {
        assert!(is_hash("05246aafcea9943e25cdfa1fe9e8f682af290750"));
        for name in ["real_2_15_plain", "found_0ac64d30", "05246aafcea9943e25cdfa1fe9e8f682af29075"]
        {
            assert!(!is_hash(name), "{name}");
        }
    }

    #[test]
    fn corpora_have_inputs_with_a_name() {
        let corpora = fs::read_dir(workspace::root().join("fuzz/corpus")).unwrap();
        for corpus in corpora {
            let corpus = corpus.unwrap().path();
            assert!(divided(&corpus).unwrap().0.len() >= 20, "{}", corpus.display());
        }
    }
}
