//! The scripts on the broker's core: no socket, no clock.

mod support;

use support::memory::Memory;

fn run_all(piece: usize) {
    let scripts = support::scripts();
    assert!(scripts.len() >= 100);
    let failures: Vec<String> = scripts
        .iter()
        .filter_map(|script| script.run(&mut Memory::for_script(script, piece)).err())
        .collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_script_gives_exactly_the_expected_bytes() {
    run_all(usize::MAX);
}

#[test]
fn every_script_gives_the_same_byte_by_byte() {
    run_all(1);
}

#[test]
fn every_script_gives_the_same_in_pieces_of_seven() {
    run_all(7);
}
