//! The servers that a connection may use.

mod pool;

pub(crate) use pool::{Pool, Turn};
