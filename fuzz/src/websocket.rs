//! What comes through a WebSocket: the files of `nats-client` that read the server's answer and frames, compiled here
//! because they are not public, and have no need to be.

#![allow(unreachable_pub, dead_code, reason = "they are written for another crate")]

#[path = "../../nats-client/src/websocket/answer.rs"]
mod answer;
#[path = "../../nats-client/src/websocket/deflate.rs"]
mod deflate;
#[path = "../../nats-client/src/websocket/error.rs"]
mod error;
#[path = "../../nats-client/src/websocket/input.rs"]
mod input;

use answer::Answer;
use error::WebSocketError;
use input::{Found, Input};

use crate::Choices;

/// What was found, data without the borders between pieces.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    data: Vec<u8>,
    /// PINGs and good-byes, and how much came before them without compression.
    others: Vec<(usize, Found)>,
    error: Option<WebSocketError>,
    /// Whether the stream could end behind the last byte.
    between: bool,
}

/// The first two bytes say whether there is compression, how large messages may be, and in what pieces all is read;
/// the rest is what the server sends behind the handshake. In pieces, it means what it means in one.
pub fn websocket_input(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (flags, sizes) = (choices.byte(), choices.byte());
    let compression = flags & 1 == 0;
    // A few bytes can inflate to as much as is allowed, which then must not be taken out byte by byte.
    let (limit, step) = if flags & 2 == 0 { (1 << 16, 64) } else { (100, 1) };
    let stream = choices.data;

    let whole = read(stream, compression, limit, stream.len(), usize::MAX, 1 << 12);
    let (piece, room) = (usize::from(sizes & 0xf) + 1, (usize::from(sizes >> 4) + 1) * step);
    let with_handshake = usize::from(flags >> 2) % (stream.len() + 1);
    let split = read(stream, compression, limit, with_handshake, piece, room);
    // A compressed message that is corrupt behind its limit may be the one or the other: who looks ahead sees more.
    let by_limit = |error: &Option<WebSocketError>| {
        compression
            && matches!(error, Some(WebSocketError::TooLarge { .. } | WebSocketError::Corrupt))
    };
    if !by_limit(&split.error) || !by_limit(&whole.error) {
        assert_eq!(split.error, whole.error);
    }
    if whole.error.is_none() {
        assert_eq!(split, whole);
    } else {
        // What a compressed message gives before it turns out to be corrupt depends on how far one looks.
        let count = split.data.len().min(whole.data.len());
        assert_eq!(split.data[..count], whole.data[..count]);
        assert_eq!(split.others, whole.others);
    }
}

/// The example of RFC 6455, 1.3: `s3pPLMBiTxaQ9kYGzzhZRbK+xOo=` is the proof that it was read.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The first byte says whether compression was offered; the rest is what the server answers to the request with [`KEY`].
/// What is known of it does not change when more comes, and only an answer of one kind makes a WebSocket.
pub fn websocket_answer(data: &[u8]) {
    let mut choices = Choices::new(data);
    let offered = choices.byte() & 1 == 0;
    let bytes = choices.data;

    let whole = Answer::read(bytes, KEY, offered);
    // Reading from the beginning for each byte would take long where there are many.
    let mut ends = (0..=bytes.len()).filter(|end| bytes.len() - end < 300 || *end < 300);
    let first = ends.find_map(|end| Answer::read(&bytes[..end], KEY, offered).transpose());
    if first.is_some() || bytes.len() < 600 {
        assert_eq!(first.transpose(), whole);
    }
    match whole {
        Ok(Some(answer)) => {
            assert!(answer.size <= bytes.len() && (offered || !answer.compression));
            let head = String::from_utf8_lossy(&bytes[..answer.size]).to_ascii_lowercase();
            let wanted = ["101", "websocket", "upgrade", "s3pplmbitxaq9kygzzhzrbk+xoo="];
            assert!(wanted.iter().all(|word| head.contains(word)), "{head}");
            assert!(!answer.compression || head.contains("permessage-deflate"), "{head}");
        }
        Ok(None) => assert!(bytes.len() < 16 * 1024),
        Err(error) => assert!(!error.to_string().is_empty() && error.to_string().len() < 2_000),
    }
}

/// Reads all of `stream`: so much of it came with the handshake, then pieces of at most `piece` bytes; data are taken
/// out `room` bytes at a time.
fn read(
    stream: &[u8],
    compression: bool,
    limit: u64,
    with_handshake: usize,
    piece: usize,
    room: usize,
) -> Seen {
    let (rest, mut stream) = stream.split_at(with_handshake);
    let mut input = Input::new(rest, compression, limit);
    let mut seen = Seen::default();
    let mut out = vec![0; room];
    loop {
        match input.next(&mut out) {
            Ok(Found::Data(count)) => {
                assert!((1..=out.len()).contains(&count));
                seen.data.extend_from_slice(&out[..count]);
            }
            Ok(Found::Nothing) => {
                if stream.is_empty() {
                    seen.between = input.is_between_messages();
                    return seen;
                }
                let count = match input.direct() {
                    Some(wanted) => {
                        let count = wanted.min(piece).min(stream.len());
                        seen.data.extend_from_slice(&stream[..count]);
                        input.skip(count);
                        count
                    }
                    None => {
                        let space = input.space();
                        assert!(!space.is_empty());
                        let count = space.len().min(piece).min(stream.len());
                        space[..count].copy_from_slice(&stream[..count]);
                        input.fill(count);
                        count
                    }
                };
                stream = &stream[count..];
            }
            // What is compressed may lag behind the frames that it came in.
            Ok(other) => {
                let before = if compression { 0 } else { seen.data.len() };
                seen.others.push((before, other));
            }
            Err(error) => {
                assert!(
                    !error.to_string().is_empty() && (1002..=1009).contains(&error.close_code())
                );
                seen.error = Some(error);
                return seen;
            }
        }
    }
}
