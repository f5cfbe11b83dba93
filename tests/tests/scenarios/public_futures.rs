//! The public futures, streams and sinks of the client and of the broker, found in their sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose sources are looked through.
const CRATES: [&str; 4] = ["nats-client", "nats-tokio", "nats-async-std", "nats-broker"];

/// What has to be polled.
const TRAITS: [&str; 4] = ["Future", "IntoFuture", "Stream", "Sink<"];

/// All of them: `Owner::function` for each that is async or gives one, and the name of each type that is one.
pub(crate) fn all() -> BTreeSet<String> {
    let files: Vec<String> = CRATES.into_iter().flat_map(sources).collect();
    let types = types(&files);
    let mut names: BTreeSet<String> =
        files.iter().flat_map(|file| functions(file, &types)).collect();
    names.extend(types);
    names
}

/// The sources of a crate, without tests and comments.
fn sources(package: &str) -> Vec<String> {
    // Cargo says at run time where the package is; at compile time it may have been elsewhere.
    let tests = std::env::var_os("CARGO_MANIFEST_DIR");
    let tests = tests.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let mut files = Vec::new();
    collect(&tests.join("..").join(package).join("src"), &mut files);
    assert!(!files.is_empty(), "{package} has no sources");
    files
}

fn collect(directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}")) {
        let path = entry.expect("a readable directory").path();
        let is_test = path.file_stem().is_some_and(|name| name.to_string_lossy().contains("test"));
        if is_test {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            let text = fs::read_to_string(&path).expect("a source");
            files.push(without_tests_and_comments(&text));
        }
    }
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The public types that implement one of the traits.
fn types(files: &[String]) -> BTreeSet<String> {
    let implementing = files.iter().flat_map(|file| file.lines()).filter_map(|line| {
        let (of, name) = line.strip_prefix("impl")?.split_once(" for ")?;
        TRAITS.into_iter().any(|name| has_word(of, name)).then(|| word(name))
    });
    let public = |name: &String| {
        let declared = format!("pub struct {name}");
        files.iter().any(|file| has_word(file, &declared))
    };
    implementing.filter(public).collect()
}

/// The public functions of a file that are async, or give a future or one of `types`.
fn functions(file: &str, types: &BTreeSet<String>) -> Vec<String> {
    let (mut owner, mut in_trait) = (String::new(), false);
    let mut found = Vec::new();
    let mut rest = file;
    while let Some((line, after)) = rest.split_once('\n') {
        if let Some(of) = line.strip_prefix("impl") {
            (owner, in_trait) = (word(without_generics(of).trim_start()), false);
        } else if let Some(name) = line.strip_prefix("pub trait ") {
            (owner, in_trait) = (word(name), true);
        } else if line == "}" {
            (owner, in_trait) = (String::new(), false);
        }
        let head = line.trim_start();
        let head = match in_trait {
            true => Some(head),
            false => head.strip_prefix("pub "),
        };
        let name = head.and_then(|head| head.trim_start_matches("async ").strip_prefix("fn "));
        if let Some(name) = name {
            let signature = rest.split(['{', ';']).next().unwrap_or_default();
            let output = signature.split_once("->").map_or("", |(_, output)| output);
            let gives = |name: &str| has_word(output, name);
            if has_word(signature, "async fn")
                || gives("impl Future")
                || types.iter().any(|name| gives(name))
            {
                let name = word(name);
                found.push(if owner.is_empty() { name } else { format!("{owner}::{name}") });
            }
        }
        rest = after;
    }
    found
}

/// What follows `<…>` at the beginning of `text`.
fn without_generics(text: &str) -> &str {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if !text[..at].ends_with('-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if at == 0 { text } else { &text[at + 1..] };
        }
    }
    text
}

/// The identifier at the beginning of `text`.
fn word(text: &str) -> String {
    text.chars().take_while(|character| is_in_word(*character)).collect()
}

/// Whether `part` is in `text` and not a part of a longer identifier.
fn has_word(text: &str, part: &str) -> bool {
    text.match_indices(part).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + part.len()..].chars().next();
        !before.is_some_and(is_in_word) && (part.ends_with('<') || !after.is_some_and(is_in_word))
    })
}

fn is_in_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[test]
fn functions_are_found_by_what_they_give() {
    let file = without_tests_and_comments(
        "pub struct Ticket;\nimpl<T> Future for Ticket {\n}\nimpl<'a, F: Fn() -> u8> Shop<'a, F> {\n    \
         pub async fn buy(&self) {\n    }\n    pub fn order(\n        &self,\n    ) -> Ticket {\n    }\n    \
         fn hidden(&self) -> Ticket {\n    }\n    /// pub async fn told()\n    pub fn name(&self) -> &str {\n    \
         }\n}\npub async fn open() {\n}\npub trait Sells {\n    fn sell(&self) -> impl Future<Output = ()>;\n}\n",
    );
    let types = types(std::slice::from_ref(&file));
    assert_eq!(types.iter().collect::<Vec<_>>(), ["Ticket"]);
    assert_eq!(functions(&file, &types), ["Shop::buy", "Shop::order", "open", "Sells::sell"]);
}
