//! The handshake, with a server that the test plays.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use futures_io::AsyncRead;
use tungstenite::handshake::derive_accept_key;

use super::super::error::WebSocketError;
use super::super::{Settings, check_header, upgrade};
use super::rig::{BINARY, frame, shared};
use crate::testing::block_on;
use crate::transport::Inflates;

/// What a server answers, made of what proves that it has read the request.
type Answer = fn(&str) -> String;

/// Plays the server of a handshake: the answer is made of the request's key.
fn handshake(url: &str, settings: &Settings, answer: Answer) -> (String, io::Result<Vec<u8>>) {
    let wire = shared(0);
    let server = url.parse().unwrap();
    let mut attempt = Box::pin(upgrade(wire.clone(), &server, settings, Inflates::default()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(attempt.as_mut().poll(&mut cx).is_pending());
    let request = wire.with(|wire| String::from_utf8(std::mem::take(&mut wire.outgoing)).unwrap());
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().lines().next().unwrap();
    let mut bytes = answer(&derive_accept_key(key.as_bytes())).into_bytes();
    bytes.extend(frame(BINARY, b"INFO"));
    wire.with(|wire| {
        wire.incoming.extend(&bytes);
        wire.ended = true;
    });
    let result = block_on(async {
        let mut socket = attempt.await?;
        let mut buf = [0; 100];
        let count =
            std::future::poll_fn(|cx| Pin::new(&mut socket).poll_read(cx, &mut buf)).await?;
        Ok(buf[..count].to_vec())
    });
    (request, result)
}

fn accepted(accept: &str, more: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

#[test]
fn the_request_has_path_host_and_headers() {
    let settings = Settings { headers: vec![("X-Key".into(), "secret".into())], compression: true };
    let (request, result) =
        handshake("ws://[::1]:8080/nats?a=b", &settings, |accept| accepted(accept, ""));
    assert_eq!(result.unwrap(), b"INFO", "what comes right behind the answer is not lost");
    assert!(request.starts_with("GET /nats?a=b HTTP/1.1\r\nHost: [::1]:8080\r\n"), "{request}");
    assert!(request.contains("\r\nX-Key: secret\r\n"), "{request}");
    assert!(request.contains("\r\nSec-WebSocket-Extensions: permessage-deflate; server_no"));
    // With a character that the random key of the request never has.
    let (request, _) = handshake("ws://me:pass-word@example.com", &Settings::default(), |accept| {
        accepted(accept, "")
    });
    assert!(request.starts_with("GET / HTTP/1.1\r\nHost: example.com\r\n"), "{request}");
    assert!(!request.contains("pass-word") && !request.contains("Extensions"), "{request}");
    let (request, _) =
        handshake("ws://example.com?q", &Settings::default(), |accept| accepted(accept, ""));
    assert!(request.starts_with("GET /?q HTTP/1.1\r\n"), "{request}");
}

fn deflate(parameter: &str) -> String {
    let accepted = "permessage-deflate; server_no_context_takeover";
    format!("Sec-WebSocket-Extensions: {accepted}; {parameter}\r\n")
}

/// What an answer with a parameter that was not asked for leads to.
fn offered_and_answered(answer: Answer) -> Result<Vec<u8>, WebSocketError> {
    let offered = Settings { compression: true, ..Settings::default() };
    let (_, result) = handshake("ws://example.com", &offered, answer);
    result.map_err(|error| error.get_ref().unwrap().downcast_ref().cloned().unwrap())
}

#[test]
fn a_server_may_compress_with_a_smaller_window_without_being_asked() {
    let answers: [Answer; 4] = [
        |accept| accepted(accept, &deflate("server_max_window_bits=8")),
        |accept| accepted(accept, &deflate("server_max_window_bits=15")),
        |accept| accepted(accept, &deflate("Server_Max_Window_Bits = \"9\"")),
        |accept| accepted(accept, &deflate("server_max_window_bits=9; client_no_context_takeover")),
    ];
    for answer in answers {
        assert_eq!(offered_and_answered(answer).unwrap(), b"INFO");
    }
}

#[test]
fn windows_that_do_not_exist_are_refused_by_their_value() {
    let answers: [(&str, Answer); 7] = [
        ("7", |accept| accepted(accept, &deflate("server_max_window_bits=7"))),
        ("16", |accept| accepted(accept, &deflate("server_max_window_bits=16"))),
        ("09", |accept| accepted(accept, &deflate("server_max_window_bits=09"))),
        ("+9", |accept| accepted(accept, &deflate("server_max_window_bits=+9"))),
        ("x", |accept| accepted(accept, &deflate("server_max_window_bits=x"))),
        ("", |accept| accepted(accept, &deflate("server_max_window_bits="))),
        ("", |accept| accepted(accept, &deflate("server_max_window_bits"))),
    ];
    for (value, answer) in answers {
        let error = offered_and_answered(answer).unwrap_err();
        assert_eq!(error, WebSocketError::Window(value.into()));
        assert!(error.to_string().contains(&format!("{value:?}")), "{error}");
    }
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let offered = Settings { compression: true, ..Settings::default() };
    let refused = |settings: &Settings, answer| {
        let (_, result) = handshake("ws://example.com", settings, answer);
        let error = result.unwrap_err();
        error.get_ref().and_then(|error| error.downcast_ref::<WebSocketError>()).cloned().unwrap()
    };
    let plain = Settings::default();
    let status = refused(&plain, |_| "HTTP/1.1 404 Not Found\r\n\r\n".into());
    assert_eq!(status, WebSocketError::Refused(404));
    let old = refused(&plain, |_| "HTTP/1.0 502 Bad Gateway\r\n\r\n".into());
    assert_eq!(old, WebSocketError::Refused(502));
    let answers: [Answer; 8] = [
        |_| accepted("bm9uc2Vuc2U=", ""),
        |accept| accepted(accept, "").replace("Upgrade: WebSocket", "Upgrade: h2c"),
        |accept| accepted(accept, "").replace("keep-alive, Upgrade", "keep-alive"),
        |_| "HTTP/1.0 101 Switching\r\n\r\n".into(),
        |_| "HTTP/1.1 101 Switching\r\n\r\n".into(),
        |_| "nonsense\r\n\r\n".into(),
        |_| "\0".repeat(100),
        |accept| accepted(accept, "Sec-WebSocket-Protocol: nats\r\n"),
    ];
    for answer in answers {
        let error = refused(&plain, answer);
        assert!(matches!(error, WebSocketError::Handshake(_)), "{error:?}");
    }
    let endless = refused(&plain, |_| format!("HTTP/1.1 101 Ok\r\nX: {}", "x".repeat(100_000)));
    assert!(matches!(endless, WebSocketError::AnswerTooLong(_)), "{endless:?}");
    let extensions: [Answer; 5] = [
        |accept| accepted(accept, "Sec-WebSocket-Extensions: x\r\n"),
        |accept| accepted(accept, &deflate("client_max_window_bits=9")),
        |accept| accepted(accept, &deflate("server_no_context_takeover")),
        |accept| accepted(accept, &deflate("server_max_window_bits=9; server_max_window_bits=9")),
        |accept| {
            let one = "permessage-deflate; server_no_context_takeover";
            accepted(accept, &format!("Sec-WebSocket-Extensions: {one}, {one}\r\n"))
        },
    ];
    for answer in extensions {
        let error = refused(&offered, answer);
        assert!(matches!(error, WebSocketError::Extension(_)), "{error:?}");
    }
    let unasked = refused(&plain, |accept| {
        accepted(
            accept,
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
        )
    });
    assert!(matches!(unasked, WebSocketError::Extension(_)), "{unasked:?}");
}

#[test]
fn an_answer_without_what_was_asked_for_is_told_as_that() {
    let answers: [Answer; 2] = [
        |accept| accepted(accept, "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        |accept| {
            let one = "permessage-deflate; client_no_context_takeover";
            accepted(accept, &format!("Sec-WebSocket-Extensions: {one}\r\n"))
        },
    ];
    for answer in answers {
        let error = offered_and_answered(answer).unwrap_err();
        assert!(matches!(error, WebSocketError::Takeover(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("without server_no_context_takeover"), "{text}");
    }
}

#[test]
fn a_bad_request_may_be_one_without_tls() {
    // In the words of a server written in Go that has TLS.
    let answer: Answer = |_| {
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n".into()
    };
    for (url, hint) in [("ws://example.com", true), ("wss://example.com", false)] {
        let (_, result) = handshake(url, &Settings::default(), answer);
        let text = result.unwrap_err().to_string();
        assert!(text.contains("HTTP status 400"), "{text}");
        assert_eq!(text.contains("begins with wss://"), hint, "{text}");
    }
}

#[test]
fn headers_cannot_smuggle_others_in_and_secrets_are_not_quoted() {
    assert_eq!(check_header("Authorization", "Bearer x y"), Ok(()));
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("a\r\nb", "x"),
        ("a", "canary\r\nb: c"),
        ("a", "canary\nb"),
        ("a", "canary\0"),
        ("Host", "x"),
        ("sec-websocket-KEY", "x"),
        ("Upgrade", "x"),
    ] {
        let error = check_header(name, value).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}
