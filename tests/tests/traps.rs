//! The list of traps names tests that exist.

use std::fs;
use std::path::Path;

const TRAPS: &str = include_str!("../TRAPS.md");

/// Where tests are, from the root of the workspace.
const PLACES: [&str; 6] = [
    "nats-broker/src",
    "nats-broker/tests",
    "nats-client/src",
    "nats-proto/src",
    "nats-proto/tests",
    "tests/tests",
];

/// The text of all files below `directory`.
fn read(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => read(&path, text),
            false => text.push_str(&fs::read_to_string(&path).unwrap()),
        }
    }
}

#[test]
fn every_trap_has_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = String::new();
    PLACES.iter().for_each(|place| read(&root.join(place), &mut sources));

    let rows: Vec<Vec<&str>> = TRAPS
        .lines()
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .filter(|row: &Vec<&str>| row.first().is_some_and(|number| number.parse::<u8>().is_ok()))
        .collect();
    assert_eq!(rows.len(), 16);
    for row in rows {
        let [number, _, _, tests] = row[..] else { panic!("{row:?} has four columns") };
        for test in tests.split(", ") {
            let found = match test.strip_prefix("script ") {
                Some(script) => sources.contains(&format!("=== {}\n", script.trim_matches('"'))),
                None => {
                    let name = format!("fn {}", test.trim_matches('`'));
                    let mut found = sources.match_indices(&name).map(|(at, _)| at + name.len());
                    found.any(|end| sources[end..].starts_with(['(', '<']))
                }
            };
            assert!(found, "trap {number}: there is no {test}");
        }
    }
}
