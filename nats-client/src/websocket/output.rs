//! From bytes to frames.

use std::io::IoSlice;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::Deflater;
use crate::transport::Inflates;

/// Bytes in one frame, and what may lie here, accepted and not written. Every frame is a message of its own, so that
/// compressed ones have no more than the server inflates at once.
pub(super) const FRAME: usize = 64 * 1024;

/// Where a server inflates less than this, nothing is compressed: the headers of so many small frames would be more than is
/// saved.
pub(super) const WORTH_CUTTING: usize = 1024;

/// Shorter ones are not worth compressing; nats-server thinks so, too.
const WORTH_COMPRESSING: usize = 64;

/// Frames on their way out.
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
    compressor: Option<Compressor>,
    /// A control frame that goes out next. A newer PONG takes the place of an older one, as RFC 6455 allows, so a peer
    /// that sends PINGs and reads nothing fills no memory.
    answer: Option<(Control, Vec<u8>)>,
    /// After a close frame nothing follows.
    closed: bool,
}

struct Compressor {
    deflater: Deflater,
    inflates: Inflates,
}

impl Compressor {
    /// Bytes of a frame that is to be compressed; `None` if none is.
    fn most(&self) -> Option<usize> {
        Some(self.inflates.bytes()).filter(|bytes| *bytes >= WORTH_CUTTING)
    }
}

impl Output {
    pub(super) fn new(compression: Option<Inflates>) -> Self {
        let compressor =
            compression.map(|inflates| Compressor { deflater: Deflater::new(), inflates });
        Self { bytes: Vec::new(), written: 0, compressor, answer: None, closed: false }
    }

    /// What is to be written next; empty if nothing is.
    pub(super) fn pending(&mut self) -> &[u8] {
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
            if let Some((kind, payload)) = self.answer.take() {
                self.frame(OpCode::Control(kind), false, payload.len(), |bytes| {
                    bytes.extend_from_slice(&payload);
                });
            }
        }
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// So many bytes of that were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written = self.written.saturating_add(count).min(self.bytes.len());
    }

    /// Makes a frame of the first bytes of `bufs`, of which there is at least one, and says of how many.
    pub(super) fn push(&mut self, bufs: &[IoSlice<'_>]) -> usize {
        let mut compressor = self.compressor.take();
        let most = compressor.as_ref().and_then(Compressor::most);
        let mut left = most.map_or(FRAME, |most| most.min(FRAME));
        let parts = bufs.iter().map(move |buf| {
            let part = buf.get(..left.min(buf.len())).unwrap_or_default();
            left -= part.len();
            part
        });
        let total = parts.clone().map(<[u8]>::len).sum();
        let binary = OpCode::Data(Data::Binary);
        let compressed = compressor
            .as_mut()
            .filter(|_| most.is_some() && total >= WORTH_COMPRESSING)
            .and_then(|compressor| compressor.deflater.deflate(parts.clone()))
            .filter(|compressed| compressed.len() < total);
        match compressed {
            Some(small) => {
                self.frame(binary, true, small.len(), |bytes| bytes.extend_from_slice(small));
            }
            None => self.frame(binary, false, total, |bytes| {
                parts.for_each(|part| bytes.extend_from_slice(part));
            }),
        }
        self.compressor = compressor;
        total
    }

    /// Answers a PING.
    pub(super) fn pong(&mut self, payload: Vec<u8>) {
        if !self.closed {
            self.answer = Some((Control::Pong, payload));
        }
    }

    /// Says good-bye; nothing can be pushed any more.
    pub(super) fn close(&mut self, payload: Vec<u8>) {
        if !std::mem::replace(&mut self.closed, true) {
            self.answer = Some((Control::Close, payload));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn frame(&mut self, opcode: OpCode, rsv1: bool, len: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        // Unpredictable, so that nobody who chooses payloads can choose what proxies see.
        let mask: [u8; 4] = rand::random();
        let header = FrameHeader {
            is_final: true,
            rsv1,
            opcode,
            mask: Some(mask),
            ..FrameHeader::default()
        };
        header.format(len as u64, &mut self.bytes).expect("writing to a Vec cannot fail");
        let begin = self.bytes.len();
        fill(&mut self.bytes);
        apply_mask(self.bytes.get_mut(begin..).unwrap_or_default(), mask);
    }
}

/// Eight bytes at a time, which compilers make more of.
pub(super) fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}
