//! Subscriptions to many subjects at a time.

use crate::support::{Env, Rt, is_silent, next, text};

/// Subjects that are published to, in this order. In the last one the star is a letter.
const SUBJECTS: [&str; 6] = ["a", "a.b", "a.b.c", "a.c", "b.b", "a.*x"];

/// Patterns, and which of the subjects they match.
const PATTERNS: [(&str, &[&str]); 7] = [
    ("a", &["a"]),
    ("a.b", &["a.b"]),
    ("a.*", &["a.b", "a.c", "a.*x"]),
    ("*.b", &["a.b", "b.b"]),
    ("*.*.*", &["a.b.c"]),
    ("a.>", &["a.b", "a.b.c", "a.c", "a.*x"]),
    (">", &SUBJECTS),
];

pub(crate) async fn patterns_match_as_the_server_matches_them<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscribers = Vec::new();
    for (pattern, expected) in PATTERNS {
        subscribers.push((pattern, expected, client.subscribe(pattern).await.unwrap()));
    }
    for subject in SUBJECTS {
        client.publish(subject, subject.into()).await.unwrap();
    }
    client.flush().await.unwrap();
    for (pattern, expected, mut subscriber) in subscribers {
        for subject in expected {
            let message = next(&mut subscriber).await;
            assert_eq!(message.subject.as_str(), *subject, "{pattern}");
            assert_eq!(text(&message), *subject, "{pattern}");
        }
        assert!(is_silent(&mut subscriber), "{pattern}");
    }
}

pub(crate) async fn overlapping_subscriptions_each_get_the_message<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut subscribers = Vec::new();
    for pattern in ["orders.eu.new", "orders.*.new", "orders.>", ">"] {
        subscribers.push(client.subscribe(pattern).await.unwrap());
    }
    client.publish("orders.eu.new", "one".into()).await.unwrap();
    client.flush().await.unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(text(&next(subscriber).await), "one");
        assert!(is_silent(subscriber));
    }
}
