//! Rust source as the house rules see it: without comments, documentation and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::Result;

/// A source file, read as tokens.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    tokens: Vec<TokenTree>,
}

/// The files of a library in which code for users is: `lib.rs` and the modules that it declares, in
/// whatever file they are, without those that exist only in tests.
///
/// # Errors
/// A file cannot be read, is not Rust, or declares a module that is nowhere.
pub(crate) fn library(src: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut pending = vec![(src.join("lib.rs"), src.to_owned())];
    while let Some((path, children)) = pending.pop() {
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file = SourceFile::parse(path, &text)?;
        for name in file.module_files() {
            let flat = children.join(format!("{name}.rs"));
            let nested = children.join(&name);
            if flat.is_file() {
                pending.push((flat, nested));
            } else {
                pending.push((nested.join("mod.rs"), nested));
            }
        }
        files.push(file);
    }
    Ok(files)
}

impl SourceFile {
    /// Reads `text`, which is that of the file at `path`.
    ///
    /// # Errors
    /// It is not Rust.
    pub(crate) fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let tokens: TokenStream =
            text.parse().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, tokens: without_tests_and_docs(tokens) })
    }

    /// The names in `mod name;`.
    fn module_files(&self) -> Vec<String> {
        self.tokens
            .windows(3)
            .filter(|window| is_ident(&window[0], "mod") && is_punct(&window[2], ';'))
            .map(|window| window[1].to_string())
            .collect()
    }

    /// How many lines have code on them; re-exports (`pub use ...;`) are not counted.
    pub(crate) fn lines_of_code(&self) -> usize {
        let mut lines = BTreeSet::new();
        let mut rest = self.tokens.iter();
        while let Some(token) = rest.next() {
            let next = rest.as_slice().first();
            if is_ident(token, "pub") && next.is_some_and(|next| is_ident(next, "use")) {
                rest.by_ref().find(|token| is_punct(token, ';'));
            } else {
                note_lines(token, &mut lines);
            }
        }
        lines.len()
    }

    /// Calls `visit` with every token in order (those of a group after its opening delimiter), together
    /// with those that follow it in the same group, and its line.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&TokenTree, &[TokenTree], usize)) {
        visit_all(&self.tokens, &mut visit);
    }
}

fn visit_all(tokens: &[TokenTree], visit: &mut impl FnMut(&TokenTree, &[TokenTree], usize)) {
    for (index, token) in tokens.iter().enumerate() {
        visit(token, &tokens[index + 1..], token.span().start().line);
        if let TokenTree::Group(group) = token {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            visit_all(&inner, visit);
        }
    }
}

/// The tokens without documentation, and without the items under `#[cfg(test)]`.
fn without_tests_and_docs(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        if !is_punct(&token, '#') {
            kept.push(match token {
                TokenTree::Group(group) => {
                    let inner = without_tests_and_docs(group.stream()).into_iter().collect();
                    let mut stripped = proc_macro2::Group::new(group.delimiter(), inner);
                    stripped.set_span(group.span());
                    TokenTree::Group(stripped)
                }
                other => other,
            });
            continue;
        }
        let bang = rest.next_if(|token| is_punct(token, '!'));
        let Some(TokenTree::Group(attribute)) = rest.next_if(is_attribute_body) else {
            kept.push(token);
            kept.extend(bang);
            continue;
        };
        let text: String = attribute.stream().to_string().split_whitespace().collect();
        if text == "cfg(test)" {
            skip_item(&mut rest);
        } else if !text.starts_with("doc=") {
            kept.push(token);
            kept.extend(bang);
            kept.push(TokenTree::Group(attribute));
        }
    }
    kept
}

/// Skips to the end of an item: a semicolon or a block, whichever comes first.
fn skip_item(rest: &mut impl Iterator<Item = TokenTree>) {
    rest.find(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    });
}

fn note_lines(token: &TokenTree, lines: &mut BTreeSet<usize>) {
    match token {
        TokenTree::Group(group) => {
            lines.insert(group.span_open().start().line);
            for token in group.stream() {
                note_lines(&token, lines);
            }
            lines.insert(group.span_close().end().line);
        }
        // A string may span lines.
        other => lines.extend(other.span().start().line..=other.span().end().line),
    }
}

fn is_attribute_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

/// Whether `token` is the identifier or keyword `name`.
pub(crate) fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

/// Whether `token` is the punctuation character `character`.
pub(crate) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile::parse(PathBuf::from("lib.rs"), text).unwrap()
    }

    #[test]
    fn comments_blank_lines_docs_reexports_and_tests_are_not_code() {
        let text = r#"//! About the crate.

// Why.
/* And
   why not. */
pub use other::{
    One,
    Two,
};

/// About the function.
#[must_use]
pub fn answer() -> u32 {
    // Deep thought.
    42
}

#[cfg(test)]
mod tests {
    use std::thread;
}
"#;
        assert_eq!(file(text).lines_of_code(), 4);
    }

    #[test]
    fn code_is_counted_wherever_it_hides() {
        assert_eq!(file("fn a() {} fn b() {}").lines_of_code(), 1);
        assert_eq!(file("use other::One;\nmod two;").lines_of_code(), 2);
        assert_eq!(file("const A: &str = \"x\ny // no comment\nz\";").lines_of_code(), 3);
        assert_eq!(file("mod inner {\n    fn a() {}\n}").lines_of_code(), 3);
        assert_eq!(file("impl A {\n#[cfg(test)]\nfn t() {}\nfn a() {}\n}").lines_of_code(), 3);
    }

    #[test]
    fn modules_of_tests_are_not_followed() {
        let text = "mod wire;\npub mod time;\n#[cfg(test)]\nmod tests;\nmod inline {}";
        assert_eq!(file(text).module_files(), ["wire", "time"]);
    }
}
