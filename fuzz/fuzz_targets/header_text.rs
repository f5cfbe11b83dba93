//! See `nats_fuzz::header_text`. Without cargo-fuzz, it replays the files that are named as arguments.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nats_fuzz::header_text(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    nats_fuzz::replay(nats_fuzz::header_text)
}
