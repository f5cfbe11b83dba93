//! However the network cuts the bytes, the connection does the same.

use nats_proto::State;

use crate::support::{INFO, Wire, config};

/// What a server may send in a life: every operation, in and out of place.
fn golden() -> Vec<u8> {
    let mut stream = format!("INFO {INFO}\r\n+OK\r\nPING\r\nPONG\r\n").into_bytes();
    stream.extend_from_slice(
        b"INFO {\"max_payload\":512,\"headers\":true,\"ldm\":true,\"connect_urls\":[\"b:4222\"]}\r\n\
          MSG a.b 1 5\r\nhello\r\n\
          MSG a.b 1 reply.to 0\r\n\r\n\
          HMSG a.c 2 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nworld\r\n\
          HMSG a.c 2 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n\
          PONG\r\nPING\r\n\
          MSG nobody 99 2\r\n\r\n\r\n\
          -ERR 'Permissions Violation for Subscription to \"a.*\"'\r\n\
          -ERR\r\n\
          -ERR 'Stale Connection'\r\n\
          MSG late 2 1\r\nx\r\n",
    );
    stream
}

/// Feeds `parts`, and says everything that came of it.
fn run<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, String, State) {
    let mut wire = Wire::new(config());
    wire.connection.subscribe("a.*", None).expect("a subscription");
    wire.connection.subscribe("a.c", Some("q")).expect("a subscription");
    wire.publish("p", "1").expect("room");
    wire.connection.flush(None);
    wire.dialled();
    wire.accept();
    let (mut events, mut written) = (Vec::new(), String::new());
    for part in parts {
        wire.feed(part);
        events.extend(wire.events().iter().map(|event| format!("{event:?}")));
        written.push_str(&wire.written());
    }
    (events, written, wire.connection.state())
}

#[test]
fn a_stream_cut_at_any_byte_gives_the_same_events_and_state() {
    let golden = golden();
    let (events, _, state) = run(std::iter::once(&golden[..]));
    assert!(events.len() > 8, "{events:#?}");
    assert_eq!(state, State::HangingUp);
    for at in 0..golden.len() {
        let (head, tail) = golden.split_at(at);
        let cut = run([head, tail].into_iter());
        assert_eq!((cut.0, cut.2), (events.clone(), state), "cut at {at}");
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_answered_the_same() {
    let mut golden = golden();
    // Behind the last word of a server nothing is answered; how much was before depends on when it is heard.
    let end = golden.windows(7).position(|window| window == b"-ERR 'S").expect("the last word");
    golden.truncate(end);
    // PONGs go before all else that has not been written yet.
    let answers = |(events, written, state): (Vec<String>, String, State)| {
        (events, written.matches("PONG\r\n").count(), written.replace("PONG\r\n", ""), state)
    };
    let whole = answers(run(std::iter::once(&golden[..])));
    assert_eq!((whole.1, whole.3), (2, State::Connected), "{}", whole.2);
    for at in 0..golden.len() {
        let (head, tail) = golden.split_at(at);
        assert_eq!(answers(run([head, tail].into_iter())), whole, "cut at {at}");
    }
}

#[test]
fn a_stream_that_comes_byte_by_byte_gives_the_same_events() {
    let golden = golden();
    let (events, ..) = run(std::iter::once(&golden[..]));
    let (dripped, written, state) = run(golden.chunks(1));
    assert_eq!(dripped, events);
    assert_eq!(state, State::HangingUp);
    assert!(written.contains("SUB a.* 1\r\nSUB a.c q 2\r\nPUB p 1\r\n1\r\nPING\r\n"), "{written}");
}

#[test]
fn a_stream_that_ends_early_leaves_no_half_operation() {
    let golden = golden();
    let (events, ..) = run(std::iter::once(&golden[..]));
    for end in 0..golden.len() {
        let (truncated, ..) = run(std::iter::once(&golden[..end]));
        assert!(events.starts_with(&truncated), "ends at {end}: {truncated:#?}");
    }
}
