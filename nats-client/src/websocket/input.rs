//! From frames to the bytes in them.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::Inflater;
use super::error::WebSocketError;

/// Bytes of one message at most, on the wire as well as inflated. A server puts everything it has queued for a client
/// into one: 64 MiB at most, unless told otherwise.
pub(super) const MESSAGE_LIMIT: u64 = 128 * 1024 * 1024;

/// Bytes that are read at a time, unless they can go where they belong without being copied.
const BUFFER: usize = 16 * 1024;

/// So much of a payload has to be left for that.
const DIRECT: u64 = 4 * 1024;

/// Bytes of the payload of a control frame, by RFC 6455.
const CONTROL_LIMIT: u64 = 125;

/// What has been read and not yet given out, and what it is a part of.
pub(super) struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    state: State,
    /// The message that has begun and not ended.
    message: Option<Message>,
    inflater: Option<Inflater>,
    limit: u64,
}

enum State {
    /// Before a frame.
    Header,
    /// In a data frame with so many bytes left.
    Data { left: u64, last: bool },
    /// At the end of a compressed message.
    Finish,
    /// In a control frame.
    Control { kind: Control, left: u64, payload: Vec<u8> },
}

#[derive(Clone, Copy)]
struct Message {
    compressed: bool,
    size: u64,
}

/// What there was to be found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes of data have been put out.
    Data(usize),
    /// To be answered with the same payload.
    Ping(Vec<u8>),
    /// The payload of a close frame, which is to be answered.
    Close(Vec<u8>),
    /// The end of a compressed message.
    End,
    /// Nothing without reading more.
    Nothing,
}

impl Input {
    /// `rest` was read together with the handshake.
    pub(super) fn new(rest: &[u8], compression: bool, limit: u64) -> Self {
        let mut buffer = vec![0; BUFFER.max(rest.len())].into_boxed_slice();
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Self {
            buffer,
            start: 0,
            end: rest.len(),
            state: State::Header,
            message: None,
            inflater: compression.then(|| Inflater::new(limit)),
            limit,
        }
    }

    /// Bytes that may be read straight to where [`next`](Self::next) would put them. They are then to be
    /// [`skip`](Self::skip)ped.
    pub(super) fn direct(&self) -> Option<usize> {
        match (&self.state, self.message) {
            (State::Data { left, .. }, Some(Message { compressed: false, .. }))
                if *left >= DIRECT && self.start == self.end =>
            {
                Some(usize::try_from(*left).unwrap_or(usize::MAX))
            }
            _ => None,
        }
    }

    /// Counts bytes that were read past this.
    pub(super) fn skip(&mut self, count: usize) {
        if let State::Data { left, .. } = &mut self.state {
            *left = left.saturating_sub(count as u64);
        }
    }

    /// Where to read to. Never empty after [`next`](Self::next) has found nothing.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were read there.
    pub(super) fn fill(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// Whether the stream may end here.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Header) && self.message.is_none() && self.start == self.end
    }

    /// The next thing there is. Data go to `out`, which is not empty.
    ///
    /// # Errors
    /// The frames break the rules, or the bounds. Nothing more can be found then.
    pub(super) fn next(&mut self, out: &mut [u8]) -> Result<Found, WebSocketError> {
        loop {
            match &mut self.state {
                State::Header => {
                    let Some((header, length)) = self.header()? else {
                        return Ok(Found::Nothing);
                    };
                    self.state = self.begin(&header, length)?;
                }
                State::Data { left: 0, last } => {
                    let compressed = self.message.is_some_and(|message| message.compressed);
                    let last = *last;
                    // What a frame of a message that goes on has given is given out with it: neither the bytes nor that
                    // they are too many waits for the next frame.
                    let inflater = self.inflater.as_mut().filter(|_| compressed && !last);
                    if let Some(inflater) = inflater {
                        let waiting = inflater.inflate(&[], out)?.produced;
                        if waiting > 0 {
                            return Ok(Found::Data(waiting));
                        }
                    }
                    self.state = if last && compressed { State::Finish } else { State::Header };
                    if last && !compressed {
                        self.message = None;
                    }
                }
                State::Data { .. } => match self.data(out)? {
                    (0, 0) => return Ok(Found::Nothing),
                    (_, 0) => {}
                    (_, produced) => return Ok(Found::Data(produced)),
                },
                State::Finish => {
                    let inflater = self.inflater.as_mut().ok_or(WebSocketError::Corrupt)?;
                    match inflater.finish(out)? {
                        0 => {
                            (self.state, self.message) = (State::Header, None);
                            return Ok(Found::End);
                        }
                        produced => return Ok(Found::Data(produced)),
                    }
                }
                State::Control { kind, left, payload } => {
                    let there = self.buffer.get(self.start..self.end).unwrap_or_default();
                    let count = there.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    payload.extend_from_slice(there.get(..count).unwrap_or_default());
                    self.start += count;
                    *left -= count as u64;
                    if *left > 0 {
                        return Ok(Found::Nothing);
                    }
                    let (kind, payload) = (*kind, std::mem::take(payload));
                    self.state = State::Header;
                    match kind {
                        Control::Ping => return Ok(Found::Ping(payload)),
                        Control::Close if payload.len() == 1 => {
                            return Err(WebSocketError::Frame("half a close code"));
                        }
                        Control::Close => return Ok(Found::Close(payload)),
                        _ => {}
                    }
                }
            }
        }
    }

    fn header(&mut self) -> Result<Option<(FrameHeader, u64)>, WebSocketError> {
        let mut cursor = Cursor::new(self.buffer.get(self.start..self.end).unwrap_or_default());
        let header = FrameHeader::parse(&mut cursor)
            .map_err(|_| WebSocketError::Frame("an unknown kind of frame"))?;
        if header.is_some() {
            self.start += usize::try_from(cursor.position()).unwrap_or_default();
        }
        Ok(header)
    }

    /// Checks the header of a frame, and what it means after those before it.
    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<State, WebSocketError> {
        if header.mask.is_some() {
            return Err(WebSocketError::Frame("masked by the server"));
        }
        let compressed = header.rsv1;
        if header.rsv2 || header.rsv3 || (compressed && self.inflater.is_none()) {
            return Err(WebSocketError::Frame("a reserved bit is set"));
        }
        let message = match (header.opcode, self.message) {
            (OpCode::Control(_), _) if !header.is_final || compressed || length > CONTROL_LIMIT => {
                return Err(WebSocketError::Frame(
                    "a control frame in parts, compressed or too long",
                ));
            }
            (OpCode::Control(kind), _) => {
                return Ok(State::Control { kind, left: length, payload: Vec::new() });
            }
            (OpCode::Data(Data::Text), None) => return Err(WebSocketError::Text),
            (OpCode::Data(Data::Binary), None) => Message { compressed, size: 0 },
            (OpCode::Data(Data::Continue), Some(message)) if !compressed => message,
            (OpCode::Data(Data::Continue), _) => {
                return Err(WebSocketError::Frame("a continuation of nothing, or compressed anew"));
            }
            _ => return Err(WebSocketError::Frame("a message within another")),
        };
        let size = message.size.saturating_add(length);
        if size > self.limit {
            return Err(WebSocketError::TooLarge { size, limit: self.limit });
        }
        self.message = Some(Message { size, ..message });
        Ok(State::Data { left: length, last: header.is_final })
    }

    /// Moves what there is of a data frame: bytes consumed, and bytes put out.
    fn data(&mut self, out: &mut [u8]) -> Result<(usize, usize), WebSocketError> {
        let State::Data { left, .. } = &mut self.state else {
            return Ok((0, 0));
        };
        let there = self.buffer.get(self.start..self.end).unwrap_or_default();
        let count = there.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let there = there.get(..count).unwrap_or_default();
        let (consumed, produced) = match &mut self.inflater {
            Some(inflater) if self.message.is_some_and(|message| message.compressed) => {
                let step = inflater.inflate(there, out)?;
                (step.consumed, step.produced)
            }
            _ => {
                let count = count.min(out.len());
                out.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
                (count, count)
            }
        };
        self.start += consumed;
        *left = left.saturating_sub(consumed as u64);
        Ok((consumed, produced))
    }
}
