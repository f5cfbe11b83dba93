//! Faults that take long, or the whole process: servers that are killed again and again, clusters, storms, soaks.
//!
//! Each test has a short form, which is one of the ordinary tests, and prints its figures. The long form is the same
//! with the numbers that `cargo xtask faults` puts into the environment: see [`count`].

mod cluster;
mod cut;
mod killed;
mod ledger;
mod process;
mod received;
mod setting;
mod soak;
mod storm;
#[allow(dead_code, reason = "the scenarios use all of it")]
#[path = "../scenarios/support.rs"]
mod support;

use std::future::Future;
use std::sync::{PoisonError, RwLock};

use nats_async_std::AsyncStd;
use nats_tests::server::Release;
use nats_tests::transport::Transport;
use nats_tokio::Tokio;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use setting::Setting;
use support::Rt;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Whoever counts what the process has must be alone in it.
static PROCESS: RwLock<()> = RwLock::new(());

/// A number from the environment, or else that of the short form.
///
/// # Panics
/// It is not a number.
fn count(variable: &str, short: u64) -> u64 {
    std::env::var(variable).map_or(short, |value| {
        value.parse().unwrap_or_else(|error| panic!("{variable}={value}: {error}"))
    })
}

fn beside_others<R: Rt, F: Future<Output = ()>>(setting: Setting, test: fn(Setting) -> F) {
    let _shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
    R::block_on(test(setting));
}

fn alone<R: Rt, F: Future<Output = ()>>(setting: Setting, test: fn(Setting) -> F) {
    let _exclusive = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
    R::block_on(test(setting));
}

const OVER_TLS_AND_WEBSOCKETS: [Transport; 3] =
    [Transport::Tls, Transport::CompressedWebSocket, Transport::WebSocket];

/// Each test on each runtime with each release: over TCP, and over what there may be on top of it. The clients of one test
/// have the transports of its set between them.
macro_rules! on_every_process {
    ($($combination:ident: $runtime:ty, $release:expr, $($set:ident)*;)*) => {$(
        mod $combination {
            use super::*;

            $(mod $set {
                use super::*;

                on_every_process! { @set $set $runtime, $release }
            })*
        }
    )*};
    (@set over_tcp $runtime:ty, $release:expr) => {
        on_every_process! { @with_one_server $runtime, $release, [Transport::Tcp] }
        on_every_process! { @with_nodes $runtime, $release, [Transport::Tcp] }
    };
    (@set over_tls_and_websockets $runtime:ty, $release:expr) => {
        on_every_process! { @with_one_server $runtime, $release, OVER_TLS_AND_WEBSOCKETS }
        on_every_process! { @with_breaking_streams $runtime, $release, OVER_TLS_AND_WEBSOCKETS }
    };
    (@set nodes_over_tls_and_websockets $runtime:ty, $release:expr) => {
        on_every_process! { @with_nodes $runtime, $release, OVER_TLS_AND_WEBSOCKETS }
    };
    (@set over_wss $runtime:ty, $release:expr) => {
        on_every_process! { @with_one_server $runtime, $release, [Transport::SecureWebSocket] }
        on_every_process! { @with_breaking_streams $runtime, $release, [Transport::SecureWebSocket] }
    };
    (@with_nodes $runtime:ty, $release:expr, $transports:expr) => {
        on_every_process! { @each $runtime, $release, $transports;
            beside_others: cluster::three_nodes_outlive_the_worst_of_one,
        }
    };
    // TCP says how much it has taken. What is on top of it takes more, and has to remember.
    (@with_breaking_streams $runtime:ty, $release:expr, $transports:expr) => {
        on_every_process! { @each $runtime, $release, $transports;
            beside_others: cut::links_reset_under_load_leave_nothing_unaccounted,
        }
    };
    (@with_one_server $runtime:ty, $release:expr, $transports:expr) => {
        on_every_process! { @each $runtime, $release, $transports;
            beside_others: killed::a_server_killed_under_load_leaves_nothing_unaccounted,
            beside_others: killed::a_server_paused_under_load_leaves_nothing_unaccounted,
            alone: storm::all_come_back_and_leave_nothing,
            alone: soak::memory_does_not_grow_with_messages_and_reconnects,
        }
    };
    (@each $runtime:ty, $release:expr, $transports:expr; $($how:ident: $area:ident::$test:ident,)*) => {$(
        #[test]
        fn $test() {
            let setting = Setting::new($release, &$transports);
            $how::<$runtime, _>(setting, $area::$test::<$runtime>);
        }
    )*};
}

on_every_process! {
    tokio_2_15: Tokio, Release::V2_15, over_tcp over_tls_and_websockets nodes_over_tls_and_websockets;
    tokio_2_10: Tokio, Release::V2_10, over_tcp over_wss;
    async_std_2_15: AsyncStd, Release::V2_15, over_tcp over_tls_and_websockets;
    async_std_2_10: AsyncStd, Release::V2_10, over_tcp over_wss;
}
