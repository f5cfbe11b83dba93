//! See `nats_fuzz::websocket_answer`. Without cargo-fuzz, it replays the files that are named as arguments.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nats_fuzz::websocket_answer(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    nats_fuzz::replay(nats_fuzz::websocket_answer)
}
