//! A stream of bytes through a WebSocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::error::WebSocketError;
use super::input::{Found, Input, MESSAGE_LIMIT};
use super::output::Output;
use crate::faults::fault;
use crate::transport::Inflates;

/// Bytes that are read in vain before other tasks get their turn, and the one who reads may look at its clock: a server can
/// send PINGs, and frames with nothing in them, as fast as they are read.
const IN_VAIN: usize = 64 * 1024;

/// What the end of a compressed message counts for, as it costs about as much as so many bytes: the window is cleared.
const END_OF_MESSAGE: usize = 256;

/// The bytes that go through a WebSocket, as a stream; where frames begin and end means nothing.
///
/// Reading and writing may go on in different tasks: writing never reads from the stream below, so that the one who
/// reads stays the one who is woken for that. Reading does write, to answer PINGs; who writes finds what could not be
/// written and goes on with it. What was accepted for writing may still lie here, one frame at most, until a flush.
pub(crate) struct WebSocket<S> {
    stream: S,
    input: Input,
    output: Output,
    /// An answer waits for being written, or for a flush, which nobody else may ask for.
    answering: bool,
    /// Nothing more is read.
    end: Option<End>,
}

#[derive(Clone, Debug)]
enum End {
    /// The server said good-bye, and not why.
    Closed,
    Failed(WebSocketError),
}

/// Where the bytes of one read are.
enum Filled {
    /// Where the caller wants them.
    Out(usize),
    /// In the input, where they are yet to be looked at.
    In(usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Goes on after the handshake; `rest` is what was read behind it.
    ///
    /// Messages are compressed if it is said what the server inflates.
    pub(super) fn new(stream: S, rest: &[u8], compression: Option<Inflates>) -> Self {
        Self::with_limit(stream, rest, compression, MESSAGE_LIMIT)
    }

    pub(super) fn with_limit(
        stream: S,
        rest: &[u8],
        compression: Option<Inflates>,
        limit: u64,
    ) -> Self {
        Self {
            stream,
            input: Input::new(rest, compression.is_some(), limit),
            output: Output::new(compression),
            answering: false,
            end: None,
        }
    }

    /// Writes all there is to be written.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let pending = self.output.pending();
            if pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let all = pending.len();
            match ready!(Pin::new(&mut self.stream).poll_write(cx, pending)) {
                Ok(_) if fault!(FrameIsCutShort) => self.output.advance(all),
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.output.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_drain_and_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        if fault!(FrameIsNotFlushed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Gets an answer out, as far as that goes. An error is the writer's, who will find it, too: what the server has
    /// said before can still be read.
    fn answer(&mut self, cx: &mut Context<'_>) {
        if !self.answering || fault!(AnswerWaitsForAWriter) {
            return;
        }
        let answered = match fault!(AnswerIsNotFlushed) {
            true => self.poll_drain(cx),
            false => self.poll_drain_and_flush(cx),
        };
        self.answering = answered.is_pending();
    }

    fn finish(&mut self, end: End, payload: Vec<u8>, cx: &mut Context<'_>) {
        self.end = Some(end);
        self.output.close(payload);
        self.answering = true;
        self.answer(cx);
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut in_vain = 0_usize;
        loop {
            match self.end.clone() {
                Some(End::Closed) => return Poll::Ready(Ok(0)),
                Some(End::Failed(error)) => return Poll::Ready(Err(error.into())),
                None => {}
            }
            if in_vain >= IN_VAIN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.input.next(buf) {
                Ok(Found::Data(count)) => return Poll::Ready(Ok(count)),
                Ok(Found::Ping(payload)) => {
                    self.output.pong(payload);
                    self.answering = true;
                    self.answer(cx);
                }
                Ok(Found::Close(payload)) => {
                    let end = WebSocketError::of_close(&payload).map_or(End::Closed, End::Failed);
                    self.finish(end, WebSocketError::answer_to_close(&payload), cx);
                }
                Ok(Found::End) => in_vain = in_vain.saturating_add(END_OF_MESSAGE),
                Ok(Found::Nothing) => match ready!(self.poll_fill(cx, buf))? {
                    Filled::Out(count) => return Poll::Ready(Ok(count)),
                    Filled::In(count) => in_vain = in_vain.saturating_add(count),
                },
                Err(error) => {
                    let code = error.close_code().to_be_bytes().to_vec();
                    self.finish(End::Failed(error), code, cx);
                }
            }
        }
    }

    /// Reads once: to `buf` if all of it belongs there, or if it is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Filled>> {
        let stream = Pin::new(&mut self.stream);
        let direct = self.input.direct();
        let count = match direct {
            Some(most) => {
                let most = most.min(buf.len());
                let count = ready!(stream.poll_read(cx, buf.get_mut(..most).unwrap_or_default()))?;
                self.input.skip(if fault!(DirectReadIsNotCounted) { 0 } else { count });
                count
            }
            None => {
                let count = ready!(stream.poll_read(cx, self.input.space()))?;
                self.input.fill(count);
                count
            }
        };
        if count == 0 && !self.input.is_between_messages() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(match direct {
            None if count > 0 => Filled::In(count),
            _ => Filled::Out(count),
        }))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.answer(cx);
        self.poll_bytes(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        if self.output.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let count = self.output.push(bufs);
        // What has been taken is taken, and a part of it may be with the server. So an error is told by the next call, as one
        // that an answer meets.
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) if fault!(FrameFailsAtOnce) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain_and_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // 1000: a normal closure.
        self.output.close(1000_u16.to_be_bytes().to_vec());
        ready!(self.poll_drain_and_flush(cx))?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
