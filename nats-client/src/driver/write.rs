//! Writing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncWrite;
use nats_proto::wire::OutBuf;

/// Slices of one vectored write. A system takes 1,024; a write that takes more than some dozen is as good as
/// two.
const SLICES: usize = 64;

/// Writes once, notes in `out` what is written, and flushes the stream when nothing is left. Says whether there
/// was something to write and the stream took some of it.
///
/// `unflushed` is for this function alone, to be kept from call to call.
pub(super) fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    out: &mut OutBuf,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> io::Result<bool> {
    let mut wrote = false;
    if !out.is_empty() {
        match poll_chunks(stream, out, cx) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => out.advance(count),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => return Ok(false),
        }
        wrote = true;
        *unflushed = true;
    }
    if out.is_empty() && *unflushed {
        *unflushed = Pin::new(stream).poll_flush(cx)?.is_pending();
    }
    Ok(wrote)
}

fn poll_chunks<S: AsyncWrite + Unpin>(
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
