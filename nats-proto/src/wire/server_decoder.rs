//! Decodes what servers send.

use alloc::boxed::Box;
use alloc::string::String;

use bytes::BytesMut;

use super::args::Text;
use super::machine::{Direction, Machine, Name, Shape};
use super::{Limits, MessageFrame, ServerOp, ServerOps, json};
use crate::{DecodeError, ServerError};

/// Decodes what servers send, resumable at any byte.
///
/// It accepts what the clients of the NATS project accept: names of operations in any case, any number of
/// spaces and tabs between arguments, lines that end with LF alone, anything behind PING, PONG and +OK, and JSON as Go
/// reads it. Only payloads must be followed by CR LF, and a CR within a line separates no arguments. A subscription identifier
/// must be a number.
#[derive(Clone, Debug)]
pub struct ServerDecoder {
    machine: Machine<FromServer>,
}

impl ServerDecoder {
    /// A decoder at the start of a connection's input.
    ///
    /// Limits above 1 GiB count as 1 GiB.
    pub fn new(limits: Limits) -> Self {
        Self { machine: Machine::new(limits) }
    }

    /// Decodes every whole operation at the front of `input` into `ops`, which it clears first.
    ///
    /// The bytes of those operations move to `ops.chunk`; an incomplete tail stays in `input`, to be
    /// completed by the caller and given again. Of that tail only the operation's name is looked at twice
    /// before its line is whole.
    ///
    /// # Errors
    ///
    /// The first violation of the protocol or of a limit, as soon as it is one whatever comes next; how the
    /// input is split makes no difference. The operations before it are in `ops` and are valid; after it the
    /// stream cannot be decoded any further, and every later call gives the same error.
    pub fn decode(&mut self, input: &mut BytesMut, ops: &mut ServerOps) -> Result<(), DecodeError> {
        ops.clear();
        self.machine.decode(input, &mut ops.chunk, &mut ops.items)
    }

    /// How many bytes the incomplete operation at the front of the input needs in all, as far as is known:
    /// room for so many lets it be read without moving it again. Never above what the limits allow.
    ///
    /// Zero if no operation is incomplete.
    pub fn wanted(&self) -> usize {
        self.machine.wanted()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Info,
    Ping,
    Pong,
    Ok,
    Err,
}

#[derive(Clone, Debug)]
pub(super) struct FromServer;

impl Direction for FromServer {
    type Kind = Kind;
    type Op = ServerOp;

    const PLAIN: &'static [u8; 4] = b"MSG ";
    const WITH_HEADERS: &'static [u8; 5] = b"HMSG ";
    const SID: bool = true;
    const NAMES: &'static [Name<Kind>] = &[
        Name { text: "MSG", shape: Shape::Message { headers: false }, separated: true },
        Name { text: "HMSG", shape: Shape::Message { headers: true }, separated: true },
        Name { text: "PING", shape: Shape::Line(Kind::Ping), separated: false },
        Name { text: "PONG", shape: Shape::Line(Kind::Pong), separated: false },
        Name { text: "+OK", shape: Shape::Line(Kind::Ok), separated: false },
        Name { text: "-ERR", shape: Shape::Line(Kind::Err), separated: false },
        Name { text: "INFO", shape: Shape::Line(Kind::Info), separated: false },
    ];

    fn is_info(kind: Kind) -> bool {
        matches!(kind, Kind::Info)
    }

    #[inline]
    fn counted(line: &[u8], _name: usize) -> usize {
        line.len()
    }

    fn line(kind: Kind, text: Text<'_>) -> Result<ServerOp, DecodeError> {
        Ok(match kind {
            Kind::Ping => ServerOp::Ping,
            Kind::Pong => ServerOp::Pong,
            Kind::Ok => ServerOp::Ok,
            Kind::Err => {
                let text = String::from_utf8_lossy(text.bytes);
                ServerOp::Err(Box::new(ServerError::parse(&text)))
            }
            Kind::Info => ServerOp::Info(json::object("INFO", text.bytes)?),
        })
    }

    #[inline]
    fn message(frame: MessageFrame) -> ServerOp {
        ServerOp::Message(frame)
    }
}
