//! The scripts on the broker's core: no socket, no clock.

mod support;

use support::memory::Memory;
use support::script;

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

#[test]
fn whoever_is_to_get_in_tries_until_there_is_room() {
    // A has the only place until it is stale.
    let scripts = script::parse(
        "=== room\noption max_connections 1\noption ping_interval 300\noption ping_max 0\n\
         A? INFO\nB gets in\nA< -ERR 'Stale Connection'\nA closed\n",
    );
    scripts[0].run(&mut Memory::for_script(&scripts[0], usize::MAX)).unwrap();
}
