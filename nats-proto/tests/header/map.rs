//! The map: its names and values, and what is done to them.

use nats_proto::header::{
    HeaderError, HeaderMap, HeaderName, HeaderValue, NATS_MESSAGE_ID, NATS_SUBJECT,
    ParseHeaderNameError,
};

use super::{encoded, parse};

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

#[test]
fn what_is_checked_already_is_taken_as_it_is() {
    let value: HeaderValue = "1".parse().expect("a value");
    let mut headers = HeaderMap::new();
    headers.try_insert("A", value.clone()).expect("a header");
    assert_eq!(headers.get("A"), Some(&value));
}
