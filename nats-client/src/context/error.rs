//! Why there is no context.

use std::fmt;
use std::io;
use std::path::PathBuf;

use nats_proto::ServerAddrError;

/// Why a context cannot be loaded. Names the file and the field, and never shows what may be a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContextError {
    /// The directory of the user's settings is not known: neither `XDG_CONFIG_HOME` nor a home directory is set.
    NoHome,
    /// A context cannot have this name: it is empty, has a separator of paths, two dots in a row or a control
    /// character.
    InvalidName {
        /// The name.
        name: String,
    },
    /// No context is selected.
    NoneSelected {
        /// The file that would say which one is.
        path: PathBuf,
    },
    /// There is no such file.
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// A file or directory cannot be read.
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not a JSON object.
    NotJson {
        /// The file.
        path: PathBuf,
        /// The line where it is not, from 1; 0 if all of it is JSON of another kind.
        line: usize,
    },
    /// A field has a value of the wrong type.
    WrongType {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// One of the URLs in `url` is not one.
    InvalidUrl {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ServerAddrError,
    },
    /// `socks_proxy` is not the URL of a proxy.
    InvalidProxy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ServerAddrError,
    },
    /// `socks_proxy` has a user name without a password or the other way round, or one that is longer than 255 bytes: SOCKS5
    /// has no way to say that.
    ProxyCredentials {
        /// The file.
        path: PathBuf,
    },
    /// A field refers to something that is not read here: another program or service that the `nats` command
    /// would ask. `nsc` is such a field, unless `url` and `creds` leave nothing to be asked for.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What would have to be asked, as the scheme of a URL.
        scheme: &'static str,
    },
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome => f.write_str("neither XDG_CONFIG_HOME nor a home directory is set"),
            Self::InvalidName { name } => write!(f, "{name:?} cannot be the name of a context"),
            Self::NoneSelected { path } => {
                write!(f, "no context is selected: {} names none", path.display())
            }
            Self::NotFound { path } => write!(f, "there is no context {}", path.display()),
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::NotJson { path, line: 0 } => {
                write!(f, "context {} is not a JSON object", path.display())
            }
            Self::NotJson { path, line } => {
                write!(f, "context {} is not JSON in line {line}", path.display())
            }
            Self::WrongType { path, field, expected } => {
                write!(f, "context {}: {field} is not {expected}", path.display())
            }
            Self::InvalidUrl { path, error } => {
                write!(f, "context {}: url is not valid: {error}", path.display())
            }
            Self::InvalidProxy { path, error } => {
                write!(f, "context {}: socks_proxy is not valid: {error}", path.display())
            }
            Self::ProxyCredentials { path } => write!(
                f,
                "context {}: socks_proxy must have both user name and password, of 1 to 255 bytes each, or neither",
                path.display()
            ),
            Self::Unsupported { path, field, scheme } => write!(
                f,
                "context {}: {field} refers to {scheme}, which is not supported",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ContextError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::InvalidUrl { error, .. } | Self::InvalidProxy { error, .. } => Some(error),
            _ => None,
        }
    }
}
