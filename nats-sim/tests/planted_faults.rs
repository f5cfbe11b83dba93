//! The simulation can find bugs: it finds every one of those that are planted in `nats-proto`.
//!
//! ```sh
//! cargo test -p nats-sim --features planted-faults --test planted_faults
//! ```
//!
//! `SIM_FAULT` names one fault to try alone, and shows what finds it.

mod chaos;
mod planting;

use chaos::run_seed;
use nats_proto::faults::Fault;
use planting::every_fault;

/// The seeds within which a fault must be found.
const SEEDS: u64 = 400;

// One test, as a fault is planted in the whole process.
#[test]
fn every_planted_fault_is_found_and_nothing_else_is() {
    every_fault(Fault::ALL, Fault::plant, SEEDS, run_seed);
}
