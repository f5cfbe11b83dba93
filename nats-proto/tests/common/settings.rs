//! Settings of the property tests.

use proptest::test_runner::Config;

/// The settings of the property tests: small enough for every run, and as many cases as `PROPTEST_CASES`
/// asks for.
pub(crate) fn config(cases: u32) -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.failure_persistence = None;
    config
}
