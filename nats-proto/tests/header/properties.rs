//! What holds for whatever is done to a map, and for whatever block comes.

use nats_proto::StatusCode;
use nats_proto::header::{HeaderMap, HeaderValue, ParsedHeaders};
use proptest::prelude::*;

use super::{encoded, pairs, parse, received};

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
