//! What the simulation does with brokers whose clients are drivers outside of it, and say what they like.

use std::time::Duration;

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
