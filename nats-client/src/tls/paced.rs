//! A stream that now and then lets others run, below one who reads until it has found something.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::driver::TURN;

/// Bytes that are kept of what came first: what a server says in a line, and not much of anything else.
const BEGINNING: usize = 128;

/// The stream below TLS. Reading goes on while there are only records that say nothing to the application: a server may
/// send tickets for later connections as many as it likes, as fast as they are read. The one who polls must still get to
/// look at its clock.
pub(super) struct Paced<S> {
    stream: S,
    /// Bytes since the reader was last told to come back later.
    read: usize,
    beginning: Vec<u8>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: 0, beginning: Vec::new() }
    }

    /// The first bytes that were read.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.read >= TURN {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(count)) => {
                self.read = self.read.saturating_add(count);
                let more = BEGINNING.saturating_sub(self.beginning.len()).min(count);
                self.beginning.extend_from_slice(buf.get(..more).unwrap_or_default());
                Poll::Ready(Ok(count))
            }
            other => {
                self.read = 0;
                other
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
