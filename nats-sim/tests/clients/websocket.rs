//! WebSockets at the brokers' ends of streams.
//!
//! Clients do not offer to compress, for how long compressed messages are would follow from their content, and that of
//! inboxes does not follow from the seed. Masks do not either; but they change no lengths.

use std::cell::Cell;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::rc::Rc;

use bytes::{Buf, BufMut, BytesMut};
use nats_proto::Rng;
use nats_sim::Terminator;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// PINGs of one stream, by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pings {
    /// The last that was said.
    pub(crate) said: u64,
    /// The last that was answered. Those before it need not be.
    pub(crate) answered: u64,
}

/// What a broker with WebSockets has at its end of a stream. It is as free with frames as a server may be.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stage: Stage,
    input: BytesMut,
    /// The message that has begun to come.
    message: Message,
    output: BytesMut,
    pings: Rc<Cell<Pings>>,
    rng: Rng,
}

#[derive(Debug)]
enum Stage {
    /// The client is yet to ask for a WebSocket. What the broker has said until then.
    Http(Vec<u8>),
    Frames,
    /// The server has said good-bye.
    Closed,
}

/// What is left of a message of a client, which is in one frame.
#[derive(Debug, Default)]
struct Message {
    mask: [u8; 4],
    left: usize,
}

impl Message {
    /// Moves what has come of it. A server does not wait for all of it.
    fn read(&mut self, from: &mut BytesMut, to: &mut BytesMut) {
        let mut part = from.split_to(from.len().min(self.left));
        unmask(&mut part, self.mask);
        self.mask.rotate_left(part.len() % 4);
        self.left -= part.len();
        to.extend_from_slice(&part);
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    bytes.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

impl WebSocket {
    pub(crate) fn new(pings: Rc<Cell<Pings>>, rng: Rng) -> Self {
        Self {
            stage: Stage::Http(Vec::new()),
            input: BytesMut::new(),
            message: Message::default(),
            output: BytesMut::new(),
            pings,
            rng,
        }
    }

    /// Answers the request for a WebSocket, if it has come.
    fn upgrade(&mut self) {
        let Stage::Http(said) = &mut self.stage else { return };
        let said = std::mem::take(said);
        let request = Request::try_parse(&self.input).expect("the request of a client");
        let Some((size, request)) = request else {
            self.stage = Stage::Http(said);
            return;
        };
        self.input.advance(size);
        let response = create_response(&request).expect("a request for a WebSocket");
        write_response((&mut self.output).writer(), &response).expect("there is room in memory");
        self.stage = Stage::Frames;
        self.send(&said);
    }

    /// Takes the header of a message, or a control frame that is there as a whole, and what is in it.
    fn frame(&mut self) -> Option<(OpCode, BytesMut)> {
        let mut cursor = Cursor::new(&self.input[..]);
        let (header, length) = FrameHeader::parse(&mut cursor).expect("a client's frame")?;
        assert!(header.is_final && !header.rsv1 && !header.rsv2 && !header.rsv3, "{header:?}");
        let mask = header.mask.expect("clients mask what they say");
        let (begin, length) = (cursor.position() as usize, length as usize);
        if header.opcode == OpCode::Data(Data::Binary) {
            self.message = Message { mask, left: length };
            self.input.advance(begin);
            return Some((header.opcode, BytesMut::new()));
        }
        if self.input.len() < begin + length {
            return None;
        }
        self.input.advance(begin);
        let mut payload = self.input.split_to(length);
        unmask(&mut payload, mask);
        Some((header.opcode, payload))
    }

    /// Says something in a frame.
    fn say(&mut self, opcode: OpCode, is_final: bool, payload: &[u8]) {
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        let mut output = (&mut self.output).writer();
        header.format(payload.len() as u64, &mut output).expect("there is room in memory");
        self.output.extend_from_slice(payload);
    }

    /// PINGs may come in the middle of a message as well.
    fn maybe_ping(&mut self) {
        if self.rng.below(8) == 0 {
            let pings = self.pings.get();
            let said = pings.said + 1;
            self.pings.set(Pings { said, ..pings });
            self.say(OpCode::Control(Control::Ping), true, &said.to_le_bytes());
        }
    }
}

impl Terminator for WebSocket {
    fn receive(&mut self, bytes: &[u8], input: &mut BytesMut) -> ControlFlow<()> {
        self.input.extend_from_slice(bytes);
        self.upgrade();
        if let Stage::Http(_) = self.stage {
            return ControlFlow::Continue(());
        }
        loop {
            self.message.read(&mut self.input, input);
            if self.message.left > 0 {
                return ControlFlow::Continue(());
            }
            let Some((opcode, payload)) = self.frame() else {
                return ControlFlow::Continue(());
            };
            match opcode {
                OpCode::Data(Data::Binary) => {}
                OpCode::Control(Control::Pong) => {
                    let number = payload[..].try_into().expect("it has a number");
                    let (pings, answered) = (self.pings.get(), u64::from_le_bytes(number));
                    let fits = pings.answered < answered && answered <= pings.said;
                    assert!(fits, "{answered} of {pings:?} is answered");
                    self.pings.set(Pings { answered, ..pings });
                }
                OpCode::Control(Control::Close) => {
                    if let Stage::Frames = self.stage {
                        self.say(opcode, true, &payload);
                    }
                    self.stage = Stage::Closed;
                    return ControlFlow::Break(());
                }
                other => panic!("a client says {other:?}"),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) {
        match &mut self.stage {
            Stage::Http(said) => return said.extend_from_slice(bytes),
            Stage::Closed => return,
            Stage::Frames => {}
        }
        let mut data = Data::Binary;
        loop {
            self.maybe_ping();
            let whole = self.rng.below(4) > 0;
            let count =
                if whole { bytes.len() } else { self.rng.below(bytes.len() as u64) as usize };
            let (part, rest) = bytes.split_at(count);
            self.say(OpCode::Data(data), whole, part);
            if whole {
                return;
            }
            (bytes, data) = (rest, Data::Continue);
        }
    }

    fn close(&mut self) {
        if let Stage::Frames = self.stage {
            let codes: [&[u8]; 3] = [b"", &[0x03, 0xe8], &[0x03, 0xe9]];
            let code = codes[self.rng.below(3) as usize];
            self.say(OpCode::Control(Control::Close), true, code);
        }
        self.stage = Stage::Closed;
    }

    fn transmit(&mut self, output: &mut BytesMut) {
        output.unsplit(self.output.split());
    }
}

/// One thing over another: a WebSocket over TLS.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) upper: Box<dyn Terminator>,
    pub(crate) lower: Box<dyn Terminator>,
}

impl Over {
    /// Hands on what the upper one has to say.
    fn pass(&mut self) {
        let mut bytes = BytesMut::new();
        self.upper.transmit(&mut bytes);
        if !bytes.is_empty() {
            self.lower.send(&bytes);
        }
    }
}

impl Terminator for Over {
    fn receive(&mut self, bytes: &[u8], input: &mut BytesMut) -> ControlFlow<()> {
        let mut between = BytesMut::new();
        let lower = self.lower.receive(bytes, &mut between);
        let upper = self.upper.receive(&between, input);
        self.pass();
        match lower {
            ControlFlow::Continue(()) => upper,
            over => over,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.upper.send(bytes);
        self.pass();
    }

    fn close(&mut self) {
        self.upper.close();
        self.pass();
        self.lower.close();
    }

    fn transmit(&mut self, output: &mut BytesMut) {
        self.lower.transmit(output);
    }
}
