//! Running many seeds on all processors.

use std::fmt::Debug;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread;

/// How many seeds were run and what came of them together, or nothing if the environment names one, which was run alone.
/// There are `usual` many from 0, unless the environment says otherwise; `replay` is the command that runs one alone, of which `SIM_SEED` says which.
///
/// # Panics
/// One has failed.
pub(crate) fn every_seed<T: Default + Debug + Send>(
    usual: u64,
    replay: &str,
    run: fn(u64) -> T,
    add: fn(&mut T, &T),
) -> Option<(u64, T)> {
    if let Some(seed) = setting("SIM_SEED") {
        println!("seed {seed}: {:?}", run(seed));
        return None;
    }
    let first = setting("SIM_FIRST").unwrap_or(0);
    let count = setting("SIM_SEEDS").unwrap_or(usual);
    let (sum, failed) = run_seeds(first..first + count, replay, run, add);
    println!("{count} seeds from {first}: {sum:?}");
    assert!(failed.is_empty(), "failed: {failed:?}");
    Some((count, sum))
}

/// The value of an environment variable that is a number.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// What came of these seeds together, and which of them failed; `replay` is the command that runs one alone, of
/// which `SIM_SEED` says which. Ends early if several have failed.
fn run_seeds<T: Default + Send>(
    seeds: Range<u64>,
    replay: &str,
    run: fn(u64) -> T,
    add: fn(&mut T, &T),
) -> (T, Vec<u64>) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let state = Mutex::new((seeds, T::default(), Vec::new()));
    let next = || {
        let (seeds, _, failed) = &mut *state.lock().expect("nobody panics with it");
        if failed.len() < 5 { seeds.next() } else { None }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let outcome = catch_unwind(|| run(seed));
                    let (_, sum, failed) = &mut *state.lock().expect("nobody panics with it");
                    match outcome {
                        Ok(outcome) => add(sum, &outcome),
                        Err(_) => {
                            eprintln!("replay with: SIM_SEED={seed} {replay}");
                            failed.push(seed);
                        }
                    }
                }
            });
        }
    });
    let (_, sum, failed) = state.into_inner().expect("nobody panics with it");
    (sum, failed)
}
