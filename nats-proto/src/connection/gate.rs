//! The short way for publishes.

/// What all checks of a publish came to the last time, so that the next need not make them again.
///
/// Opened by a publish that went the long way on a link that is up, closed by everything that may change what
/// the checks would say. Closed, it lets nothing through, which costs time and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    /// Bytes that the outgoing buffer takes before its limit has to be looked at.
    room: usize,
    /// The largest payload, with headers.
    max_payload: usize,
    /// Whether the server takes headers.
    headers: bool,
}

impl Gate {
    /// The most bytes that are let through in one go: from time to time a publish is to go the long way, for
    /// those who want to do something then.
    const MOST: usize = 64 * 1024;

    pub(super) fn open(room: usize, max_payload: usize, headers: bool) -> Self {
        Self { room: room.min(Self::MOST), max_payload, headers }
    }

    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Whether a frame with headers may come.
    #[inline]
    pub(super) fn takes_headers(self) -> bool {
        self.headers
    }

    /// Lets a frame of at most `frame` bytes with `payload` bytes of payload, and headers, through, if it is sure to fit.
    #[inline]
    pub(super) fn pass(&mut self, frame: usize, payload: usize) -> bool {
        match self.room.checked_sub(frame) {
            Some(left) if payload <= self.max_payload => {
                self.room = left;
                true
            }
            _ => false,
        }
    }
}
