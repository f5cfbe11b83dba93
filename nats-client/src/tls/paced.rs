//! The stream below TLS: it reads ahead, and now and then lets others run.

use std::io::{self, IoSlice, Read};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::driver::TURN;

/// Bytes that are kept of what came first: what a server says in a line, and not much of anything else.
const BEGINNING: usize = 128;

/// Bytes that are read at once: two of the largest records. rustls asks for 4 KiB at a time.
const AHEAD: usize = 32 * 1024;

/// The stream below TLS. Reading goes on while there are only records that say nothing to the application: a server may
/// send tickets for later connections as many as it likes, as fast as they are read. The one who polls must still get to
/// look at its clock.
pub(super) struct Paced<S> {
    stream: S,
    /// Bytes since the reader was last told to come back later.
    read: usize,
    beginning: Vec<u8>,
    ahead: Box<[u8]>,
    /// What of it is not given out yet.
    unread: Range<usize>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S) -> Self {
        let ahead = vec![0; AHEAD].into_boxed_slice();
        Self { stream, read: 0, beginning: Vec::new(), ahead, unread: 0..0 }
    }

    /// The first bytes that were read.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    /// Reads once, and says how many bytes of `ahead` are new.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read >= TURN {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut self.ahead);
        self.read = match result {
            Poll::Ready(Ok(count)) => self.read.saturating_add(count),
            _ => 0,
        };
        // A reader that claims more than it was given is broken, but need not break us.
        let count = ready!(result)?.min(self.ahead.len());
        let more = BEGINNING.saturating_sub(self.beginning.len()).min(count);
        self.beginning.extend_from_slice(self.ahead.get(..more).unwrap_or_default());
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.unread.is_empty() {
            this.unread = 0..ready!(this.poll_fill(cx))?;
        }
        let mut unread = this.ahead.get(this.unread.clone()).unwrap_or_default();
        let count = unread.read(buf)?;
        this.unread.start = this.unread.start.saturating_add(count);
        Poll::Ready(Ok(count))
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
