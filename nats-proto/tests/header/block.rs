//! The block of headers on the wire, with and without a status.

use bytes::Bytes;
use nats_proto::StatusCode;
use nats_proto::header::{HeaderMap, NATS_SUBJECT, ParseHeadersError, ParsedHeaders};

use super::{pairs, parse};

#[test]
fn a_status_comes_with_or_without_description() {
    for (block, status, description) in [
        ("NATS/1.0\r\n\r\n", None, None),
        ("NATS/1.0 \r\n\r\n", None, None),
        ("NATS/1.0 503\r\n\r\n", Some(503), None),
        ("NATS/1.0 503 \r\n\r\n", Some(503), None),
        ("NATS/1.0  404\tNo Messages \r\n\r\n", Some(404), Some("No Messages")),
        ("NATS/1.0 100 Idle Heartbeat\r\n\r\n", Some(100), Some("Idle Heartbeat")),
        ("NATS/1.0 503 a: b\r\n\r\n", Some(503), Some("a: b")),
    ] {
        let parsed = parse(block).unwrap();
        assert_eq!(parsed.status.map(|status| status.as_u16()), status);
        assert_eq!(parsed.description.as_deref(), description);
        assert!(parsed.headers.is_empty());
    }
}

#[test]
fn a_status_comes_with_headers() {
    let parsed = parse("NATS/1.0 503\r\nNats-Subject: a.b\r\n\r\n").unwrap();
    assert_eq!(parsed.status, Some(StatusCode::NO_RESPONDERS));
    assert_eq!(parsed.headers.get(NATS_SUBJECT).unwrap().as_str(), "a.b");
}

#[test]
fn values_lose_the_space_before_them_alone() {
    let parsed = parse("NATS/1.0\r\na:1\r\nb: \t 2 \r\nc:\r\nd: x:y: z\r\na: 3\r\n\r\n").unwrap();
    let expected =
        [("a", vec!["1", "3"]), ("b", vec!["2 "]), ("c", vec![""]), ("d", vec!["x:y: z"])];
    let expected = expected
        .map(|(name, values)| (name.into(), values.into_iter().map(String::from).collect()));
    assert_eq!(pairs(&parsed.headers), expected);
}

#[test]
fn bytes_of_values_that_are_not_utf8_are_replaced() {
    let parsed = HeaderMap::parse(&Bytes::from_static(b"NATS/1.0\r\na: b\xff\r\n\r\n")).unwrap();
    assert_eq!(parsed.headers.get("a").unwrap().as_str(), "b\u{fffd}");
}

#[test]
fn long_values_share_the_block() {
    let block = Bytes::from(format!("NATS/1.0\r\na: {}\r\n\r\n", "x".repeat(39)));
    let parsed = HeaderMap::parse(&block).unwrap();
    assert!(!block.is_unique());
    drop(parsed);
    assert!(block.is_unique());
}

#[test]
fn what_is_wrong_with_a_block_is_told() {
    use ParseHeadersError::*;
    for (block, error) in [
        ("", BadLineEnd { line: "".into() }),
        ("NATS/1.0", BadLineEnd { line: "NATS/1.0".into() }),
        ("NATS/1.0\n\n", BadLineEnd { line: "NATS/1.0".into() }),
        ("HTTP/1.1\r\n\r\n", BadVersion { line: "HTTP/1.1".into() }),
        ("nats/1.0\r\n\r\n", BadVersion { line: "nats/1.0".into() }),
        ("NATS/1.0503\r\n\r\n", BadStatus { status: "503".into() }),
        ("NATS/1.0 5030\r\n\r\n", BadStatus { status: " 5030".into() }),
        ("NATS/1.0 50\r\n\r\n", BadStatus { status: " 50".into() }),
        ("NATS/1.0 abc d\r\n\r\n", BadStatus { status: " abc d".into() }),
        ("NATS/1.0\r\n", MissingEnd),
        ("NATS/1.0\r\na: b\r\n", MissingEnd),
        ("NATS/1.0\r\na: b\r\n\r", BadLineEnd { line: "".into() }),
        ("NATS/1.0\r\na: b", BadLineEnd { line: "a: b".into() }),
        ("NATS/1.0\r\na: b\rc\r\n\r\n", BadLineEnd { line: "a: b".into() }),
        ("NATS/1.0\r\na: b\nc: d\r\n\r\n", BadLineEnd { line: "a: b".into() }),
        ("NATS/1.0\r\n\n\r\n", BadLineEnd { line: "".into() }),
        ("NATS/1.0\r\nab\r\n\r\n", MissingColon { line: "ab".into() }),
        ("NATS/1.0\r\n: b\r\n\r\n", BadName { name: "".into() }),
        ("NATS/1.0\r\na : b\r\n\r\n", BadName { name: "a ".into() }),
        ("NATS/1.0\r\n a: b\r\n\r\n", BadName { name: " a".into() }),
        ("NATS/1.0\r\n\u{e9}: b\r\n\r\n", BadName { name: r"\xc3\xa9".into() }),
        ("NATS/1.0\r\na: b\r\n\r\nxy", TrailingBytes { count: 2 }),
    ] {
        assert_eq!(parse(block), Err(error), "{block:?}");
    }
}

#[test]
fn every_truncation_of_a_block_is_an_error() {
    let block = "NATS/1.0 503 No Responders\r\na: b\r\nc: d\r\n\r\n";
    assert!(parse(block).is_ok());
    for end in 0..block.len() {
        assert!(parse(&block[..end]).is_err(), "{end}");
    }
}

/// As many lines as the largest block has room for. A quadratic algorithm would need minutes.
#[test]
fn any_number_of_headers_is_read_without_comparing_all_with_all() {
    let mut block = String::from("NATS/1.0\r\n");
    for n in 0..130_000 {
        block.push_str(&format!("{n:05x}:\r\n"));
    }
    block.push_str("\r\n");
    let parsed = parse(&block).unwrap();
    assert_eq!(parsed.headers.len(), 130_000);

    let block = format!("NATS/1.0\r\n{}\r\n", "a:\r\n".repeat(260_000));
    let parsed = parse(&block).unwrap();
    assert_eq!(parsed.headers.len(), 1);
    assert_eq!(parsed.headers.get_all("a").len(), 260_000);
}

#[test]
fn a_description_cannot_break_the_block() {
    let parsed = ParsedHeaders {
        status: Some(StatusCode::OK),
        description: Some("a\r\nb: c".into()),
        ..ParsedHeaders::default()
    };
    let mut out = Vec::new();
    parsed.encode(&mut out);
    assert_eq!(out, b"NATS/1.0 200 a  b: c\r\n\r\n");
}

#[test]
fn a_block_that_is_too_long_is_refused_whatever_is_in_it() {
    let limit = HeaderMap::MAX_BLOCK;
    let block = |len: usize| Bytes::from(format!("NATS/1.0\r\nA:{}\r\n\r\n", "x".repeat(len - 16)));
    assert_eq!(HeaderMap::parse(&block(limit)).map(|parsed| parsed.headers.len()), Ok(1));
    let error = ParseHeadersError::TooLong { len: limit + 1, limit };
    assert_eq!(error.to_string(), "header block of 1048577 bytes is longer than 1048576 bytes");
    assert_eq!(HeaderMap::parse(&block(limit + 1)), Err(error.clone()));
    assert_eq!(HeaderMap::parse(&Bytes::from(vec![b'x'; limit + 1])), Err(error));
}
