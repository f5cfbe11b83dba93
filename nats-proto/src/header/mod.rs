//! Headers of messages (ADR-4), and the block they are encoded in.
//!
//! ```text
//! NATS/1.0[ status[ description]]
//! name: value
//! ...
//!
//! ```

mod builder;
mod entries;
mod json;
mod map;
mod name;
mod parse;
mod value;

pub use map::{GetAll, HeaderError, HeaderMap, Iter};
pub use name::{HeaderName, IntoHeaderName, ParseHeaderNameError};
pub(crate) use parse::status;
pub use parse::{ParseHeadersError, ParsedHeaders};
pub use value::{HeaderValue, IntoHeaderValue, ParseHeaderValueError};

/// What every block begins with.
const VERSION: &str = "NATS/1.0";

/// The first line of a block without a status.
const VERSION_LINE: &[u8] = b"NATS/1.0\r\n";

macro_rules! standard_headers {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)+) => {
        $(
            $(#[$doc])*
            pub const $constant: HeaderName = HeaderName::from_static($name);
        )+
    };
}

standard_headers! {
    /// The stream that a message comes from.
    NATS_STREAM = "Nats-Stream";
    /// The sequence number of a message in its stream.
    NATS_SEQUENCE = "Nats-Sequence";
    /// When a message was stored.
    NATS_TIME_STAMP = "Nats-Time-Stamp";
    /// The subject that a message had when it was stored, or that nobody listens to (with status 503).
    NATS_SUBJECT = "Nats-Subject";
    /// The id by which a stream recognises a message that is published twice.
    NATS_MESSAGE_ID = "Nats-Msg-Id";
    /// The last stream that a message was in.
    NATS_LAST_STREAM = "Nats-Last-Stream";
    /// The last message that a consumer has delivered, by the consumer's count.
    NATS_LAST_CONSUMER = "Nats-Last-Consumer";
    /// The sequence number before that of this message.
    NATS_LAST_SEQUENCE = "Nats-Last-Sequence";
    /// Publish only if this is the last sequence number of the subject.
    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence";
    /// Publish only if this is the id of the last message in the stream.
    NATS_EXPECTED_LAST_MESSAGE_ID = "Nats-Expected-Last-Msg-Id";
    /// Publish only if this is the last sequence number of the stream.
    NATS_EXPECTED_LAST_SEQUENCE = "Nats-Expected-Last-Sequence";
    /// Publish only into this stream.
    NATS_EXPECTED_STREAM = "Nats-Expected-Stream";
    /// How long a single message is kept.
    NATS_MESSAGE_TTL = "Nats-TTL";
    /// Why a delete marker was placed.
    NATS_MARKER_REASON = "Nats-Marker-Reason";
    /// Replaces earlier messages of the subject (`sub`) or of the stream (`all`).
    NATS_ROLLUP = "Nats-Rollup";
    /// When a scheduled message is to be published (ADR-51).
    NATS_SCHEDULE = "Nats-Schedule";
    /// The subject that a schedule publishes to.
    NATS_SCHEDULE_TARGET = "Nats-Schedule-Target";
    /// How long the messages of a schedule are kept.
    NATS_SCHEDULE_TTL = "Nats-Schedule-TTL";
    /// The subject whose last message a schedule publishes.
    NATS_SCHEDULE_SOURCE = "Nats-Schedule-Source";
    /// The time zone of a schedule, by its IANA name.
    NATS_SCHEDULE_TIME_ZONE = "Nats-Schedule-Time-Zone";
    /// Makes the messages of a schedule replace earlier ones; see [`NATS_SCHEDULE_ROLLUP_SUB`].
    NATS_SCHEDULE_ROLLUP = "Nats-Schedule-Rollup";
    /// In messages of a schedule: the subject of the schedule.
    NATS_SCHEDULER = "Nats-Scheduler";
    /// In messages of a schedule: when the next one comes, or `purge` if none does.
    NATS_SCHEDULE_NEXT = "Nats-Schedule-Next";
    /// The id of an atomic batch, of at most 64 characters.
    NATS_BATCH_ID = "Nats-Batch-Id";
    /// The place of a message in its atomic batch.
    NATS_BATCH_SEQUENCE = "Nats-Batch-Sequence";
    /// Ends an atomic batch; see [`NATS_BATCH_COMMIT_FINAL`] and [`NATS_BATCH_COMMIT_EOB`].
    NATS_BATCH_COMMIT = "Nats-Batch-Commit";
    /// The level of the JetStream API that the server must have to accept the message.
    NATS_REQUIRED_API_LEVEL = "Nats-Required-Api-Level";
    /// The client that a consumer with a pinned client delivers to.
    NATS_PIN_ID = "Nats-Pin-Id";
    /// The subject to which servers from 2.11 on tell the way of this message (ADR-41): JSON, one message a server.
    NATS_TRACE_DEST = "Nats-Trace-Dest";
    /// With `true`, and [`NATS_TRACE_DEST`]: the message is traced to those who would get it, and not delivered.
    NATS_TRACE_ONLY = "Nats-Trace-Only";
    /// In the traces of other servers than the first: the number of the hop on which the message came to them.
    NATS_TRACE_HOP = "Nats-Trace-Hop";
}

/// A value of [`NATS_BATCH_COMMIT`]: commit, and store this message as well.
pub const NATS_BATCH_COMMIT_FINAL: &str = "1";
/// A value of [`NATS_BATCH_COMMIT`]: commit without storing this message.
pub const NATS_BATCH_COMMIT_EOB: &str = "eob";
/// The value of [`NATS_SCHEDULE_ROLLUP`].
pub const NATS_SCHEDULE_ROLLUP_SUB: &str = "sub";
/// A value of [`NATS_SCHEDULE`]: each 1 January at midnight.
pub const NATS_SCHEDULE_YEARLY: &str = "@yearly";
/// A value of [`NATS_SCHEDULE`]: the first day of each month at midnight.
pub const NATS_SCHEDULE_MONTHLY: &str = "@monthly";
/// A value of [`NATS_SCHEDULE`]: each night from Saturday to Sunday at midnight.
pub const NATS_SCHEDULE_WEEKLY: &str = "@weekly";
/// A value of [`NATS_SCHEDULE`]: each day at midnight.
pub const NATS_SCHEDULE_DAILY: &str = "@daily";
/// A value of [`NATS_SCHEDULE`]: at the start of each hour.
pub const NATS_SCHEDULE_HOURLY: &str = "@hourly";
