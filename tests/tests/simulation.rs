//! Many seeds of the simulation.
//!
//! `SIM_SEEDS` sets how many, `SIM_FIRST` the first; `SIM_SEED` runs one alone, which replays a failure bit for
//! bit, and prints what happens if `SIM_TRACE` is set.

use std::panic::catch_unwind;

use nats_tests::sim::{Outcome, run_seed};

/// About ten seconds.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 3_000 };

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

#[test]
fn what_must_always_hold_does_for_every_seed() {
    if let Some(seed) = setting("SIM_SEED") {
        println!("seed {seed}: {:?}", run_seed(seed));
        return;
    }
    let first = setting("SIM_FIRST").unwrap_or(0);
    let count = setting("SIM_SEEDS").unwrap_or(SEEDS);
    let mut sum = Outcome::default();
    let mut failed = Vec::new();
    for seed in first..first + count {
        let Ok(outcome) = catch_unwind(|| run_seed(seed)) else {
            eprintln!(
                "replay with: SIM_SEED={seed} cargo test -p nats-tests --test simulation every_seed"
            );
            failed.push(seed);
            if failed.len() >= 5 {
                break;
            }
            continue;
        };
        sum.steps += outcome.steps;
        sum.published += outcome.published;
        sum.confirmed += outcome.confirmed;
        sum.uncertain += outcome.uncertain;
        sum.dropped += outcome.dropped;
        sum.replayed += outcome.replayed;
        sum.connects += outcome.connects;
    }
    println!("{count} seeds from {first}: {sum:?}");
    assert!(failed.is_empty(), "failed: {failed:?}");
    // Faults that never happen show nothing.
    let Outcome { uncertain, dropped, replayed, connects, .. } = sum;
    assert!(count < 100 || [uncertain, dropped, replayed].iter().all(|some| *some > count / 10));
    assert!(count < 100 || connects > 2 * count);
}

#[test]
fn a_seed_replays_bit_for_bit() {
    for seed in 0..20 {
        assert_eq!(run_seed(seed), run_seed(seed), "seed {seed}");
    }
    assert_ne!(run_seed(0).digest, run_seed(1).digest);
}
