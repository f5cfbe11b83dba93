//! What a WebSocket does with what comes, and with what is written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_io::{AsyncRead, AsyncWrite};

use super::error::WebSocketError;
use super::output::FRAME;
use super::stream::WebSocket;
use rig::{
    BINARY, CLOSE, COMPRESSED, LIMIT, PING, Rig, TEXT, deflate, frame, inflating, rig, shared,
};

mod handshake;
mod rig;
mod writing;

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn frames_are_joined_wherever_the_stream_is_cut() {
    let large = vec![b'l'; 70_000];
    let mut bytes = frame(BINARY, b"INFO {}\r\n");
    bytes.extend(frame(BINARY, b""));
    // In parts, with a PING between them.
    bytes.extend(frame(0x02, b"PI"));
    bytes.extend(frame(PING, b"there?"));
    bytes.extend(frame(0x00, b"N"));
    bytes.extend(frame(0x80, b"G\r\n"));
    bytes.extend(frame(COMPRESSED, &deflate(b"compressed")));
    // Compressed and in parts.
    let (one, two) = (deflate(&large), 10);
    bytes.extend(frame(0x42, &one[..two]));
    bytes.extend(frame(0x80, &one[two..]));
    bytes.extend(frame(BINARY, &large));
    let mut expected = b"INFO {}\r\nPING\r\ncompressed".to_vec();
    expected.extend(&large);
    expected.extend(&large);
    for step in [0, 1, 3, 1000, 20_000] {
        for size in [1, 100, 50_000] {
            let mut rig = rig(step);
            rig.feed(&bytes);
            assert_eq!(rig.read(size).unwrap(), expected, "{size} bytes in steps of {step}");
            assert_eq!(rig.sent(), [(0x8a, b"there?".to_vec())]);
        }
    }
}

#[test]
fn what_is_cut_off_is_an_error_and_an_end_between_messages_is_not() {
    let bytes = frame(BINARY, b"hello");
    for cut in 1..bytes.len() {
        let mut rig = rig(0);
        rig.feed(&bytes[..cut]);
        rig.wire.with(|wire| wire.ended = true);
        let error = rig.read(100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
    let mut rig = rig(0);
    rig.feed(&bytes);
    rig.wire.with(|wire| wire.ended = true);
    assert_eq!(rig.read(100).unwrap(), b"hello");
}

#[test]
fn what_breaks_the_rules_is_refused_and_the_server_told_why() {
    assert_eq!(rig(0).refused(&frame(TEXT, b"hello")), (WebSocketError::Text, 1003));
    let mut masked = frame(BINARY, b"abcd");
    masked[1] |= 0x80;
    masked.extend(b"hell");
    for bytes in [
        masked,
        // Reserved bits and kinds.
        frame(0xa2, b""),
        frame(0x92, b""),
        frame(0x83, b""),
        frame(0x8b, b""),
        // A continuation of nothing, a message within a message, a part that is compressed anew.
        frame(0x80, b""),
        [frame(0x02, b"a"), frame(BINARY, b"b")].concat(),
        [frame(0x42, b""), frame(0xc0, b"b")].concat(),
        // Control frames in parts, compressed, too long.
        frame(0x09, b""),
        frame(0xc9, b""),
        frame(PING, &[0; 126]),
        frame(CLOSE, b"x"),
    ] {
        let (error, code) = rig(0).refused(&bytes);
        assert!(matches!(error, WebSocketError::Frame(_)), "{error:?}");
        assert_eq!(code, 1002);
    }
    let (error, code) = rig(0).refused(&frame(COMPRESSED, b"\x07nonsense"));
    assert_eq!((error, code), (WebSocketError::Corrupt, 1007));
}

#[test]
fn a_bomb_is_refused_before_it_is_inflated() {
    let bomb = deflate(&vec![0; LIMIT as usize + 1]);
    assert!(bomb.len() < 10_000);
    let mut rig1 = rig(0);
    rig1.feed(&frame(COMPRESSED, &bomb));
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = vec![0; 4096];
    let mut inflated = 0;
    let error = loop {
        match Pin::new(&mut rig1.socket).poll_read(&mut cx, &mut buf) {
            Poll::Ready(Ok(count)) => inflated += count,
            Poll::Ready(Err(error)) => break error,
            Poll::Pending => panic!("the whole frame is there"),
        }
    };
    assert_eq!(inflated as u64, LIMIT);
    let error = error.get_ref().and_then(|error| error.downcast_ref::<WebSocketError>());
    assert_eq!(error, Some(&WebSocketError::TooLarge { size: LIMIT + 1, limit: LIMIT }));
    let [(CLOSE, code)] = &rig1.sent()[..] else { panic!("one close frame") };
    assert_eq!(code[..], 1009_u16.to_be_bytes());
    // As much as fits is no bomb.
    let mut rig2 = rig(0);
    rig2.feed(&frame(COMPRESSED, &deflate(&vec![0; LIMIT as usize])));
    rig2.feed(&frame(BINARY, b"next"));
    assert_eq!(rig2.read(4096).unwrap().len() as u64, LIMIT + 4);
}

#[test]
fn what_the_first_frames_of_a_message_give_does_not_wait_for_the_next() {
    // Compressed, and the first of several frames.
    const BEGINNING: u8 = COMPRESSED & !0x80;
    let text = vec![b'x'; 5_000];
    let mut rig1 = rig(0);
    rig1.feed(&frame(BEGINNING, &deflate(&text)));
    assert_eq!(rig1.read(7).unwrap().len(), text.len());
    // Nor does it that there is too much of it.
    let mut rig2 = rig(0);
    let (error, code) = rig2.refused(&frame(BEGINNING, &deflate(&vec![0; LIMIT as usize + 1])));
    assert_eq!((error, code), (WebSocketError::TooLarge { size: LIMIT + 1, limit: LIMIT }, 1009));
}

#[test]
fn lengths_beyond_the_limit_are_refused_before_their_bytes_come() {
    for length in [LIMIT + 1, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = vec![BINARY, 127];
        bytes.extend(length.to_be_bytes());
        let (error, code) = rig(0).refused(&bytes);
        assert_eq!((error, code), (WebSocketError::TooLarge { size: length, limit: LIMIT }, 1009));
    }
    // The limit of a client is the documented one.
    let documented = 128 * 1024 * 1024;
    let header = |length: u64| [&[BINARY, 127], &length.to_be_bytes()[..]].concat();
    let client = || {
        let wire = shared(0);
        Rig { socket: WebSocket::new(wire.clone(), b"", None), wire }
    };
    let (error, _) = client().refused(&header(documented + 1));
    assert_eq!(error, WebSocketError::TooLarge { size: documented + 1, limit: documented });
    let mut rig1 = client();
    rig1.feed(&header(documented));
    assert_eq!(rig1.read(4096).unwrap(), b"");
    // Nor does it help to send it in parts.
    let mut rig = rig(0);
    let part = vec![0; 600_000];
    rig.feed(&frame(0x02, &part));
    assert_eq!(rig.read(4096).unwrap().len(), part.len());
    let (error, _) = rig.refused(&frame(0x80, &part));
    assert_eq!(error, WebSocketError::TooLarge { size: 1_200_000, limit: LIMIT });
}

#[test]
fn a_close_frame_is_the_end_and_is_answered_with_its_code() {
    for payload in [&b""[..], b"\x03\xe9", b"\x03\xe9going away"] {
        let mut rig = rig(0);
        rig.feed(&frame(BINARY, b"last"));
        rig.feed(&frame(CLOSE, payload));
        let mut cx = Context::from_waker(Waker::noop());
        let mut buf = [0; 100];
        let read = Pin::new(&mut rig.socket).poll_read(&mut cx, &mut buf);
        assert!(matches!(read, Poll::Ready(Ok(4))), "{read:?}");
        let end = rig.read(100);
        assert_eq!(end.is_ok(), payload.is_empty(), "{end:?}");
        assert_eq!(rig.sent(), [(CLOSE, payload[..payload.len().min(2)].to_vec())]);
        let result = Pin::new(&mut rig.socket).poll_write(&mut cx, b"late");
        assert!(matches!(result, Poll::Ready(Err(_))), "{result:?}");
    }
}

#[test]
fn why_a_server_closes_is_told_in_its_words() {
    for (payload, text) in [
        (&b"\x03\xe9"[..], "the server closed the WebSocket with code 1001"),
        (b"\x03\xf0slow", "the server closed the WebSocket with code 1008: \"slow\""),
        // Nobody's terminal is cleared.
        (
            b"\x03\xf0\x1b[2J\xff",
            "the server closed the WebSocket with code 1008: \"\\u{1b}[2J\u{fffd}\"",
        ),
    ] {
        let (error, _) = rig(0).refused(&frame(CLOSE, payload));
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_close_frame_that_breaks_the_rules_is_not_answered_in_kind() {
    for (code, reason, answer) in [
        (1000, &b""[..], 1000),
        (4999, "später".as_bytes(), 4999),
        (0, b"", 1002),
        (999, b"", 1002),
        (1005, b"", 1002),
        (1006, b"\xff", 1002),
        (1015, b"", 1002),
        (1001, b"\xff", 1007),
    ] {
        let payload = [&u16::to_be_bytes(code)[..], reason].concat();
        let (error, answered) = rig(0).refused(&frame(CLOSE, &payload));
        assert_eq!(answered, answer);
        assert!(matches!(error, WebSocketError::Closed { code: told, .. } if told == code));
    }
}

#[test]
fn pings_are_answered_when_nobody_writes_and_the_newest_counts() {
    let mut rig = rig(0);
    rig.wire.with(|wire| wire.room = 0);
    for number in 0..1000 {
        rig.feed(&frame(PING, format!("{number}").as_bytes()));
    }
    assert_eq!(rig.read(100).unwrap(), b"");
    // The reader is woken when there is room again.
    assert!(rig.wire.with(|wire| wire.writer.is_some()));
    rig.wire.with(|wire| wire.room = usize::MAX);
    rig.read(100).unwrap();
    let sent = rig.sent();
    assert_eq!(sent.len(), 2, "the one that had begun, and the newest");
    assert_eq!(sent.last(), Some(&(0x8a, b"999".to_vec())));
}

/// A stream that repeats the same bytes for ever.
struct Endless(Vec<u8>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        buf.iter_mut().zip(self.0.iter().cycle()).for_each(|(to, from)| *to = *from);
        // No frame is cut, so that the next read can begin anew.
        Poll::Ready(Ok(buf.len() - buf.len() % self.0.len()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn frames_without_end_in_which_there_is_nothing_let_others_run() {
    // A PING, which may come within a message as well; an empty message; and the same, compressed.
    for frame in [frame(PING, b"12"), frame(BINARY, b""), frame(COMPRESSED, &deflate(b""))] {
        let mut socket = WebSocket::new(Endless(frame), b"", Some(inflating(FRAME)));
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        for round in 1..=10 {
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut socket).poll_read(&mut cx, &mut [0; 100]).is_pending());
            assert_eq!(bell.0.load(Ordering::SeqCst), round, "it goes on by itself");
        }
    }
}

#[test]
fn few_ends_of_compressed_messages_are_as_much_as_many_bytes() {
    let mut rig = rig(0);
    // All of it has been read when the first one ends.
    let frames = 1_000;
    rig.feed(&frame(COMPRESSED, b"").repeat(frames));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut rounds = 0;
    while bell.0.load(Ordering::SeqCst) == rounds {
        rounds += 1;
        assert!(Pin::new(&mut rig.socket).poll_read(&mut cx, &mut [0; 100]).is_pending());
    }
    assert!(rounds > 3, "{frames} in {rounds} rounds");
}
