//! The fields of a context's file.
//!
//! They are taken one by one and not by `serde`, whose errors show the value that does not fit: it may be a secret.

use std::path::{Path, PathBuf};

use nats_proto::ServerAddr;
use serde_json::{Map, Value};

use super::ContextError;

/// What the `nats` command connects to when it is told nothing.
const DEFAULT_URL: &str = "nats://localhost:4222";

/// References that the `nats` command resolves, by what they begin with.
const REFERENCES: [(&str, &str); 4] =
    [("op://", "op"), ("nsc://", "nsc"), ("env://", "env"), ("data:", "data")];

/// What the path of a file may begin with.
const FILE: &str = "file://";

pub(super) struct Fields<'a> {
    path: &'a Path,
    fields: Map<String, Value>,
    expand: &'a dyn Fn(&str) -> String,
}

impl<'a> Fields<'a> {
    pub(super) fn parse(
        path: &'a Path,
        content: &[u8],
        expand: &'a dyn Fn(&str) -> String,
    ) -> Result<Self, ContextError> {
        let not_json = |line| ContextError::NotJson { path: path.to_owned(), line };
        // Some editors put a byte order mark in front.
        let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
        match serde_json::from_slice(content) {
            Ok(Value::Object(fields)) => Ok(Self { path, fields, expand }),
            Ok(_) => Err(not_json(0)),
            Err(error) => Err(not_json(error.line())),
        }
    }

    /// A text; an empty one is none.
    pub(super) fn text(&self, field: &'static str) -> Result<Option<String>, ContextError> {
        match self.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong_type(field, "a string")),
        }
    }

    /// A text that must stand for itself.
    pub(super) fn secret(&self, field: &'static str) -> Result<Option<String>, ContextError> {
        let text = self.text(field)?;
        let begins = |text: &String| match without_start(text, FILE) {
            Some(_) => Some("file"),
            None => reference(text),
        };
        match text.as_ref().and_then(begins) {
            Some(scheme) => Err(self.unsupported(field, scheme)),
            None => Ok(text),
        }
    }

    /// The path of a file, which may also be written as a URL.
    pub(super) fn path(&self, field: &'static str) -> Result<Option<PathBuf>, ContextError> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        if let Some(scheme) = reference(&text) {
            return Err(self.unsupported(field, scheme));
        }
        let expanded = (self.expand)(without_start(&text, FILE).unwrap_or(&text));
        Ok(Some(PathBuf::from(expanded)))
    }

    pub(super) fn flag(&self, field: &'static str) -> Result<bool, ContextError> {
        match self.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong_type(field, "true or false")),
        }
    }

    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<String>, ContextError> {
        let wrong_type = || self.wrong_type(field, "a list of strings");
        match self.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong_type))
                .collect(),
            Some(_) => Err(wrong_type()),
        }
    }

    /// The servers in `url`, which has them with commas between.
    pub(super) fn servers(&self) -> Result<Vec<ServerAddr>, ContextError> {
        let url = self.text("url")?;
        let parse = |url: &str| {
            url.parse().map_err(|error| ContextError::InvalidUrl { path: self.path.into(), error })
        };
        let urls = url.as_deref().unwrap_or(DEFAULT_URL).split(',').map(str::trim);
        urls.filter(|url| !url.is_empty()).map(parse).collect()
    }

    /// What `nsc` would be asked, were it needed: servers and credentials that are set come first.
    pub(super) fn nsc(&self) -> Result<Option<String>, ContextError> {
        let nsc = self.text("nsc")?;
        if nsc.is_some() && (self.text("url")?.is_none() || self.text("creds")?.is_none()) {
            return Err(self.unsupported("nsc", "nsc"));
        }
        Ok(nsc)
    }

    /// The value of a field. Its name may be in capitals, as that is all the same to the `nats` command.
    fn get(&self, field: &str) -> Option<&Value> {
        let similar = || self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field));
        self.fields.get(field).or_else(|| Some(similar()?.1))
    }

    fn wrong_type(&self, field: &'static str, expected: &'static str) -> ContextError {
        ContextError::WrongType { path: self.path.to_owned(), field, expected }
    }

    fn unsupported(&self, field: &'static str, scheme: &'static str) -> ContextError {
        ContextError::Unsupported { path: self.path.to_owned(), field, scheme }
    }
}

fn reference(text: &str) -> Option<&'static str> {
    REFERENCES
        .into_iter()
        .find(|(start, _)| without_start(text, start).is_some())
        .map(|(_, scheme)| scheme)
}

/// What follows `start`, in whatever case that is written.
fn without_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(start.len())?;
    first.eq_ignore_ascii_case(start).then_some(rest)
}
