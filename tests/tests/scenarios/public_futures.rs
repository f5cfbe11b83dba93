//! The public futures, streams and sinks of the client and of the broker, found in their sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose sources are looked through.
const CRATES: [&str; 4] = ["nats-client", "nats-tokio", "nats-async-std", "nats-broker"];

/// What has to be polled.
const TRAITS: [&str; 4] = ["Future", "IntoFuture", "Stream", "Sink<"];

/// What the documentation of each says where it says what happens then.
const WHEN_DROPPED: [&str; 2] = ["if the future is dropped", "if the stream is dropped"];

/// A public function or type.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    name: String,
    /// Its documentation, in one line.
    told: String,
}

/// All of them: `Owner::function` for each that is async or gives one, and the name of each type that is one.
pub(crate) fn all() -> BTreeSet<String> {
    items().into_iter().map(|(_, item)| item.name).collect()
}

/// Those whose documentation does not say what happens when they are dropped, each with its crate.
pub(crate) fn silent() -> Vec<String> {
    let items = items().into_iter().filter(|(_, item)| !item.tells_when_dropped());
    items.map(|(package, item)| format!("{} of {package}", item.name)).collect()
}

fn items() -> Vec<(&'static str, Item)> {
    let files: Vec<(&str, String)> = CRATES
        .into_iter()
        .flat_map(|package| sources(package).into_iter().map(move |file| (package, file)))
        .collect();
    let texts: Vec<&str> = files.iter().map(|(_, file)| &**file).collect();
    let types = types(&texts);
    let mut items = Vec::new();
    for (package, file) in &files {
        items.extend(functions(file, &types).into_iter().map(|item| (*package, item)));
        let declared = types.iter().filter(|name| has_word(file, &format!("pub struct {name}")));
        items.extend(declared.map(|name| (*package, type_of(name, &texts))));
    }
    items
}

impl Item {
    fn tells_when_dropped(&self) -> bool {
        let told = self.told.to_lowercase();
        WHEN_DROPPED.into_iter().any(|words| told.contains(words))
    }
}

/// The sources of a crate, without tests.
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
            files.push(without_tests(&text));
        }
    }
}

/// What is before the tests in a file. Those in a file of their own are not in this one.
fn without_tests(text: &str) -> String {
    let inline = |at: &usize| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
    let tests = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at).find(inline);
    text[..tests.unwrap_or(text.len())].to_owned()
}

/// The public types that implement one of the traits.
fn types(files: &[&str]) -> BTreeSet<String> {
    let implementing = files.iter().flat_map(|file| file.lines()).filter_map(implementing);
    let public = |name: &String| {
        let declared = format!("pub struct {name}");
        files.iter().any(|file| has_word(file, &declared))
    };
    implementing.filter(public).collect()
}

/// The type that one of the traits is implemented for in this line.
fn implementing(line: &str) -> Option<String> {
    let (of, name) = line.strip_prefix("impl")?.split_once(" for ")?;
    TRAITS.into_iter().any(|name| has_word(of, name)).then(|| word(name))
}

/// A type, with what is told where it is declared and where it implements one of the traits.
fn type_of(name: &str, files: &[&str]) -> Item {
    let declared = format!("pub struct {name}");
    let mut all = Vec::new();
    for file in files {
        let mut told = Told::default();
        for line in file.lines() {
            if has_word(line, &declared) || implementing(line).is_some_and(|of| of == name) {
                all.push(told.take());
            } else {
                told.read(line);
            }
        }
    }
    Item { name: name.to_owned(), told: all.join(" ") }
}

/// The documentation of what comes next.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn read(&mut self, line: &str) {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("///") {
            self.0.push(text.trim().to_owned());
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            self.0.clear();
        }
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.0).join(" ")
    }
}

/// The public functions of a file that are async, or give a future or one of `types`.
fn functions(file: &str, types: &BTreeSet<String>) -> Vec<Item> {
    let (mut owner, mut in_trait) = (String::new(), false);
    let (mut found, mut told) = (Vec::new(), Told::default());
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
                let name = if owner.is_empty() { name } else { format!("{owner}::{name}") };
                found.push(Item { name, told: told.take() });
            }
        }
        told.read(line);
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
    let file = "pub struct Ticket;\nimpl<T> Future for Ticket {\n}\nimpl<'a, F: Fn() -> u8> Shop<'a, F> {\n    \
                pub async fn buy(&self) {\n    }\n    pub fn order(\n        &self,\n    ) -> Ticket {\n    }\n    \
                fn hidden(&self) -> Ticket {\n    }\n    /// pub async fn told()\n    pub fn name(&self) -> &str {\n    \
                }\n}\npub async fn open() {\n}\npub trait Sells {\n    fn sell(&self) -> impl Future<Output = ()>;\n}\n";
    let types = types(&[file]);
    assert_eq!(types.iter().collect::<Vec<_>>(), ["Ticket"]);
    let found = functions(file, &types);
    let names: Vec<_> = found.iter().map(|item| &*item.name).collect();
    assert_eq!(names, ["Shop::buy", "Shop::order", "open", "Sells::sell"]);
}

#[test]
fn what_is_told_belongs_to_what_comes_next() {
    let file = "/// Opens. If the future\n/// is dropped, nothing is.\n#[inline]\n// Why.\npub async fn open() {\n}\n\
                pub async fn shut() {\n}\n/// A shop.\n#[derive(Debug)]\npub struct Shop;\n\
                /// If the stream is dropped, it shuts.\nimpl Stream for Shop {\n}\n/// If the future is dropped, no.\n\
                pub struct Other;\n";
    let found = functions(file, &BTreeSet::new());
    let silent: Vec<_> = found.iter().filter(|item| !item.tells_when_dropped()).collect();
    assert_eq!(silent, [&Item { name: "shut".into(), told: String::new() }]);
    let shop = type_of("Shop", &[file]);
    assert_eq!(shop.told, "A shop. If the stream is dropped, it shuts.");
    assert!(shop.tells_when_dropped());
}

#[test]
fn only_tests_in_the_file_itself_end_what_is_looked_at() {
    let elsewhere = "#[cfg(test)]\nmod tests;\npub async fn late() {\n}\n";
    assert_eq!(without_tests(elsewhere), elsewhere);
    assert_eq!(without_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), "fn a() {}\n");
}
