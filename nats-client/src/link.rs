//! The stream to the server, and writing to it.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use nats_proto::connection::DisconnectReason;
use nats_proto::wire::OutBuf;

use crate::faults::fault;
use crate::tls;

/// Slices of one vectored write. A system takes 1,024; a write that takes more than some dozen is as good as
/// two.
const SLICES: usize = 64;

/// Bytes that are read at most from a stream to which nothing can be written any more: more than the buffers of a socket
/// hold, which is where what the server said before it closed the stream is.
pub(crate) const LAST_WORDS: usize = 8 * 1024 * 1024;

/// The stream of any runtime.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The stream there is, and what is being written to it.
///
/// It belongs to the driver, which locks it for as long as it works with it. A publisher that finds it unlocked and
/// with nothing left to write may write as well, so that the driver need not run for that.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) stream: Option<Box<dyn Stream>>,
    /// What is being written.
    pub(crate) out: OutBuf,
    /// Something is written, and the stream not flushed since.
    unflushed: bool,
    /// A write failed; what the server may have said before is read first.
    pub(crate) broken: Option<DisconnectReason>,
    /// Bytes read since then.
    heard: usize,
    /// Nothing was there to be read since then, the last time.
    silent: bool,
}

impl Link {
    /// Whether all that was handed out is written, to a stream that takes more.
    pub(crate) fn is_idle(&self) -> bool {
        self.stream.is_some() && self.out.is_empty() && !self.unflushed && self.broken.is_none()
    }

    /// Begins with a new stream.
    pub(crate) fn open(&mut self, stream: Box<dyn Stream>) {
        *self = Self { stream: Some(stream), ..Self::default() };
    }

    /// Puts back a stream that was taken out to be encrypted.
    pub(crate) fn resume(&mut self, stream: Box<dyn Stream>) {
        self.stream = Some(stream);
    }

    /// Takes the stream out, to be dropped where no lock is held. What is not written stays.
    pub(crate) fn close(&mut self) -> Option<Box<dyn Stream>> {
        self.unflushed = false;
        self.broken = None;
        self.heard = 0;
        self.silent = false;
        self.stream.take()
    }

    /// Notes that so many bytes were read. Gives why a write has failed, if the server has said all since then that is
    /// waited for: one that can never be answered must not keep the link by talking on.
    pub(crate) fn hear(&mut self, count: usize) -> Option<DisconnectReason> {
        self.broken.as_ref()?;
        self.silent = false;
        self.heard = self.heard.saturating_add(count);
        if self.heard > LAST_WORDS { self.broken.take() } else { None }
    }

    /// Notes that there is nothing to be read. Gives why a write has failed, if that is so for the second time in a row: a
    /// stream may say so once only to let others run.
    pub(crate) fn find_silent(&mut self) -> Option<DisconnectReason> {
        self.broken.as_ref()?;
        if mem::replace(&mut self.silent, true) { self.broken.take() } else { None }
    }

    /// Writes once, notes what is written, and flushes the stream when nothing is left. True if there may be more
    /// to do: the stream took something, or broke.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        if self.broken.is_some() {
            return false;
        }
        match write(&mut **stream, &mut self.out, &mut self.unflushed, cx) {
            Ok(wrote) => wrote,
            Err(error) => {
                self.broken = Some(tls::lost(&error));
                true
            }
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("open", &self.stream.is_some())
            .field("out", &self.out)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Writes once and says whether there was something to write and the stream took some of it.
fn write<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    out: &mut OutBuf,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> io::Result<bool> {
    let mut wrote = false;
    if !out.is_empty() {
        match poll_chunks(stream, out, cx) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(_)) if fault!(PartialWriteIsDropped) => out.advance(out.len()),
            Poll::Ready(Ok(count)) => out.advance(count),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(false),
        }
        wrote = true;
        *unflushed = !fault!(StreamIsNotFlushed);
    }
    if out.is_empty() && *unflushed {
        *unflushed = Pin::new(stream).poll_flush(cx)?.is_pending();
    }
    Ok(wrote)
}

fn poll_chunks<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    out: &OutBuf,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut used = 0;
    for (slice, chunk) in slices.iter_mut().zip(out.chunks()) {
        *slice = IoSlice::new(chunk);
        used += 1;
    }
    match slices.get(..used).unwrap_or_default() {
        [one] => Pin::new(stream).poll_write(cx, one),
        many => Pin::new(stream).poll_write_vectored(cx, many),
    }
}
