//! The broker's core: no socket, and a clock that is a number.

mod keepalive;
mod limits;
mod shutdown;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use bytes::BytesMut;
use nats_broker::{Auth, Broker, Config};
use nats_proto::Instant;
use nats_proto::wire::OutBuf;
use support::memory::Memory;
use support::script::World;

const CONNECT: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"headers\":true}\r\nPING\r\n";

/// A broker with connected clients.
fn memory(config: Config, clients: &str) -> Memory {
    let mut memory = Memory::new(config);
    for client in clients.chars() {
        memory.connect(client);
        memory.input(client, CONNECT);
        memory.output(client);
    }
    memory
}

fn text(memory: &mut Memory, client: char) -> String {
    String::from_utf8(memory.output(client)).unwrap()
}

#[test]
fn info_has_the_form_of_the_real_server() {
    let mut memory = Memory::new(Config::default());
    memory.connect('A');
    let info = text(&mut memory, 'A');
    assert!(info.starts_with("INFO {\"server_id\":\"N") && info.ends_with("} \r\n"), "{info}");
    assert!(!info.contains("\"\""), "{info}");
    let id = info.split('"').nth(3).unwrap();
    assert_eq!(id.len(), 56);
    assert!(id.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')), "{id}");
}

#[test]
fn large_payloads_are_delivered_without_copying_them() {
    let mut memory = memory(Config::default(), "ABC");
    for client in ['A', 'B'] {
        memory.input(client, b"SUB a 1\r\n");
    }
    let mut input = BytesMut::from(&b"PUB a 100000\r\n"[..]);
    input.extend_from_slice(&[b'x'; 100_000]);
    input.extend_from_slice(b"\r\n");
    let memory_of_input = input.as_ptr_range();
    let publisher = memory.session('C');
    memory.broker.handle_input(Instant::ZERO, publisher, &mut input);
    for client in ['A', 'B'] {
        let mut out = OutBuf::new();
        assert!(memory.broker.poll_transmit(memory.session(client), &mut out));
        let largest = out.chunks().max_by_key(|chunk| chunk.len()).unwrap();
        assert_eq!(largest.len(), 100_000);
        assert!(memory_of_input.contains(&largest.as_ptr()));
    }
}

#[test]
fn what_waits_for_a_client_keeps_little_else_that_was_read_with_it() {
    let mut memory = memory(Config::default(), "ABC");
    for client in ['A', 'B'] {
        memory.input(client, b"SUB a 1\r\n");
    }
    let publish = |subject: &str, len: usize| {
        [format!("PUB {subject} {len}\r\n").as_bytes(), &vec![b'x'; len], b"\r\n"].concat()
    };
    // A large message that nobody gets comes with it, before it or, in part, behind it.
    let before = [publish("b", 100_000), publish("a", 5_000)].concat();
    let behind = [&publish("a", 5_000)[..], &publish("b", 100_000)[..50_000]].concat();
    for text in [before, behind] {
        let mut input = BytesMut::from(&text[..]);
        let memory_of_input = input.as_ptr_range();
        let publisher = memory.session('C');
        memory.broker.handle_input(Instant::ZERO, publisher, &mut input);
        let payloads = ['A', 'B'].map(|client| {
            let mut out = OutBuf::new();
            assert!(memory.broker.poll_transmit(memory.session(client), &mut out));
            let payload = out.chunks().max_by_key(|chunk| chunk.len()).unwrap().as_ptr();
            assert!(!memory_of_input.contains(&payload));
            (payload, out)
        });
        assert_eq!(payloads[0].0, payloads[1].0, "one copy for all");
        memory.broker.handle_disconnect(publisher);
        memory.connect('C');
        memory.input('C', CONNECT);
    }
}

#[test]
fn a_subscription_keeps_nothing_of_what_was_read_with_it() {
    let mut memory = memory(Config::default(), "A");
    let subscriber = memory.session('A');
    for subscribe in ["SUB a 1\r\n", "SUB a.* q 2\r\n", "SUB a 1\r\n", "UNSUB 1 5\r\n"] {
        let mut input = BytesMut::from(&[subscribe, &"PONG\r\n".repeat(1_000)].concat()[..]);
        let size = input.len();
        memory.broker.handle_input(Instant::ZERO, subscriber, &mut input);
        // If nobody else has any of it, its memory can be used again.
        assert!(input.try_reclaim(size), "{subscribe:?} keeps {size} bytes");
    }
    assert_eq!(memory.broker.subscriptions(subscriber), 2);
}

#[test]
fn every_member_of_a_queue_group_gets_its_share() {
    let mut memory = memory(Config::default(), "ABCD");
    for client in ['A', 'B', 'C'] {
        memory.input(client, b"SUB a q 1\r\n");
    }
    memory.input('D', &b"PUB a 0\r\n\r\n".repeat(3_000));
    let shares = ['A', 'B', 'C'].map(|client| text(&mut memory, client).matches("MSG").count());
    assert_eq!(shares.iter().sum::<usize>(), 3_000);
    assert!(shares.iter().all(|share| (800..1_200).contains(share)), "{shares:?}");
}

#[test]
fn a_run_is_determined_by_its_seed() {
    let run = |seed: u8| {
        let mut broker = Broker::new(Config::default(), [seed; 32]);
        let mut outputs = BTreeMap::new();
        let sessions: Vec<_> = (0..5).map(|_| broker.handle_connect(Instant::ZERO, "")).collect();
        for (now, session) in sessions.iter().enumerate() {
            let input = [CONNECT, b"SUB a.* q 1\r\nSUB a.> r 2\r\n"].concat();
            broker.handle_input(
                Instant::from_millis(now as u64),
                *session,
                &mut BytesMut::from(&input[..]),
            );
        }
        for (number, session) in sessions.iter().cycle().take(200).enumerate() {
            let input = format!("PUB a.{} 0\r\n\r\n", number % 7);
            broker.handle_input(
                Instant::from_millis(10),
                *session,
                &mut BytesMut::from(&input[..]),
            );
        }
        let mut events = Vec::new();
        while let Some(event) = broker.poll_event() {
            events.push(event);
        }
        for session in sessions {
            let mut out = OutBuf::new();
            broker.poll_transmit(session, &mut out);
            outputs.insert(session, out.chunks().collect::<Vec<_>>().concat());
        }
        (events, outputs, broker.poll_timeout())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn whoever_was_refused_takes_no_place() {
    let mut config = Config::default();
    config.max_connections = 1;
    let mut broker = Broker::new(config, [0; 32]);
    let first = broker.handle_connect(Instant::ZERO, "");
    let refused = broker.handle_connect(Instant::ZERO, "");
    assert!(broker.is_open(first) && !broker.is_open(refused));
    broker.handle_disconnect(first);
    // The driver may still be busy with the one that was refused.
    let next = broker.handle_connect(Instant::ZERO, "");
    assert!(broker.is_open(next));
    assert_eq!(broker.statistics().connections, 1);
}

#[test]
fn new_addresses_are_told_to_those_who_listen() {
    let mut memory = memory(Config::default(), "A");
    memory.connect('B');
    memory.input('B', b"CONNECT {\"verbose\":false,\"protocol\":0}\r\nPING\r\n");
    memory.output('B');
    memory.broker.set_connect_urls(vec!["10.0.0.1:4222".to_owned()]);
    assert!(text(&mut memory, 'A').contains("\"connect_urls\":[\"10.0.0.1:4222\"]"));
    assert_eq!(text(&mut memory, 'B'), "");
    memory.connect('C');
    assert!(text(&mut memory, 'C').contains("\"connect_urls\":[\"10.0.0.1:4222\"]"));
}

#[test]
fn what_a_client_had_is_gone_with_it() {
    let mut memory = memory(Config::default(), "AB");
    let subscribe: String = (0..10_000).map(|sid| format!("SUB a.{sid} {sid}\r\n")).collect();
    memory.input('A', subscribe.as_bytes());
    let session = memory.session('A');
    assert_eq!(memory.broker.subscriptions(session), 10_000);
    memory.input('B', b"PUB a.4711 1\r\nx\r\n");
    assert_eq!(text(&mut memory, 'A'), "MSG a.4711 4711 1\r\nx\r\n");
    memory.broker.handle_disconnect(session);
    assert_eq!(memory.broker.statistics().subscriptions, 0);
    memory.input('B', b"PUB a.4711 1\r\nx\r\n");
    assert_eq!(memory.broker.poll_event(), None);
    assert_eq!(memory.broker.sessions().collect::<Vec<_>>(), [memory.session('B')]);
}

#[test]
fn sessions_that_are_gone_are_ignored() {
    let mut memory = memory(Config::default(), "A");
    let gone = memory.session('A');
    memory.broker.handle_disconnect(gone);
    memory.broker.handle_disconnect(gone);
    let mut input = BytesMut::from(&b"PING\r\n"[..]);
    memory.broker.handle_input(Instant::ZERO, gone, &mut input);
    assert!(input.is_empty());
    assert!(!memory.broker.poll_transmit(gone, &mut OutBuf::new()));
    assert!(!memory.broker.is_open(gone));
    assert_eq!(memory.broker.subscriptions(gone), 0);
    assert_eq!(memory.broker.poll_event(), None);
}

#[test]
fn statistics_count_messages_and_their_bytes() {
    let mut memory = memory(Config::default(), "AB");
    memory.input('A', b"SUB a 1\r\n");
    memory.input('B', b"SUB a 1\r\nHPUB a 12 15\r\nNATS/1.0\r\n\r\nabc\r\nPUB b 5\r\nhello\r\n");
    let statistics = memory.broker.statistics();
    assert_eq!((statistics.in_messages, statistics.in_bytes), (2, 20));
    assert_eq!((statistics.out_messages, statistics.out_bytes), (2, 30));
    assert_eq!(
        (statistics.connections, statistics.total_connections, statistics.subscriptions),
        (2, 2, 2)
    );
}

#[test]
fn credentials_that_are_empty_let_nobody_in() {
    let auths = [Auth::Token(String::new()), Auth::user("ann", ""), Auth::user("", "")];
    for auth in auths {
        let mut config = Config::default();
        config.auth = auth;
        let mut memory = Memory::new(config);
        for (client, fields) in [
            ('A', ""),
            ('B', r#""auth_token":"""#),
            ('C', r#""user":"","pass":"""#),
            ('D', r#""user":"ann""#),
            ('E', r#""user":"ann","pass":"""#),
        ] {
            memory.connect(client);
            assert!(text(&mut memory, client).contains("\"auth_required\":true"));
            memory.input(client, format!("CONNECT {{{fields}}}\r\n").as_bytes());
            assert_eq!(text(&mut memory, client), "-ERR 'Authorization Violation'\r\n");
        }
    }
}

#[test]
fn several_users_can_be_known() {
    let mut config = Config::default();
    config.auth = Auth::Users(BTreeMap::from([
        ("ann".to_owned(), "1".to_owned()),
        ("bob".to_owned(), "2".to_owned()),
    ]));
    let mut memory = Memory::new(config);
    for (client, user, password, open) in
        [('A', "ann", "1", true), ('B', "bob", "2", true), ('C', "bob", "1", false)]
    {
        memory.connect(client);
        memory.input(
            client,
            format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"{password}\"}}\r\n").as_bytes(),
        );
        assert_eq!(!memory.is_closed(client), open, "{client}");
    }
}
