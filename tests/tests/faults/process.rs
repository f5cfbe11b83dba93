//! What this process has, as Linux counts it.

use std::fs;

use crate::ALLOCATOR;

/// Open descriptors.
pub(crate) fn descriptors() -> usize {
    // One of them reads the directory.
    fs::read_dir("/proc/self/fd").expect("these tests need Linux").count() - 1
}

/// Threads, without those that the tests themselves begin in: their names are those of the tests, of which the system
/// keeps 15 bytes.
pub(crate) fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("these tests need Linux");
    // A thread may end between the two looks.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| !name.contains(':')).count()
}

/// What is allocated, in KiB. Unlike resident memory, it does not depend on how the allocator finds room.
pub(crate) fn allocated() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) / 1024) as u64
}

/// Resident memory in KiB.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("these tests need Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a line with the resident memory")
}

/// Processor time that it has taken, in nanoseconds. The system counts it in hundredths of a second.
pub(crate) fn processor_time() -> u64 {
    let line = fs::read_to_string("/proc/self/stat").expect("these tests need Linux");
    // The name of the program is the second, in parentheses, and may have spaces in it.
    let behind = line.rsplit(") ").next().unwrap_or_default();
    let ticks = behind.split(' ').skip(11).take(2).map(|number| number.parse::<u64>());
    ticks.map(|ticks| ticks.expect("user and system time")).sum::<u64>() * 10_000_000
}
