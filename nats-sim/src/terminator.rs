//! What may stand between a byte stream and its broker.

use std::fmt;
use std::ops::ControlFlow;

use bytes::BytesMut;

/// The server's side of what a byte stream is wrapped in, TLS or a WebSocket, as a state machine without I/O: bytes of the
/// stream go in, and what a broker is to read comes out, and the other way round.
///
/// Given to [`Simulation::open_stream_through`](crate::Simulation::open_stream_through). The network has its faults below
/// it, so that they split, hold up and cut the bytes that a client really writes.
pub trait Terminator: fmt::Debug {
    /// Takes what has come over the stream, and puts what it means behind `input`, which is the broker's.
    ///
    /// With `Break` this was the last: the client has said good-bye, or something that means nothing. The broker takes what
    /// it has got; then the stream ends.
    fn receive(&mut self, bytes: &[u8], input: &mut BytesMut) -> ControlFlow<()>;

    /// Takes what the broker says.
    fn send(&mut self, bytes: &[u8]);

    /// The broker says nothing more. May be told more than once.
    fn close(&mut self);

    /// Puts what is to be written to the stream behind `output`.
    fn transmit(&mut self, output: &mut BytesMut);
}
