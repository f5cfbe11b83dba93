//! `cargo xtask mutants`: changes one line of `nats-proto` after the other, and says which changes no test notices.

use crate::Result;
use crate::process::{self, cargo, step, succeeds};

/// A part of all changes, spread over all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 0.
    pub(crate) number: u32,
    pub(crate) of: u32,
}

impl Shard {
    /// Everything.
    pub(crate) const ALL: Self = Self { number: 0, of: 1 };

    /// Reads `0/20`.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| {
            Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
        });
        match parts {
            Some(shard) if shard.number < shard.of => Ok(shard),
            _ => Err(format!("'{text}' is no part of all changes, such as 0/20")),
        }
    }
}

/// Tries the changes of a shard. What comes out is in `target/mutants.out`.
///
/// # Errors
/// A change is not noticed by any test, or the tests fail without one.
pub(crate) fn run(shard: Shard) -> Result {
    if !succeeds(cargo(None).args(["mutants", "--version"])) {
        process::run(cargo(None).args(["install", "cargo-mutants", "--locked"]))?;
    }
    step("mutants of nats-proto");
    let mut mutants = cargo(None);
    mutants.args(["mutants", "--package=nats-proto", "--no-times", "--output=target"]);
    mutants.args(["--shard", &format!("{}/{}", shard.number, shard.of)]);
    mutants.arg("--sharding=round-robin");
    // Each change is compiled by itself: a few seconds instead of half a minute.
    mutants.env("CARGO_INCREMENTAL", "1");
    // Those that random cases alone would notice are found by a few of them, or by chance.
    mutants.env("PROPTEST_CASES", "48");
    process::run(&mut mutants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_zero() {
        assert_eq!(Shard::parse("0/20"), Ok(Shard { number: 0, of: 20 }));
        assert_eq!(Shard::parse("19/20"), Ok(Shard { number: 19, of: 20 }));
        for wrong in ["20/20", "1", "/", "a/b", "1/0"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }
}
