//! The named bounds of what a decoder accepts.

use crate::DecodeError;
use crate::faults::fault;

/// Upper bounds on what one operation may cost, checked before anything is reserved or allocated.
///
/// An operation that is larger is a [`DecodeError`](crate::DecodeError) that names the limit. Zero means zero,
/// never "unlimited".
///
/// There may be more of them one day: who wants others begins with the default ones.
///
/// ```
/// use nats_proto::wire::{Limits, ServerDecoder};
///
/// let mut limits = Limits::default();
/// limits.payload = 1024 * 1024;
/// let decoder = ServerDecoder::new(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a control line (everything before CRLF, except INFO and CONNECT). Default: 65,536.
    ///
    /// A `nats-server` accepts 4,096 from clients, of arguments alone, and so does
    /// [`ClientDecoder`](crate::wire::ClientDecoder) count; what it sends is longer where subjects are.
    pub control_line: usize,
    /// Bytes of an INFO or CONNECT line. Default: 1 MiB.
    ///
    /// To a `nats-server`, CONNECT is a control line like any other: who decodes what clients send and wants
    /// to be as strict sets this to the value of [`control_line`](Self::control_line).
    pub info: usize,
    /// Bytes of a header block, with its status line and the blank line. Default: as many as
    /// [`payload`](Self::payload) allows.
    ///
    /// With less, any client that may publish such a block ends the connections of those who get it. There is no need for
    /// that: of a block beyond [`HeaderMap::MAX_BLOCK`](crate::HeaderMap::MAX_BLOCK) nothing is parsed.
    pub header_block: usize,
    /// Bytes of headers and payload together. Default: 64 MiB, as much as a `nats-server` keeps for one client unless it is
    /// set to more (`max_pending`, which bounds its `max_payload`).
    pub payload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_line: 64 * 1024,
            info: 1024 * 1024,
            header_block: usize::MAX,
            payload: 64 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// The same, cut to what a decoder can count: descriptors are 32 bits wide, and the longest operation
    /// has to fit into one.
    pub(super) fn clamped(self) -> Self {
        let bound = (u32::MAX / 4) as usize;
        Self {
            control_line: self.control_line.min(bound),
            info: self.info.min(bound),
            // Within the payload, whatever it is.
            header_block: self.header_block,
            payload: self.payload.min(bound),
        }
    }

    /// Checks the length of a control line, without its line end.
    pub(super) fn check_line(&self, len: usize) -> Result<(), DecodeError> {
        let limit = self.control_line;
        if len > limit && !fault!(EndlessLineIsAwaited) {
            return Err(DecodeError::ControlLineTooLong { limit });
        }
        Ok(())
    }

    /// The same for INFO and CONNECT.
    pub(super) fn check_info(&self, len: usize) -> Result<(), DecodeError> {
        let limit = self.info;
        if len > limit {
            return Err(DecodeError::InfoTooLong { limit });
        }
        Ok(())
    }

    /// Checks the lengths that the line of a message announces.
    pub(super) fn check_lengths(&self, headers: u64, total: u64) -> Result<(), DecodeError> {
        if headers > total {
            return Err(DecodeError::HeaderLongerThanTotal { headers, total });
        }
        if headers > self.header_block as u64 {
            return Err(DecodeError::HeaderBlockTooLong { len: headers, limit: self.header_block });
        }
        if total > self.payload as u64 {
            return Err(DecodeError::PayloadTooLong { len: total, limit: self.payload });
        }
        Ok(())
    }
}
