//! What servers report by -ERR.

use nats_proto::{PermissionTarget, ServerError};
use proptest::prelude::*;

/// The texts as `nats-server` has them, what they are, and whether the connection closes.
fn table() -> Vec<(&'static str, ServerError, bool)> {
    use ServerError::*;
    vec![
        ("Authorization Violation", AuthorizationViolation, true),
        ("Authentication Timeout", AuthenticationTimeout, true),
        ("User Authentication Expired", UserAuthenticationExpired, true),
        ("User Authentication Revoked", UserAuthenticationRevoked, true),
        ("Account Authentication Expired", AccountAuthenticationExpired, true),
        ("maximum connections exceeded", MaximumConnectionsExceeded, true),
        ("maximum account active connections exceeded", MaximumAccountConnectionsExceeded, true),
        ("Connection throttling is active. Please try again later.", ConnectionThrottling, true),
        ("Maximum Payload Violation", MaximumPayloadViolation, true),
        ("maximum control line exceeded", MaximumControlLineExceeded, true),
        ("invalid client protocol", InvalidClientProtocol, true),
        ("no responders requires headers support", NoRespondersRequiresHeaders, true),
        ("Secure Connection - TLS Required", TlsRequired, true),
        ("Stale Connection", StaleConnection, true),
        ("Unknown Protocol Operation", UnknownProtocolOperation, true),
        ("attempted to connect to route port", ConnectedToRoutePort, true),
        ("attempted to connect to leaf node port", ConnectedToLeafNodePort, true),
        ("attempted to connect to gateway port", ConnectedToGatewayPort, true),
        ("maximum subscriptions exceeded", MaximumSubscriptionsExceeded, false),
        ("Invalid Subject", InvalidSubject, false),
        ("Invalid Publish Subject", InvalidPublishSubject, false),
        (
            r#"Permissions Violation for Publish to "a.b""#,
            PermissionsViolation(PermissionTarget::Publish { subject: "a.b".into() }),
            false,
        ),
        (
            r#"Permissions Violation for Publish with Reply of "r""#,
            PermissionsViolation(PermissionTarget::PublishReply { reply: "r".into() }),
            false,
        ),
        (
            r#"Permissions Violation for Subscription to "a.>""#,
            subscription("a.>", None, None),
            false,
        ),
        (
            r#"Permissions Violation for Subscription to "a" using queue "q""#,
            subscription("a", Some("q"), None),
            false,
        ),
        (
            r#"Permissions Violation for Subscription to "a" (sid "7")"#,
            subscription("a", None, Some(7)),
            false,
        ),
        (
            r#"Permissions Violation for Subscription to "a" using queue "q" (sid "7")"#,
            subscription("a", Some("q"), Some(7)),
            false,
        ),
        (
            r#"Permissions Violation for Subscription to "a.b.c", too many tokens"#,
            TooManyTokens { subject: "a.b.c".into() },
            false,
        ),
        ("Something New", Other("Something New".into()), false),
        ("", Other(String::new()), false),
    ]
}

fn subscription(subject: &str, queue: Option<&str>, sid: Option<u64>) -> ServerError {
    ServerError::PermissionsViolation(PermissionTarget::Subscription {
        subject: subject.into(),
        queue: queue.map(String::from),
        sid,
    })
}

#[test]
fn every_text_is_read_and_written_as_the_server_has_it() {
    for (text, error, closes) in table() {
        assert_eq!(ServerError::parse(text), error);
        assert_eq!(error.text(), text);
        assert_eq!(error.to_string(), text);
        assert_eq!(error.closes_connection(), closes, "{text}");
    }
}

#[test]
fn quotes_around_the_text_and_spaces_around_them_do_not_matter() {
    for (text, error, _) in table() {
        assert_eq!(ServerError::parse(&format!("'{text}'")), error);
        assert_eq!(ServerError::parse(&format!(" '{text}'\r\n")), error);
        assert_eq!(ServerError::parse(&format!("'{text}")), error);
    }
    assert_eq!(ServerError::parse("'"), ServerError::Other(String::new()));
    assert_eq!(ServerError::parse("''"), ServerError::Other(String::new()));
}

#[test]
fn case_does_not_matter_but_in_names_and_unknown_texts() {
    use ServerError::*;
    for (text, error, _) in table() {
        if !matches!(error, PermissionsViolation(_) | TooManyTokens { .. } | Other(_)) {
            assert_eq!(ServerError::parse(&text.to_uppercase()), error);
            assert_eq!(ServerError::parse(&text.to_lowercase()), error);
        }
    }
    assert_eq!(
        ServerError::parse(r#"PERMISSIONS VIOLATION FOR SUBSCRIPTION TO "a.B" USING QUEUE "q""#),
        subscription("a.B", Some("q"), None)
    );
}

#[test]
fn other_wordings_are_known() {
    assert_eq!(ServerError::parse("'Authorization Timeout'"), ServerError::AuthenticationTimeout);
    assert_eq!(
        ServerError::parse("'connection throttling is active.'"),
        ServerError::ConnectionThrottling
    );
}

#[test]
fn escapes_in_quoted_names_are_undone() {
    for (quoted, name) in [
        (r#"a\"b"#, "a\"b"),
        (r"a\\b", r"a\b"),
        (r"a'b'", "a'b'"),
        (r"\a\b\f\n\r\t\v", "\x07\x08\x0c\n\r\t\x0b"),
        (r"\x00\x7f", "\0\x7f"),
        (r"\u00ad\U0001f600", "\u{ad}\u{1f600}"),
        (r"\xc3\xa9", "\u{e9}"),
        (r"a\xff", "a\u{fffd}"),
        ("\u{e9}", "\u{e9}"),
        ("", ""),
    ] {
        let text = format!("'Permissions Violation for Publish to \"{quoted}\"'");
        let subject = name.into();
        assert_eq!(
            ServerError::parse(&text),
            ServerError::PermissionsViolation(PermissionTarget::Publish { subject })
        );
    }
}

#[test]
fn names_are_written_as_the_server_writes_them() {
    // What Go takes for not printable is escaped, beyond control characters.
    for text in [
        r#"Permissions Violation for Publish to "a\u00ad\u00a0\u2028\U000e0001""#,
        "Permissions Violation for Publish to \"\u{e9}\u{fffd}\"",
    ] {
        assert_eq!(ServerError::parse(text).text(), text);
    }
}

#[test]
fn broken_permission_texts_are_kept_as_text() {
    for text in [
        "Permissions Violation",
        "Permissions Violation for",
        "Permissions Violation for Publish to a.b",
        "Permissions Violation for Publish to \"a.b",
        "Permissions Violation for Publish to \"a\\q\"",
        "Permissions Violation for Publish to \"a\\x4\"",
        "Permissions Violation for Publish to \"a\\ud800\"",
        "Permissions Violation for Publish to \"a\" and more",
        "Permissions Violation for Subscription to \"a\" (sid \"x\")",
        "Permissions Violation for Subscription to \"a\" (sid \"18446744073709551616\")",
    ] {
        assert_eq!(ServerError::parse(text), ServerError::Other(text.into()));
    }
}

#[test]
fn an_unknown_text_is_shown_on_one_line_and_not_without_end() {
    let raw = "first\nsecond \u{1b}[2J\u{7f}\u{9b}\" \\ \u{e9}";
    let error = ServerError::parse(raw);
    assert_eq!(error.text(), raw);
    assert_eq!(error.to_string(), "first\\nsecond \\u{1b}[2J\\u{7f}\\u{9b}\" \\ \u{e9}");
    for (len, shown) in
        [(256, "e".repeat(256)), (257, "e".repeat(256) + "..."), (1 << 20, "e".repeat(256) + "...")]
    {
        let error = ServerError::Other("e".repeat(len));
        assert_eq!(error.text().len(), len);
        assert_eq!(error.to_string(), shown);
    }
}

#[test]
fn refused_credentials_are_told_apart_from_a_slow_handshake() {
    use ServerError::*;
    let refused = table()
        .into_iter()
        .map(|(_, error, _)| error)
        .filter(ServerError::is_authorization)
        .collect::<Vec<_>>();
    assert_eq!(
        refused,
        [
            AuthorizationViolation,
            UserAuthenticationExpired,
            UserAuthenticationRevoked,
            AccountAuthenticationExpired
        ]
    );
}

fn target() -> impl Strategy<Value = ServerError> {
    let name = any::<String>;
    prop_oneof![
        name().prop_map(|subject| ServerError::PermissionsViolation(PermissionTarget::Publish {
            subject
        })),
        name().prop_map(|reply| ServerError::PermissionsViolation(
            PermissionTarget::PublishReply { reply }
        )),
        name().prop_map(|subject| ServerError::TooManyTokens { subject }),
        (name(), any::<Option<String>>(), any::<Option<u64>>())
            .prop_map(|(subject, queue, sid)| subscription(&subject, queue.as_deref(), sid)),
    ]
}

proptest! {
    #[test]
    fn every_name_survives_and_stays_on_one_line(error in target()) {
        let text = error.text();
        prop_assert!(!text.contains(char::is_control));
        prop_assert_eq!(&ServerError::parse(&text), &error);
        prop_assert_eq!(&ServerError::parse(&format!("'{text}'")), &error);
    }

    #[test]
    fn no_text_makes_it_panic(
        start in prop_oneof![
            Just(""),
            Just("'"),
            Just("Permissions Violation for Publish to \""),
            Just("Permissions Violation for Subscription to \"a\" using queue \"\\"),
        ],
        text in any::<String>(),
    ) {
        let text = format!("{start}{text}");
        match ServerError::parse(&text) {
            ServerError::Other(kept) => prop_assert!(text.contains(&kept)),
            known => prop_assert_eq!(&ServerError::parse(&known.text()), &known),
        }
    }
}
