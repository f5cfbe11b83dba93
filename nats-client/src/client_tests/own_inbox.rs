//! What goes wrong with requests that have an inbox of their own.

use std::error::Error as _;
use std::mem::discriminant;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::ServerError;
use nats_proto::connection::{self, PublishError};

use super::rig::{Rig, pass, virtual_now};
use super::{connect, poll, settle};
use crate::client::{InboxError, RequestError, ResponsesEnd};
use crate::testing::{block_on, options};
use crate::{Client, HeaderMap, PendingPolicy, Request, RequestErrorKind};

/// The errors of three requests that differ in their inboxes alone: the client's, one of their own, and that of a
/// request with many replies.
fn errors(
    client: &Client,
    subject: &str,
    headers: Option<HeaderMap>,
    size: usize,
) -> [RequestError; 3] {
    let payload = || Bytes::from(vec![b'x'; size]);
    let request =
        || Request { payload: Some(payload()), headers: headers.clone(), ..Request::new() };
    let own = request().inbox(client.new_inbox());
    let mut many = client.request_many();
    if let Some(headers) = &headers {
        many = many.headers(headers.clone());
    }
    [
        block_on(client.send_request(subject.to_owned(), request())).expect_err("refused"),
        block_on(client.send_request(subject.to_owned(), own)).expect_err("refused"),
        block_on(many.send(subject.to_owned(), payload())).expect_err("refused"),
    ]
}

/// Sees that all three are of this kind, and come from the same refusal.
fn expect(errors: [RequestError; 3], kind: RequestErrorKind) -> PublishError {
    let [first, rest @ ..] = errors.map(|error| {
        assert_eq!(error.kind(), kind, "{error}");
        let source = error.source().and_then(|source| source.downcast_ref::<PublishError>());
        source.unwrap_or_else(|| panic!("another source: {error:?}")).clone()
    });
    for other in rest {
        assert_eq!(discriminant(&other), discriminant(&first), "{other:?}");
    }
    first
}

#[test]
fn a_request_is_refused_with_the_same_error_whatever_its_inbox() {
    let (rig, peer) = Rig::connected(options());
    let client = &rig.client;
    let invalid = expect(errors(client, "a b", None, 0), RequestErrorKind::InvalidSubject);
    assert!(matches!(invalid, PublishError::InvalidSubject(_)), "{invalid:?}");
    let large = errors(client, "a", None, 2 * 1024 * 1024);
    let large = expect(large, RequestErrorKind::MaxPayloadExceeded);
    assert!(matches!(large, PublishError::MaxPayloadExceeded { .. }), "{large:?}");
    peer.send("INFO {\"server_id\":\"x\",\"headers\":false,\"max_payload\":1048576}\r\n");
    rig.drive();
    let mut headers = HeaderMap::new();
    headers.insert("a", "b");
    let headers = errors(client, "a", Some(headers), 0);
    assert_eq!(expect(headers, RequestErrorKind::Other), PublishError::HeadersUnsupported);
    drop(rig.driver);
    let closed = errors(client, "a", None, 0);
    assert_eq!(expect(closed, RequestErrorKind::Other), PublishError::Closed);
}

#[test]
fn a_client_that_drains_makes_no_new_inbox() {
    let (rig, _peer) = Rig::connected(options());
    let client = &rig.client;
    block_on(client.drain()).expect("a live client");
    let own = Request::new().inbox(client.new_inbox());
    let own = block_on(client.send_request("a", own)).expect_err("refused");
    let many = block_on(client.request_many().send("a", Bytes::new())).expect_err("refused");
    for error in [own, many] {
        assert_eq!(error.kind(), RequestErrorKind::Other);
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&PublishError::Draining), "{error}");
    }
}

#[test]
fn a_full_buffer_refuses_requests_with_the_same_error_whatever_their_inbox() {
    let options = options().pending_limit(64).pending_policy(PendingPolicy::Error);
    let rig = Rig::new(options);
    let full = expect(errors(&rig.client, "a", None, 100), RequestErrorKind::Other);
    assert!(matches!(full, PublishError::BufferFull { connected: false, .. }), "{full:?}");
}

#[test]
fn a_request_says_what_it_has_waited_for_in_vain_whatever_its_inbox() {
    const SECOND: Duration = Duration::from_secs(1);
    for (kept, expected) in [(60, "there was no room in the buffer"), (1_000, "no reply came")] {
        for own in [false, true] {
            let rig = Rig::with_clock(options().pending_limit(kept), virtual_now);
            let payload = Bytes::from_static(&[b'x'; 100]);
            let mut request = Request::new().payload(payload).timeout(Some(SECOND));
            request.inbox = own.then(|| rig.client.new_inbox());
            let mut asked = pin!(rig.client.send_request("a", request));
            assert!(poll(asked.as_mut()).is_pending());
            pass(SECOND);
            rig.drive();
            let Poll::Ready(Err(error)) = poll(asked.as_mut()) else { panic!("it goes on") };
            assert_eq!(error.kind(), RequestErrorKind::TimedOut);
            let text = error.to_string();
            assert!(text.contains(&format!("{expected} within 1s")), "own: {own}, {text}");
        }
    }
}

#[test]
fn an_inbox_that_cannot_be_one_is_an_invalid_subject() {
    let (rig, _peer) = Rig::connected(options());
    for inbox in ["a b", "a.*"] {
        let request = Request::new().inbox(inbox.to_owned());
        let error = block_on(rig.client.send_request("a", request)).expect_err("refused");
        assert_eq!(error.kind(), RequestErrorKind::InvalidSubject, "{error}");
    }
}

fn inbox_error(error: &RequestError) -> Option<&InboxError> {
    assert_eq!(error.kind(), RequestErrorKind::Other);
    error.source()?.downcast_ref()
}

#[test]
fn a_refused_inbox_is_told_from_a_client_that_is_closed() {
    let (_server, mut peer, client) = connect(options());
    let request = Request::new().inbox("mine".to_owned());
    let mut asked = pin!(client.send_request("svc", request));
    assert!(poll(asked.as_mut()).is_pending());
    peer.expect("SUB mine 1\r\n");
    peer.send("-ERR 'Permissions Violation for Subscription to \"mine\"'\r\n");
    let error = block_on(asked).expect_err("refused");
    let Some(InboxError::Refused(ServerError::PermissionsViolation(_))) = inbox_error(&error)
    else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains("mine"), "{error}");
    let mut replies = block_on(client.request_many().send("svc", Bytes::new())).expect("accepted");
    peer.expect("\r\nSUB ");
    let inbox = peer.expect(" 2\r\n");
    peer.send(&format!("-ERR 'Permissions Violation for Subscription to \"{inbox}\"'\r\n"));
    let reply = block_on(std::future::poll_fn(|cx| Pin::new(&mut replies).poll_next(cx)));
    assert!(reply.is_none());
    assert_eq!(replies.end(), Some(ResponsesEnd::Refused));
    settle(&client, &mut peer);
}

#[test]
fn an_inbox_that_is_drained_is_told_from_a_client_that_is_closed() {
    let (_server, mut peer, client) = connect(options());
    let mut replies = block_on(client.request_many().send("svc", Bytes::new())).expect("accepted");
    let mut asked = pin!(client.send_request("svc", Request::new().inbox("mine".to_owned())));
    assert!(poll(asked.as_mut()).is_pending());
    peer.expect("SUB mine 2\r\n");
    // What keeps the client from closing.
    let mut other = block_on(client.subscribe("other")).expect("a subscription");
    peer.expect("SUB other 3\r\n");
    block_on(client.drain()).expect("a live client");
    peer.expect("UNSUB 3\r\n");
    peer.send("MSG other 3 1\r\n1\r\n");
    peer.expect("PING\r\n");
    peer.send("PONG\r\n");
    let error = block_on(asked).expect_err("no reply");
    assert_eq!(inbox_error(&error), Some(&InboxError::Drained), "{error}");
    let reply = block_on(std::future::poll_fn(|cx| Pin::new(&mut replies).poll_next(cx)));
    assert!(reply.is_none());
    assert_eq!(replies.end(), Some(ResponsesEnd::Drained));
    assert!(super::next(&mut other).is_some());
}

#[test]
fn a_reply_that_no_mailbox_holds_is_told_from_a_client_that_is_closed() {
    let (_server, mut peer, client) = connect(options().subscription_byte_capacity(64));
    let mut asked = pin!(client.send_request("svc", Request::new().inbox("mine".to_owned())));
    assert!(poll(asked.as_mut()).is_pending());
    peer.expect("SUB mine 1\r\n");
    peer.send(&format!("MSG mine 1 100\r\n{:0100}\r\n", 1));
    let error = block_on(asked).expect_err("no room");
    assert_eq!(inbox_error(&error), Some(&InboxError::ReplyTooLarge), "{error}");
    assert!(
        error.to_string().ends_with("byte capacity of a subscription, which is 64 bytes"),
        "{error}"
    );
}

#[test]
fn a_client_that_closes_ends_a_request_with_an_inbox_of_its_own() {
    let (_server, mut peer, client) = connect(options());
    let mut asked = pin!(client.send_request("svc", Request::new().inbox("mine".to_owned())));
    assert!(poll(asked.as_mut()).is_pending());
    peer.expect("SUB mine 1\r\n");
    thread::scope(|scope| {
        let closing = scope.spawn(|| block_on(client.close()));
        peer.expect("PING\r\n");
        peer.send("PONG\r\n");
        closing.join().expect("no panic");
    });
    let error = block_on(asked).expect_err("closed");
    let source = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&connection::RequestError::Closed), "{error}");
}
