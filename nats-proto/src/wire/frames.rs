//! Finds the frames in outgoing bytes again.

use core::ops::Range;

use super::args::number;
use super::out_buf::Segment;

/// The start of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// Offset in the flat bytes.
    pub(super) flat: usize,
    /// Number of segments before it.
    pub(super) segment: usize,
    /// Bytes before it, with those of segments.
    pub(super) logical: usize,
}

/// One frame of a client.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) start: Mark,
    pub(super) end: Mark,
    /// What the frame publishes, if it is PUB or HPUB.
    pub(super) publish: Option<Publish>,
}

/// A PUB or HPUB.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    /// Bytes of headers and payload.
    pub(super) size: usize,
    pub(super) has_headers: bool,
    /// The control line and the header block, in the flat bytes. If the payload is a segment, CRLF follows.
    pub(super) head: Range<usize>,
    /// Whether the payload is the segment at `start.segment`.
    pub(super) segmented: bool,
}

impl Publish {
    /// Where an answer is expected, if one is. `flat` has the frame.
    pub(super) fn reply<'a>(&self, flat: &'a [u8]) -> Option<&'a [u8]> {
        let head = flat.get(self.head.clone())?;
        let line = head.get(..memchr::memchr(b'\r', head)?)?;
        // From its end: one length or two, perhaps a reply subject, the subject, the operation.
        let mut words = line.rsplit(|byte| *byte == b' ');
        words.nth(usize::from(self.has_headers))?;
        let reply = words.next()?;
        words.nth(1).map(|_operation| reply)
    }
}

impl Frame {
    /// Bytes of the frame.
    pub(super) fn len(&self) -> usize {
        self.end.logical.saturating_sub(self.start.logical)
    }
}

/// Walks over the frames from `at`, as long as they are whole and well formed.
#[derive(Clone, Debug)]
pub(super) struct Frames<'a> {
    flat: &'a [u8],
    segments: &'a [Segment],
    at: Mark,
}

impl<'a> Frames<'a> {
    pub(super) fn new(flat: &'a [u8], segments: &'a [Segment], at: Mark) -> Self {
        Self { flat, segments, at }
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let start = self.at;
        let rest = self.flat.get(start.flat..)?;
        let line = rest.get(..memchr::memchr(b'\n', rest)?)?;
        let mut end = start;
        end.flat = start.flat.checked_add(line.len())?.checked_add(1)?;

        let has_headers = line.starts_with(b"HPUB ");
        let publish = if has_headers || line.starts_with(b"PUB ") {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut numbers = line.rsplit(|byte| *byte == b' ');
            let size = usize::try_from(number(numbers.next()?)?).ok()?;
            let headers = match has_headers {
                true => usize::try_from(number(numbers.next()?)?).ok()?,
                false => 0,
            };
            let payload = size.checked_sub(headers)?;
            let head = start.flat..end.flat.checked_add(headers)?;
            end.flat = head.end;
            // Another frame's segment lies further on: behind that frame's control line at least.
            let segment = self.segments.get(start.segment);
            let segmented = segment.is_some_and(|s| s.at == head.end && s.bytes.len() == payload);
            if segmented {
                end.segment = start.segment.checked_add(1)?;
                end.logical = end.logical.checked_add(payload)?;
            } else {
                end.flat = end.flat.checked_add(payload)?;
            }
            end.flat = end.flat.checked_add(2)?;
            Some(Publish { size, has_headers, head, segmented })
        } else {
            None
        };
        if end.flat > self.flat.len() {
            return None;
        }
        let flat = end.flat.checked_sub(start.flat)?;
        end.logical = end.logical.checked_add(flat)?;
        self.at = end;
        Some(Frame { start, end, publish })
    }
}
