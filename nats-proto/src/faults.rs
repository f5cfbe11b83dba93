//! Faults that the tests of this project plant, to see that the simulations find them.
//!
//! Each is a mistake that somebody could make in one line. Without the feature `planted-faults` none can be planted:
//! what asks for one is compiled to nothing. Not part of the API.

/// Makes `Fault`, any one of which can be planted: here, and in `nats-client`.
#[cfg(feature = "planted-faults")]
#[doc(hidden)]
#[macro_export]
macro_rules! __faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A deliberate mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        const NONE: u8 = u8::MAX;

        static PLANTED: ::core::sync::atomic::AtomicU8 =
            ::core::sync::atomic::AtomicU8::new(NONE);

        impl Fault {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Plants a fault in everything of this crate in this process, or takes it out.
            pub fn plant(fault: Option<Self>) {
                let number = fault.map_or(NONE, |fault| fault as u8);
                PLANTED.store(number, ::core::sync::atomic::Ordering::Relaxed);
            }

            /// Whether it is planted.
            pub(crate) fn is_planted(self) -> bool {
                PLANTED.load(::core::sync::atomic::Ordering::Relaxed) == self as u8
            }
        }
    };
}

#[cfg(feature = "planted-faults")]
__faults! {
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
    /// The last header of a frame that is kept over a broken link gets another value.
    KeptHasOtherHeaders,
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
    /// A subject that may not be published to ends the requests to others as well.
    RefusalEndsAll,
}

/// Whether a fault is planted: `false`, known to the compiler, without the feature.
#[cfg(feature = "planted-faults")]
macro_rules! fault {
    ($name:ident) => {
        $crate::faults::Fault::$name.is_planted()
    };
}

#[cfg(not(feature = "planted-faults"))]
macro_rules! fault {
    ($name:ident) => {
        false
    };
}

pub(crate) use fault;
