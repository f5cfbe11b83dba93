//! The servers that are known, and whose turn it is.

mod pool;
mod server;

pub(crate) use pool::{Pool, Source, Turn, check};
pub use server::{ReconnectToServer, Server, SetServerPoolError};
