//! Planting mistakes, one after the other, and looking for the first seed that finds each.
//!
//! `SIM_FAULT` names one to try alone, and shows what finds it.

use std::any::Any;
use std::fmt::Debug;
use std::panic::{self, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A seed that has failed, and what it said.
type Found = (u64, String);

/// Plants every fault and finds it within so many seeds. Then runs as many without one as it took for the last of them.
///
/// # Panics
/// One is not found, something is found without any, or none has the name that the environment asks for.
pub(crate) fn every_fault<F: Copy + Debug, T>(
    all: &[F],
    plant: fn(Option<F>),
    seeds: u64,
    run: fn(u64) -> T,
) {
    let only = std::env::var("SIM_FAULT").ok();
    let is_asked_for = |fault: &F| only.as_ref().is_none_or(|only| *only == format!("{fault:?}"));
    let asked_for: Vec<F> = all.iter().copied().filter(is_asked_for).collect();
    // A name that is not right must not be a success.
    assert!(!asked_for.is_empty(), "there is no fault {only:?}");
    if only.is_none() {
        // What is found is expected.
        panic::set_hook(Box::new(|_| ()));
    }
    let mut missed = Vec::new();
    let mut most = 0;
    for fault in &asked_for {
        plant(Some(*fault));
        match first_failure(seeds, run) {
            Some((seed, said)) => {
                println!("{fault:?}: found by seed {seed}: {said}");
                most = most.max(seed);
            }
            None => missed.push(*fault),
        }
    }
    plant(None);
    let _ = panic::take_hook();
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
    let found = first_failure(most + 1, run);
    assert_eq!(found, None, "found without a fault");
    println!("{} faults; none is found in seeds 0 to {most} without one", asked_for.len());
}

/// The first of so many seeds that fails, looked for on all processors.
fn first_failure<T>(seeds: u64, run: fn(u64) -> T) -> Option<Found> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let first = Mutex::new(None::<Found>);
    let search = || {
        // Seeds are begun in order and run to their ends: none before the first one that fails is left out.
        while first.lock().expect("nobody panics with it").is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if let Err(panic) = catch_unwind(|| run(seed)) {
                let mut first = first.lock().expect("nobody panics with it");
                if first.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *first = Some((seed, said(&*panic)));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(search);
        }
    });
    first.into_inner().expect("nobody panics with it")
}

/// The beginning of what a panic has said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    text.lines().next().unwrap_or_default().chars().take(72).collect()
}
