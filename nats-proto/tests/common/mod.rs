//! What the tests of the wire format share: operations that own their parts, and ways to feed a decoder.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part of it, and no other crate any"
)]

pub mod golden;
pub mod naive;

use bytes::{Bytes, BytesMut};
use nats_proto::wire::{
    ClientDecoder, ClientOp, ClientOps, Limits, OutBuf, ServerDecoder, ServerOp, ServerOps, Span,
};
use nats_proto::{ConnectInfo, DecodeError, ServerError, ServerInfo};

/// An operation of either side that owns its parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Info(Box<ServerInfo>),
    Connect(Box<ConnectInfo>),
    Message(Message),
    Subscribe { subject: Vec<u8>, queue: Vec<u8>, sid: Vec<u8> },
    Unsubscribe { sid: Vec<u8>, max: Option<u64> },
    Ping,
    Pong,
    Ok,
    Err(ServerError),
}

/// MSG, HMSG, PUB or HPUB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub sid: u64,
    pub subject: Vec<u8>,
    pub reply: Vec<u8>,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

/// What a decoder makes of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub ops: Vec<Op>,
    pub error: Option<DecodeError>,
    /// Bytes that stay in the input.
    pub left: Vec<u8>,
}

/// The two sides, as seen by the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Client,
}

enum Decoder {
    Server(ServerDecoder, ServerOps),
    Client(ClientDecoder, ClientOps),
}

impl Decoder {
    fn new(side: Side, limits: Limits) -> Self {
        match side {
            Side::Server => Self::Server(ServerDecoder::new(limits), ServerOps::new()),
            Side::Client => Self::Client(ClientDecoder::new(limits), ClientOps::new()),
        }
    }

    fn decode(&mut self, input: &mut BytesMut, into: &mut Vec<Op>) -> Result<(), DecodeError> {
        let before = input.len();
        match self {
            Self::Server(decoder, ops) => {
                let result = decoder.decode(input, ops);
                assert_eq!(ops.chunk.len() + input.len(), before);
                let chunk = ops.chunk.clone();
                into.extend(ops.items.drain(..).map(|op| own_server(&chunk, op)));
                result
            }
            Self::Client(decoder, ops) => {
                let result = decoder.decode(input, ops);
                assert_eq!(ops.chunk.len() + input.len(), before);
                let chunk = ops.chunk.clone();
                into.extend(ops.items.drain(..).map(|op| own_client(&chunk, op)));
                result
            }
        }
    }

    fn wanted(&self) -> usize {
        match self {
            Self::Server(decoder, _) => decoder.wanted(),
            Self::Client(decoder, _) => decoder.wanted(),
        }
    }
}

fn take(chunk: &Bytes, span: Span) -> Vec<u8> {
    assert_eq!(span.slice(chunk), span.of(chunk));
    assert_eq!(span.of(chunk).len(), span.len as usize, "{span:?} is not in its chunk");
    span.of(chunk).to_vec()
}

fn own_server(chunk: &Bytes, op: ServerOp) -> Op {
    match op {
        ServerOp::Info(info) => Op::Info(info),
        ServerOp::Message(frame) => Op::Message(Message {
            sid: frame.sid,
            subject: take(chunk, frame.subject),
            reply: take(chunk, frame.reply),
            headers: take(chunk, frame.headers),
            payload: take(chunk, frame.payload),
        }),
        ServerOp::Ping => Op::Ping,
        ServerOp::Pong => Op::Pong,
        ServerOp::Ok => Op::Ok,
        ServerOp::Err(error) => Op::Err(*error),
        other => panic!("unknown operation {other:?}"),
    }
}

fn own_client(chunk: &Bytes, op: ClientOp) -> Op {
    match op {
        ClientOp::Connect(info) => Op::Connect(info),
        ClientOp::Publish(frame) => Op::Message(Message {
            sid: 0,
            subject: take(chunk, frame.subject),
            reply: take(chunk, frame.reply),
            headers: take(chunk, frame.headers),
            payload: take(chunk, frame.payload),
        }),
        ClientOp::Subscribe { subject, queue, sid } => Op::Subscribe {
            subject: take(chunk, subject),
            queue: take(chunk, queue),
            sid: take(chunk, sid),
        },
        ClientOp::Unsubscribe { sid, max } => Op::Unsubscribe { sid: take(chunk, sid), max },
        ClientOp::Ping => Op::Ping,
        ClientOp::Pong => Op::Pong,
        other => panic!("unknown operation {other:?}"),
    }
}

/// Feeds `stream` in pieces that end at `cuts` (ascending), calling the decoder after each.
///
/// Checks on the way that an error stays, that `wanted` asks for more than there is and for no more than
/// the limits allow.
pub fn decode_split(side: Side, limits: Limits, stream: &[u8], cuts: &[usize]) -> Outcome {
    let mut decoder = Decoder::new(side, limits);
    let mut input = BytesMut::new();
    let mut ops = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        input.extend_from_slice(&stream[from..to]);
        from = to;
        if let Err(error) = decoder.decode(&mut input, &mut ops) {
            let mut none = Vec::new();
            assert_eq!(decoder.decode(&mut input, &mut none), Err(error.clone()));
            assert!(none.is_empty());
            input.extend_from_slice(&stream[from..]);
            return Outcome { ops, error: Some(error), left: input.to_vec() };
        }
        assert_eq!(decoder.wanted() > input.len(), !input.is_empty());
        let line = limits.control_line.max(limits.info) + "CONNECT".len() + 3;
        assert!(decoder.wanted() <= line + limits.payload + 2);
    }
    Outcome { ops, error: None, left: input.to_vec() }
}

/// Decodes `stream` in one piece.
pub fn decode(side: Side, limits: Limits, stream: &[u8]) -> Outcome {
    decode_split(side, limits, stream, &[])
}

/// Everything that is in `out` and not written.
pub fn unwritten(out: &OutBuf) -> Vec<u8> {
    let all = out.chunks().collect::<Vec<_>>().concat();
    assert_eq!(all.len(), out.len());
    assert_eq!(all.is_empty(), out.is_empty());
    all
}
