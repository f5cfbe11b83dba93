//! What the simulation does with brokers whose clients are drivers outside of it, and say what they like.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use nats_broker::Config;
use nats_sim::{Simulation, StreamId};

/// A stream to the first broker, over which this was sent.
fn send(simulation: &mut Simulation<()>, text: &[u8]) -> StreamId {
    let stream = simulation.open_stream(0).expect("the broker runs");
    say(simulation, stream, text);
    stream
}

fn say(simulation: &mut Simulation<()>, stream: StreamId, text: &[u8]) {
    let mut rest = text;
    while !rest.is_empty() {
        let written = simulation.write_stream(stream, rest).expect("the stream is not broken");
        rest = &rest[written..];
        simulation.run_for(Duration::from_millis(50));
    }
}

/// What an observer has seen: subjects, and how many listen to them.
type Seen = Rc<RefCell<Vec<(String, usize)>>>;

/// A simulation with a broker that is observed.
fn observed(config: Config) -> (Simulation<()>, Seen) {
    let mut simulation = Simulation::new(7);
    let seen = Seen::default();
    let sees = seen.clone();
    simulation.observe(move |observed| {
        sees.borrow_mut().push((observed.subject.to_owned(), observed.listeners));
    });
    simulation.add_broker(config);
    (simulation, seen)
}

#[test]
fn a_link_to_a_broker_that_is_gone_is_none_of_the_one_that_came_after_it() {
    let mut simulation = Simulation::<()>::new(7);
    simulation.add_broker(Config::default());
    let old = send(&mut simulation, b"SUB a 1\r\n");
    assert_eq!(simulation.subscriptions_at_broker(old), Some(1));
    simulation.crash_broker(0, true);
    simulation.start_broker(0);
    let new = send(&mut simulation, b"SUB a 1\r\nSUB a 2\r\n");
    assert_eq!(simulation.subscriptions_at_broker(new), Some(2));
    assert_eq!(simulation.subscriptions_at_broker(old), None);
    assert!(simulation.inject(new, b"PING\r\n"));
    assert!(!simulation.inject(old, b"PING\r\n"));
}

#[test]
fn a_stream_to_a_broker_that_has_left_it_breaks_once_it_is_full_and_one_to_a_lost_host_does_not() {
    for silently in [false, true] {
        let mut simulation = Simulation::<()>::new(7);
        simulation.add_broker(Config::default());
        let stream = send(&mut simulation, b"PING\r\n");
        simulation.crash_broker(0, silently);
        let written = |_| simulation.write_stream(stream, &[b' '; 4096]);
        let breaks = (0..1_000).map(written).any(|written| written.is_none());
        assert_eq!(breaks, !silently);
        assert_eq!(simulation.is_stream_writable(stream), !silently, "a write fails at once");
    }
}

#[test]
fn what_a_broker_may_be_set_to_take_can_be_observed() {
    let mut config = Config::default();
    config.max_control_line = 200_000;
    config.max_payload = 3 << 20;
    let (mut simulation, seen) = observed(config);
    let subject = "a".repeat(100_000);
    let headers = format!("NATS/1.0\r\nA: {}\r\n\r\n", "x".repeat(2 << 20));
    let text = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nPUB {subject} 0\r\n\r\nHPUB b {len} {len}\r\n{headers}\r\n",
        len = headers.len()
    );
    send(&mut simulation, text.as_bytes());
    assert_eq!(*seen.borrow(), [(subject, 0), ("b".to_owned(), 0)]);
}

#[test]
fn subjects_that_are_no_text_are_shown_nevertheless() {
    let (mut simulation, seen) = observed(Config::default());
    send(&mut simulation, b"PUB a\xff 0\r\n\r\n");
    assert_eq!(*seen.borrow(), [("a\u{fffd}".to_owned(), 0)]);
}

#[test]
fn listeners_are_those_whom_the_broker_has() {
    let mut config = Config::default();
    (config.max_subscriptions, config.max_subscription_tokens) = (4, 2);
    let (mut simulation, seen) = observed(config);
    let listener = send(&mut simulation, b"SUB a 1\r\nSUB b 1\r\nSUB c 2\r\n");
    let publisher = send(&mut simulation, b"");
    let mut listeners = |text: &[u8]| {
        say(&mut simulation, listener, text);
        say(
            &mut simulation,
            publisher,
            b"PUB a 0\r\n\r\nPUB b 0\r\n\r\nPUB c 0\r\n\r\nPUB a.b.c 0\r\n\r\n",
        );
        seen.borrow_mut().drain(..).map(|(_, listeners)| listeners).collect::<Vec<_>>()
    };
    assert_eq!(listeners(b""), [1, 0, 1, 0]);
    // The first CONNECT keeps what is there, and every later one ends it.
    assert_eq!(listeners(b"CONNECT {}\r\nSUB b 3\r\n"), [1, 1, 1, 0]);
    assert_eq!(listeners(b"CONNECT {}\r\nSUB c 4\r\n"), [0, 0, 1, 0]);
    // What may have ended has a name that may be in use.
    assert_eq!(listeners(b"UNSUB 4 1\r\nSUB a 4\r\n"), [0, 0, 0, 0]);
    assert_eq!(listeners(b"UNSUB 4\r\nSUB a 4\r\n"), [1, 0, 0, 0]);
    // Refused: too many tokens, a reserved group, and one too many.
    let refused = b"SUB a.b.c 5\r\nSUB b _sys_ 6\r\nSUB a 7\r\nSUB a 8\r\nSUB a 9\r\nSUB b 10\r\n";
    assert_eq!(listeners(refused), [4, 0, 0, 0]);
}

#[test]
fn an_observer_that_comes_later_sees_those_who_come_later_still() {
    let mut simulation = Simulation::<()>::new(7);
    simulation.add_broker(Config::default());
    let early = send(&mut simulation, b"SUB a 1\r\nPUB a 0\r\n\r\nPUB b 1");
    let seen = Rc::new(RefCell::new(0));
    let sees = seen.clone();
    simulation.observe(move |_| *sees.borrow_mut() += 1);
    say(&mut simulation, early, b"\r\nx\r\n");
    send(&mut simulation, b"PUB a 0\r\n\r\n");
    assert_eq!(*seen.borrow(), 1);
}

#[test]
fn who_reads_nothing_is_kept_for_as_long_as_a_write_may_take() {
    for ends in [false, true] {
        let (mut simulation, _) = observed(Config::default());
        let payload = "x".repeat(1_000_000);
        let publish = format!("PUB a 1000000\r\n{payload}\r\n");
        let end = if ends { "GARBAGE\r\n" } else { "" };
        let text = format!("CONNECT {{\"verbose\":false}}\r\nSUB a 1\r\n{publish}{publish}{end}");
        send(&mut simulation, text.as_bytes());
        let sessions = |simulation: &mut Simulation<()>| {
            simulation.broker(0).expect("it runs").sessions().count()
        };
        simulation.run_for(Duration::from_secs(5));
        assert_eq!(sessions(&mut simulation), 1, "{ends}");
        simulation.run_for(Duration::from_secs(10));
        assert_eq!(sessions(&mut simulation), 0, "{ends}");
    }
}

#[test]
fn a_fast_publisher_waits_for_a_client_that_reads_on() {
    let mut config = Config::default();
    config.max_pending = 4 * 1024 * 1024;
    config.max_payload = 60_000;
    let (mut simulation, _) = observed(config);
    let reader = send(&mut simulation, b"SUB a 1\r\nSUB a 2\r\nSUB a 3\r\nSUB a 4\r\n");
    let publisher = send(&mut simulation, b"CONNECT {\"verbose\":false}\r\n");
    let message = [&b"PUB a 60000\r\n"[..], &[b'x'; 60_000], b"\r\n"].concat();
    let mut unsent = message.repeat(100);
    let mut read = 0;
    let mut buffer = BytesMut::new();
    while read < 100 * 4 * 60_000 {
        let written =
            simulation.write_stream(publisher, &unsent).expect("the stream is not broken");
        unsent.drain(..written);
        simulation.run_for(Duration::from_micros(100));
        buffer.clear();
        simulation.read_stream(reader, usize::MAX, &mut buffer);
        read += buffer.len();
        assert_eq!(simulation.broker(0).expect("it runs").statistics().slow_consumers, 0);
    }
}
