//! permessage-deflate (RFC 7692), as nats-server does it: no message refers to an earlier one.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::WebSocketError;

/// What ends every compressed message and is left out on the wire.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Room that is made for compressed bytes at a time.
const STEP: usize = 4096;

/// Inflates messages piece by piece, so that nothing is ever kept but the window.
#[derive(Debug)]
pub(super) struct Inflater {
    inner: Decompress,
    /// Bytes of the tail of this message that have been read.
    tail: usize,
    /// Bytes that this message has given.
    size: u64,
    limit: u64,
}

/// What one step of inflating did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inflated {
    pub(super) consumed: usize,
    pub(super) produced: usize,
}

impl Inflater {
    /// An inflater of messages of up to `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self { inner: Decompress::new(false), tail: 0, size: 0, limit }
    }

    /// Goes on with a message. If nothing was consumed or produced, it needs more input.
    ///
    /// # Errors
    /// The message is corrupt, or larger than the limit. What is beyond the limit is not inflated.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<Inflated, WebSocketError> {
        let allowed = self.limit.saturating_sub(self.size);
        if allowed == 0 {
            return self.probe(input);
        }
        let room = usize::try_from(allowed).unwrap_or(usize::MAX).min(out.len());
        let out = out.get_mut(..room).unwrap_or_default();
        let step = self.step(input, out)?;
        self.size = self.size.saturating_add(step.produced as u64);
        Ok(step)
    }

    /// Ends a message whose bytes are all consumed. Gives the bytes produced; zero when it has ended.
    ///
    /// # Errors
    /// As [`inflate`](Self::inflate).
    pub(super) fn finish(&mut self, out: &mut [u8]) -> Result<usize, WebSocketError> {
        loop {
            let left = TAIL.get(self.tail..).unwrap_or_default();
            let step = self.inflate(left, out)?;
            self.tail = self.tail.saturating_add(step.consumed);
            if step.produced > 0 {
                return Ok(step.produced);
            }
            if step.consumed == 0 {
                self.inner.reset(false);
                (self.tail, self.size) = (0, 0);
                return Ok(0);
            }
        }
    }

    /// As much was given as may be: a single byte more is too much, its end is not.
    fn probe(&mut self, input: &[u8]) -> Result<Inflated, WebSocketError> {
        let step = self.step(input, &mut [0])?;
        if step.produced > 0 {
            let size = self.limit.saturating_add(1);
            return Err(WebSocketError::TooLarge { size, limit: self.limit });
        }
        Ok(step)
    }

    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Inflated, WebSocketError> {
        let (total_in, total_out) = (self.inner.total_in(), self.inner.total_out());
        let status = self
            .inner
            .decompress(input, out, FlushDecompress::None)
            .map_err(|_| WebSocketError::Corrupt)?;
        // Both are at most the lengths of the slices.
        let consumed = self.inner.total_in().saturating_sub(total_in) as usize;
        let produced = self.inner.total_out().saturating_sub(total_out) as usize;
        if status == Status::StreamEnd {
            // A block may say that it is the last one, and others follow all the same.
            self.inner.reset(false);
        }
        if consumed == 0 && produced == 0 && !input.is_empty() {
            return Err(WebSocketError::Corrupt);
        }
        Ok(Inflated { consumed, produced })
    }
}

/// Compresses messages.
#[derive(Debug)]
pub(super) struct Deflater {
    inner: Compress,
    out: Vec<u8>,
}

impl Deflater {
    pub(super) fn new() -> Self {
        Self { inner: Compress::new(Compression::fast(), false), out: Vec::new() }
    }

    /// A message made of these parts, compressed and without its tail.
    pub(super) fn deflate<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> Option<&[u8]> {
        self.inner.reset();
        self.out.clear();
        for part in parts {
            self.push(part, FlushCompress::None)?;
        }
        self.push(&[], FlushCompress::Sync)?;
        self.out.strip_suffix(&TAIL)
    }

    fn push(&mut self, mut part: &[u8], flush: FlushCompress) -> Option<()> {
        loop {
            self.out.reserve(STEP);
            let before = self.inner.total_in();
            self.inner.compress_vec(part, &mut self.out, flush).ok()?;
            let consumed = self.inner.total_in().saturating_sub(before) as usize;
            part = part.get(consumed..)?;
            // With room left there is nothing more to come.
            if part.is_empty() && self.out.len() < self.out.capacity() {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(
        inflater: &mut Inflater,
        mut input: &[u8],
        step: usize,
    ) -> Result<Vec<u8>, WebSocketError> {
        let mut all = Vec::new();
        let mut out = vec![0; step];
        while !input.is_empty() {
            let end = input.len().min(step);
            let done = inflater.inflate(&input[..end], &mut out)?;
            all.extend_from_slice(&out[..done.produced]);
            input = &input[done.consumed..];
        }
        loop {
            match inflater.finish(&mut out)? {
                0 => return Ok(all),
                count => all.extend_from_slice(&out[..count]),
            }
        }
    }

    #[test]
    fn messages_come_back_whatever_the_size_of_the_steps() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let mut deflater = Deflater::new();
        for step in [1, 7, 1000, 1_000_000] {
            let mut inflater = Inflater::new(1 << 20);
            for message in [&text[..], b"", b"x", &text[..1000]] {
                let small = deflater.deflate(message.chunks(77)).unwrap().to_vec();
                assert_eq!(inflate(&mut inflater, &small, step).unwrap(), message);
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc_inflate() {
        let examples: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            // Stored, not compressed.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // A block that calls itself the last one.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // Two blocks.
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for step in [1, 3, 100] {
            let mut inflater = Inflater::new(100);
            for example in examples {
                assert_eq!(inflate(&mut inflater, example, step).unwrap(), b"Hello");
            }
        }
    }

    #[test]
    fn the_limit_is_exact_and_nothing_beyond_it_is_inflated() {
        let mut deflater = Deflater::new();
        let bomb = deflater.deflate([&vec![0; 1001][..]].into_iter()).unwrap().to_vec();
        for step in [1, 100, 5000] {
            let mut fits = Inflater::new(1001);
            assert_eq!(inflate(&mut fits, &bomb, step).unwrap().len(), 1001);
            let mut tight = Inflater::new(1000);
            let error = inflate(&mut tight, &bomb, step).unwrap_err();
            assert_eq!(error, WebSocketError::TooLarge { size: 1001, limit: 1000 });
            assert_eq!(tight.size, 1000);
        }
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        let mut state = 1_u32;
        for _ in 0..2000 {
            let garbage: Vec<u8> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            // An error or nonsense, but an end.
            let _ = inflate(&mut Inflater::new(10_000), &garbage, 13);
        }
        // A block of type 3 does not exist.
        assert_eq!(inflate(&mut Inflater::new(9), &[0x07], 9), Err(WebSocketError::Corrupt));
    }
}
