//! What every client must do on every server: written once, run on each runtime with each kind of server.
//!
//! A scenario is an async function over [`support::Env`]. It is listed once, in the file that says where it runs
//! (`on_every_server.rs`, `on_every_process.rs`, `on_every_transport.rs` or `without_a_server.rs`), and becomes one test for
//! each combination, `tokio_2_15::requests::nobody_listening_is_told_apart_from_a_timeout` and so on. The modules are
//! private so that the compiler complains of a scenario that is not listed.

#[macro_use]
mod on_every_process;
#[macro_use]
mod on_every_server;
#[macro_use]
mod on_every_transport;
#[macro_use]
mod without_a_server;

mod accounts;
mod authentication;
mod breaking_writes;
mod callbacks;
mod cancellation;
mod cancelling;
mod concurrency;
mod confirming;
mod connecting;
mod contexts;
mod cutting;
mod delivery;
mod dialling;
mod draining;
mod dropping;
mod events;
mod failover;
mod faulty_network;
mod flushing;
mod headers;
mod hostile;
mod interfaces;
mod jwts;
mod many_subscriptions;
mod nkeys;
mod offline;
mod payloads;
mod permissions;
mod played;
mod public_futures;
mod publishing;
mod queue_groups;
mod reach;
mod reconnecting;
mod refusals;
mod request_many;
mod requests;
mod secrets;
mod server_pool;
mod slow_consumers;
mod stale;
mod support;
mod tls;
mod tls_network;
mod tls_refusals;
mod tracing_messages;
mod traps;
mod unsubscribing;
mod websocket;
mod wildcards;

use nats_async_std::AsyncStd;
use nats_tests::server::{Host, Release, ServerKind};
use nats_tests::transport::Transport;
use nats_tokio::Tokio;

use reach::Over;

macro_rules! stamp {
    ($runtime:ty, $server:expr; $($area:ident { $($scenario:ident,)* })*) => {
        $(mod $area {
            use super::*;

            $(#[test]
            fn $scenario() {
                crate::support::run::<$runtime, _, _>($server, crate::$area::$scenario);
            })*
        })*
    };
}

on_every_server! {
    tokio_2_15: Tokio, ServerKind::Real(Release::V2_15);
    tokio_2_10: Tokio, ServerKind::Real(Release::V2_10);
    tokio_broker: Tokio, ServerKind::Broker(Host::Tokio);
    async_std_2_15: AsyncStd, ServerKind::Real(Release::V2_15);
    async_std_2_10: AsyncStd, ServerKind::Real(Release::V2_10);
    async_std_broker: AsyncStd, ServerKind::Broker(Host::AsyncStd);
}

on_every_process! {
    tokio_process_2_15: Tokio, Release::V2_15;
    tokio_process_2_10: Tokio, Release::V2_10;
    async_std_process_2_15: AsyncStd, Release::V2_15;
    async_std_process_2_10: AsyncStd, Release::V2_10;
}

on_every_transport! {
    tokio_to_2_15: Tokio, ServerKind::Real(Release::V2_15), tcp tls websocket compressed_websocket wss;
    tokio_to_2_10: Tokio, ServerKind::Real(Release::V2_10), tcp tls compressed_websocket;
    tokio_to_broker: Tokio, ServerKind::Broker(Host::Tokio), tcp;
    async_std_to_2_15: AsyncStd, ServerKind::Real(Release::V2_15), tcp tls websocket compressed_websocket wss;
    async_std_to_2_10: AsyncStd, ServerKind::Real(Release::V2_10), tcp tls compressed_websocket;
    async_std_to_broker: AsyncStd, ServerKind::Broker(Host::AsyncStd), tcp;
}

without_a_server! {
    tokio_offline: Tokio;
    async_std_offline: AsyncStd;
}
