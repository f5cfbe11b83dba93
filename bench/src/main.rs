//! The bench, and all of its processes but those whose allocations are counted.

fn main() -> std::process::ExitCode {
    nats_bench::main()
}
