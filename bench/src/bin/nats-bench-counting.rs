//! Workers whose allocations are counted. A program of its own, since counting takes time: four operations on shared
//! numbers for each allocation that is freed again, some 30 ns, which is a tenth of receiving a message with a header.

#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

fn main() -> std::process::ExitCode {
    nats_bench::main()
}
