//! Hostile and malformed streams: each is refused by an error that names what is wrong, as early as can be.

mod common;

use common::{Op, Side, decode, decode_split, naive};
use nats_proto::DecodeError::{self, *};
use nats_proto::wire::Limits;

fn limits(control_line: usize, info: usize, header_block: usize, payload: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.control_line, limits.info) = (control_line, info);
    (limits.header_block, limits.payload) = (header_block, payload);
    limits
}

fn small() -> Limits {
    limits(64, 80, 20, 100)
}

/// What the stream is refused with, however it is split, and by the naive decoder as well.
fn refused(side: Side, stream: &[u8]) -> Option<DecodeError> {
    let whole = decode(side, small(), stream);
    for cut in 0..stream.len() {
        assert_eq!(decode_split(side, small(), stream, &[cut]), whole);
    }
    let cuts: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(decode_split(side, small(), stream, &cuts), whole);
    naive::assert_same(&whole, &naive::decode(side, small(), stream));
    whole.error
}

fn server(stream: &str) -> Option<DecodeError> {
    refused(Side::Server, stream.as_bytes())
}

fn client(stream: &str) -> Option<DecodeError> {
    refused(Side::Client, stream.as_bytes())
}

fn unknown(text: &str) -> Option<DecodeError> {
    Some(UnknownOperation(text.into()))
}

fn arguments(operation: &'static str, arguments: &str) -> Option<DecodeError> {
    Some(BadArguments { operation, arguments: arguments.into() })
}

fn bad_number(what: &'static str, text: &str) -> Option<DecodeError> {
    Some(BadNumber { what, text: text.into() })
}

#[test]
fn unknown_operations_are_refused_at_the_first_wrong_byte() {
    for (stream, text) in [
        ("\r\n", "\\r"),
        (" PING\r\n", " "),
        ("HTTP/1.1 400 Bad Request\r\n", "HT"),
        ("SSH-2.0\r\n", "S"),
        ("MSGS a 1 1\r\n", "MSGS"),
        ("MSG\r\n", "MSG\\r"),
        ("HMSGa", "HMSGa"),
        ("PINk\r\n", "PINk"),
        ("+OR\r\n", "+OR"),
        ("-ERO", "-ERO"),
        ("PUB a 0\r\n\r\n", "PU"),
        ("\u{16}\u{3}\u{1}", "\\u{16}"),
    ] {
        assert_eq!(server(stream), unknown(text));
    }
    for (stream, text) in [
        ("GET / HTTP/1.1\r\n", "G"),
        ("SUB\r\n", "SUB\\r"),
        ("SUBS a 1\r\n", "SUBS"),
        ("UNSUB\n", "UNSUB\\n"),
        ("HPUB\0", "HPUB\\0"),
        ("MSG a 1 0\r\n\r\n", "M"),
        ("+OK\r\n", "+"),
    ] {
        assert_eq!(client(stream), unknown(&text.replace("\\0", "\\u{0}")));
    }
}

#[test]
fn wrong_arguments_are_named() {
    for rest in ["", " a", "a 1", "a 1 r 2 3", "a 1 2 3 4 5 6 7", "a\rb 1 2"] {
        let stream = format!("MSG {rest}\r\n");
        assert_eq!(server(&stream), arguments("MSG", &rest.trim().replace('\r', "\\r")));
    }
    for rest in ["", "a 1 2", "a 1 r 2 2 2"] {
        assert_eq!(server(&format!("HMSG {rest}\n")), arguments("HMSG", rest));
    }
    for rest in ["", "a", "a b c 1"] {
        assert_eq!(client(&format!("PUB {rest}\r\n")), arguments("PUB", rest));
        assert_eq!(client(&format!("SUB {rest}\r\n")), arguments("SUB", rest));
    }
    for rest in ["", "a", "a 1", "a b c 1 1"] {
        assert_eq!(client(&format!("HPUB {rest}\r\n")), arguments("HPUB", rest));
    }
    assert_eq!(client("UNSUB  \t\r\n"), arguments("UNSUB", ""));
    assert_eq!(client("UNSUB 1 2 3\r\n"), arguments("UNSUB", "1 2 3"));
    assert_eq!(client("SUB a\rb 1\r\n"), arguments("SUB", "a\\rb 1"));
}

#[test]
fn numbers_that_are_none_are_named() {
    let too_large = "18446744073709551616";
    for text in ["-1", "+1", "1x", "0x10", "1.0", too_large] {
        let payload = bad_number("payload length", text);
        assert_eq!(server(&format!("MSG a 1 {text}\r\n")), payload);
        assert_eq!(client(&format!("PUB a {text}\r\n")), payload);
        assert_eq!(server(&format!("HMSG a 1 2 {text}\n")), bad_number("total length", text));
        let header = bad_number("header length", text);
        assert_eq!(client(&format!("HPUB a {text} 2\r\n")), header);
        assert_eq!(
            server(&format!("MSG a {text} 1\r\n")),
            bad_number("subscription identifier", text)
        );
        if text != too_large {
            let max = bad_number("maximum of messages", text);
            assert_eq!(client(&format!("UNSUB 1 {text}\r\n")), max);
        }
    }
    // A server reads no more than nine digits of what clients send.
    for text in ["0000000001", "1000000000"] {
        assert_eq!(client(&format!("PUB a {text}\r\n")), bad_number("payload length", text));
        assert_eq!(client(&format!("HPUB a {text} 1\r\n")), bad_number("header length", text));
        assert_eq!(client(&format!("HPUB a 1 {text}\r\n")), bad_number("total length", text));
    }
    assert_eq!(server("MSG a 1 0000000001\r\nx\r\n"), None);
    assert_eq!(client("PUB a 000000001\r\nx\r\n"), None);
}

#[test]
fn lengths_above_the_limits_are_refused_before_any_payload() {
    for len in [101, 1 << 31, 1 << 32, 1 << 63, u64::MAX] {
        let error = Some(PayloadTooLong { len, limit: 100 });
        assert_eq!(server(&format!("MSG a 1 {len}\r\n")), error);
        let error = Some(HeaderBlockTooLong { len, limit: 20 });
        assert_eq!(server(&format!("HMSG a 1 {len} {len}\r\n")), error);
    }
    for len in [101, 999_999_999] {
        let error = Some(PayloadTooLong { len, limit: 100 });
        assert_eq!(client(&format!("PUB a {len}\r\n")), error);
        assert_eq!(client(&format!("HPUB a 0 {len}\r\n")), error);
        let error = Some(HeaderBlockTooLong { len, limit: 20 });
        assert_eq!(client(&format!("HPUB a {len} {len}\r\n")), error);
    }
    let error = Some(HeaderBlockTooLong { len: 21, limit: 20 });
    assert_eq!(server("HMSG a 1 21 100\r\n"), error);
    assert_eq!(server("MSG a 1 100\r\n"), None);
    assert_eq!(server("HMSG a 1 20 100\r\n"), None);
    let longer = |headers, total| Some(HeaderLongerThanTotal { headers, total });
    assert_eq!(server("HMSG a 1 13 12\r\n"), longer(13, 12));
    assert_eq!(client("HPUB a 1 0\r\n"), longer(1, 0));
}

#[test]
fn by_default_a_header_block_may_be_as_long_as_its_message() {
    let len = 3 << 20;
    for (side, line) in [(Side::Server, "HMSG a 1 "), (Side::Client, "HPUB a ")] {
        let head = format!("{line}{len} {len}\r\n").into_bytes();
        let stream = [head, vec![b'x'; len], b"\r\nPING\r\n".to_vec()].concat();
        let whole = decode(side, Limits::default(), &stream);
        assert_eq!((&whole.error, whole.ops.len()), (&None, 2));
        naive::assert_same(&whole, &naive::decode(side, Limits::default(), &stream));
        // What limits the message limits its headers.
        for len in [1 << 26, (1 << 26) + 1, 999_999_999] {
            let stream = format!("{line}{len} {len}\r\n").into_bytes();
            let whole = decode(side, Limits::default(), &stream);
            let is_too_long = len > 1 << 26;
            let error = PayloadTooLong { len, limit: 1 << 26 };
            assert_eq!(whole.error, is_too_long.then_some(error));
            naive::assert_same(&whole, &naive::decode(side, Limits::default(), &stream));
        }
    }
    for len in [1 << 31, u64::MAX] {
        let stream = format!("HMSG a 1 {len} {len}\r\n").into_bytes();
        let whole = decode(Side::Server, Limits::default(), &stream);
        assert_eq!(whole.error, Some(PayloadTooLong { len, limit: 1 << 26 }));
        naive::assert_same(&whole, &naive::decode(Side::Server, Limits::default(), &stream));
    }
}

#[test]
fn zero_as_a_limit_means_zero() {
    let none = limits(0, 0, 0, 0);
    let error = |stream: &[u8]| decode(Side::Server, none, stream).error;
    assert_eq!(error(b"PING\r\n"), Some(ControlLineTooLong { limit: 0 }));
    assert_eq!(error(b"INFO {}\r\n"), Some(InfoTooLong { limit: 0 }));
    let lines = limits(32, 0, 0, 0);
    let error = |stream: &[u8]| decode(Side::Server, lines, stream).error;
    assert_eq!(error(b"MSG a 1 0\r\n\r\n"), None);
    assert_eq!(error(b"MSG a 1 1\r\n"), Some(PayloadTooLong { len: 1, limit: 0 }));
    let headers = Some(HeaderBlockTooLong { len: 1, limit: 0 });
    assert_eq!(error(b"HMSG a 1 1 1\r\n"), headers);
}

#[test]
fn payloads_must_be_followed_by_cr_lf() {
    for stream in ["MSG a 1 2\r\nabc", "MSG a 1 2\r\nab\n", "MSG a 1 0\r\n\rx", "HMSG a 1 0 0\r\nx"]
    {
        assert_eq!(server(stream), Some(MissingPayloadEnd));
    }
    assert_eq!(client("PUB a 2\r\nab\rc"), Some(MissingPayloadEnd));
    assert_eq!(client("PUB a 2\r\nab\r"), None);
}

#[test]
fn operations_before_a_violation_are_there() {
    let outcome =
        decode(Side::Server, small(), b"PING\r\nMSG a 1 1\r\nx\r\n+OK\r\nMSG a\r\nPING\r\n");
    assert_eq!(outcome.ops.len(), 3);
    assert_eq!(outcome.ops.last(), Some(&Op::Ok));
    assert_eq!(outcome.error, arguments("MSG", "a"));
    assert_eq!(outcome.left, b"MSG a\r\nPING\r\n");
}

#[test]
fn json_that_cannot_be_read_is_refused() {
    // serde would take an array for a struct.
    for text in ["", "x", "[1]", "[]", " []", "{\"port\":\"x\"}", "{} {}", "{\"a\":\"\r\"}"] {
        match server(&format!("INFO {text}\r\n")) {
            Some(BadJson { operation, reason }) => {
                assert_eq!(operation, "INFO");
                assert!(!reason.is_empty());
            }
            other => panic!("{text} gives {other:?}"),
        }
    }
    let limits = Limits::default();
    let deep = format!("INFO {{\"a\":{}\r\n", "[".repeat(100_000));
    let error = decode(Side::Server, limits, deep.as_bytes()).error;
    assert!(matches!(error, Some(BadJson { .. })));
}

#[test]
fn a_connect_that_cannot_be_read_is_refused() {
    for text in
        ["", "nul", "null {}", "[]", "5", "{\"name\":\"\t\"}", "{\"lang\":\"\u{1}\"}", "{} {}"]
    {
        let error = client(&format!("CONNECT {text}\r\n"));
        assert!(
            matches!(error, Some(BadJson { operation: "CONNECT", .. })),
            "{text} gives {error:?}"
        );
    }
    for text in ["{}", " null ", "{\"name\":\"\\u0001\\udc00\"}"] {
        assert_eq!(client(&format!("CONNECT {text}\r\n")), None, "{text}");
    }
}

#[test]
fn an_unreadable_connect_does_not_give_its_secrets_away() {
    let error = client("CONNECT {\"verbose\":\"s3cret\",\"pass\":1}\r\n");
    assert!(matches!(error, Some(BadJson { operation: "CONNECT", .. })));
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[test]
fn endless_lines_are_refused_as_soon_as_they_are_too_long() {
    let line = ControlLineTooLong { limit: 64 };
    let info = InfoTooLong { limit: 80 };
    for (side, start, limit, error) in [
        (Side::Server, "MSG ", 64, &line),
        (Side::Server, "HMSG a 1 ", 64, &line),
        (Side::Server, "PING", 64, &line),
        (Side::Server, "+OK", 64, &line),
        (Side::Server, "-ERR '", 64, &line),
        (Side::Server, "INFO {", 80, &info),
        // Of what clients send, the arguments alone count, as in a server.
        (Side::Client, "PUB a", "PUB ".len() + 64, &line),
        (Side::Client, "HPUB \ta\t", "HPUB \t".len() + 64, &line),
        (Side::Client, "SUB a", "SUB ".len() + 64, &line),
        (Side::Client, "UNSUB   1", "UNSUB   ".len() + 64, &line),
        (Side::Client, "PINGx", "PING".len() + 64, &line),
        (Side::Client, "CONNECT {", "CONNECT ".len() + 80, &info),
        (Side::Client, "CONNECT{", "CONNECT".len() + 80, &info),
        // Blanks before them do not, up to a number.
        (Side::Client, "SUB", "SUB".len() + 64 + 64, &line),
    ] {
        let mut stream = start.as_bytes().to_vec();
        stream.resize(limit, b' ');
        // As long as it may be, and perhaps at its end.
        assert_eq!(refused(side, &stream), None);
        stream.push(b'\r');
        assert_eq!(refused(side, &stream), None);
        stream.push(b'x');
        assert_eq!(refused(side, &stream).as_ref(), Some(error));
        // One byte too long, and seen to be so without its end.
        let last = stream.len() - 2;
        stream[last] = b'x';
        stream.truncate(last + 1);
        assert_eq!(refused(side, &stream).as_ref(), Some(error));
        stream.extend_from_slice(b"\r\n");
        assert_eq!(refused(side, &stream).as_ref(), Some(error));
    }
}

#[test]
fn a_long_line_in_single_bytes_takes_linear_time() {
    // If every byte looked at the line again, this would be 2^39 steps.
    let mut stream = b"INFO {\"server_id\":\"".to_vec();
    stream.resize(1 << 20, b'x');
    let cuts: Vec<usize> = (0..stream.len()).collect();
    let outcome = decode_split(Side::Server, Limits::default(), &stream, &cuts);
    assert_eq!(outcome.error, None);
    stream.push(b'x');
    let outcome = decode(Side::Server, Limits::default(), &stream);
    assert_eq!(outcome.error, Some(InfoTooLong { limit: 1 << 20 }));
}
