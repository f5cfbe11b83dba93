//! The examples in the READMEs compile, and those that need no server run.

/// The project
#[doc = include_str!("../../README.md")]
pub struct Project;

/// nats-proto
#[doc = include_str!("../../nats-proto/README.md")]
pub struct Proto;

/// nats-client
#[doc = include_str!("../../nats-client/README.md")]
pub struct Client;

/// nats-tokio
#[doc = include_str!("../../nats-tokio/README.md")]
pub struct Tokio;

/// nats-async-std
#[doc = include_str!("../../nats-async-std/README.md")]
pub struct AsyncStd;

/// nats-broker
#[doc = include_str!("../../nats-broker/README.md")]
pub struct Broker;
