//! Where contexts are.

use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Context, ContextError};

/// The directory of NATS in that of the user's settings.
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Those of the user who runs the program.
    pub(super) fn of_user() -> Result<Self, ContextError> {
        Self::new(env::var_os("XDG_CONFIG_HOME").map(PathBuf::from), env::home_dir())
    }

    pub(super) fn new(
        config: Option<PathBuf>,
        home: Option<PathBuf>,
    ) -> Result<Self, ContextError> {
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        let home = home.filter(set).map(|home| home.join(".config"));
        let config = config.filter(set).or(home).ok_or(ContextError::NoHome)?;
        Ok(Self { directory: config.join("nats") })
    }

    pub(super) fn load(&self, name: Option<&str>) -> Result<Context, ContextError> {
        let name = match name.filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => self
                .selected()?
                .ok_or_else(|| ContextError::NoneSelected { path: self.selection() })?,
        };
        if !is_name(&name) {
            return Err(ContextError::InvalidName { name });
        }
        // Put together by hand, as `with_extension` would cut names at their dots.
        load(&self.contexts().join(format!("{name}.json")))
    }

    pub(super) fn selected(&self) -> Result<Option<String>, ContextError> {
        let path = self.selection();
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ContextError::Read { path, error }),
        }
    }

    pub(super) fn known(&self) -> Result<Vec<String>, ContextError> {
        let path = self.contexts();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ContextError::Read { path, error }),
        };
        // An entry that cannot be looked at is no context to choose; the command passes over it as well.
        let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(&entry)).collect();
        names.sort();
        Ok(names)
    }

    fn selection(&self) -> PathBuf {
        self.directory.join("context.txt")
    }

    fn contexts(&self) -> PathBuf {
        self.directory.join("context")
    }
}

/// The context in this file.
pub(super) fn load(path: &Path) -> Result<Context, ContextError> {
    match fs::read(path) {
        Ok(content) => Context::parse(path, &content, &expand),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ContextError::NotFound { path: path.to_owned() })
        }
        Err(error) => Err(ContextError::Read { path: path.to_owned(), error }),
    }
}

/// The name of the context in a file that has one.
fn name(entry: &fs::DirEntry) -> Option<String> {
    let path = entry.path();
    let metadata = fs::metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() == 0 || path.extension() != Some(OsStr::new("json")) {
        return None;
    }
    path.file_stem()?.to_str().map(str::to_owned).filter(|name| is_name(name))
}

/// Whether a file of this name is in the directory of the contexts and nowhere else, on any system.
fn is_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let whole = matches!(parts.next(), Some(Component::Normal(part)) if part == name);
    whole && parts.next().is_none() && !name.contains("..") && !name.contains(bad)
}

fn bad(char: char) -> bool {
    char == '/' || char == '\\' || char.is_control()
}

/// What a shell would make of a path.
fn expand(path: &str) -> String {
    let home = || env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
    expand_with(path, home, |name| env::var(name).ok())
}

pub(super) fn expand_with(
    path: &str,
    home: impl FnOnce() -> Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> String {
    let variable = |name: &str| Ok::<_, Infallible>(Some(variable(name).unwrap_or_default()));
    match shellexpand::env_with_context(path, variable) {
        // The home may be what a variable begins with.
        Ok(expanded) => shellexpand::tilde_with_context(&expanded, home).into_owned(),
    }
}
