//! Whether clients are alive.

use std::time::Duration;

use nats_broker::{Auth, Config};

use super::{memory, text};
use crate::support::memory::Memory;
use crate::support::script::World;

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
fn a_busy_client_that_did_not_introduce_itself_must_answer_once() {
    let mut memory = Memory::new(Config::default());
    let busy = |memory: &mut Memory, minutes: u32| {
        let mut output = String::new();
        for _ in 0..minutes {
            memory.advance(Duration::from_secs(60));
            memory.input('A', b"SUB a 1\r\n");
            output += &text(memory, 'A').replace("+OK\r\n", "");
        }
        output
    };
    memory.connect('A');
    text(&mut memory, 'A');
    assert_eq!(busy(&mut memory, 2), "PING\r\n");
    memory.input('A', b"PONG\r\n");
    // Once its round trip is known, it is alive as long as something comes.
    assert_eq!(busy(&mut memory, 58), "");
    memory.connect('A');
    text(&mut memory, 'A');
    assert_eq!(busy(&mut memory, 7), "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
    assert!(memory.is_closed('A'));
}

#[test]
fn whoever_is_probed_has_no_more_time_to_introduce_itself() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(800);
    config.auth = Auth::Token("s3cret".to_owned());
    let mut memory = Memory::new(config);
    memory.connect('A');
    text(&mut memory, 'A');
    memory.advance(Duration::from_millis(1_999));
    assert_eq!(text(&mut memory, 'A'), "PING\r\nPING\r\n");
    memory.advance(Duration::from_millis(1));
    assert_eq!(text(&mut memory, 'A'), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(memory.broker.poll_timeout(), None);
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
fn a_client_that_did_not_introduce_itself_is_measured_by_the_requests_that_it_gets() {
    let mut memory = Memory::new(Config::default());
    let ask = |memory: &mut Memory, reply: &str| {
        memory.input('B', format!("PUB svc {reply} 0\r\n\r\n").as_bytes());
        text(memory, 'A').replace(&format!("MSG svc 1 {reply} 0\r\n\r\n"), "MSG ")
    };
    for name in ['A', 'B'] {
        memory.connect(name);
    }
    memory.input('A', b"SUB svc 1\r\n");
    text(&mut memory, 'A');
    let long = "_INBOX.123456789";
    memory.advance(Duration::from_secs(2));
    assert_eq!(ask(&mut memory, long), "MSG ");
    memory.advance(Duration::from_millis(1));
    assert_eq!(ask(&mut memory, &long[1..]), "MSG ");
    assert_eq!(ask(&mut memory, long), "PING\r\nMSG ");
    // Each counts as a probe that is owed an answer.
    assert_eq!(ask(&mut memory, long), "PING\r\nMSG ");
    memory.input('A', b"PONG\r\n");
    assert_eq!(ask(&mut memory, long), "MSG ");
}

#[test]
fn a_second_connect_is_no_activity() {
    let mut memory = Memory::new(Config::default());
    memory.connect('A');
    let connect = b"CONNECT {\"verbose\":false}\r\n";
    memory.input('A', connect);
    text(&mut memory, 'A');
    memory.advance(Duration::from_millis(2_400));
    assert_eq!(text(&mut memory, 'A'), "PING\r\n");
    memory.input('A', b"PONG\r\n");
    memory.advance(Duration::from_secs(8));
    memory.input('A', connect);
    memory.advance(Duration::from_millis(2_400));
    assert_eq!(text(&mut memory, 'A'), "PING\r\n");
}
