//! Server addresses, as users write them and as servers list them.

use nats_proto::{Scheme, ServerAddr, ServerAddrError};
use proptest::prelude::*;

fn addr(text: &str) -> ServerAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> ServerAddrError {
    text.parse::<ServerAddr>().expect_err(text)
}

#[test]
fn scheme_and_port_have_defaults() {
    for (text, scheme, host, port) in [
        ("localhost", "nats", "localhost", 4222),
        (" tls://localhost:1\r\n", "tls", "localhost", 1),
        ("localhost:1", "nats", "localhost", 1),
        ("127.0.0.1:65535", "nats", "127.0.0.1", 65535),
        ("nats://Demo.example", "nats", "demo.example", 4222),
        ("nats://demo.example:4223/", "nats", "demo.example", 4223),
        ("TLS://demo", "tls", "demo", 4222),
        ("ws://demo", "ws", "demo", 80),
        ("wss://demo", "wss", "demo", 443),
        ("wss://demo:8443", "wss", "demo", 8443),
        ("[::1]", "nats", "::1", 4222),
        ("nats://[::1]:7", "nats", "::1", 7),
        ("nats://[2001:DB8:0:0::1]", "nats", "2001:db8::1", 4222),
        ("[::ffff:1.2.3.4]:5", "nats", "::ffff:1.2.3.4", 5),
        ("my_host-1.local", "nats", "my_host-1.local", 4222),
        ("bücher.example", "nats", "bücher.example", 4222),
    ] {
        let addr = addr(text);
        assert_eq!(addr.scheme(), scheme, "{text}");
        assert_eq!(addr.scheme_kind().as_str(), scheme, "{text}");
        assert_eq!((addr.host(), addr.port()), (host, port), "{text}");
        assert_eq!((addr.username(), addr.password()), (None, None), "{text}");
        assert!(!addr.has_user_pass(), "{text}");
    }
}

#[test]
fn only_tls_asks_for_tls_below_nats() {
    for (text, tls, websocket) in [
        ("nats://a", false, false),
        ("tls://a", true, false),
        ("ws://a", false, true),
        ("wss://a", false, true),
    ] {
        assert_eq!(addr(text).tls_required(), tls);
        assert_eq!(addr(text).is_websocket(), websocket);
    }
}

#[test]
fn credentials_are_decoded_and_a_lone_user_is_a_token() {
    for (text, username, password, token) in [
        ("nats://derek:pass@host:4222", Some("derek"), Some("pass"), None),
        ("derek:pass@host", Some("derek"), Some("pass"), None),
        ("nats://t0ken@host", Some("t0ken"), None, Some("t0ken")),
        ("nats://a%40b:%3a%2F%25@host", Some("a@b"), Some(":/%"), None),
        ("nats://%C3%A9@host", Some("é"), None, Some("é")),
        ("nats://u:p@ss:word@host", Some("u"), Some("p@ss:word"), None),
        ("nats://u:p,w@host", Some("u"), Some("p,w"), None),
        ("nats://u:p@ss%2Cw@host", Some("u"), Some("p@ss,w"), None),
        ("nats://u:@host", Some("u"), Some(""), None),
        ("nats://:p@host", None, Some("p"), None),
        ("nats://@host", None, None, None),
        ("nats://u:p@[::1]:1", Some("u"), Some("p"), None),
    ] {
        let addr = addr(text);
        assert_eq!(addr.username(), username, "{text}");
        assert_eq!(addr.password(), password, "{text}");
        assert_eq!(addr.token(), token, "{text}");
        assert_eq!(addr.has_user_pass(), username.is_some(), "{text}");
    }
}

#[test]
fn a_path_is_for_websockets() {
    assert_eq!(addr("ws://host/nats/v1?x=1").path(), "/nats/v1?x=1");
    assert_eq!(addr("wss://host:1?x").path(), "?x");
    assert_eq!(addr("ws://u:p@host/a%40b").path(), "/a%40b");
    assert_eq!(addr("ws://host/").path(), "");
    for (text, path) in [
        ("nats://host/a", "/a"),
        ("host?tls=1", "?***"),
        ("tls://host:1#f", "#***"),
        ("ws://host/a#f", "/a#***"),
        ("ws://host/a b?c", "/a b?***"),
        ("ws://host/a b", "/a b"),
    ] {
        assert_eq!(error(text), ServerAddrError::UnexpectedPath { path: path.into() });
    }
}

#[test]
fn what_is_wrong_is_named() {
    use ServerAddrError::*;
    for (text, expected) in [
        ("http://host", UnknownScheme { scheme: "http".into() }),
        ("", EmptyHost),
        ("nats://", EmptyHost),
        (":4222", EmptyHost),
        ("nats://u:p@", EmptyHost),
        ("nats://u:p@:1", EmptyHost),
        ("a b", InvalidHost { host: "a b".into() }),
        ("a,b", SeveralAddresses { addresses: "a,b".into() }),
        ("nats://a:1,b:2", SeveralAddresses { addresses: "a:1,b:2".into() }),
        ("nats://a:1,nats://b:2", SeveralAddresses { addresses: "a:1,nats:".into() }),
        ("nats://u:p@a:1,u:p@b:2", SeveralAddresses { addresses: "***".into() }),
        ("u:p@a,t@b", SeveralAddresses { addresses: "***".into() }),
        ("nats://u:p@a:1,nats://u:p@b:2", SeveralAddresses { addresses: "***".into() }),
        ("a,tls://t@b", SeveralAddresses { addresses: "***".into() }),
        ("ws://u:p@a/x,ws://u:p@b/x", UnencodedCredentials),
        ("ws://host/a@b", UnencodedCredentials),
        ("host:1:2", InvalidHost { host: "host:1:2".into() }),
        ("user:pass:1", InvalidHost { host: "user:***".into() }),
        ("derek:12345678:4222", InvalidHost { host: "derek:***".into() }),
        ("nats://ada:facade123:4222", InvalidHost { host: "ada:***".into() }),
        ("dead:beef:4222", InvalidHost { host: "dead:***".into() }),
        ("a\r\nb", InvalidHost { host: r"a\r\nb".into() }),
        (" ", EmptyHost),
        ("host:", InvalidPort { port: "".into() }),
        ("host:0", InvalidPort { port: "0".into() }),
        ("host:+1", InvalidPort { port: "***".into() }),
        ("host:65536", InvalidPort { port: "65536".into() }),
        ("host:123456", InvalidPort { port: "***".into() }),
        ("host:x", InvalidPort { port: "***".into() }),
        ("[::1]x", InvalidPort { port: "***".into() }),
        ("[::1]:", InvalidPort { port: "".into() }),
        ("[::1", InvalidIpv6 { host: "[::1".into() }),
        ("[]:1", InvalidIpv6 { host: "[]:1".into() }),
        ("[host]", InvalidIpv6 { host: "[host]".into() }),
        ("[fe80::1%eth0]", InvalidIpv6 { host: "[fe80::1%eth0]".into() }),
        ("::1", Ipv6WithoutBrackets { host: "::1".into() }),
        ("nats://::1:4222", Ipv6WithoutBrackets { host: "::1:4222".into() }),
        ("1:2:3:4:5:6:7:8:65535", Ipv6WithoutBrackets { host: "1:2:3:4:5:6:7:8:65535".into() }),
        ("nats://u%4:p@host", InvalidCredentials),
        ("nats://u:%zz@host", InvalidCredentials),
        ("nats://u:%ff@host", InvalidCredentials),
        ("nats://u:p%@host", InvalidCredentials),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    assert_eq!(error(&"a".repeat(254)), HostTooLong { len: 254, limit: 253 });
    assert_eq!(addr(&"a".repeat(253)).host().len(), 253);
    assert_eq!(
        error("::1").to_string(),
        r#"IPv6 address "::1" must stand in brackets, as in "[::1]:4222""#
    );
}

#[test]
fn no_text_shows_a_secret() {
    for text in [
        "nats://user:canary@host:1",
        "nats://canary@host:1",
        "nats://:canary@host:1",
        "wss://user:canary@[::1]:1/path",
        "ws://host/path?token=canary",
    ] {
        let addr = addr(text);
        for shown in [addr.to_string(), format!("{addr:?}"), format!("{addr:#?}")] {
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains("***"), "{shown}");
        }
    }
    for text in [
        "nats://user:canary@ho st",
        "nats://user:canary@host:x",
        "nats://user:canary@::1",
        "nats://user:canary%@host",
        "nats://user:canary/x@host",
        "nats://user:1/canary@host",
        "nats://user:1?canary@host",
        "nats://user:1#canary@host",
        "nats://can/canary@host",
        "ws://user:canary/@host",
        "ws://user:12/canary@host",
        "wss://user?canary@host",
        "nats://user:canary@a,user:canary@b",
        "nats://a,nats://user:canary@b",
        "nats://user:p@ss,canary@host",
        "nats://user:x,y://canary@host",
        "http://user:canary@host",
        "user:canary://x@host",
        "nats://user:canary@host/path",
        "nats://user:canary@host/@path",
        "nats://demo:4222?auth_token=canary",
        "wss://gw.example.com/nats?access_token=canary#x",
        "wss://gw.example.com/nats#access_token=canary",
        "ws://gw.example.com/nats?access_token=can canary",
        "nats://derek:canary",
        "derek:canary",
        "derek:canary:4222",
        "nats://[::1]:canary",
        "nats://derek:can,canary",
        // Passwords of digits, also hexadecimal ones.
        "nats://derek:47114711",
        "derek:47114711:4222",
        "derek:4222:47114711",
        "ada:facade4711",
        "nats://ada:facade4711:4222",
        "nats://ada:4711facade:",
        "nats://dead:beef4711:1",
        "a::4711facade",
        "::1:47114711",
        "nats://derek:47114711,host",
        "nats://[::1]:47114711",
    ] {
        let error = error(text);
        for shown in [error.to_string(), format!("{error:?}")] {
            for canary in ["canary", "4711"] {
                assert!(!shown.contains(canary), "{text}: {shown}");
            }
        }
    }
}

#[test]
fn is_shown_as_it_could_be_written() {
    for (text, shown) in [
        ("localhost", "nats://localhost:4222"),
        ("tls://[::1]", "tls://[::1]:4222"),
        ("ws://host/path", "ws://host:80/path"),
        ("nats://derek:secret@host", "nats://derek:***@host:4222"),
    ] {
        assert_eq!(addr(text).to_string(), shown);
        assert_eq!(format!("{:?}", addr(text)), format!("ServerAddr({shown})"));
    }
}

#[test]
fn discovered_servers_inherit_scheme_and_credentials() {
    let known = addr("tls://u:p@known:1");
    let found = known.discovered("[2001:db8::2]:5").unwrap();
    assert_eq!(found.scheme_kind(), Scheme::Tls);
    assert_eq!((found.host(), found.port()), ("2001:db8::2", 5));
    assert_eq!((found.username(), found.password()), (Some("u"), Some("p")));
    assert_eq!(known.discovered("other").unwrap().port(), 4222);

    let websocket = addr("wss://t@known/path").discovered("other:8443").unwrap();
    assert_eq!(websocket.scheme(), "wss");
    assert_eq!(websocket.path(), "/path");
    assert_eq!(websocket.token(), Some("t"));
}

#[test]
fn a_discovered_ip_address_keeps_the_name_for_tls_that_the_user_gave() {
    let known = addr("tls://nats.example");
    assert_eq!(known.tls_name(), "nats.example");
    for entry in ["10.0.0.2:4222", "[2001:db8::2]:4222"] {
        let found = known.discovered(entry).unwrap();
        assert_ne!(found.host(), "nats.example");
        assert_eq!(found.tls_name(), "nats.example");
        // Also over several steps.
        assert_eq!(found.discovered("10.0.0.3:1").unwrap().tls_name(), "nats.example");
    }
    // A name stands for itself.
    let named = known.discovered("10.0.0.2:1").unwrap().discovered("b.example:1").unwrap();
    assert_eq!(named.tls_name(), "b.example");
}

#[test]
fn a_discovered_ip_address_stands_for_itself_where_the_user_gave_no_name() {
    for known in ["tls://10.0.0.1", "tls://[2001:db8::1]"] {
        for entry in ["10.0.0.2:1", "[2001:db8::2]:1"] {
            let found = addr(known).discovered(entry).unwrap();
            assert_eq!(found.tls_name(), found.host());
            let next = found.discovered("10.0.0.3:1").unwrap();
            assert_eq!(next.tls_name(), "10.0.0.3", "also over several steps");
        }
    }
}

#[test]
fn discovered_entries_are_host_and_port_alone() {
    use ServerAddrError::*;
    let known = addr("tls://u:p@known:1");
    for (entry, expected) in [
        ("nats://evil:1", UnexpectedScheme { address: "nats://evil:1".into() }),
        ("x@evil:1", UnexpectedCredentials),
        ("evil/x@y", UnexpectedCredentials),
        ("evil:1/", UnexpectedPath { path: "/".into() }),
        ("evil:1?x", UnexpectedPath { path: "?***".into() }),
        ("", EmptyHost),
        ("a\0b", InvalidHost { host: r"a\x00b".into() }),
        ("a:99999", InvalidPort { port: "99999".into() }),
    ] {
        assert_eq!(known.discovered(entry), Err(expected), "{entry}");
    }
    let long = "/".repeat(100_000);
    assert!(known.discovered(&long).unwrap_err().to_string().len() < 200);
}

#[test]
fn the_same_endpoint_can_be_written_in_many_ways() {
    for (a, b, same) in [
        ("nats://u:p@Host", "tls://host:4222", true),
        ("[::1]", "[0:0::1]:4222", true),
        ("host:1", "host:2", false),
        ("host", "host.", false),
        ("ws://host", "nats://host", false),
    ] {
        assert_eq!(addr(a).same_endpoint(&addr(b)), same, "{a} {b}");
    }
}

#[test]
fn addresses_that_mean_the_same_are_equal() {
    use std::collections::HashSet;
    for (a, b, same) in [
        ("a", "NATS://A:4222/", true),
        ("ws://Host/Path", "ws://host:80/Path", true),
        ("ws://host/Path", "ws://host/path", false),
        ("[::1]", "nats://[0:0::1]:4222", true),
        ("nats://u:p%40@a", "nats://u:p@@a", true),
        ("nats://U@a", "nats://u@a", false),
        ("nats://u:p@a", "nats://u:q@a", false),
        ("nats://a", "tls://a", false),
        ("a:1", "a:2", false),
    ] {
        assert_eq!(addr(a) == addr(b), same, "{a} {b}");
        assert_eq!(HashSet::from([addr(a), addr(b)]).len(), if same { 1 } else { 2 }, "{a} {b}");
    }
}

#[test]
fn a_discovered_server_is_equal_to_its_text_whatever_its_name_for_tls() {
    let found = addr("tls://nats.example").discovered("10.0.0.2:4222").unwrap();
    let written = addr("tls://10.0.0.2");
    assert_ne!(found.tls_name(), written.tls_name());
    assert_eq!(found, written);
    assert_eq!(std::collections::HashSet::from([found, written]).len(), 1);
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn any_credentials_can_be_written(username in ".{1,20}", password in any::<Option<String>>()) {
        let mut text = percent_encoded(&username);
        if let Some(password) = &password {
            text = format!("{text}:{}", percent_encoded(password));
        }
        let addr = addr(&format!("nats://{text}@host"));
        prop_assert_eq!(addr.username(), Some(username.as_str()));
        prop_assert_eq!(addr.password(), password.as_deref());
    }

    #[test]
    fn what_is_shown_is_read_again(
        scheme in prop_oneof![Just("nats"), Just("tls"), Just("ws"), Just("wss")],
        host in prop_oneof!["[a-zA-Z0-9_.-]{1,30}", any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]"))],
        port in 1u16..,
    ) {
        let first = addr(&format!("{scheme}://{host}:{port}"));
        prop_assert_eq!(&addr(&first.to_string()), &first);
    }

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), "[a:/@%#?\\[\\]0-9.]{0,20}"]) {
        let known = addr("localhost");
        if let Ok(addr) = text.parse::<ServerAddr>() {
            prop_assert!(!addr.host().is_empty() && addr.port() != 0);
        }
        if let Ok(addr) = known.discovered(&text) {
            prop_assert!(!addr.host().is_empty() && addr.port() != 0);
        }
    }
}
