//! What the decoders of both directions share: the walk over the input, and where to go on after a pause.

use alloc::vec::Vec;
use core::marker::PhantomData;

use bytes::{Bytes, BytesMut};

use super::args::{Head, Text, snippet};
use super::{Limits, MessageFrame, canonical};
use crate::DecodeError;

/// One direction of the protocol.
pub(super) trait Direction {
    /// The operations that are a line and nothing else.
    type Kind: Copy + 'static;
    /// A whole operation.
    type Op;

    /// The name of a message without headers, and a space.
    const PLAIN: &'static [u8; 4];
    /// The name of a message with headers, and a space.
    const WITH_HEADERS: &'static [u8; 5];
    /// Whether messages name a subscription.
    const SID: bool;
    /// The names of all operations. None is the beginning of another.
    const NAMES: &'static [Name<Self::Kind>];

    /// Whether [`Limits::info`] bounds the line, instead of [`Limits::control_line`].
    fn is_info(kind: Self::Kind) -> bool;

    /// How many bytes of a line, which begins with a name of so many bytes, count for its limit.
    fn counted(line: &[u8], name: usize) -> usize;

    /// The operation that consists of this line.
    fn line(kind: Self::Kind, text: Text<'_>) -> Result<Self::Op, DecodeError>;

    /// The operation that carries this message.
    fn message(frame: MessageFrame) -> Self::Op;
}

/// The name of an operation.
pub(super) struct Name<K> {
    /// In upper case; any case is accepted.
    pub(super) text: &'static str,
    pub(super) shape: Shape<K>,
    /// Whether a space or tab must follow: asked for where the server asks for it, and only there.
    pub(super) separated: bool,
}

/// What an operation looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<K> {
    /// A line.
    Line(K),
    /// A line and a payload, perhaps with headers.
    Message { headers: bool },
}

/// Where the walk stands at the front of the input.
#[derive(Clone, Debug)]
enum State {
    /// In a line of which `seen` bytes were looked at and have no line end.
    Line { seen: usize },
    /// In the payload of `frame`, which ends at `end`.
    Payload { frame: MessageFrame, end: usize },
    /// At a violation.
    Failed(DecodeError),
}

/// A decoder of one direction.
#[derive(Clone, Debug)]
pub(super) struct Machine<D> {
    limits: Limits,
    state: State,
    direction: PhantomData<D>,
}

impl<D: Direction> Machine<D> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits: limits.clamped(), state: State::Line { seen: 0 }, direction: PhantomData }
    }

    /// Moves every whole operation at the front of `input` to `chunk` and `items`, which are empty.
    pub(super) fn decode(
        &mut self,
        input: &mut BytesMut,
        chunk: &mut Bytes,
        items: &mut Vec<D::Op>,
    ) -> Result<(), DecodeError> {
        let mut consumed = 0;
        let result = self.walk(input, &mut consumed, items);
        if consumed > 0 {
            *chunk = input.split_to(consumed).freeze();
        }
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    pub(super) fn wanted(&self) -> usize {
        match &self.state {
            State::Line { seen: 0 } | State::Failed(_) => 0,
            State::Line { seen } => seen.saturating_add(1),
            State::Payload { end, .. } => end.saturating_add(2),
        }
    }

    fn walk(
        &mut self,
        input: &[u8],
        consumed: &mut usize,
        items: &mut Vec<D::Op>,
    ) -> Result<(), DecodeError> {
        // What lies beyond the reach of a span waits for the next call.
        let input = input.get(..u32::MAX as usize).unwrap_or(input);
        let mut at = 0;
        let mut seen = 0;
        match &self.state {
            State::Failed(error) => return Err(error.clone()),
            State::Payload { frame, end } => {
                let (frame, end) = (*frame, *end);
                if !payload_is_whole(input, end)? {
                    return Ok(());
                }
                items.push(D::message(frame));
                at = end.wrapping_add(2);
                *consumed = at;
                self.state = State::Line { seen: 0 };
            }
            State::Line { seen: before } => seen = *before,
        }
        loop {
            // A line that has kept us waiting is not read again until its end is there.
            if seen == 0 {
                at = canonical::run::<D>(input, at, &self.limits, items);
                *consumed = at;
            }
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let Some(line) = self.line(rest, at, seen)? else {
                self.state = State::Line { seen: rest.len() };
                return Ok(());
            };
            seen = 0;
            match line {
                Line::Op { op, next } => {
                    items.push(op);
                    at = next;
                }
                Line::Message { head, next } => {
                    let (frame, end) = head.frame(next, &self.limits)?;
                    if !payload_is_whole(input, end)? {
                        self.state = State::Payload {
                            frame: rebased(frame, at as u32),
                            end: end.wrapping_sub(at),
                        };
                        return Ok(());
                    }
                    items.push(D::message(frame));
                    at = end.wrapping_add(2);
                }
            }
            *consumed = at;
        }
        self.state = State::Line { seen: 0 };
        Ok(())
    }

    /// The line at the front of `rest`, in any form; `None` if its end is not there.
    /// `rest` begins at `at`, and its first `seen` bytes have no line end.
    fn line(
        &self,
        rest: &[u8],
        at: usize,
        seen: usize,
    ) -> Result<Option<Line<D::Op>>, DecodeError> {
        let Some(name) = name::<D>(rest)? else {
            return Ok(None);
        };
        let unseen = rest.get(seen..).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', unseen).map(|found| seen.wrapping_add(found));
        // A CR before the line end belongs to it; one at the end of an incomplete line may turn out to.
        let line = rest.get(..line_end.unwrap_or(rest.len())).unwrap_or(rest);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let counted = D::counted(line, name.text.len());
        match name.shape {
            Shape::Line(kind) if D::is_info(kind) => self.limits.check_info(counted)?,
            _ => self.limits.check_line(counted)?,
        }
        let Some(line_end) = line_end else {
            return Ok(None);
        };
        let text = Text {
            bytes: line.get(name.text.len()..).unwrap_or_default(),
            at: at.wrapping_add(name.text.len()),
        };
        let next = at.wrapping_add(line_end).wrapping_add(1);
        Ok(Some(match name.shape {
            Shape::Line(kind) => Line::Op { op: D::line(kind, text)?, next },
            Shape::Message { headers } => {
                Line::Message { head: Head::parse(text, name.text, D::SID, headers)?, next }
            }
        }))
    }
}

/// A whole line. The next byte behind it is at `next`.
enum Line<Op> {
    /// It is an operation.
    Op { op: Op, next: usize },
    /// A payload follows.
    Message { head: Head, next: usize },
}

/// Whether the payload that ends at `end` is there, with the CRLF behind it.
fn payload_is_whole(input: &[u8], end: usize) -> Result<bool, DecodeError> {
    match input.get(end..) {
        Some([b'\r', b'\n', ..]) => Ok(true),
        None | Some([] | [b'\r']) => Ok(false),
        Some(_) => Err(DecodeError::MissingPayloadEnd),
    }
}

/// The frame as seen from a chunk that begins `by` bytes later.
fn rebased(mut frame: MessageFrame, by: u32) -> MessageFrame {
    for span in [&mut frame.subject, &mut frame.reply, &mut frame.headers, &mut frame.payload] {
        if !span.is_empty() {
            span.start = span.start.wrapping_sub(by);
        }
    }
    frame
}

/// The name of the operation at the front of `rest`; `None` if it is incomplete.
///
/// The error holds the line up to the first byte that fits no name: so much of it is there however the
/// input is split.
fn name<D: Direction>(rest: &[u8]) -> Result<Option<&'static Name<D::Kind>>, DecodeError> {
    let mut longest = 0;
    for name in D::NAMES {
        let common = rest
            .iter()
            .zip(name.text.as_bytes())
            .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
            .count();
        longest = longest.max(common);
        if common == name.text.len() {
            match rest.get(common) {
                Some(b' ' | b'\t') => return Ok(Some(name)),
                None if name.separated => return Ok(None),
                Some(_) if name.separated => break,
                _ => return Ok(Some(name)),
            }
        }
    }
    if longest == rest.len() {
        return Ok(None);
    }
    let known = rest.get(..longest.saturating_add(1)).unwrap_or(rest);
    Err(DecodeError::UnknownOperation(snippet(known)))
}
