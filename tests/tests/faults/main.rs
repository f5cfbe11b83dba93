//! Faults that take long, or the whole process: servers that are killed again and again, clusters, storms, soaks.
//!
//! Each test has a short form, which is one of the ordinary tests, and prints its figures. The long form is the same
//! with the numbers that `cargo xtask faults` puts into the environment: see [`count`].

mod cluster;
mod killed;
mod ledger;
mod process;
mod received;
mod soak;
mod storm;
#[allow(dead_code, reason = "the scenarios use all of it")]
#[path = "../scenarios/support.rs"]
mod support;

use std::future::Future;
use std::sync::{PoisonError, RwLock};

use nats_async_std::AsyncStd;
use nats_tests::server::Release;
use nats_tokio::Tokio;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

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

fn beside_others<R: Rt, F: Future<Output = ()>>(release: Release, test: fn(Release) -> F) {
    let _shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
    R::block_on(test(release));
}

fn alone<R: Rt, F: Future<Output = ()>>(release: Release, test: fn(Release) -> F) {
    let _exclusive = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
    R::block_on(test(release));
}

macro_rules! on_every_process {
    ($($combination:ident: $runtime:ty, $release:expr;)*) => {$(
        mod $combination {
            use super::*;

            on_every_process! { @each $runtime, $release;
                beside_others: killed::a_server_killed_under_load_leaves_nothing_unaccounted,
                beside_others: killed::a_server_paused_under_load_leaves_nothing_unaccounted,
                beside_others: cluster::three_nodes_outlive_the_worst_of_one,
                alone: storm::all_come_back_and_leave_nothing,
                alone: soak::memory_does_not_grow_with_messages_and_reconnects,
            }
        }
    )*};
    (@each $runtime:ty, $release:expr; $($how:ident: $area:ident::$test:ident,)*) => {$(
        #[test]
        fn $test() {
            $how::<$runtime, _>($release, $area::$test::<$runtime>);
        }
    )*};
}

on_every_process! {
    tokio_2_15: Tokio, Release::V2_15;
    tokio_2_10: Tokio, Release::V2_10;
    async_std_2_15: AsyncStd, Release::V2_15;
    async_std_2_10: AsyncStd, Release::V2_10;
}
