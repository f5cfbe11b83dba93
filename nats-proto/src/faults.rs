//! Faults that the tests of this project plant, to see that the simulation finds them.
//!
//! Each is a mistake that somebody could make in one line. Without the feature `planted-faults` none can be planted:
//! what asks for one is compiled to nothing. Not part of the API.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A deliberate mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(not(feature = "planted-faults"), allow(dead_code, unreachable_pub))]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every one.
            #[cfg(feature = "planted-faults")]
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

faults! {
    /// What was kept over a broken link is not sent on the next one.
    KeptIsLost,
    /// A frame that was cut goes on where it was cut.
    FrameResumesInTheMiddle,
    /// What was written whole is sent once more.
    WrittenIsSentAgain,
    /// A large payload that is kept stands in the buffer twice.
    SegmentIsDoubled,
    /// A PONG confirms one publish more than it proves.
    ConfirmsOneTooMany,
    /// A PONG confirms one publish less.
    ConfirmsOneTooFew,
    /// Dropped publishes are not counted.
    LedgerDoesNotAddUp,
    /// With a full buffer the newest publish that is kept gives way, instead of the oldest.
    DropsTheNewest,
    /// The short way stays open when a link breaks.
    GateStaysOpen,
    /// What is too large for the next server is sent nevertheless.
    TooLargeIsSent,
    /// A flush succeeds without its PONG.
    FlushIsAnsweredEarly,
    /// A flush succeeds on the next link though publishes that it covers were lost with this one.
    FlushForgetsLosses,
    /// A flush is not sent again after a break.
    FlushIsNotSentAgain,
    /// A flush never times out.
    FlushHasNoDeadline,
    /// PONGs are matched with the latest PING instead of the first.
    PongsAreSwapped,
    /// After a reconnect the server may deliver one message more than the maximum leaves.
    MaximumIsOneMore,
    /// After a reconnect the server delivers one message less.
    MaximumIsOneLess,
    /// A new server is told the whole maximum, whatever has come already.
    MaximumBeginsAnew,
    /// A subscription ends one message before its maximum.
    EndsOneTooEarly,
    /// The first subscription is not restored.
    SubscriptionIsNotRestored,
    /// Subscriptions are restored twice.
    RestoresTwice,
    /// The inbox is not restored.
    InboxIsNotRestored,
    /// The server is not told that a subscription has ended.
    UnsubscribeIsNotSent,
    /// The short cut from number to subscription is not checked.
    WrongSubscriptionIsFound,
    /// A request that has got its reply still waits.
    RequestEndsTwice,
    /// A request whose time is over is forgotten without a word.
    RequestNeverEnds,
    /// A request waits for longer than it was told to.
    RequestDeadlineIsLate,
    /// A request whose message is given up waits for its deadline.
    DroppedRequestWaits,
    /// A request that is cancelled stays.
    CancelledRequestStays,
    /// A late reply finds the next request in the same place.
    LateReplyIsTaken,
    /// What is written counts as a sign of life of the peer.
    OutboundIsLife,
    /// A connection that is being tried never times out.
    HandshakeHasNoDeadline,
    /// Servers are dialled again at once.
    NoBackoff,
    /// The end of the wait for a server is not noticed: a loop without delay.
    BackoffNeverEnds,
    /// INFO takes servers out of the pool that the application gave.
    GivenServersAreForgotten,
    /// Replacing the servers keeps the old ones.
    OldServersAreKept,
    /// The decoder goes on where the last link ended.
    DecoderIsNotReset,
    /// Draining ends before the server has said that nothing more comes.
    DrainIsHasty,
    /// The deadline of draining and closing is not looked at.
    EndingHasNoDeadline,
    /// A connection that is closed still writes.
    WritesAfterTheEnd,
    /// A server in lame duck mode is left before it has confirmed what it has got.
    LeavesInHaste,
    /// An answer to an earlier question for credentials counts for this attempt.
    OldAuthIsTaken,
    /// A TLS handshake that failed counts as one that did not.
    TlsFailureIsIgnored,
    /// Plain bytes between INFO and the TLS handshake are taken for the server's.
    PlainBytesAreTaken,
    /// CONNECT goes out before the stream is encrypted.
    SpeaksBeforeTls,
    /// A frame that is kept over a broken link loses its headers.
    KeptLosesHeaders,
    /// What is kept is sent with its headers to a server that takes none.
    HeadersAreForced,
    /// A reply with headers counts as the server's word that nobody listens.
    HeadersMeanNobody,
    /// A new server is not asked for the subscriptions that are to be confirmed.
    ConfirmingIsForgotten,
    /// A subscription counts as confirmed once it is made.
    ConfirmsUnasked,
    /// A subscription that was confirmed is not restored.
    ConfirmedIsNotRestored,
    /// Messages for a subscription that was restored find nobody.
    RestoredIsDeaf,
    /// A link whose reader has paused is given up like one whose peer says nothing.
    PausedGoesStale,
    /// The time that draining may take is always that of the settings.
    DrainTimeIsIgnored,
    /// An end that has begun is put off by another call.
    EndIsPutOff,
    /// What waits on a link is not counted when there is more to publish.
    RoomIsNotCounted,
    /// What was kept for a link and is being written takes no room from what is added.
    HandedOutIsNotCounted,
    /// What is queued goes out to a server that is being left.
    WritesToTheLeft,
    /// A line without an end is awaited, however long it is.
    EndlessLineIsAwaited,
}

#[cfg(feature = "planted-faults")]
mod planted {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Fault;

    const NONE: u8 = u8::MAX;

    static PLANTED: AtomicU8 = AtomicU8::new(NONE);

    /// Plants a fault in every connection of this process, or takes it out.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.store(fault.map_or(NONE, |fault| fault as u8), Ordering::Relaxed);
    }

    pub(crate) fn is_planted(fault: Fault) -> bool {
        PLANTED.load(Ordering::Relaxed) == fault as u8
    }
}

#[cfg(feature = "planted-faults")]
pub(crate) use planted::is_planted;
#[cfg(feature = "planted-faults")]
pub use planted::plant;

#[cfg(not(feature = "planted-faults"))]
#[inline(always)]
pub(crate) const fn is_planted(_: Fault) -> bool {
    false
}

/// Whether a fault is planted: `false`, known to the compiler, without the feature.
macro_rules! fault {
    ($name:ident) => {
        $crate::faults::is_planted($crate::faults::Fault::$name)
    };
}

pub(crate) use fault;
