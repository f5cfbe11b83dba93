//! placeholder
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "serve")]
extern crate std;

mod broker;
mod config;
mod delivery;
mod event;
mod keepalive;
mod operations;
mod routing;
mod session;
mod statistics;
mod subscriptions;

#[cfg(feature = "serve")]
mod serve;

pub use broker::Broker;
pub use config::{Auth, Config};
pub use event::{BrokerEvent, SessionId};
#[cfg(feature = "serve")]
pub use serve::{ServerConfig, ServerHandle, serve};
pub use statistics::Statistics;

/// placeholder
pub const NATS_SERVER_VERSION: &str = "2.15.1";
