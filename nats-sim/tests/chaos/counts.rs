//! How often each kind of fault and event was seen: what never happens shows nothing.

use std::fmt;
use std::ops::AddAssign;

macro_rules! seen {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What may happen to clients and brokers, and what they may be told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Seen {
            $($(#[$doc])* $name,)*
        }

        impl Seen {
            const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

seen! {
    // Faults, where there was a link or a broker that they could happen to.
    CutSoon, Cut, HalfOpen, Stall, Pause, Weather, Drip, Crash, SilentCrash, Restart, DialsRefused,
    DialsUnanswered, HandshakesRefused, HandshakesUnanswered, LameDuckMode, OtherUrls,
    AllDisconnected, Jump, OtherLimits, NoHeaders, StaleError, AuthError, PermissionError, Pings,
    StrayMessage, Garbage, EndlessLine,
    // How connections came and went.
    Connected, LostToEof, LostToSilence, LostToError, LostToGarbage, LostByRequest, LeftLameDuck,
    FailedToDial, FailedInTime, FailedTls, FailedTlsEarly, FailedAuth, FailedLocalAuth, FailedAuthInTime,
    FailedEarly, Chosen, Authenticated, Encrypted, LameDuckTold, ServersDiscovered, ServerError,
    // What became of what was asked for.
    FullAway, FullOnLink, TooLarge, HeadersRefused, HeadersKept, HeadersCut, Dropped,
    Reply, RequestTimedOut, RequestDropped, NoResponders, RequestRefused, RequestClosed,
    Flushed, FlushTimedOut, FlushUncertain, FlushClosed,
    Confirmed, ConfirmedLater, Unconfirmed, MaxReached, Drained, EndedByClose,
    AllDrained, DrainedWithin, DrainedSooner,
}

/// How often each was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts([u64; Seen::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Seen::ALL.len()])
    }
}

impl AddAssign<Seen> for Counts {
    fn add_assign(&mut self, seen: Seen) {
        self.0[seen as usize] += 1;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}

impl IntoIterator for Counts {
    type Item = (Seen, u64);
    type IntoIter = std::vec::IntoIter<(Seen, u64)>;

    fn into_iter(self) -> Self::IntoIter {
        Seen::ALL.iter().copied().zip(self.0).collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}
