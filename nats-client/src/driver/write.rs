//! Writing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use nats_proto::wire::OutBuf;

/// Slices of one vectored write. A system takes 1,024; a write that takes more than some dozen is as good as
/// two.
const SLICES: usize = 64;

/// Writes once, and notes in `out` what is written.
pub(super) fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    out: &mut OutBuf,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut used = 0;
    for (slice, chunk) in slices.iter_mut().zip(out.chunks()) {
        *slice = IoSlice::new(chunk);
        used += 1;
    }
    let slices = slices.get(..used).unwrap_or_default();
    let written = match slices {
        [one] => Pin::new(stream).poll_write(cx, one),
        many => Pin::new(stream).poll_write_vectored(cx, many),
    };
    match ready!(written)? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        count => {
            out.advance(count);
            Poll::Ready(Ok(()))
        }
    }
}
