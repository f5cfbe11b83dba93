//! Pipes in memory, and the stream that a client has of two of them.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};

/// One direction of a stream.
pub(super) struct Lane {
    pub(super) bytes: VecDeque<u8>,
    pub(super) closed: bool,
    /// Bytes that it takes.
    pub(super) room: usize,
    /// Bytes that it takes in one write.
    pub(super) at_once: usize,
    /// Has the client come back once before it can read.
    pub(super) hesitant: bool,
    /// The next call says that a signal came in between.
    pub(super) interrupted: bool,
    /// Takes no byte, and does not say why.
    pub(super) mute: bool,
    /// Panics when the client reads from it or writes to it.
    pub(super) rotten: bool,
    pub(super) waker: Option<Waker>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            bytes: VecDeque::new(),
            closed: false,
            room: usize::MAX,
            at_once: usize::MAX,
            hesitant: false,
            interrupted: false,
            mute: false,
            rotten: false,
            waker: None,
        }
    }
}

/// One direction of a stream, for both of its ends.
#[derive(Clone, Default)]
pub(super) struct Pipe(pub(super) Arc<(Mutex<Lane>, Condvar)>);

impl Pipe {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lane = self.0.0.lock().unwrap();
        let result = change(&mut lane);
        let waker = lane.waker.take();
        drop(lane);
        self.0.1.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.change(|lane| {
            if lane.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            lane.bytes.extend(bytes);
            Ok(bytes.len())
        })
    }

    pub(super) fn close(&self) {
        self.change(|lane| lane.closed = true);
    }
}

/// The client's end of a stream.
pub(crate) struct FakeStream {
    pub(super) input: Pipe,
    pub(super) output: Pipe,
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.input.close();
        self.output.close();
    }
}

impl AsyncRead for FakeStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut lane = self.input.0.0.lock().unwrap();
        if lane.rotten {
            drop(lane);
            panic!("a stream that panics, as a test wants it");
        }
        if mem::take(&mut lane.hesitant) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if mem::take(&mut lane.interrupted) {
            return Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
        }
        let count = lane.bytes.len().min(buf.len());
        if count == 0 && !lane.closed {
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (to, from) in buf.iter_mut().zip(lane.bytes.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for FakeStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lane = self.output.0.0.lock().unwrap();
        if lane.rotten {
            drop(lane);
            panic!("a stream that panics, as a test wants it");
        }
        if mem::take(&mut lane.interrupted) {
            return Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
        }
        if lane.mute {
            return Poll::Ready(Ok(0));
        }
        if lane.room == 0 {
            // The peer only reads this lane, and never with a waker.
            lane.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(lane.room).min(lane.at_once);
        if lane.room != usize::MAX {
            lane.room -= count;
        }
        drop(lane);
        Poll::Ready(self.output.write(&buf[..count]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &bufs.iter().flat_map(|buf| &**buf).copied().collect::<Vec<_>>())
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.close();
        Poll::Ready(Ok(()))
    }
}
