//! The other end of a WebSocket, which a test plays.

use std::collections::VecDeque;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use tungstenite::protocol::frame::FrameHeader;

use crate::transport::Inflates;
use crate::websocket::deflate::Deflater;
use crate::websocket::error::WebSocketError;
use crate::websocket::output::{FRAME, apply_mask};
use crate::websocket::stream::WebSocket;

/// The stream below, which a test fills and empties.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) incoming: VecDeque<u8>,
    pub(super) ended: bool,
    /// Bytes given at a time; zero for all.
    pub(super) step: usize,
    pub(super) outgoing: Vec<u8>,
    /// Bytes that it takes.
    pub(super) room: usize,
    /// Whether a write to it fails when there is no room.
    pub(super) broken: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.incoming.is_empty() && !self.ended {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = if self.step == 0 { buf.len() } else { self.step.min(buf.len()) };
        let count = most.min(self.incoming.len());
        for (to, from) in buf.iter_mut().zip(self.incoming.drain(..count)) {
            *to = from;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = buf.len().min(self.room);
        if count == 0 && self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if count == 0 {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.room -= count;
        self.outgoing.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(super) const BINARY: u8 = 0x82;
pub(super) const TEXT: u8 = 0x81;
pub(super) const PING: u8 = 0x89;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const COMPRESSED: u8 = 0xc2;

/// A frame of a server, whose first byte is given.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(len as u8),
        len @ 126..=0xffff => {
            bytes.push(126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// The frames of the client: first byte and payload of each.
pub(super) fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while let Some((header, length)) = FrameHeader::parse(&mut cursor).unwrap() {
        let at = cursor.position() as usize;
        let mut payload = bytes[at..at + length as usize].to_vec();
        apply_mask(&mut payload, header.mask.expect("clients mask"));
        frames.push((bytes[at - header.len(length)], payload));
        cursor.set_position((at + length as usize) as u64);
    }
    assert_eq!(cursor.position() as usize, bytes.len());
    frames
}

pub(super) const LIMIT: u64 = 1_000_000;

pub(super) struct Rig {
    /// What the stream has read or has to read; nothing else knows the state below.
    pub(super) socket: WebSocket<Shared>,
    pub(super) wire: Shared,
}

/// The wire, for both of its ends.
#[derive(Clone)]
pub(super) struct Shared(Arc<std::sync::Mutex<Wire>>);

impl Shared {
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Wire) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| Pin::new(wire).poll_read(cx, buf))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|wire| Pin::new(wire).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| Pin::new(wire).poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| Pin::new(wire).poll_close(cx))
    }
}

pub(super) fn shared(step: usize) -> Shared {
    Shared(Arc::new(std::sync::Mutex::new(Wire { room: usize::MAX, step, ..Wire::default() })))
}

pub(super) fn rig(step: usize) -> Rig {
    let wire = shared(step);
    Rig { socket: WebSocket::with_limit(wire.clone(), b"", Some(inflating(FRAME)), LIMIT), wire }
}

/// A server that is known to inflate so many bytes of a message.
pub(super) fn inflating(bytes: usize) -> Inflates {
    let inflates = Inflates::default();
    inflates.learn(bytes);
    inflates
}

impl Rig {
    pub(super) fn feed(&self, bytes: &[u8]) {
        self.wire.with(|wire| wire.incoming.extend(bytes));
    }

    /// Reads until there is nothing more now, with a buffer of so many bytes.
    pub(super) fn read(&mut self, size: usize) -> Result<Vec<u8>, io::Error> {
        let mut all = Vec::new();
        let mut buf = vec![0; size];
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(count) = Pin::new(&mut self.socket).poll_read(&mut cx, &mut buf) {
            match count? {
                0 => break,
                count => all.extend_from_slice(&buf[..count]),
            }
        }
        Ok(all)
    }

    pub(super) fn sent(&self) -> Vec<(u8, Vec<u8>)> {
        frames(&self.wire.with(|wire| std::mem::take(&mut wire.outgoing)))
    }

    /// What reading says, and with which code the server is told.
    pub(super) fn refused(&mut self, bytes: &[u8]) -> (WebSocketError, u16) {
        self.feed(bytes);
        let error = self.read(100).expect_err("this is refused");
        let again = self.read(100).expect_err("and stays so");
        assert_eq!(error.to_string(), again.to_string());
        let [(CLOSE, code)] = &self.sent()[..] else { panic!("one close frame") };
        let error = error.get_ref().and_then(|error| error.downcast_ref()).cloned();
        (error.expect("a typed error"), u16::from_be_bytes([code[0], code[1]]))
    }
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    Deflater::new().deflate([bytes].into_iter()).unwrap().to_vec()
}
