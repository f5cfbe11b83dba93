//! The simulation of whole clients can find bugs: it finds every one of those that are planted in `nats-client`.
//!
//! ```sh
//! cargo test -p nats-sim --features planted-faults --test planted_in_clients
//! ```
//!
//! `SIM_FAULT` names one fault to try alone, and shows what finds it.

mod clients;
mod planting;

use clients::chaos::run_seed;
use nats_client::faults::Fault;
use planting::every_fault;

/// The seeds within which a fault must be found.
const SEEDS: u64 = 600;

// One test, as a fault is planted in the whole process.
#[test]
fn every_fault_planted_in_clients_is_found_and_nothing_else_is() {
    every_fault(Fault::ALL, Fault::plant, SEEDS, run_seed);
}
