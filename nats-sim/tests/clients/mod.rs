//! Whole clients on a virtual network, in virtual time: `nats-client` with its driver, mailboxes, turns and handles, on a
//! runtime in which everything follows from one seed.

mod aftermath;
mod application;
mod books;
pub(crate) mod chaos;
mod crowd;
mod flood;
mod reader;
mod runtime;
mod settings;
mod strict;
mod tls;
mod transport;
mod watching;
mod websocket;
mod world;
