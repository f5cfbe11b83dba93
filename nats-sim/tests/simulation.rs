//! Many seeds of the simulation.
//!
//! `SIM_SEEDS` sets how many, `SIM_FIRST` the first; `SIM_SEED` runs one alone, which replays a failure bit for
//! bit, and prints what happens if `SIM_TRACE` is set.

mod chaos;
mod seeds;

use chaos::{Outcome, run_seed};
use seeds::every_seed;

/// About ten seconds.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 3_000 };

/// In so many seeds every kind of fault and event must be seen at least once.
const RARE: u64 = 200;

const REPLAY: &str = "cargo test -p nats-sim --test simulation every_seed";

/// Adds all but the hash.
fn add(sum: &mut Outcome, outcome: &Outcome) {
    sum.steps += outcome.steps;
    sum.published += outcome.published;
    sum.confirmed += outcome.confirmed;
    sum.uncertain += outcome.uncertain;
    sum.dropped += outcome.dropped;
    sum.replayed += outcome.replayed;
    sum.connects += outcome.connects;
    sum.counts += outcome.counts;
}

#[test]
fn what_must_always_hold_does_for_every_seed() {
    let Some((count, sum)) = every_seed(SEEDS, REPLAY, run_seed, add) else { return };
    // Faults that never happen show nothing.
    let Outcome { uncertain, dropped, replayed, connects, .. } = sum;
    assert!(count < 100 || [uncertain, dropped, replayed].iter().all(|some| *some > count / 10));
    assert!(count < 100 || connects > 2 * count);
    let rare = sum.counts.into_iter().filter(|(_, times)| *times < count / RARE);
    let rare: Vec<_> = rare.map(|(seen, _)| seen).collect();
    assert!(rare.is_empty(), "hardly ever seen: {rare:?}");
}

#[test]
fn a_seed_replays_bit_for_bit() {
    for seed in 0..20 {
        assert_eq!(run_seed(seed), run_seed(seed), "seed {seed}");
    }
    assert_ne!(run_seed(0).digest, run_seed(1).digest);
}
