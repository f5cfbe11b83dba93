//! What this process has, as Linux counts it.

use std::fs;

/// Open descriptors.
pub(crate) fn descriptors() -> usize {
    // One of them reads the directory.
    entries("/proc/self/fd") - 1
}

/// Threads.
pub(crate) fn threads() -> usize {
    entries("/proc/self/task")
}

/// Resident memory in KiB.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("these tests need Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a line with the resident memory")
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("these tests need Linux").count()
}
