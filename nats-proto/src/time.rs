//! Time as the caller tells it.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since an origin of the caller's choice.
///
/// The crate never reads a clock. Every method that depends on time takes an `Instant`, and the caller
/// decides what it means: a monotonic clock in production, a counter in a simulation. Values must not go
/// backwards between calls on one connection; if they do, nothing breaks, deadlines are only met late.
///
/// Arithmetic saturates: `u64` nanoseconds last for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The caller's origin.
    pub const ZERO: Self = Self(0);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::from_nanos(u64::MAX);
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(late + Duration::MAX, late);
        assert_eq!(Instant::ZERO - late, Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), late);
    }

    #[test]
    fn differences_are_exact() {
        let start = Instant::from_millis(5);
        let end = start + Duration::from_millis(7);
        assert_eq!(end - start, Duration::from_millis(7));
        assert_eq!(end.as_nanos(), 12_000_000);
    }
}
