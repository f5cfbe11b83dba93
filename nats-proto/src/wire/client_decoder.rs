//! Decodes what clients send.

use bytes::BytesMut;

use super::args::Text;
use super::machine::{Direction, Machine, Name, Shape};
use super::{ClientOp, ClientOps, Limits, MessageFrame, PublishFrame, Span, json};
use crate::DecodeError;

/// So many blanks behind the name of an operation do not count for the limit of its line.
const FREE_BLANKS: usize = 64;

/// Decodes what clients send, resumable at any byte.
///
/// It accepts what a `nats-server` accepts: names of operations in any case, any number of spaces and tabs
/// between arguments, lines that end with LF alone, and anything behind PING and PONG. Only payloads must be
/// followed by CR LF. A subject is any run of bytes without separators: whether it is a subject is for the
/// caller to check. Sizes have nine digits at most, and a maximum of UNSUB with more digits is none. It is stricter
/// in two things: a CR inside a line is an error, and so is a maximum of UNSUB that is no number, which a
/// `nats-server` takes for none.
#[derive(Clone, Debug)]
pub struct ClientDecoder {
    machine: Machine<FromClient>,
}

impl ClientDecoder {
    /// A decoder at the start of a connection's input.
    ///
    /// Limits above 1 GiB count as 1 GiB. As in a `nats-server`, the arguments alone count for the limit of a line:
    /// neither the name of the operation nor the blanks behind it (64 at most).
    pub fn new(limits: Limits) -> Self {
        Self { machine: Machine::new(limits) }
    }

    /// Decodes every whole operation at the front of `input` into `ops`, which it clears first.
    ///
    /// # Errors
    ///
    /// Same contract as [`ServerDecoder::decode`](crate::wire::ServerDecoder::decode).
    pub fn decode(&mut self, input: &mut BytesMut, ops: &mut ClientOps) -> Result<(), DecodeError> {
        ops.clear();
        self.machine.decode(input, &mut ops.chunk, &mut ops.items)
    }

    /// How many bytes the incomplete operation at the front of the input needs in all, as far as is known.
    ///
    /// Zero if no operation is incomplete.
    pub fn wanted(&self) -> usize {
        self.machine.wanted()
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Connect,
    Sub,
    Unsub,
    Ping,
    Pong,
}

#[derive(Clone, Debug)]
pub(super) struct FromClient;

impl Direction for FromClient {
    type Kind = Kind;
    type Op = ClientOp;

    const PLAIN: &'static [u8; 4] = b"PUB ";
    const WITH_HEADERS: &'static [u8; 5] = b"HPUB ";
    const SID: bool = false;
    const NAMES: &'static [Name<Kind>] = &[
        Name { text: "PUB", shape: Shape::Message { headers: false }, separated: true },
        Name { text: "HPUB", shape: Shape::Message { headers: true }, separated: true },
        Name { text: "SUB", shape: Shape::Line(Kind::Sub), separated: true },
        Name { text: "UNSUB", shape: Shape::Line(Kind::Unsub), separated: true },
        Name { text: "PING", shape: Shape::Line(Kind::Ping), separated: false },
        Name { text: "PONG", shape: Shape::Line(Kind::Pong), separated: false },
        Name { text: "CONNECT", shape: Shape::Line(Kind::Connect), separated: false },
    ];

    fn is_info(kind: Kind) -> bool {
        matches!(kind, Kind::Connect)
    }

    /// What a server counts: the arguments, without the blanks before them. These are not endless, though.
    #[inline]
    fn counted(line: &[u8], name: usize) -> usize {
        let text = line.get(name..).unwrap_or_default();
        let blanks =
            text.iter().take(FREE_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        text.len().saturating_sub(blanks)
    }

    fn line(kind: Kind, text: Text<'_>) -> Result<ClientOp, DecodeError> {
        match kind {
            Kind::Sub => subscribe(text),
            Kind::Unsub => unsubscribe(text),
            Kind::Ping => Ok(ClientOp::Ping),
            Kind::Pong => Ok(ClientOp::Pong),
            Kind::Connect => Ok(ClientOp::Connect(json::connect(text.bytes)?)),
        }
    }

    #[inline]
    fn message(frame: MessageFrame) -> ClientOp {
        ClientOp::Publish(PublishFrame {
            subject: frame.subject,
            reply: frame.reply,
            headers: frame.headers,
            payload: frame.payload,
        })
    }
}

/// SUB: subject, perhaps a queue group, sid.
fn subscribe(text: Text<'_>) -> Result<ClientOp, DecodeError> {
    let arguments = text.arguments::<3>();
    let (subject, queue, sid) = match arguments.as_ref().map(|all| all.as_slice()) {
        Some([subject, sid]) => (subject, Span::default(), sid),
        Some([subject, queue, sid]) => (subject, queue.span(), sid),
        _ => return Err(text.bad_arguments("SUB")),
    };
    Ok(ClientOp::Subscribe { subject: subject.span(), queue, sid: sid.span() })
}

/// UNSUB: sid, perhaps a number of messages.
fn unsubscribe(text: Text<'_>) -> Result<ClientOp, DecodeError> {
    let arguments = text.arguments::<2>();
    let (sid, max) = match arguments.as_ref().map(|all| all.as_slice()) {
        Some([sid]) => (sid, None),
        Some([sid, max]) => (sid, max.maximum("maximum of messages")?),
        _ => return Err(text.bad_arguments("UNSUB")),
    };
    Ok(ClientOp::Unsubscribe { sid: sid.span(), max })
}
