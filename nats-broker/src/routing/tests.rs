//! What is subscribed to what, and who gets a message.

use alloc::string::String;
use alloc::vec;

use super::*;

fn key(serial: u64) -> SubscriptionKey {
    SubscriptionKey { serial, slot: 0 }
}

fn routes(patterns: &[&str]) -> Routes {
    let mut routes = Routes::new();
    for (serial, pattern) in patterns.iter().enumerate() {
        routes.insert(pattern.as_bytes(), None, key(serial as u64)).unwrap();
    }
    routes
}

fn find(routes: &mut Routes, subject: &str) -> Vec<u64> {
    let mut found = Matches::default();
    routes.find(subject.as_bytes(), &mut found);
    found.plain.iter().map(|key| key.serial).collect()
}

#[test]
fn wildcards_match_whole_tokens() {
    let patterns = ["a.b", "a.*", "a.>", "*.b", ">", "*", "a", "a*", "a.*.c"];
    let mut routes = routes(&patterns);
    let mut hits = |subject: &str| {
        let mut serials = find(&mut routes, subject);
        serials.sort_unstable();
        serials
    };
    assert_eq!(hits("a"), [4, 5, 6]);
    assert_eq!(hits("a.b"), [0, 1, 2, 3, 4]);
    assert_eq!(hits("a.b.c"), [2, 4, 8]);
    assert_eq!(hits("a.b.d"), [2, 4]);
    assert_eq!(hits("b.b"), [3, 4]);
    assert_eq!(hits("a*"), [4, 5, 7]);
    assert_eq!(hits("ax"), [4, 5]);
    assert_eq!(hits("a.*"), [1, 2, 4]);
    assert_eq!(hits("a.>"), [1, 2, 4]);
}

#[test]
fn a_subject_with_an_empty_token_matches_nothing() {
    let mut routes = routes(&[">", "*", "*.*", "*.*.*"]);
    for subject in ["", ".", "a.", ".a", "a..b"] {
        assert!(find(&mut routes, subject).is_empty(), "{subject:?}");
    }
}

#[test]
fn malformed_patterns_are_refused() {
    let mut routes = Routes::new();
    for pattern in ["", ".", "a.", ".a", "a..b", "a.>.b", ">.>", ">.a", ">."] {
        assert_eq!(
            routes.insert(pattern.as_bytes(), None, key(1)),
            Err(InvalidSubject),
            "{pattern:?}"
        );
    }
    assert_eq!(routes.nodes.len(), 1);
}

#[test]
fn a_queue_group_is_one_over_all_matching_subjects() {
    let mut routes = Routes::new();
    let (blue, red) = (Bytes::from_static(b"blue"), Bytes::from_static(b"red"));
    routes.insert(b"a.*", Some(&blue), key(1)).unwrap();
    routes.insert(b"a.b", Some(&blue), key(2)).unwrap();
    routes.insert(b"a.b", Some(&red), key(3)).unwrap();
    let mut found = Matches::default();
    routes.find(b"a.b", &mut found);
    assert_eq!(found.queues, [(blue, vec![key(2), key(1)]), (red, vec![key(3)])]);
}

#[test]
fn many_queue_groups_are_one_each_over_all_matching_subjects() {
    let mut routes = Routes::new();
    let name = |number: u64| Bytes::from(vec![b'a' + number as u8]);
    // Those of even numbers at one, of multiples of 3 at the next, all at the last.
    for (at, pattern) in ["a.>", "a.*", "a.b"].into_iter().enumerate() {
        for number in (0..24).step_by([2, 3, 1][at]) {
            let serial = at as u64 * 100 + number;
            routes.insert(pattern.as_bytes(), Some(&name(number)), key(serial)).unwrap();
        }
    }
    let mut found = Matches::default();
    routes.find(b"a.b", &mut found);
    assert_eq!(found.queues.len(), 24);
    for number in 0..24 {
        let mut members = vec![key(200 + number)];
        if number % 3 == 0 {
            members.push(key(100 + number));
        }
        if number % 2 == 0 {
            members.insert(0, key(number));
        }
        assert!(found.queues.contains(&(name(number), members)), "{number} in {found:?}");
    }
}

#[test]
fn what_is_removed_leaves_no_node_behind() {
    let patterns = ["a.b.c", "a.b", "a.*.>", ">", "*.b.c.d"];
    let mut routes = routes(&patterns);
    for (serial, pattern) in patterns.iter().enumerate() {
        routes.remove(pattern.as_bytes(), None, key(serial as u64));
    }
    assert!(find(&mut routes, "a.b.c").is_empty());
    assert!(routes.nodes.len() == 1 && routes.nodes.iter().all(Node::is_unused));
    assert!(routes.nodes.capacity() == 1 && routes.free.capacity() == 0);
    assert_ne!(routes.generation(), 0);
    routes.insert(b"a.b", None, key(9)).unwrap();
    assert_eq!(find(&mut routes, "a.b"), [9]);
}

#[test]
fn removing_one_of_several_keeps_the_others() {
    let mut routes = routes(&["a.b", "a.b", "a.c"]);
    routes.remove(b"a.b", None, key(0));
    assert_eq!(find(&mut routes, "a.b"), [1]);
    assert_eq!(find(&mut routes, "a.c"), [2]);
    // What is not there can be removed without harm.
    routes.remove(b"a.b", None, key(0));
    routes.remove(b"x.y.z", None, key(0));
    assert_eq!(find(&mut routes, "a.b"), [1]);
}

#[test]
fn it_finds_what_comparing_with_every_pattern_finds() {
    fn matches(pattern: &[&str], subject: &[&str]) -> bool {
        match (pattern, subject) {
            ([], []) => true,
            ([">"], [_, ..]) => true,
            (["*", pattern @ ..], [_, subject @ ..]) => matches(pattern, subject),
            ([a, pattern @ ..], [b, subject @ ..]) => a == b && matches(pattern, subject),
            _ => false,
        }
    }
    let mut rng = nats_proto::Rng::from_seed([5; 32]);
    let mut random = |tokens: &[&'static str]| -> Vec<&'static str> {
        let count = 1 + rng.below(4);
        (0..count).map(|_| tokens[rng.below(tokens.len() as u64) as usize]).collect()
    };
    for _ in 0..200 {
        let mut routes = Routes::new();
        let mut inserted: Vec<(u64, Vec<&str>)> = Vec::new();
        for serial in 0..40 {
            let pattern = random(&["a", "b", "c", "*", ">"]);
            if routes.insert(pattern.join(".").as_bytes(), None, key(serial)).is_ok() {
                inserted.push((serial, pattern));
            }
        }
        // Some leave again, so that emptied nodes are part of it.
        for (serial, pattern) in inserted.split_off(inserted.len() / 2) {
            routes.remove(pattern.join(".").as_bytes(), None, key(serial));
        }
        for _ in 0..20 {
            let subject = random(&["a", "b", "c", "d"]);
            let mut found = find(&mut routes, &subject.join("."));
            found.sort_unstable();
            let expected: Vec<u64> = inserted
                .iter()
                .filter(|(_, pattern)| matches(pattern, &subject))
                .map(|(serial, _)| *serial)
                .collect();
            assert_eq!(found, expected, "{subject:?} in {inserted:?}");
        }
    }
}

#[test]
fn thousands_of_tokens_need_no_deep_stack() {
    let mut subject = String::from("a");
    subject.push_str(&".a".repeat(200_000));
    let mut routes = routes(&[&subject]);
    assert_eq!(find(&mut routes, &subject), [0]);
}

#[test]
fn literal_subjects_have_neither_wildcards_nor_empty_tokens() {
    for subject in ["a", "a.b", "a*", "a.>b", "*a"] {
        assert!(is_literal(subject.as_bytes()), "{subject:?}");
    }
    for subject in ["", "*", ">", "a.*", "a.>", "a..b", "a."] {
        assert!(!is_literal(subject.as_bytes()), "{subject:?}");
    }
}
