//! The simulation can find bugs: it finds every one of those that are planted in `nats-proto`.
//!
//! ```sh
//! cargo test -p nats-sim --features planted-faults --test planted_faults
//! ```
//!
//! `SIM_FAULT` names one fault to try alone, and shows what finds it.

mod chaos;

use std::panic::{self, PanicHookInfo, catch_unwind};
use std::sync::Mutex;

use chaos::run_seed;
use nats_proto::faults::{Fault, plant};

/// The seeds within which a fault must be found.
const SEEDS: u64 = 400;

/// What the last panic said.
static SAID: Mutex<String> = Mutex::new(String::new());

fn keep(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    *SAID.lock().expect("nobody panics with it") = line.chars().take(72).collect();
}

/// The first seed that finds a fault.
fn found_by(fault: Fault) -> Option<u64> {
    plant(Some(fault));
    let found = (0..SEEDS).find(|seed| catch_unwind(|| run_seed(*seed)).is_err());
    plant(None);
    found
}

// One test, as a fault is planted in the whole process.
#[test]
fn every_planted_fault_is_found_and_nothing_else_is() {
    let only = std::env::var("SIM_FAULT").ok();
    if only.is_none() {
        // What is found is expected.
        panic::set_hook(Box::new(keep));
    }
    let mut missed = Vec::new();
    let mut most = 0;
    for fault in Fault::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{fault:?}")) {
            continue;
        }
        match found_by(*fault) {
            Some(seed) => {
                let said = SAID.lock().expect("nobody panics with it");
                println!("{fault:?}: found by seed {seed}: {said}");
                most = most.max(seed);
            }
            None => missed.push(*fault),
        }
    }
    let _ = panic::take_hook();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
    for seed in 0..=most {
        run_seed(seed);
    }
    println!("{} faults; none is found in seeds 0 to {most} without one", Fault::ALL.len());
}
