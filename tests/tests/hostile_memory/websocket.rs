//! What a server can do within a WebSocket, and most of all with little that inflates to much.

use flate2::{Compress, Compression, FlushCompress};
use nats_tests::server::RawConnection;
use tungstenite::handshake::derive_accept_key;

use super::attacks::{attack, header_block, message, million_headers};
use super::{
    Attack, Begin, End, HEADERS, INFO, INFO_TOO_LONG, KIB, LINE, MESSAGE, MIB, PARSED, READ,
    TOO_LONG, Transport,
};

/// What there is for a connection with compression, to read, to inflate and to compress. It does not grow.
const WEBSOCKET: usize = 384 * KIB;

/// A message that is whole.
const WHOLE: u8 = 0x82;
const COMPRESSED: u8 = 0xc2;
/// The first part of one that goes on.
const FIRST_COMPRESSED: u8 = 0x42;
const NEXT: u8 = 0x00;
const LAST: u8 = 0x80;
const PING: u8 = 0x89;

/// The end of what is compressed, left out behind a whole message.
const TAIL: usize = 4;

/// A frame whose first byte is given.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&head(first, payload.len() as u64), payload].concat()
}

fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(length as u8),
        126..=0xffff => {
            head.push(126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend(length.to_be_bytes());
        }
    }
    head
}

/// Blocks that refer to nothing before them, so that they can be repeated.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut small = Vec::with_capacity(bytes.len() + KIB);
    compress.compress_vec(bytes, &mut small, FlushCompress::Sync).expect("bytes can be compressed");
    small
}

/// A message in one frame: `begin`, and then `rest` so many times.
fn bomb(begin: &[u8], rest: &[u8], times: usize) -> Vec<(Vec<u8>, usize)> {
    let mut small = [deflate(begin), deflate(rest).repeat(times)].concat();
    small.truncate(small.len() - TAIL);
    vec![(frame(COMPRESSED, &small), 1)]
}

/// The same in frames, of which none is the last.
fn fragments(begin: &[u8], rest: &[u8], times: usize) -> Vec<(Vec<u8>, usize)> {
    let next = frame(NEXT, &deflate(rest));
    vec![(frame(FIRST_COMPRESSED, &deflate(begin)), 1), (next, times)]
}

pub(super) fn attacks() -> Vec<Attack> {
    use Begin::{AtOnce, Greeted, Requested, Subscribed};
    const ANSWER_TOO_LONG: End = End::Error("the answer exceeds 16384 bytes");
    const TOO_LARGE: End = End::Error("at most 134217728 are taken");
    let mut attacks = Vec::new();
    let a = [b'a'; 64 * KIB];
    let mut answers = |name, end, begin: &[u8], rest: Vec<u8>| {
        attacks.push(attack(name, Requested, end, 0, [(begin.to_vec(), 1), (rest, 1_024)]));
    };
    let answer = b"HTTP/1.1 101 Switching Protocols\r\n";
    let reason = b"HTTP/1.1 101 ";
    answers("an HTTP answer with an endless reason", ANSWER_TOO_LONG, reason, a.to_vec());
    let header = [&answer[..], b"Upgrade: "].concat();
    answers("an HTTP answer with an endless header", ANSWER_TOO_LONG, &header, a.to_vec());
    let long = [b"X: ", &a[..KIB], b"\r\n"].concat();
    answers("an HTTP answer with endless long headers", ANSWER_TOO_LONG, answer, long.repeat(64));
    let many = b"X: y\r\n".repeat(KIB);
    answers("an HTTP answer with many headers", End::Error("Too many headers"), answer, many);
    for begin in [AtOnce, Greeted, Subscribed] {
        let mut add = |name, end, cap, pieces: Vec<_>| {
            attacks.push(attack(name, begin, end, cap, pieces));
        };
        add("64 KiB that inflate to an endless line", TOO_LONG, LINE, bomb(b"MSG ", &a, 1_024));
        add("fragments of an endless line", TOO_LONG, LINE, fragments(b"MSG ", &a, 1_024));
        let info = b"INFO {\"x\":\"";
        add("64 KiB that inflate to INFO", INFO_TOO_LONG, INFO, bomb(info, &a, 1_024));
        let corrupt = vec![(frame(COMPRESSED, &[0xff; 64 * KIB]), 1)];
        add("what cannot be inflated", End::Error("message is corrupt"), 0, corrupt);
        let huge = vec![(head(COMPRESSED, 1 << 62), 1), (vec![0; 64 * KIB], 64)];
        add("a frame of 4 EiB", TOO_LARGE, 0, huge);
    }
    let mut connected = |name, end, cap, pieces: Vec<_>| {
        attacks.push(attack(name, Subscribed, end, cap, pieces));
    };
    let nobodys = message(99, b"", 1_000).repeat(1_000);
    connected("a bomb of messages for nobody", TOO_LARGE, READ, bomb(b"", &nobodys, 200));
    connected("messages without end", TOO_LARGE, READ, fragments(b"", &nobodys, 200));
    let largest = bomb(b"", &message(99, b"", MESSAGE), 1).remove(0).0;
    connected("64 KiB that inflate to the largest message", End::None, MESSAGE, vec![(largest, 3)]);
    let headers = message(1, &header_block(MIB, |_| "a:\r\n".to_owned()), 0);
    let pieces = bomb(b"", &headers, 2);
    connected("few KiB that inflate to headers", End::None, HEADERS + PARSED, pieces);
    let million = million_headers();
    let pieces = bomb(b"", &message(1, &million, 0), 1);
    connected("few KiB that inflate to a million headers", End::None, million.len(), pieces);
    connected("blocks of nothing", End::None, 0, bomb(b"", b"", 1_000_000));
    let nothing = frame(NEXT, b"").repeat(1_000);
    let nothing = vec![(frame(FIRST_COMPRESSED, b""), 1), (nothing, 500), (frame(LAST, b""), 1)];
    connected("fragments of nothing", End::None, 0, nothing);
    let pings = frame(PING, &[b'p'; 125]).repeat(100);
    connected("a flood of PINGs in frames of their own", End::None, 0, vec![(pings, 500)]);
    for attack in &mut attacks {
        attack.transport = Transport::WebSocket;
        attack.cap += WEBSOCKET;
    }
    attacks
}

/// Agrees to a WebSocket with compression.
pub(super) fn accept(client: &mut RawConnection) {
    let mut key = None;
    loop {
        let line = client.read_line();
        match line.split_once(": ") {
            Some(("Sec-WebSocket-Key", value)) => key = Some(derive_accept_key(value.as_bytes())),
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate; \
         server_no_context_takeover; client_no_context_takeover\r\n\r\n",
        key.expect("the key of a WebSocket")
    );
    client.send(answer.as_bytes());
}

/// Says this in a frame, if the client still listens.
pub(super) fn try_say(client: &mut RawConnection, what: &[u8]) -> bool {
    client.try_send(&frame(WHOLE, what))
}

/// What is in the client's next frame, or nothing at the end. What is compressed is left as it is.
pub(super) fn hear(client: &mut RawConnection) -> Option<Vec<u8>> {
    if client.is_at_end() {
        return None;
    }
    let length = match client.read_bytes(2)[1] & 0x7f {
        126 => {
            let length = client.read_bytes(2);
            usize::from(u16::from_be_bytes([length[0], length[1]]))
        }
        length => usize::from(length),
    };
    let mask = client.read_bytes(4);
    let mut payload = client.read_bytes(length);
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some(payload)
}
