//! Does one kind of work so many times: `nats-bench-instructions WORK COUNT`, or lists the kinds.
//!
//! Run under callgrind with two counts, the difference is what one time costs in instructions. That is the
//! same on every run and every machine with the same compiler, which times are not. `nats-bench-instructions --times` shows
//! these as well, in nanoseconds.

mod broker;
mod hostile;

use std::hint::black_box;
use std::time::Instant as Clock;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use nats_proto::connection::Delivery;
use nats_proto::wire::{
    Chunk, ClientDecoder, ClientOps, Limits, OutBuf, ServerDecoder, ServerOps, encoder,
};
use nats_proto::{Config, Connection, Event, HeaderMap, Instant, Message, Outgoing};
use watermelon_proto::headers::HeaderMap as PeerHeaders;
use watermelon_proto::proto::{ClientOp, StreamDecoder, StreamEncoder};
use watermelon_proto::{MessageBase, Subject};

const SUBJECT: &str = "bench.subject";
const PAYLOAD: &[u8] = b"0123456789abcdef";
/// Messages of one read or one write: about 40 KiB.
const BATCH: usize = 1_000;

type Work = fn(usize);

const WORK: &[(&str, Work)] = &[
    ("decode MSG 16 B", decode_msg),
    ("decode MSG 16 B, watermelon-proto", peer_decode_msg),
    ("decode HMSG 16 B", decode_hmsg),
    ("decode PUB 16 B", decode_pub),
    ("encode PUB 16 B", encode_pub),
    ("encode PUB 16 B, watermelon-proto", peer_encode_pub),
    ("encode HPUB 16 B", encode_hpub),
    ("publish 16 B on a connection", publish),
    ("receive 16 B on a connection", receive),
    ("receive 16 B with a header on a connection", receive_with_header),
    ("receive 16 B on a connection, 10,000 subscriptions", receive_among_many),
    ("request and reply 16 B on a connection", request),
    ("poll an idle connection, 1 subscription", |count| poll_idle(count, 1)),
    ("poll an idle connection, 10,000 subscriptions", |count| poll_idle(count, 10_000)),
];

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().is_some_and(|first| first == "--times") {
        return show_times();
    }
    match (args.next(), args.next().and_then(|count| count.parse().ok())) {
        (Some(name), Some(count)) => match all().find(|(known, _)| *known == name) {
            Some((_, work)) => work(count),
            None => panic!("no work is called {name:?}"),
        },
        _ => all().for_each(|(name, _)| println!("{name}")),
    }
}

/// Shows what each kind of work takes: the median of several rounds, in which the kinds take turns.
fn show_times() {
    const ROUNDS: usize = 9;
    const TIMES: usize = 1_000_000;
    let mut nanoseconds = vec![Vec::new(); WORK.len()];
    for _ in 0..ROUNDS {
        for ((_, work), times) in WORK.iter().zip(&mut nanoseconds) {
            let start = Clock::now();
            work(TIMES);
            times.push(start.elapsed().as_nanos() as f64 / TIMES as f64);
        }
    }
    for ((name, _), mut times) in WORK.iter().zip(nanoseconds) {
        times.sort_by(f64::total_cmp);
        println!("{:>8.1} ns  {name}", times[ROUNDS / 2]);
    }
}

fn all() -> impl Iterator<Item = &'static (&'static str, Work)> {
    WORK.iter().chain(hostile::WORK).chain(broker::WORK)
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Trace-Id", "0123456789abcdef");
    headers
}

fn msg() -> Vec<u8> {
    format!("MSG {SUBJECT} 1 16\r\n0123456789abcdef\r\n").repeat(BATCH).into_bytes()
}

fn hmsg() -> Vec<u8> {
    let mut block = Vec::new();
    headers().encode(&mut block);
    let mut frame =
        format!("HMSG {SUBJECT} 1 {} {}\r\n", block.len(), block.len() + 16).into_bytes();
    frame.extend_from_slice(&block);
    frame.extend_from_slice(b"0123456789abcdef\r\n");
    frame.repeat(BATCH)
}

/// Gives `each` decoded batches of `wire` until there were `count` messages.
///
/// The input of one batch is the input of the next, taken back and not copied: a copy of so many bytes is counted
/// as an instruction for each of them, which would be a quarter of what a message costs.
fn decode(wire: &[u8], count: usize, mut each: impl FnMut(&mut ServerOps)) {
    let mut decoder = ServerDecoder::new(Limits::default());
    let mut ops = ServerOps::new();
    let mut wire = BytesMut::from(wire);
    for _ in 0..count / BATCH {
        decoder.decode(&mut wire, &mut ops).expect("valid operations");
        each(&mut ops);
        wire = taken_back(wire, &mut ops.chunk);
        ops.clear();
    }
}

/// The input again, of which everything was decoded.
fn taken_back(rest: BytesMut, chunk: &mut Bytes) -> BytesMut {
    assert!(rest.is_empty());
    drop(rest);
    std::mem::take(chunk).try_into_mut().expect("nobody else has it")
}

fn decode_msg(count: usize) {
    decode(&msg(), count, |ops| assert_eq!(black_box(ops).items.len(), BATCH));
}

fn decode_hmsg(count: usize) {
    decode(&hmsg(), count, |ops| assert_eq!(black_box(ops).items.len(), BATCH));
}

fn decode_pub(count: usize) {
    let wire = format!("PUB {SUBJECT} 16\r\n0123456789abcdef\r\n").repeat(BATCH);
    let mut wire = BytesMut::from(wire.as_bytes());
    let mut decoder = ClientDecoder::new(Limits::default());
    let mut ops = ClientOps::new();
    for _ in 0..count / BATCH {
        decoder.decode(&mut wire, &mut ops).expect("valid operations");
        assert_eq!(black_box(&ops).items.len(), BATCH);
        wire = taken_back(wire, &mut ops.chunk);
        ops.clear();
    }
}

/// Here the copy of the input is counted, about forty instructions a message: the peer reads from a buffer of its own.
fn peer_decode_msg(count: usize) {
    let wire = msg();
    let mut decoder = StreamDecoder::new();
    for _ in 0..count / BATCH {
        decoder.read_buf().put_slice(&wire);
        let mut messages = 0;
        while let Some(op) = decoder.decode().expect("valid operations") {
            black_box(op);
            messages += 1;
        }
        assert_eq!(messages, BATCH);
    }
}

/// Writes batches of what `each` encodes, to nowhere.
fn encode(count: usize, mut each: impl FnMut(&mut OutBuf)) {
    let mut out = OutBuf::new();
    for _ in 0..count / BATCH {
        for _ in 0..BATCH {
            each(&mut out);
        }
        black_box(&mut out).advance(usize::MAX);
    }
}

fn encode_pub(count: usize) {
    let payload = Bytes::from_static(PAYLOAD);
    encode(count, |out| encoder::publish(out, SUBJECT.as_bytes(), None, None, &payload));
}

fn encode_hpub(count: usize) {
    let (payload, headers) = (Bytes::from_static(PAYLOAD), headers());
    encode(count, |out| encoder::publish(out, SUBJECT.as_bytes(), None, Some(&headers), &payload));
}

fn peer_encode_pub(count: usize) {
    let message = MessageBase {
        subject: Subject::from_static(SUBJECT),
        reply_subject: None,
        headers: PeerHeaders::new(),
        payload: Bytes::from_static(PAYLOAD),
    };
    let op = ClientOp::Publish { message };
    let mut encoder = StreamEncoder::new();
    for _ in 0..count / BATCH {
        for _ in 0..BATCH {
            encoder.enqueue_write_op(&op);
        }
        let len = black_box(&mut encoder).remaining();
        encoder.advance(len);
    }
}

fn config() -> Config {
    Config::new(vec!["localhost".parse().expect("an address")])
}

/// A connection that is up.
fn connected() -> Connection {
    connected_with(config())
}

fn connected_with(config: Config) -> Connection {
    let mut connection =
        Connection::new(config.into(), [1; 32], Instant::ZERO).expect("valid settings");
    connect(&mut connection, Instant::ZERO);
    written(&mut connection);
    while connection.poll_event().is_some() {}
    connection
}

/// Goes from the dial to the first PONG, and leaves what is to be written then.
fn connect(connection: &mut Connection, now: Instant) {
    connection.handle_timeout(now);
    let dial = std::iter::from_fn(|| connection.poll_event()).find_map(|event| match event {
        Event::Dial { id, .. } => Some(id),
        _ => None,
    });
    connection.handle_dial(now, dial.expect("a connection without a link dials"), Ok(()));
    connection
        .receive(now, &mut BytesMut::from("INFO {\"max_payload\":1048576,\"headers\":true}\r\n"));
    written(connection);
    connection.receive(now, &mut BytesMut::from("PONG\r\n"));
}

fn written(connection: &mut Connection) {
    let mut out = OutBuf::new();
    while connection.poll_transmit(&mut out) {
        out.advance(usize::MAX);
    }
}

fn publish(count: usize) {
    let mut connection = connected();
    let payload = Bytes::from_static(PAYLOAD);
    let mut out = OutBuf::new();
    for _ in 0..count / BATCH {
        for _ in 0..BATCH {
            connection.publish(Outgoing::new(SUBJECT, &payload)).expect("room");
        }
        connection.poll_transmit(&mut out);
        black_box(&mut out).advance(usize::MAX);
    }
}

fn receive_with(mut connection: Connection, wire: &[u8], count: usize) {
    let mut deliveries: Vec<Delivery> = Vec::new();
    decode(wire, count, |ops| {
        connection.handle_ops(Instant::ZERO, ops, &mut deliveries);
        let mut chunk = Chunk::from(ops.chunk.clone());
        for delivery in deliveries.drain(..) {
            assert_eq!(delivery.messages.len(), BATCH);
            for frame in ops.messages(delivery.messages) {
                black_box(Message::from_frame(&mut chunk, frame));
            }
        }
    });
}

fn receive(count: usize) {
    let mut connection = connected();
    connection.subscribe(SUBJECT, None).expect("a subscription");
    receive_with(connection, &msg(), count);
}

fn receive_with_header(count: usize) {
    let mut connection = connected();
    connection.subscribe(SUBJECT, None).expect("a subscription");
    receive_with(connection, &hmsg(), count);
}

fn receive_among_many(count: usize) {
    let mut connection = connected();
    connection.subscribe(SUBJECT, None).expect("a subscription");
    for number in 0..10_000 {
        connection.subscribe(&format!("other.{number}"), None).expect("a subscription");
    }
    receive_with(connection, &msg(), count);
}

fn request(count: usize) {
    let mut connection = connected();
    let payload = Bytes::from_static(PAYLOAD);
    let deadline = Instant::from_millis(10_000);
    let (mut out, mut input, mut written) = (OutBuf::new(), BytesMut::new(), Vec::new());
    for _ in 0..count {
        connection.request(Outgoing::new("svc", &payload), deadline).expect("room");
        connection.poll_transmit(&mut out);
        written.clear();
        out.chunks().for_each(|chunk| written.extend_from_slice(chunk));
        out.advance(usize::MAX);
        // The first request is behind the subscription to the inbox.
        let line = written.rsplitn(3, |byte| *byte == b' ').nth(1).expect("a reply subject");
        for piece in [b"MSG ", line, b" 1 2\r\nok\r\n"] {
            input.extend_from_slice(piece);
        }
        connection.receive(Instant::ZERO, &mut input);
        assert!(matches!(connection.poll_event(), Some(Event::Reply { .. })));
    }
}

/// What a driver does that is woken for nothing: nothing is due, to be told or to be written.
fn poll_idle(count: usize, subscriptions: usize) {
    let mut connection = connected();
    for number in 0..subscriptions {
        connection.subscribe(&format!("s.{number}"), None).expect("a subscription");
    }
    written(&mut connection);
    let due = connection.poll_timeout().expect("a PING is to be sent some time");
    let mut out = OutBuf::new();
    for _ in 0..count {
        let connection = black_box(&mut connection);
        connection.handle_timeout(Instant::ZERO);
        assert!(connection.poll_event().is_none());
        assert!(!connection.poll_transmit(&mut out));
        assert_eq!(connection.poll_timeout(), Some(due));
    }
}
