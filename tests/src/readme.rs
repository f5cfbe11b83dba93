//! The examples in the READMEs compile, and those that need no server run.

/// nats-proto
#[doc = include_str!("../../nats-proto/README.md")]
pub struct Proto;

/// nats-client
#[doc = include_str!("../../nats-client/README.md")]
pub struct Client;
