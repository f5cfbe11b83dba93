//! The broker's core: no socket, and a clock that is a number.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use nats_broker::{Auth, Broker, BrokerEvent, Config};
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
fn a_client_that_answers_no_probe_is_stale() {
    let mut memory = memory(Config::default(), "A");
    // The first probe comes early, then one every two minutes.
    memory.advance(Duration::from_millis(1_999));
    assert_eq!(text(&mut memory, 'A'), "");
    memory.advance(Duration::from_millis(401));
    assert_eq!(text(&mut memory, 'A'), "PING\r\n");
    memory.advance(Duration::from_secs(120));
    assert_eq!(text(&mut memory, 'A'), "PING\r\n");
    memory.advance(Duration::from_secs(120));
    assert_eq!(text(&mut memory, 'A'), "-ERR 'Stale Connection'\r\n");
    assert!(memory.is_closed('A'));
    assert_eq!(memory.broker.poll_timeout(), None);
}

#[test]
fn a_client_that_answers_stays_for_ever() {
    let mut memory = memory(Config::default(), "A");
    let mut probes = 0;
    for _ in 0..100 {
        memory.advance(Duration::from_secs(60));
        let output = text(&mut memory, 'A');
        probes += output.matches("PING").count();
        memory.input('A', b"PONG\r\n".repeat(output.matches("PING").count()).as_slice());
    }
    assert!(!memory.is_closed('A'));
    assert_eq!(probes, 50);
}

#[test]
fn a_busy_client_is_not_probed_after_the_first_time() {
    let mut memory = memory(Config::default(), "A");
    let mut output = String::new();
    for _ in 0..50 {
        memory.advance(Duration::from_secs(60));
        memory.input('A', b"PUB a 0\r\n\r\n");
        output += &text(&mut memory, 'A');
    }
    assert_eq!(output, "PING\r\n");
    assert!(!memory.is_closed('A'));
}

#[test]
fn keepalive_can_be_turned_off() {
    let mut config = Config::default();
    config.ping_interval = Duration::ZERO;
    let memory = memory(config, "A");
    assert_eq!(memory.broker.poll_timeout(), None);
}

#[test]
fn keepalive_can_be_turned_off_where_clients_must_introduce_themselves() {
    let mut config = Config::default();
    config.ping_interval = Duration::ZERO;
    config.auth = Auth::Token("s3cret".to_owned());
    let mut memory = Memory::new(config);
    memory.connect('A');
    assert!(memory.broker.poll_timeout().is_some());
    memory.input('A', b"CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\"}\r\n");
    assert_eq!(memory.broker.poll_timeout(), None);
}

#[test]
fn without_clients_there_is_no_deadline() {
    let mut memory = memory(Config::default(), "AB");
    assert!(memory.broker.poll_timeout().is_some());
    for client in ['A', 'B'] {
        let session = memory.session(client);
        memory.broker.handle_disconnect(session);
    }
    assert_eq!(memory.broker.poll_timeout(), None);
}

#[test]
fn a_slow_consumer_is_cut_off_at_its_limit_without_a_word() {
    let mut config = Config::default();
    config.max_pending = 1_000;
    let mut memory = memory(config, "AB");
    memory.input('A', b"SUB a 1\r\n");
    let (slow, fast) = (memory.session('A'), memory.session('B'));
    let message = [b"PUB a 86\r\n", &[b'x'; 86][..], b"\r\n"].concat();
    let publish = |broker: &mut Broker| {
        broker.handle_input(Instant::ZERO, fast, &mut BytesMut::from(&message[..]))
    };
    // `MSG a 1 86`, the payload and the line ends are 100 bytes.
    let mut out = OutBuf::new();
    for _ in 0..5 {
        publish(&mut memory.broker);
    }
    assert_eq!(memory.broker.poll_event(), Some(BrokerEvent::Transmit(slow)));
    assert_eq!(memory.broker.poll_event(), None);
    // What the driver has taken but not written counts as well.
    assert!(memory.broker.poll_transmit(slow, &mut out));
    assert_eq!(out.len(), 500);
    for _ in 0..5 {
        publish(&mut memory.broker);
    }
    assert!(memory.broker.is_open(slow));
    assert!(memory.broker.is_stalled(fast));
    publish(&mut memory.broker);
    assert!(!memory.broker.is_open(slow));
    assert_eq!(memory.broker.poll_event(), Some(BrokerEvent::Transmit(slow)));
    assert_eq!(memory.broker.poll_event(), Some(BrokerEvent::Abort(slow)));
    let mut nothing = OutBuf::new();
    assert!(!memory.broker.poll_transmit(slow, &mut nothing));
    let statistics = memory.broker.statistics();
    assert_eq!(
        (statistics.slow_consumers, statistics.subscriptions, statistics.connections),
        (1, 0, 1)
    );
    assert_eq!(statistics.out_messages, 10);
}

#[test]
fn a_consumer_that_catches_up_is_never_cut_off() {
    let mut config = Config::default();
    config.max_pending = 1_000;
    let mut memory = memory(config, "AB");
    memory.input('A', b"SUB a 1\r\n");
    let mut received = 0;
    for _ in 0..1_000 {
        memory.input('B', &[b"PUB a 86\r\n", &[b'x'; 86][..], b"\r\n"].concat());
        received += memory.output('A').len();
    }
    assert_eq!(received, 100_000);
    let fast = memory.session('B');
    assert!(!memory.broker.is_stalled(fast));
}

#[test]
fn a_flood_of_pings_is_bounded_as_well() {
    let mut config = Config::default();
    config.max_pending = 1_000;
    let mut broker = Broker::new(config, [0; 32]);
    let session = broker.handle_connect(Instant::ZERO, "");
    broker.handle_input(
        Instant::ZERO,
        session,
        &mut BytesMut::from(&b"PING\r\n".repeat(1_000)[..]),
    );
    assert!(!broker.is_open(session));
    assert_eq!(broker.statistics().slow_consumers, 1);
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
fn tokens_of_subscriptions_are_bounded_unless_that_is_turned_off() {
    let subscribe = |memory: &mut Memory, tokens: usize| {
        let subject = vec!["a"; tokens].join(".");
        memory.input('A', format!("SUB {subject} {tokens}\r\n").as_bytes());
        text(memory, 'A')
    };
    let mut bounded = memory(Config::default(), "A");
    assert_eq!(subscribe(&mut bounded, 255), "");
    assert!(subscribe(&mut bounded, 256).ends_with(", too many tokens'\r\n"));
    assert_eq!(bounded.broker.subscriptions(bounded.session('A')), 1);
    let mut config = Config::default();
    config.max_subscription_tokens = 0;
    let mut unbounded = memory(config, "A");
    assert_eq!(subscribe(&mut unbounded, 2_000), "");
    assert_eq!(unbounded.broker.subscriptions(unbounded.session('A')), 1);
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
fn a_lame_duck_tells_its_clients_and_closes_them_one_by_one() {
    let mut memory = memory(Config::default(), "ABC");
    memory.connect('D');
    let told = |memory: &mut Memory| {
        ['A', 'B', 'C'].map(|client| text(memory, client).contains("\"ldm\":true"))
    };
    let now = memory.now;
    memory.broker.lame_duck(now);
    assert_eq!(told(&mut memory), [true; 3]);
    // Whoever comes now is sent away, and whoever did not introduce itself is not told.
    memory.connect('E');
    assert!(text(&mut memory, 'E').starts_with("INFO "));
    assert!(memory.is_closed('E'));
    assert_eq!(text(&mut memory, 'D').matches("INFO").count(), 1);
    memory.advance(Duration::from_millis(9_999));
    assert_eq!(memory.broker.statistics().connections, 4);
    memory.advance(Duration::from_millis(1));
    assert_eq!(memory.broker.statistics().connections, 3);
    memory.advance(Duration::from_secs(4));
    assert_eq!(memory.broker.statistics().connections, 0);
    assert_eq!(memory.broker.poll_timeout(), None);
}

#[test]
fn a_lame_duck_that_has_no_time_closes_all_from_the_oldest_on() {
    let mut config = Config::default();
    config.lame_duck_grace = Duration::ZERO;
    config.lame_duck_duration = Duration::ZERO;
    let mut memory = memory(config, "ABCD");
    let now = memory.now;
    memory.broker.handle_disconnect(memory.session('B'));
    memory.broker.lame_duck(now);
    // Some nanoseconds lie between them.
    memory.broker.handle_timeout(now + Duration::from_millis(1));
    let mut hung_up = Vec::new();
    while let Some(event) = memory.broker.poll_event() {
        hung_up.extend(match event {
            BrokerEvent::Hangup(session) => Some(session),
            _ => None,
        });
    }
    assert_eq!(hung_up, ['A', 'C', 'D'].map(|client| memory.session(client)));
    // That they are still there does not matter.
    assert_eq!(memory.broker.sessions().count(), 3);
    assert_eq!(memory.broker.poll_timeout(), None);
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
fn a_shut_down_broker_hangs_up_and_accepts_nobody() {
    let mut memory = memory(Config::default(), "AB");
    memory.broker.shutdown();
    memory.settle();
    assert!(memory.is_closed('A') && memory.is_closed('B'));
    memory.connect('C');
    assert!(memory.is_closed('C'));
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
