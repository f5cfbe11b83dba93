//! What tests of the broker share.

// Each test binary uses its own part.
#![allow(dead_code)]

pub(crate) mod memory;
pub(crate) mod script;
pub(crate) mod tcp;

/// All scripts.
pub(crate) fn scripts() -> Vec<script::Script> {
    [
        include_str!("../scripts/connecting.txt"),
        include_str!("../scripts/publishing.txt"),
        include_str!("../scripts/headers.txt"),
        include_str!("../scripts/violations.txt"),
        include_str!("../scripts/flags.txt"),
        include_str!("../scripts/queue_groups.txt"),
        include_str!("../scripts/order.txt"),
        include_str!("../scripts/leaving.txt"),
        include_str!("../scripts/differences.txt"),
    ]
    .into_iter()
    .flat_map(script::parse)
    .collect()
}
