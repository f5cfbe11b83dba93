//! Tests of the whole: the scenarios that every client passes on every server.

pub mod certificates;
#[cfg(doctest)]
mod readme;
pub mod server;
