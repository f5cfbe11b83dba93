//! Text from outside: subjects, addresses, errors, headers, introductions, credentials.

use std::str::FromStr;

use bytes::Bytes;
use nats_proto::auth::{KeyPair, UserCredentials};
use nats_proto::subject::{matches, validate_publish, validate_queue_group, validate_subscribe};
use nats_proto::wire::{Limits, OutBuf, encoder};
use nats_proto::{
    ConnectInfo, HeaderMap, HeaderName, HeaderValue, ServerAddr, ServerError, ServerInfo, Subject,
};

use crate::common::{Op, Side, decode, unwritten};

/// Stands for a secret that no text may show.
const CANARY: &str = "canary-4711";

/// A pattern, a NUL, and a subject. What passes as a subject stays in its line, and patterns match as a matcher does
/// that is written in another way.
pub fn subjects(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, subject) = text.split_once('\0').unwrap_or((text, text));
    let is_blank = |char| matches!(char, ' ' | '\t' | '\r' | '\n');
    let well_formed = |text: &str| !text.is_empty() && !text.contains(is_blank);
    assert_eq!(validate_publish(subject).is_ok(), well_formed(subject));
    assert_eq!(validate_queue_group(pattern).is_ok(), well_formed(pattern));
    let is_valid = well_formed(subject) && subject.split('.').all(|token| !token.is_empty());
    assert_eq!(Subject::from(subject).is_valid(), is_valid);
    assert_eq!(Subject::validated(subject).is_ok(), is_valid);

    let tokens: Vec<&str> = pattern.split('.').collect();
    let whole = |token: &&str| token.len() == 1 || !token.contains(['*', '>']);
    let tail_is_last = tokens.iter().rev().skip(1).all(|token| *token != ">");
    let is_pattern = well_formed(pattern)
        && tokens.iter().all(|token| !token.is_empty())
        && tokens.iter().all(whole)
        && tail_is_last;
    assert_eq!(validate_subscribe(pattern).is_ok(), is_pattern);
    let names: Vec<&str> = subject.split('.').collect();
    assert_eq!(matches(pattern, subject), matches_naively(&tokens, &names));

    if well_formed(subject) && subject.len() < 60_000 {
        let mut out = OutBuf::new();
        let payload = Bytes::from_static(b"x");
        encoder::publish(&mut out, subject.as_bytes(), Some(subject.as_bytes()), None, &payload);
        if is_pattern && pattern.len() < 60_000 {
            encoder::subscribe(&mut out, pattern.as_bytes(), Some(pattern.as_bytes()), 7);
        }
        let mut limits = Limits::default();
        limits.control_line = 1 << 20;
        let outcome = decode(Side::Client, limits, &unwritten(&out));
        assert_eq!((outcome.error, outcome.left), (None, Vec::new()));
        let Some(Op::Message(message)) = outcome.ops.first() else {
            panic!("{:?}", outcome.ops);
        };
        assert_eq!(
            (&message.subject[..], &message.reply[..]),
            (subject.as_bytes(), subject.as_bytes())
        );
        assert_eq!(outcome.ops.len(), 1 + usize::from(is_pattern && pattern.len() < 60_000));
    }
}

fn matches_naively(pattern: &[&str], subject: &[&str]) -> bool {
    match (pattern, subject) {
        ([], []) => true,
        ([">"], [_, ..]) => subject.iter().all(|token| !token.is_empty()),
        ([expected, pattern @ ..], [token, subject @ ..]) => {
            let fits =
                *expected != ">" && !token.is_empty() && (*expected == "*" || expected == token);
            fits && matches_naively(pattern, subject)
        }
        _ => false,
    }
}

/// An address, and behind a NUL what a server tells of another one. What is read can be written and read again;
/// nothing shows a password or a query.
pub fn server_addr(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (address, entry) = text.split_once('\0').unwrap_or((text, "other:1"));
    let addr = match ServerAddr::from_str(address) {
        Ok(addr) => addr,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(!addr.host().is_empty() && addr.port() > 0);
    let credentials = match (addr.username(), addr.password()) {
        (None, None) => String::new(),
        (None, Some(password)) => format!(":{}@", encoded(password)),
        (Some(user), None) => format!("{}@", encoded(user)),
        (Some(user), Some(password)) => format!("{}:{}@", encoded(user), encoded(password)),
    };
    let again = format!("{}://{credentials}{}{}", addr.scheme(), endpoint(&addr), addr.path());
    assert_eq!(again.parse(), Ok(addr.clone()), "{again:?}");

    let secret = format!("{}://u:{CANARY}@{}/?token={CANARY}", addr.scheme(), endpoint(&addr));
    match ServerAddr::from_str(&secret) {
        Ok(secret) => assert!(!format!("{secret} {secret:?} {secret:#?}").contains(CANARY)),
        Err(error) => {
            assert!(!addr.is_websocket());
            assert!(!format!("{error} {error:?}").contains(&format!("u:{CANARY}")), "{error}");
        }
    }
    if let Ok(other) = addr.discovered(entry) {
        assert_eq!((other.scheme(), other.path()), (addr.scheme(), addr.path()));
        assert_eq!((other.username(), other.password()), (addr.username(), addr.password()));
        assert!(other.tls_name() == other.host() || other.tls_name() == addr.tls_name());
        assert!(!other.host().is_empty() && other.port() > 0);
    }
}

fn endpoint(addr: &ServerAddr) -> String {
    match addr.host() {
        host if host.contains(':') => format!("[{host}]:{}", addr.port()),
        host => format!("{host}:{}", addr.port()),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The text of an -ERR. What is known keeps being known when it is told on.
pub fn server_errors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let error = ServerError::parse(text);
    let told = error.text().into_owned();
    let shown = error.to_string();
    assert!(!error.is_authorization() || error.closes_connection());
    match &error {
        ServerError::Other(other) => {
            assert!(text.contains(&**other));
            assert!(!error.closes_connection());
            // On one line, and not without end.
            assert!(!shown.contains(char::is_control) && shown.chars().count() <= 256 * 6 + 3);
            if other.chars().count() <= 256 && !other.contains(char::is_control) {
                assert_eq!(shown, told);
            }
        }
        known => {
            assert_eq!(shown, told);
            assert_eq!(ServerError::parse(&told), *known);
            assert_eq!(ServerError::parse(&format!(" '{told}' ")), *known);
        }
    }
    let mut out = OutBuf::new();
    encoder::err(&mut out, &told);
    let mut limits = Limits::default();
    limits.control_line = 1 << 30;
    let outcome = decode(Side::Server, limits, &unwritten(&out));
    assert_eq!(outcome.error, None);
    assert!(matches!(outcome.ops[..], [Op::Err(_)]), "{:?}", outcome.ops);
}

/// A name, a NUL and a value of a header. What is accepted is one header with this name and value at the other end.
pub fn header_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(headers) = serde_json::from_str::<HeaderMap>(text) {
        let json = serde_json::to_string(&headers).expect("headers have a JSON form");
        let again: HeaderMap = serde_json::from_str(&json).expect("it was written");
        same_headers(&again, &headers);
        // No headers are no block.
        if !headers.is_empty() {
            let mut block = Vec::new();
            headers.encode(&mut block);
            assert_eq!(block.len(), headers.encoded_len());
            let again = HeaderMap::parse(&Bytes::from(block)).expect("it was written");
            same_headers(&again.headers, &headers);
        }
    }
    let (name, value) = text.split_once('\0').unwrap_or(("name", text));
    let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) else {
        let mut headers = HeaderMap::new();
        assert!(headers.try_append(name, value).is_err());
        assert!(headers.is_empty());
        return;
    };
    let mut headers = HeaderMap::new();
    headers.append(name.clone(), value.clone());
    headers.append("other", "x");
    headers.append(name.clone(), value.clone());
    let mut block = Vec::new();
    headers.encode(&mut block);
    assert_eq!(block.len(), headers.encoded_len());
    let again = HeaderMap::parse(&Bytes::from(block)).expect("it was written").headers;
    assert_eq!(again, headers);
    assert!(again.get_all(name).filter(|other| **other == value).count() >= 2);
}

fn same_headers(one: &HeaderMap, other: &HeaderMap) {
    assert_eq!(one.len(), other.len());
    for (name, values) in other.iter() {
        assert_eq!(
            one.get_all(name.clone()).collect::<Vec<_>>(),
            values.iter().collect::<Vec<_>>()
        );
    }
}

/// The JSON of INFO, or of CONNECT if the first byte is odd. What is read is read again from what is written of it.
pub fn info_connect(data: &[u8]) {
    let Some((first, json)) = data.split_first() else {
        return;
    };
    let (side, name) = match first & 1 {
        0 => (Side::Server, "INFO "),
        _ => (Side::Client, "CONNECT "),
    };
    let line = [name.as_bytes(), json, b"\r\n"].concat();
    let outcome = decode(side, Limits::default(), &line);
    let mut out = OutBuf::new();
    match outcome.ops.first() {
        Some(Op::Info(info)) => {
            assert!(info.connect_urls.len() <= ServerInfo::MAX_CONNECT_URLS);
            assert!(info.ws_connect_urls.len() <= ServerInfo::MAX_CONNECT_URLS);
            encoder::info(&mut out, info);
        }
        Some(Op::Connect(connect)) => {
            encoder::connect(&mut out, connect);
            let secret = Some(String::from(CANARY));
            let mut connect = ConnectInfo::clone(connect);
            connect.pass.clone_from(&secret);
            connect.auth_token.clone_from(&secret);
            connect.user_jwt.clone_from(&secret);
            connect.signature = secret;
            assert!(!format!("{connect:?}").contains(CANARY));
        }
        _ => return,
    }
    let mut limits = Limits::default();
    limits.info = 1 << 30;
    let again = decode(side, limits, &unwritten(&out));
    assert_eq!((again.error, again.left), (None, Vec::new()));
    assert_eq!(again.ops.first(), outcome.ops.first());
}

/// The text of a credentials file, or of a seed.
pub fn credentials(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(key) = KeyPair::from_seed(text) {
        check_key(&key, text);
    }
    if let Ok(key) = KeyPair::from_decorated_seed(text) {
        check_key(&key, "\u{1}");
    }
    let (jwt, seed) = text.split_once('\0').unwrap_or((text, text));
    for credentials in [UserCredentials::parse(text), UserCredentials::from_parts(jwt, seed)] {
        match credentials {
            Ok(credentials) => {
                // It goes into one line of JSON, and was one line of the file.
                assert!(!credentials.jwt().is_empty());
                assert!(!credentials.jwt().contains(['\r', '\n']));
                assert!(text.contains(credentials.jwt()));
                let auth = credentials.auth("nonce");
                assert_eq!(auth.jwt.as_deref(), Some(credentials.jwt()));
                assert_eq!(auth.signature.map(|signature| signature.len()), Some(64));
                check_key(credentials.key_pair(), "\u{1}");
            }
            Err(error) => assert!(!format!("{error} {error:?}").is_empty()),
        }
    }
}

fn check_key(key: &KeyPair, seed: &str) {
    let public = key.public_key();
    assert_eq!((public.len(), public.starts_with('U')), (56, true));
    assert!(!format!("{key:?}").contains(seed));
    assert_eq!(key.sign(b"nonce"), key.sign(b"nonce"));
}
