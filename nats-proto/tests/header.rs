//! Headers: the map, and the block on the wire.

use bytes::Bytes;
use nats_proto::header::{
    HeaderError, HeaderMap, HeaderName, HeaderValue, NATS_MESSAGE_ID, NATS_SUBJECT,
    ParseHeaderNameError, ParseHeadersError, ParsedHeaders,
};
use nats_proto::wire::{Chunk, MessageFrame, Span};
use nats_proto::{Message, StatusCode};
use proptest::prelude::*;

fn parse(block: &str) -> Result<ParsedHeaders, ParseHeadersError> {
    HeaderMap::parse(&Bytes::copy_from_slice(block.as_bytes()))
}

/// A message with this block.
fn received(block: &Bytes) -> Message {
    let len = block.len() as u32;
    let frame = MessageFrame { headers: Span { start: 0, len }, ..MessageFrame::default() };
    Message::from_frame(&mut Chunk::from(block.clone()), &frame)
}

fn encoded(map: &HeaderMap) -> String {
    let mut out = Vec::new();
    map.encode(&mut out);
    assert_eq!(out.len(), map.encoded_len());
    String::from_utf8(out).unwrap()
}

fn pairs(map: &HeaderMap) -> Vec<(String, Vec<String>)> {
    map.iter()
        .map(|(name, values)| {
            let values = values.iter().map(HeaderValue::to_string).collect();
            (name.to_string(), values)
        })
        .collect()
}

#[test]
fn order_and_case_are_kept_and_repeats_are_lines() {
    let mut map = HeaderMap::new();
    map.append("b", "1");
    map.append("B", "2");
    map.append("a", "3");
    map.append("b", "4");
    map.append("b", "5");
    assert_eq!(map.len(), 3);
    assert_eq!(encoded(&map), "NATS/1.0\r\nb: 1\r\nb: 4\r\nb: 5\r\nB: 2\r\na: 3\r\n\r\n");
    assert_eq!(map.get("b").unwrap().as_str(), "1");
    assert_eq!(map.get_last("b").unwrap().as_str(), "5");
    assert_eq!(map.get_all("b").len(), 3);
    assert_eq!(map.get_all("c").next(), None);
    assert_eq!(map.get("A"), None);
}

#[test]
fn insert_replaces_all_values_in_place() {
    let mut map = HeaderMap::new();
    map.append("a", "1");
    map.append("a", "2");
    map.append("b", "3");
    map.insert("a", HeaderValue::from(4u64));
    assert_eq!(encoded(&map), "NATS/1.0\r\na: 4\r\nb: 3\r\n\r\n");
}

#[test]
fn remove_takes_all_values_of_one_header() {
    let mut map = HeaderMap::new();
    map.append("a", "1");
    map.append("a", "2");
    map.append("A", "3");
    assert!(map.remove("a"));
    assert!(!map.remove("a"));
    assert!(!map.remove("not a name"));
    assert_eq!(encoded(&map), "NATS/1.0\r\nA: 3\r\n\r\n");
}

#[test]
fn an_empty_map_is_no_block() {
    let map = HeaderMap::new();
    assert!(map.is_empty());
    assert_eq!(encoded(&map), "");
}

#[test]
fn standard_names_can_be_used_as_they_are() {
    let mut map = HeaderMap::new();
    map.insert(NATS_MESSAGE_ID, "7");
    assert_eq!(map.get("Nats-Msg-Id").unwrap().as_str(), "7");
    assert_eq!(NATS_SUBJECT.to_string(), "Nats-Subject");
    assert_eq!(NATS_SUBJECT, HeaderName::try_from("Nats-Subject").unwrap());
}

#[test]
fn names_are_printable_ascii_without_colon() {
    for byte in 0..=u8::MAX {
        let name = String::from(char::from(byte));
        let allowed = (33..=126).contains(&byte) && byte != b':';
        assert_eq!(name.parse::<HeaderName>().is_ok(), allowed, "{byte}");
        assert_eq!(HeaderName::try_from(name).is_ok(), allowed, "{byte}");
    }
    assert_eq!("".parse::<HeaderName>(), Err(ParseHeaderNameError::Empty));
    let error = "a\r\nb".parse::<HeaderName>().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"header name "a\r\nb" has '\r', which is not printable ASCII without space and colon"#
    );
}

#[test]
fn values_have_neither_cr_nor_lf() {
    for bad in ["\r", "a\nb", "a\r\nPUB x 0\r\n", " \n"] {
        assert!(bad.parse::<HeaderValue>().is_err(), "{bad:?}");
        assert!(serde_json::from_value::<HeaderValue>(bad.into()).is_err());
    }
    let error = "a\r\nb".parse::<HeaderValue>().unwrap_err();
    assert_eq!(error.to_string(), r#"header value "a\r\nb" has CR or LF"#);
    assert_eq!(error.value(), r"a\r\nb");
}

#[test]
fn space_at_the_start_of_a_value_is_not_part_of_it() {
    for value in [
        HeaderValue::from(" \ta b "),
        HeaderValue::from(String::from("\ta b ")),
        "  a b ".parse().unwrap(),
        serde_json::from_str(r#"" a b ""#).unwrap(),
    ] {
        assert_eq!(value.as_str(), "a b ");
    }
}

#[test]
fn integers_are_values() {
    for (value, text) in [
        (HeaderValue::from(i16::MIN), "-32768"),
        (HeaderValue::from(-1_i32), "-1"),
        (HeaderValue::from(i64::MIN), "-9223372036854775808"),
        (HeaderValue::from(-1_isize), "-1"),
        (HeaderValue::from(u16::MAX), "65535"),
        (HeaderValue::from(1_u32), "1"),
        (HeaderValue::from(u64::MAX), "18446744073709551615"),
        (HeaderValue::from(0_usize), "0"),
    ] {
        assert_eq!(value.as_str(), text);
    }
}

#[test]
fn the_fallible_methods_change_nothing_when_they_fail() {
    let mut map = HeaderMap::new();
    assert!(matches!(map.try_insert("a b", "c"), Err(HeaderError::Name(_))));
    assert!(matches!(map.try_append(String::from("a:"), "c"), Err(HeaderError::Name(_))));
    assert!(matches!(map.try_insert("a", "c\r"), Err(HeaderError::Value(_))));
    assert!(matches!(map.try_append("a", String::from("c\n")), Err(HeaderError::Value(_))));
    assert!(map.is_empty());
    map.try_insert("a", "b").unwrap();
    map.try_append("a", "c").unwrap();
    assert_eq!(map.get_all("a").len(), 2);
}

#[test]
#[should_panic(expected = "invalid header name")]
fn insert_panics_on_a_name_that_is_none() {
    HeaderMap::new().insert("a\nb", "c");
}

#[test]
#[should_panic(expected = "invalid header value")]
fn append_panics_on_a_value_that_is_none() {
    HeaderMap::new().append("a", "b\r\nPUB attack 0\r\n");
}

#[test]
fn looking_up_what_is_no_name_finds_nothing() {
    let mut map = HeaderMap::new();
    map.insert("a", "b");
    assert_eq!(map.get("a b"), None);
    assert_eq!(map.get_last(""), None);
    assert_eq!(map.get_all("a:").next(), None);
}

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

/// More lines than fit into the largest block of the default limits. A quadratic algorithm would need minutes.
#[test]
fn any_number_of_headers_is_read_without_comparing_all_with_all() {
    let mut block = String::from("NATS/1.0\r\n");
    for n in 0..300_000 {
        block.push_str(&format!("{n}:\r\n"));
    }
    block.push_str("\r\n");
    let parsed = parse(&block).unwrap();
    assert_eq!(parsed.headers.len(), 300_000);

    let block = format!("NATS/1.0\r\n{}\r\n", "a:\r\n".repeat(1_000_000));
    let parsed = parse(&block).unwrap();
    assert_eq!(parsed.headers.len(), 1);
    assert_eq!(parsed.headers.get_all("a").len(), 1_000_000);
}

#[test]
fn maps_are_equal_whatever_the_order_of_names() {
    let map = |headers: &[(&str, &str)]| {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.append(*name, *value));
        map
    };
    assert_eq!(map(&[("a", "1"), ("b", "2")]), map(&[("b", "2"), ("a", "1")]));
    assert_ne!(map(&[("a", "1"), ("a", "2")]), map(&[("a", "2"), ("a", "1")]));
    assert_ne!(map(&[("a", "1"), ("b", "2")]), map(&[("a", "1"), ("c", "2")]));
    assert_ne!(map(&[("a", "1")]), map(&[("a", "1"), ("b", "2")]));
}

#[test]
fn a_map_inside_of_a_map_is_read_and_a_header_of_that_name_as_well() {
    let read = |json| serde_json::from_str::<HeaderMap>(json).unwrap();
    assert_eq!(
        read(r#"{"inner":{"b":["1","3"],"a":["2"]}}"#),
        read(r#"{"b":["1","3"],"a":["2"]}"#)
    );
    assert_eq!(read(r#"{"inner":["1"]}"#).get("inner").unwrap().as_str(), "1");
    assert!(serde_json::from_str::<HeaderMap>(r#"{"outer":{"a":["2"]}}"#).is_err());
}

#[test]
fn is_a_map_of_lists_in_json() {
    let mut map = HeaderMap::new();
    map.append("b", "1");
    map.append("a", "2");
    map.append("b", "3");
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(json, r#"{"b":["1","3"],"a":["2"]}"#);
    assert_eq!(serde_json::from_str::<HeaderMap>(&json).unwrap(), map);
    for bad in [r#"{"a b":["1"]}"#, r#"{"a":["\r"]}"#, r#"{"a":"1"}"#, "[]"] {
        assert!(serde_json::from_str::<HeaderMap>(bad).is_err(), "{bad}");
    }
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

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]", "[!-9;-~]{1,50}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[^\r\n]{0,10}", "[ -~\t]{30,60}"]
}

fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let line = || (name(), value());
    // Making texts takes longer than everything that is done with them.
    prop_oneof![
        9 => prop::collection::vec(line(), 0..4),
        1 => prop::collection::vec(line(), 0..40),
    ]
}

fn map_of(lines: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.try_append(name.as_str(), value.as_str()).unwrap();
    }
    map
}

#[test]
fn iterators_know_how_many_are_left() {
    assert_eq!(HeaderMap::new().iter().len(), 0);
    let map = parse("NATS/1.0\r\na: 1\r\nb: 2\r\na: 3\r\n\r\n").unwrap().headers;
    let mut iter = map.iter();
    assert_eq!(iter.len(), 2);
    iter.next();
    assert_eq!(iter.len(), 1);
    assert_eq!(map.get_all("a").len(), 2);
}

#[test]
fn names_are_found_in_maps_by_their_text() {
    let names = std::collections::BTreeSet::from(["a", "b"].map(HeaderName::from_static));
    assert!(names.contains("b") && !names.contains(""));
}

/// What is done to a map.
#[derive(Clone, Debug)]
enum Change {
    Insert(u8, usize),
    Append(u8, usize),
    Remove(u8),
    Clone,
    Reread,
}

fn change() -> impl Strategy<Value = Change> {
    let (name, len) = (0..4_u8, prop_oneof![0..9_usize, 300..400_usize]);
    prop_oneof![
        (name.clone(), len.clone()).prop_map(|(name, len)| Change::Insert(name, len)),
        (name.clone(), len).prop_map(|(name, len)| Change::Append(name, len)),
        name.prop_map(Change::Remove),
        Just(Change::Clone),
        Just(Change::Reread),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_there_whatever_was_done_before(
        changes in prop::collection::vec(change(), 0..20),
    ) {
        let (mut map, mut clones) = (HeaderMap::new(), Vec::new());
        for change in changes {
            let name = |name: u8| format!("N{name}");
            match change {
                Change::Insert(key, len) => map.insert(name(key).as_str(), "v".repeat(len)),
                Change::Append(key, len) => map.append(name(key).as_str(), "v".repeat(len)),
                Change::Remove(key) => {
                    let known = pairs(&map).iter().any(|(known, _)| *known == name(key));
                    prop_assert_eq!(map.remove(name(key).as_str()), known);
                }
                Change::Clone => clones.push((map.clone(), pairs(&map))),
                Change::Reread if map.is_empty() => {}
                Change::Reread => map = parse(&encoded(&map)).unwrap().headers,
            }
            let lines: String = pairs(&map)
                .iter()
                .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let block = if lines.is_empty() { lines } else { format!("NATS/1.0\r\n{lines}\r\n") };
            prop_assert_eq!(encoded(&map), block);
            prop_assert_eq!(map.len(), pairs(&map).len());
        }
        for (clone, before) in clones {
            prop_assert_eq!(pairs(&clone), before, "a clone has changed");
        }
    }

    #[test]
    fn what_is_encoded_is_read_back(
        lines in lines(),
        status in prop::option::of(100u16..1000),
        description in prop::option::of("[!-~]([ -~]{0,20}[!-~])?"),
    ) {
        let headers = map_of(&lines);
        let mut out = Vec::new();
        headers.encode(&mut out);
        prop_assert_eq!(out.len(), headers.encoded_len());
        if !headers.is_empty() {
            prop_assert_eq!(&HeaderMap::parse(&out.into()).unwrap().headers, &headers);
        }

        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        let description = description.filter(|_| status.is_some());
        let parsed = ParsedHeaders { headers, status, description };
        let mut out = Vec::new();
        parsed.encode(&mut out);
        prop_assert_eq!(HeaderMap::parse(&out.into()), Ok(parsed));
    }

    #[test]
    fn a_message_has_the_good_lines_of_a_block_in_their_order(
        lines in prop::collection::vec(
            prop_oneof![
                3 => (name(), value()).prop_map(|(name, value)| (true, format!("{name}: {value}"))),
                1 => "[ -9;-~]{1,8}".prop_map(|line| (false, line)),
                1 => "[ -9;-~]{0,4}[ \t][ -9;-~]{0,4}:[ -~]{0,4}".prop_map(|line| (false, line)),
                1 => "[a-z]{1,4}:[ -~]{0,4}[\r\n][ -~]{1,4}".prop_map(|line| (false, line)),
            ],
            0..12,
        ),
    ) {
        let block = |lines: &mut dyn Iterator<Item = &(bool, String)>| {
            let lines: String = lines.map(|(_, line)| format!("{line}\r\n")).collect();
            format!("NATS/1.0 100 Yes\r\n{lines}\r\n")
        };
        let good = parse(&block(&mut lines.iter().filter(|(good, _)| *good))).unwrap();
        let block = block(&mut lines.iter());
        let message = received(&block.into());
        prop_assert_eq!(message.status, good.status);
        prop_assert_eq!(message.description, good.description);
        prop_assert_eq!(pairs(&message.headers.unwrap_or_default()), pairs(&good.headers));
    }

    #[test]
    fn one_by_one_or_at_once_gives_the_same_map(lines in lines()) {
        let map = map_of(&lines);
        let collected = lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<HeaderMap>();
        prop_assert_eq!(&collected, &map);
        for (name, _) in &lines {
            let expected = lines
                .iter()
                .filter(|(other, _)| other == name)
                .map(|(_, value)| value.trim_start_matches([' ', '\t']))
                .collect::<Vec<_>>();
            let found = map.get_all(name.as_str()).map(HeaderValue::as_str).collect::<Vec<_>>();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn no_block_makes_it_panic(block in prop::collection::vec(
        prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            Just(b"NATS/1.0".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b" 503 ".to_vec()),
            Just(b"a: b\r\n".to_vec()),
        ],
        0..12,
    ), valid_start: bool) {
        let mut block = block.concat();
        if valid_start {
            block.splice(0..0, *b"NATS/1.0\r\n");
        }
        let block = block.into();
        let message = received(&block);
        // What can be read can be written and read again, to the same, but for control characters of a description.
        if let Ok(mut parsed) = HeaderMap::parse(&block) {
            prop_assert_eq!(message.headers.unwrap_or_default(), parsed.headers.clone());
            prop_assert_eq!(message.status, parsed.status);
            prop_assert_eq!(&message.description, &parsed.description);
            let mut out = Vec::new();
            parsed.encode(&mut out);
            let description = parsed.description.take().unwrap_or_default();
            let description = description.replace(char::is_control, " ").trim_ascii().to_owned();
            parsed.description = Some(description).filter(|text| !text.is_empty());
            prop_assert_eq!(HeaderMap::parse(&out.into()), Ok(parsed));
        }
    }
}

#[test]
fn names_and_values_are_the_text_that_they_were_made_of() {
    let name = HeaderName::try_from("A-b").unwrap();
    assert_eq!(HeaderName::try_from("A-b".to_owned()), Ok(name.clone()));
    assert_eq!(AsRef::<str>::as_ref(&name), "A-b");
    assert_eq!(AsRef::<[u8]>::as_ref(&name), b"A-b");
    assert_eq!(std::borrow::Borrow::<str>::borrow(&name), "A-b");
    assert_eq!(serde_json::to_string(&name).unwrap(), "\"A-b\"");
    let value = HeaderValue::from("c d");
    assert_eq!(AsRef::<str>::as_ref(&value), "c d");
    assert_eq!(AsRef::<[u8]>::as_ref(&value), b"c d");
    assert_eq!(value.to_string(), "c d");
    assert_eq!(HeaderValue::new().as_str(), "");
    assert_eq!(serde_json::to_string(&value).unwrap(), "\"c d\"");
}

#[test]
fn errors_tell_a_name_from_a_value() {
    let mut map = HeaderMap::new();
    let name = map.try_insert("a b", "c").unwrap_err();
    assert!(matches!(name, HeaderError::Name(_)));
    assert!(name.to_string().starts_with("header name \"a b\" has ' '"), "{name}");
    let value = map.try_append("a", "b\n").unwrap_err();
    assert!(matches!(value, HeaderError::Value(_)));
    assert_eq!(value.to_string(), r#"header value "b\n" has CR or LF"#);
    assert!(map.is_empty());
}

#[test]
fn iterators_know_how_much_is_left() {
    let mut map = HeaderMap::new();
    assert_eq!(map.iter().size_hint(), (0, Some(0)));
    for (name, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
        map.append(name, value);
    }
    let mut headers = map.iter();
    let mut values = map.get_all("a");
    assert_eq!((headers.len(), values.len()), (3, 2));
    assert!(headers.next().is_some() && values.next().is_some());
    assert_eq!((headers.size_hint(), values.size_hint()), ((2, Some(2)), (1, Some(1))));
    assert_eq!((&map).into_iter().count(), 3);
}
