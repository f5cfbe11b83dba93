//! Faults that the tests of this project plant, to see that the simulation of whole clients finds them.
//!
//! Each is a mistake that somebody could make in one line. Without the feature `planted-faults` none can be planted:
//! what asks for one is compiled to nothing. Not part of the API.

#[cfg(feature = "planted-faults")]
nats_proto::__faults! {
    /// The driver is not woken for what is published or requested.
    OutputIsNotTold,
    /// The driver is not woken for what else handles want of it.
    ChangeIsNotTold,
    /// The driver is not woken for a timer that is due before it would look again.
    TimerIsNotTold,
    /// A publisher that writes by itself leaves the rest to a driver that is not woken.
    RestIsNotTold,
    /// A lone request goes out past a driver that sleeps for longer than it may take.
    LoneRequestIsLate,
    /// The driver's sleep is left as it is when it must look again earlier.
    SleepIsNotMoved,
    /// After a sleep the driver waits without having said for what.
    EndOfSleepIsIgnored,
    /// The core is not told that nothing is read.
    PauseIsNotTold,
    /// A subscriber that is behind is waited for as long as it takes.
    MomentIsEndless,
    /// Draining does not wait for subscribers to take what has come.
    DrainIsHasty,
    /// Draining does not wait for subscribers whose subscriptions have ended.
    EndedIsNotAwaited,
    /// The driver is not told that a subscriber has given out everything.
    ConsumedIsNotTold,
    /// A subscriber that holds up the connection does not know of it.
    BlockIsNotNoted,
    /// A subscriber that is gone is waited for.
    AbandonedStillBlocks,
    /// Publishers are not told that the stream takes nothing.
    StuckIsNotTold,
    /// Publishers are not told of room.
    RoomIsNotTold,
    /// A turn is kept for a publisher that does not take it.
    TurnIsNeverOverdue,
    /// A publisher that is polled by another task is not found by its wake.
    PublisherIsNotRenewed,
    /// Who waits for an outcome and is polled by another task is not found by its wake.
    WaiterIsNotRenewed,
    /// The place of a future that waits is given to two others.
    PlaceIsFreedTwice,
    /// The driver neither goes on nor hears of anything when it has something to write.
    SwapIsDeaf,
    /// What a stream does not take at once is lost.
    PartialWriteIsDropped,
    /// What is written is not flushed.
    StreamIsNotFlushed,
    /// What is left of the last connection's input is read before that of the next.
    OldInputIsKept,
    /// Who waits for the first connection is not told of it.
    FirstConnectionIsNotTold,
    /// The last handle ends nothing.
    LastHandleIsSilent,
    /// A subscription whose subscriber is dropped goes on.
    DroppedSubscriberStays,
    /// The driver keeps the mailbox of a subscription that was ended.
    UnsubscribedStays,
    /// A subscription that has ended is not told of it if another has its place.
    ReplacedSubscriberIsForgotten,
    /// A request that is dropped goes on.
    CancelledRequestStays,
    /// A request that is given up is not told of it if another has its place.
    ReplacedRequestIsForgotten,
    /// Requests are not told of the end of the client.
    RequestsOutliveTheEnd,
    /// A subscriber that waits is not registered.
    ReaderIsNotRegistered,
    /// A subscriber that is polled by another task is not found by its wake.
    ReaderIsNotRenewed,
    /// A subscriber that waits is not told of the end.
    EndIsNotTold,
    /// A message that is dropped for a slow subscriber is not counted.
    DroppedIsNotCounted,
    /// A message that is pushed out counts as one that is given out.
    PushedOutIsKept,
    /// The end of a time in which messages are dropped is never told.
    EpisodeNeverEnds,
    /// The end of a time in which messages are dropped is told twice.
    EpisodeEndsTwice,
    /// Messages that were pushed out all at once still take their bytes.
    ClearedBytesStay,
    /// Messages are looked for in the chunks of earlier ones.
    EndsAreNotMoved,
    /// Messages are looked for where they were before they were copied.
    CopyIsMisplaced,
    /// Messages of one chunk are looked for in the one before.
    ChunksAreTakenForOne,
    /// Who waits for notices is not woken.
    NoticeWakesNobody,
    /// A flush says nothing of what was lost before it.
    FlushForgetsTheLast,
    /// A sink says that it is flushed while a message waits for room.
    SinkIsFlushedEarly,
    /// TLS says of a write of which a part was taken that it has failed.
    EncryptedWriteFailsAtOnce,
    /// TLS leaves what it has written to a stream that is not flushed.
    EncryptedIsNotFlushed,
    /// What TLS has read ahead is lost if it is not all taken at once.
    ReadAheadIsLost,
    /// A WebSocket says of a write of which a part was taken that it has failed.
    FrameFailsAtOnce,
    /// A WebSocket does not flush the stream below it.
    FrameIsNotFlushed,
    /// What the stream below a WebSocket does not take at once is lost.
    FrameIsCutShort,
    /// A WebSocket leaves its answers to the next who writes.
    AnswerWaitsForAWriter,
    /// A WebSocket does not flush its answers.
    AnswerIsNotFlushed,
    /// What came together with the answer to the request for a WebSocket is lost.
    BeginningOfFramesIsLost,
    /// What is read past the buffer of a WebSocket is not counted.
    DirectReadIsNotCounted,
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
