//! Tests of the whole: the scenarios that every client passes on every server.

pub mod certificates;
pub mod proxy;
#[cfg(doctest)]
mod readme;
pub mod server;
pub mod socks;
pub mod transport;
