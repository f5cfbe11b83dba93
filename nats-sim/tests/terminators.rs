//! What stands between a byte stream and its broker.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::BytesMut;
use nats_broker::Config;
use nats_sim::{Read, Simulation, StreamId, Terminator, Weather};

/// Both sides say each byte with its lowest bits turned round, and `!` to take leave.
#[derive(Debug, Default)]
struct Twisted {
    out: BytesMut,
    closed: bool,
}

const LEAVE: u8 = b'!';

fn twisted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x7f).collect()
}

impl Terminator for Twisted {
    fn receive(&mut self, bytes: &[u8], input: &mut BytesMut) -> ControlFlow<()> {
        let end = bytes.iter().position(|byte| *byte == LEAVE);
        input.extend_from_slice(&twisted(&bytes[..end.unwrap_or(bytes.len())]));
        if end.is_none() {
            return ControlFlow::Continue(());
        }
        self.close();
        ControlFlow::Break(())
    }

    fn send(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(&twisted(bytes));
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.out.extend_from_slice(&[LEAVE]);
        }
    }

    fn transmit(&mut self, output: &mut BytesMut) {
        output.unsplit(self.out.split());
    }
}

fn opened() -> (Simulation<()>, StreamId) {
    opened_in(Weather::default(), Config::default())
}

fn opened_in(weather: Weather, config: Config) -> (Simulation<()>, StreamId) {
    let mut simulation = Simulation::new(7);
    simulation.set_weather(weather);
    simulation.add_broker(config);
    let terminator = Box::new(Twisted::default());
    let stream = simulation.open_stream_through(0, terminator).expect("the broker runs");
    (simulation, stream)
}

/// Says this, and gives what comes within a moment, and whether the stream has ended.
fn exchange(simulation: &mut Simulation<()>, stream: StreamId, bytes: &[u8]) -> (String, bool) {
    assert_eq!(simulation.write_stream(stream, bytes), Some(bytes.len()));
    simulation.run_for(Duration::from_millis(50));
    let mut came = BytesMut::new();
    let ended = loop {
        match simulation.read_stream(stream, 1_000, &mut came) {
            Read::Bytes(_) => {}
            read => break read == Read::Eof,
        }
    };
    let last = came.last() == Some(&LEAVE);
    let text = String::from_utf8(twisted(&came[..came.len() - usize::from(last)])).expect("text");
    assert!(!ended || last, "it ends without leave");
    (text, ended)
}

#[test]
fn what_is_said_through_a_terminator_comes_and_so_does_what_is_put_in_between() {
    let (mut simulation, stream) = opened();
    let said = twisted(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n");
    let (text, ended) = exchange(&mut simulation, stream, &said);
    assert!(text.starts_with("INFO {") && text.ends_with("\r\nPONG\r\n"), "{text:?}");
    assert!(!ended);
    assert_eq!(simulation.subscriptions_at_broker(stream), Some(1));
    assert!(simulation.inject(stream, b"+OK\r\n"));
    let came = exchange(&mut simulation, stream, &twisted(b"PUB a 2\r\nhi\r\n"));
    assert_eq!(came, ("+OK\r\nMSG a 1 2\r\nhi\r\n".to_owned(), false));
}

#[test]
fn who_takes_leave_is_gone_and_so_is_a_broker_that_does() {
    let (mut simulation, stream) = opened();
    let said = [twisted(b"SUB a 1\r\nPING\r\n"), vec![LEAVE]].concat();
    let (_, ended) = exchange(&mut simulation, stream, &said);
    assert!(ended);
    assert_eq!(simulation.subscriptions_at_broker(stream), None);

    let (mut simulation, stream) = opened();
    let (text, ended) = exchange(&mut simulation, stream, &twisted(b"GARBAGE\r\n"));
    assert!(ended && text.contains("-ERR"), "{text:?}");
}

#[test]
fn who_has_taken_everything_is_kept_for_as_long_as_there_is_nothing_else() {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut config = Config::default();
    (config.ping_interval, config.first_ping) = (HOUR, HOUR);
    let weather = Weather { window: 4_096, ..Weather::default() };
    let (mut simulation, stream) = opened_in(weather, config);
    let said = "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nSUB a 2\r\nSUB a 3\r\nPUB a 3000\r\n";
    let said = twisted(&[said, &"x".repeat(3_000), "\r\n"].concat().into_bytes());
    let (mut text, mut rounds) = (exchange(&mut simulation, stream, &said).0, 0);
    while text.matches("MSG a").count() < 3 || !text.ends_with("x\r\n") {
        text += &exchange(&mut simulation, stream, b"").0;
        rounds += 1;
    }
    assert!(rounds > 0, "all of it at once");
    simulation.run_for(Duration::from_secs(11));
    let came = exchange(&mut simulation, stream, &twisted(b"PING\r\n"));
    assert_eq!(came, ("PONG\r\n".to_owned(), false));
}
