//! What one client can make a broker hold.

use bytes::BytesMut;
use nats_broker::{Broker, BrokerEvent, Config};
use nats_proto::Instant;
use nats_proto::wire::OutBuf;

use super::{memory, text};
use crate::support::memory::Memory;
use crate::support::script::World;

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
fn no_message_may_be_larger_than_what_may_wait_or_be_announced() {
    for (max_payload, max_pending, effective) in
        [(2_000, 1_000, 1_000), (1_000, 2_000, 1_000), (usize::MAX, usize::MAX, 999_999_999)]
    {
        let mut config = Config::default();
        (config.max_payload, config.max_pending) = (max_payload, max_pending);
        let mut memory = Memory::new(config);
        memory.connect('A');
        let info = text(&mut memory, 'A');
        assert!(info.contains(&format!("\"max_payload\":{effective},")), "{info}");
        memory.input('A', format!("PUB a {effective}\r\n").as_bytes());
        assert_eq!(text(&mut memory, 'A'), "");
        memory.connect('B');
        text(&mut memory, 'B');
        memory.input('B', format!("PUB a {}\r\n", effective + 1).as_bytes());
        // What has ten digits is no size at all.
        let error =
            if effective < 999_999_999 { "-ERR 'Maximum Payload Violation'\r\n" } else { "" };
        assert_eq!(text(&mut memory, 'B'), error);
        assert!(memory.is_closed('B') && !memory.is_closed('A'));
    }
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
