//! Descriptors of messages, and which messages are copied.
//!
//! Whoever keeps a small message for long must not keep the whole read buffer that it came in. So small ones are
//! copied, and share their memory with a few neighbours; large ones are a part worth keeping the buffer for.

use nats_proto::wire::{MessageFrame, ServerOp, Span};

/// Messages up to this size, in bytes, are copied.
pub(crate) const COPIED: usize = 512;

/// Bytes that copied messages share one allocation for.
pub(crate) const PAGE: usize = 4 * 1024;

/// The message that is one of a run, which has nothing but messages.
#[inline]
pub(crate) fn frame(op: &ServerOp) -> &MessageFrame {
    const NONE: &MessageFrame = &MessageFrame {
        sid: 0,
        subject: Span { start: 0, len: 0 },
        reply: Span { start: 0, len: 0 },
        headers: Span { start: 0, len: 0 },
        payload: Span { start: 0, len: 0 },
    };
    match op {
        ServerOp::Message(frame) => frame,
        _ => NONE,
    }
}

fn spans(frame: &MessageFrame) -> [Span; 4] {
    [frame.subject, frame.reply, frame.headers, frame.payload]
}

/// What the messages of a run count for in the limit of bytes.
pub(crate) fn cost_of(run: &[ServerOp]) -> usize {
    run.iter().fold(0, |sum, op| sum.saturating_add(cost(frame(op))))
}

/// What a message counts for in the limit of bytes.
#[inline]
pub(crate) fn cost(frame: &MessageFrame) -> usize {
    spans(frame).iter().fold(0, |sum, span| sum.saturating_add(span.len as usize))
}

/// Where the messages from `first` to `last` begin and end in their chunk: a message begins with its subject. Where an empty
/// span is means nothing.
#[inline]
pub(crate) fn extent(first: &MessageFrame, last: &MessageFrame) -> (usize, usize) {
    let end = |span: Span| match span.len {
        0 => 0,
        len => (span.start as usize).saturating_add(len as usize),
    };
    let end = spans(last).into_iter().map(end).fold(0, usize::max);
    ((first.subject.start as usize).min(end), end)
}

/// The same message where what was at `from` is at `to`.
#[inline]
pub(crate) fn moved(frame: &MessageFrame, from: usize, to: usize) -> MessageFrame {
    let moved = |span: Span| Span {
        start: (span.start as usize).saturating_sub(from).saturating_add(to) as u32,
        len: span.len,
    };
    MessageFrame {
        sid: frame.sid,
        subject: moved(frame.subject),
        reply: moved(frame.reply),
        headers: moved(frame.headers),
        payload: moved(frame.payload),
    }
}

/// The same message at the end of `copy`, without what its line has beside its texts.
pub(crate) fn copied(frame: &MessageFrame, chunk: &[u8], copy: &mut Vec<u8>) -> MessageFrame {
    let mut part = |span: Span| {
        let start = copy.len() as u32;
        copy.extend_from_slice(span.of(chunk));
        Span { start, len: span.len }
    };
    // In their order in a message.
    MessageFrame {
        sid: frame.sid,
        subject: part(frame.subject),
        reply: part(frame.reply),
        headers: part(frame.headers),
        payload: part(frame.payload),
    }
}
