//! What a server may do to make a client work for more than its bytes are worth. Each takes a number, and is to cost in
//! proportion to it.

use std::fmt::Write;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use nats_proto::connection::{DisconnectReason, PendingPolicy, State};
use nats_proto::wire::{Limits, OutBuf, ServerDecoder, ServerOps};
use nats_proto::{Connection, HeaderMap, Instant, Outgoing};

use super::{Work, connected};

pub(super) const WORK: &[(&str, Work)] = &[
    ("hostile: INFO with addresses", addresses),
    ("hostile: INFO with brackets", brackets),
    ("hostile: one INFO after the other", infos),
    ("hostile: INFO that lowers the limit", stricter_infos),
    ("hostile: publishes pushed out after a hang-up", |count| pushed_out(count, hang_up)),
    ("hostile: publishes pushed out while flushes wait", |count| {
        pushed_out(count, |connection| cut(connection, count));
    }),
    ("hostile: one PING after the other", |count| feed("PING\r\n", count)),
    ("hostile: one -ERR after the other", |count| feed("-ERR 'Unknown Error'\r\n", count)),
    ("hostile: -ERR about others than as many subscriptions", |count| {
        refusals(count, |n| format!("b.{n}"));
    }),
    ("hostile: -ERR about each of the subscriptions", |count| {
        refusals(count, |n| format!("a.{n}"));
    }),
    ("hostile: messages for nobody", |count| feed("MSG a 99 2\r\nhi\r\n", count)),
    ("hostile: headers of different names", |count| headers(count, |n| format!("Name-{n}: v"))),
    ("hostile: headers of one name", |count| headers(count, |_| "Name: v".into())),
    ("hostile: headers of two names", |count| headers(count, |n| format!("Name-{}: v", n % 2))),
    ("hostile: header lines of which every other one is bad", bad_lines),
    ("hostile: values appended to one header", values),
    ("hostile: a line, byte by byte", |count| byte_by_byte("MSG ", count)),
    ("hostile: a payload, byte by byte", |count| byte_by_byte("MSG a 1 1000000\r\n", count)),
    ("hostile: a header block, byte by byte", |count| {
        byte_by_byte("HMSG a 1 900000 1000000\r\n", count)
    }),
];

/// Gives a connection that is up the same again and again, in one go, and does what that asks for.
fn feed(op: &str, count: usize) {
    let mut connection = connected();
    receive(&mut connection, &op.repeat(count));
}

/// Receives it all: a link that is given up costs nothing.
fn receive(connection: &mut Connection, text: &str) {
    connection.receive(Instant::ZERO, &mut BytesMut::from(text));
    assert_eq!(connection.state(), State::Connected);
    super::written(connection);
    while let Some(event) = connection.poll_event() {
        black_box(event);
    }
}

/// There are subscriptions to `a.0`, `a.1` and so on.
fn refusals(count: usize, subject: impl Fn(usize) -> String) {
    let mut connection = connected();
    for number in 0..count {
        connection.subscribe(&format!("a.{number}"), None).expect("open");
    }
    let refusal = |number| {
        let subject = subject(number);
        format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n")
    };
    receive(&mut connection, &(0..count).map(refusal).collect::<String>());
    let is_meant = subject(0) == "a.0";
    assert_eq!(connection.subscriptions(), if is_meant { 0 } else { count });
}

fn addresses(count: usize) {
    let mut info = String::from("INFO {\"connect_urls\":[\"a:1\"");
    for number in 0..count {
        let _ = write!(info, ",\"host-{number}:4222\"");
    }
    receive(&mut connected(), &(info + "]}\r\n"));
}

fn brackets(count: usize) {
    let mut connection = connected();
    let info = format!("INFO {{\"x\":{}\r\n", "[".repeat(count));
    connection.receive(Instant::ZERO, &mut BytesMut::from(&info[..]));
    assert_eq!(connection.state(), State::HangingUp);
}

fn infos(count: usize) {
    let mut connection = connected();
    let text: String =
        (0..count).map(|n| format!("INFO {{\"max_payload\":{}}}\r\n", 100 + n % 2)).collect();
    receive(&mut connection, &text);
}

/// With so many publishes that were kept for the link and wait to be written. Each is taken by the last limit, but for a
/// few.
fn stricter_infos(count: usize) {
    let mut connection = connected();
    connection.handle_disconnect(Instant::ZERO, DisconnectReason::Eof, OutBuf::new());
    let payload = Bytes::from_static(&[0; 64]);
    for number in 0..count {
        let payload = payload.slice(..number % 64);
        connection.publish(Outgoing::new("a", &payload)).expect("room");
    }
    super::connect(&mut connection, Instant::from_millis(10_000));
    let text: String =
        (0..count).rev().map(|n| format!("INFO {{\"max_payload\":{}}}\r\n", 50 + n)).collect();
    receive(&mut connection, &text);
    assert_eq!(connection.statistics().dropped > 0, count > 50);
}

/// A server goes away, and there is no room for all that is published meanwhile.
fn pushed_out(count: usize, goes_away: impl FnOnce(&mut Connection)) {
    let mut config = super::config();
    config.pending_policy = PendingPolicy::DropOldest;
    // About half of them.
    config.pending_limit = 16 * count;
    let mut connection = super::connected_with(config);
    goes_away(&mut connection);
    let payload = Bytes::from_static(b"0123456789abcdef");
    for _ in 0..count {
        let _ = connection.publish(Outgoing::new("a", &payload));
    }
    assert_eq!(connection.statistics().dropped > 0, count > 0);
    black_box(connection);
}

fn hang_up(connection: &mut Connection) {
    // It stands in the buffer for the link, before the publishes.
    connection.flush(None);
    connection.receive(Instant::ZERO, &mut BytesMut::from("-ERR 'Stale Connection'\r\n"));
}

fn cut(connection: &mut Connection, flushes: usize) {
    for _ in 0..flushes {
        connection.flush(None);
    }
    connection.handle_disconnect(Instant::ZERO, DisconnectReason::Eof, OutBuf::new());
}

fn headers(count: usize, line: impl Fn(usize) -> String) {
    let lines: String = (0..count).map(|number| line(number) + "\r\n").collect();
    let block = Bytes::from(format!("NATS/1.0\r\n{lines}\r\n"));
    let parsed = HeaderMap::parse(&block).expect("well formed");
    let values = parsed.headers.iter().map(|(_, values)| values.len());
    assert_eq!(values.sum::<usize>(), count);
}

fn bad_lines(count: usize) {
    let mut connection = connected();
    connection.subscribe("a", None).expect("a subscription");
    let lines: String = (0..count).map(|n| format!("Name-{n}: v\r\nNo Name: v\n\r\n")).collect();
    let block = format!("NATS/1.0\r\n{lines}\r\n");
    let len = block.len();
    receive(&mut connection, &format!("HMSG a 1 {len} {len}\r\n{block}\r\n"));
    assert_eq!(connection.statistics().messages_in, 1);
}

/// What a program does that passes on what it is sent.
fn values(count: usize) {
    let mut map = HeaderMap::new();
    (0..count).for_each(|_| map.append("Name", "v"));
    black_box(map);
}

/// A beginning, and then a byte at a time of what never ends.
fn byte_by_byte(head: &str, count: usize) {
    let mut decoder = ServerDecoder::new(Limits::default());
    let (mut input, mut ops) = (BytesMut::from(head), ServerOps::new());
    for _ in 0..count {
        input.extend_from_slice(b"x");
        decoder.decode(&mut input, &mut ops).expect("not too long yet");
        assert!(ops.items.is_empty());
    }
}
