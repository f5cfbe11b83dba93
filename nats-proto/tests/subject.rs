//! Subjects: how they are stored, checked and matched.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use nats_proto::subject::{
    InvalidSubject, SubjectError, ToSubject, matches, validate_publish, validate_queue_group,
    validate_subscribe,
};
use nats_proto::wire::{Chunk, Span};
use nats_proto::{Message, Subject, subject};
use proptest::prelude::*;

fn span(start: u32, len: usize) -> Span {
    let len = u32::try_from(len).unwrap();
    Span { start, len }
}

#[test]
fn is_small() {
    assert_eq!(size_of::<Subject>(), 24);
    // Messages are moved more than once.
    assert_eq!(size_of::<Message>(), 136);
}

#[test]
fn short_subjects_let_go_of_the_read_buffer_and_long_ones_share_it() {
    for (len, shared) in [(22, false), (23, true)] {
        let chunk = Bytes::from(vec![b'a'; 100]);
        let subject = Subject::from_span(&mut chunk.clone().into(), span(10, len));
        assert_eq!(subject.len(), len);
        assert_eq!(!chunk.is_unique(), shared);
    }
}

#[test]
fn received_bytes_that_are_not_utf8_are_replaced() {
    let chunk = Bytes::from_static(b"..a\xffb");
    assert_eq!(Subject::from_span(&mut chunk.into(), span(2, 3)).as_str(), "a\u{fffd}b");
    let long = Bytes::from([vec![b'x'; 50], vec![0xff]].concat());
    let text = Subject::from_span(&mut long.into(), span(0, 51)).into_string();
    assert_eq!(text, format!("{}\u{fffd}", "x".repeat(50)));
}

#[test]
fn a_span_outside_of_the_chunk_gives_an_empty_subject() {
    let mut chunk = Chunk::from(Bytes::from_static(b"abc"));
    assert_eq!(Subject::from_span(&mut chunk, span(2, 2)).as_str(), "");
    assert_eq!(Subject::from_span(&mut chunk, span(u32::MAX, 50)).as_str(), "");
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert!(Subject::from_utf8(vec![b'a', 0xff]).is_err());
    assert!(Subject::try_from(Bytes::from_static(b"a\xff")).is_err());
    assert_eq!(Subject::from_utf8(vec![b'a']).unwrap().as_str(), "a");
}

#[test]
fn maps_can_be_searched_with_a_str() {
    let map = HashMap::from([(Subject::from("a.b"), 1)]);
    assert_eq!(map.get("a.b"), Some(&1));
    let set = HashSet::from([Subject::from_static("a.b"), Subject::from("a.b")]);
    assert_eq!(set.len(), 1);
}

#[test]
fn anything_that_names_a_subject_becomes_one() {
    fn taken(subject: impl ToSubject) -> Subject {
        subject.to_subject()
    }
    let subject = Subject::from("a");
    assert_eq!(taken("a"), subject);
    assert_eq!(taken(String::from("a")), subject);
    assert_eq!(taken(&subject), subject);
    assert_eq!(taken(subject.clone()), subject);
}

#[test]
fn the_text_of_what_can_be_turned_into_a_subject_is_lent() {
    fn lent(subject: &impl ToSubject, expected: &str) {
        assert_eq!(subject.subject_text(), expected);
        assert!(matches!(subject.subject_text(), Cow::Borrowed(_)));
    }
    lent(&"greet.joe", "greet.joe");
    lent(&"greet.sue".to_owned(), "greet.sue");
    lent(&Subject::from("greet.ann"), "greet.ann");
    lent(&&Subject::from("greet.bob"), "greet.bob");
}

#[test]
fn the_text_of_other_types_is_that_of_their_subject() {
    struct Order(u32);
    impl ToSubject for Order {
        fn to_subject(&self) -> Subject {
            format!("orders.{}", self.0).into()
        }
    }
    assert_eq!(Order(7).subject_text(), "orders.7");
}

#[test]
fn is_a_string_in_json() {
    let subject = Subject::from("a\"b");
    let json = serde_json::to_string(&subject).unwrap();
    assert_eq!(json, r#""a\"b""#);
    assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
}

#[test]
fn well_formed_means_tokens_without_whitespace() {
    for good in ["a", "a.b", "*", ">", "a.*.>", "a*", "ü.$x", "a\u{b}"] {
        assert!(Subject::from(good).is_valid(), "{good}");
        assert_eq!(Subject::validated(good).unwrap().as_str(), good);
    }
    for bad in ["", ".", ".a", "a.", "a..b", "a b", "a\tb", "a\r", "\na"] {
        assert!(!Subject::from(bad).is_valid(), "{bad:?}");
        assert_eq!(Subject::validated(bad), Err(SubjectError::InvalidFormat), "{bad:?}");
    }
    const CHECKED: Subject = Subject::from_static_validated("a.b");
    assert_eq!(CHECKED.as_str(), "a.b");
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_where_nothing_can_be_refused() {
    let subject = |bytes: &'static [u8]| Subject::from_bytes_unchecked(Bytes::from_static(bytes));
    assert_eq!(subject(b"a.b").as_str(), "a.b");
    assert_eq!(subject(b"a.\xff").as_str(), "a.\u{fffd}");
}

#[test]
fn publishing_needs_one_word() {
    for good in ["a", "a..b", ".", "*.>", "ü"] {
        assert_eq!(validate_publish(good), Ok(()), "{good}");
    }
    assert_eq!(validate_publish(""), Err(InvalidSubject::Empty));
    for bad in ["a b", "a\tb", "a\rb", "a\nb", " a", "a "] {
        assert_eq!(validate_publish(bad), Err(InvalidSubject::Whitespace { subject: bad.into() }));
    }
}

#[test]
fn subscribing_needs_tokens_and_whole_wildcards() {
    for good in ["a", "a.b", "*", ">", "*.*.>", "a.>"] {
        assert_eq!(validate_subscribe(good), Ok(()), "{good}");
    }
    assert_eq!(validate_subscribe(""), Err(InvalidSubject::Empty));
    for bad in ["a b", "a.\tb", "a\r\nSUB >"] {
        assert!(
            matches!(validate_subscribe(bad), Err(InvalidSubject::Whitespace { subject }) if subject == bad)
        );
    }
    for bad in [".a", "a.", "a..b", "."] {
        assert!(
            matches!(validate_subscribe(bad), Err(InvalidSubject::EmptyToken { subject }) if subject == bad)
        );
    }
    for (bad, culprit) in [("a.b*", "b*"), ("**", "**"), (">>", ">>"), ("a.>b.c", ">b")] {
        assert_eq!(
            validate_subscribe(bad),
            Err(InvalidSubject::PartialWildcard { subject: bad.into(), token: culprit.into() })
        );
    }
    for bad in [">.a", "a.>.b", ">.>"] {
        assert_eq!(
            validate_subscribe(bad),
            Err(InvalidSubject::TailNotLast { subject: bad.into() })
        );
    }
}

#[test]
fn a_queue_group_is_one_word() {
    assert_eq!(validate_queue_group("workers.*"), Ok(()));
    assert_eq!(validate_queue_group(""), Err(InvalidSubject::EmptyQueueGroup));
    for bad in ["a b", "a\tb", "a\rb", "a\nb"] {
        assert_eq!(
            validate_queue_group(bad),
            Err(InvalidSubject::WhitespaceInQueueGroup { queue: bad.into() })
        );
    }
}

#[test]
fn errors_name_the_culprit_on_one_line() {
    for (error, text) in [
        (
            validate_publish("a\r\nPUB").unwrap_err(),
            r#"subject "a\r\nPUB" has a space, tab, CR or LF"#,
        ),
        (
            validate_subscribe("x.a*").unwrap_err(),
            r#"wildcard in token "a*" of subject "x.a*" is not a token of its own"#,
        ),
        (
            validate_queue_group("q 1").unwrap_err(),
            r#"queue group "q 1" has a space, tab, CR or LF"#,
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn wildcards_match_whole_tokens() {
    for (pattern, subject, expected) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a", "A", false),
        ("a.b", "a", false),
        ("a", "a.b", false),
        ("*", "a", true),
        ("*", "a.b", false),
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("*.b", "a.b", true),
        ("*.b", "a.c", false),
        (">", "a", true),
        (">", "a.b.c", true),
        ("a.>", "a", false),
        ("a.>", "a.b", true),
        ("a.>", "a.b.c", true),
        ("*.>", "a.b", true),
        ("*.>", "a", false),
        // Not wildcards, since they are not whole tokens.
        ("a*", "ab", false),
        ("a*", "a*", true),
        // Nothing matches subjects that are not well formed.
        (">", "", false),
        ("*", "", false),
        (">", "a..b", false),
        ("a.*.b", "a..b", false),
        (">", "a.", false),
        (">.a", "b.a", false),
    ] {
        assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
    }
}

fn token() -> impl Strategy<Value = String> {
    "[ab]{1,2}"
}

fn tokens() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(token(), 1..6)
}

/// The definition of matching, by recursion.
fn naive(pattern: &[&str], subject: &[&str]) -> bool {
    match (pattern, subject) {
        ([">"], [_, ..]) => true,
        ([], []) => true,
        ([first, pattern @ ..], [token, subject @ ..]) => {
            (*first == "*" || first == token) && naive(pattern, subject)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_is_as_defined(
        pattern in prop::collection::vec(prop_oneof![token(), Just(String::from("*"))], 0..5),
        tail: bool,
        subject in tokens(),
    ) {
        let mut pattern = pattern.iter().map(String::as_str).collect::<Vec<_>>();
        if tail || pattern.is_empty() {
            pattern.push(">");
        }
        let tokens = subject.iter().map(String::as_str).collect::<Vec<_>>();
        prop_assert_eq!(
            matches(&pattern.join("."), &subject.join(".")),
            naive(&pattern, &tokens)
        );
        prop_assert_eq!(validate_subscribe(&pattern.join(".")), Ok(()));
    }

    #[test]
    fn every_subject_matches_itself_and_its_generalisations(
        subject in tokens(),
        hidden in prop::collection::vec(any::<bool>(), 6),
        cut in 0usize..6,
    ) {
        let text = subject.join(".");
        prop_assert!(matches(&text, &text));
        let mut pattern = subject
            .iter()
            .zip(hidden)
            .map(|(token, hide)| if hide { "*" } else { token.as_str() })
            .collect::<Vec<_>>();
        prop_assert!(matches(&pattern.join("."), &text));
        pattern.truncate(cut.min(pattern.len() - 1));
        pattern.push(">");
        prop_assert!(matches(&pattern.join("."), &text));
    }

    #[test]
    fn text_alone_decides_however_it_is_stored(a in ".{0,60}", b in ".{0,60}") {
        fn stored(text: &str) -> [Subject; 4] {
            let mut chunk = Chunk::from(Bytes::from(text.to_owned()));
            [
                Subject::from(text),
                Subject::from(text.to_owned()),
                Subject::from_span(&mut chunk, span(0, text.len())),
                Subject::from_static(Box::leak(text.to_owned().into_boxed_str())),
            ]
        }
        for x in stored(&a) {
            prop_assert_eq!(x.as_str(), &a);
            prop_assert_eq!(x.clone().into_string(), a.clone());
            for y in stored(&b) {
                prop_assert_eq!(x == y, a == b);
                prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            }
            for y in stored(&a) {
                prop_assert_eq!(x.cmp(&y), Ordering::Equal);
            }
        }
    }

    #[test]
    fn what_may_be_published_cannot_break_a_line(text in any::<String>()) {
        let one_word = !text.is_empty() && !text.contains([' ', '\t', '\r', '\n']);
        prop_assert_eq!(subject::validate_publish(&text).is_ok(), one_word);
        prop_assert_eq!(subject::validate_queue_group(&text).is_ok(), one_word);
        if subject::validate_subscribe(&text).is_ok() {
            prop_assert!(one_word && Subject::from(text).is_valid());
        }
    }
}

#[test]
fn is_the_text_that_it_was_made_of() {
    let text = "orders.new";
    let subject = Subject::try_from(Bytes::from_static(b"orders.new")).unwrap();
    assert_eq!(AsRef::<str>::as_ref(&subject), text);
    assert_eq!(std::borrow::Borrow::<str>::borrow(&subject), text);
    assert_eq!(&*subject, text);
    assert_eq!(subject.to_string(), text);
    assert_eq!(Subject::from(text.to_owned()), subject);
    assert_eq!(serde_json::to_string(&subject).unwrap(), "\"orders.new\"");
    assert_eq!(serde_json::from_str::<Subject>("\"orders.new\"").unwrap(), subject);
    let reference = &subject;
    for lent in [subject.subject_text(), reference.subject_text(), text.subject_text()] {
        assert_eq!(lent, text);
    }
    assert_eq!(text.to_owned().subject_text(), text);
}
