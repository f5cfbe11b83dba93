//! The stream below TLS: it reads ahead, now and then lets others run, and tells of what fails when that can be told.

use std::io::{self, IoSlice, Read};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::driver::TURN;
use crate::faults::fault;

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
    /// Why a write has failed. Nothing is written from then on.
    failed: Option<io::Error>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S) -> Self {
        let ahead = vec![0; AHEAD].into_boxed_slice();
        Self { stream, read: 0, beginning: Vec::new(), ahead, unread: 0..0, failed: None }
    }

    /// The first bytes that were read.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// Why nothing can be written any more, if that is so.
    fn failure(&mut self) -> io::Result<()> {
        let Some(error) = self.failed.take() else { return Ok(()) };
        self.failed = Some(error.kind().into());
        Err(error)
    }

    /// Writes by `write`, and leaves it to the next call to say that this has failed.
    ///
    /// Whoever writes to rustls is told either how much it has taken, or of an error. Were the error told at once, all that it
    /// has taken would count as not written, though a part is with the server, which would get that again over the next link.
    fn poll_by(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>>
    where
        S: Unpin,
    {
        self.failure()?;
        let error = loop {
            match ready!(write(Pin::new(&mut self.stream), cx)) {
                // To rustls, that is no end.
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if fault!(EncryptedWriteFailsAtOnce) => return Poll::Ready(Err(error)),
                Err(error) => break error,
            }
        };
        self.failed = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
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
        let taken = if fault!(ReadAheadIsLost) { AHEAD } else { count };
        this.unread.start = this.unread.start.saturating_add(taken).min(this.unread.end);
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_by(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_by(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.failure()?;
        if fault!(EncryptedIsNotFlushed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
