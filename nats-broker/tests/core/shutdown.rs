//! Lame duck mode, and the end of a broker.

use std::time::Duration;

use nats_broker::{BrokerEvent, Config};

use super::{memory, text};
use crate::support::memory::Memory;
use crate::support::script::World;

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
    // What is told later is something else.
    memory.broker.set_connect_urls(vec!["10.0.0.1:4222".to_owned()]);
    assert_eq!(told(&mut memory), [false; 3]);
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
fn a_shut_down_broker_hangs_up_and_accepts_nobody() {
    let mut memory = memory(Config::default(), "AB");
    memory.broker.shutdown();
    memory.settle();
    assert!(memory.is_closed('A') && memory.is_closed('B'));
    memory.connect('C');
    assert!(memory.is_closed('C'));
}
