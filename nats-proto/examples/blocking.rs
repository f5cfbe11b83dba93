//! A NATS client on `std::net` alone: no async runtime, no thread but this one. It publishes to itself,
//! answers its own requests, and goes on when the server is restarted in the middle:
//!
//! `cargo run --release -p nats-proto --example blocking -- [nats://127.0.0.1:4222]`

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::io::ErrorKind::{Interrupted, TimedOut, UnexpectedEof, WouldBlock};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use nats_proto::connection::{ConfigError, DialError, DisconnectReason};
use nats_proto::wire::OutBuf;
use nats_proto::{Config, Connection, Event, Instant, Outgoing, ServerAddr};

/// One each 100 ms.
const ROUNDS: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The least that a socket waits.
const MOMENT: Duration = Duration::from_millis(1);

/// A connection and all the I/O that it needs.
struct Client {
    connection: Connection,
    stream: Option<TcpStream>,
    input: BytesMut,
    output: OutBuf,
    origin: std::time::Instant,
}

impl Client {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self {
            connection: Connection::new(config.into(), seed(), Instant::ZERO)?,
            stream: None,
            input: BytesMut::new(),
            output: OutBuf::new(),
            origin: std::time::Instant::now(),
        })
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Does what the connection asks for until there is an event for the application, or it is `until`.
    fn next_event(&mut self, until: Instant) -> Option<Event> {
        loop {
            while let Some(event) = self.connection.poll_event() {
                match event {
                    Event::Dial { id, server } => {
                        let dialled = self.dial(&server);
                        self.connection.handle_dial(self.now(), id, dialled);
                    }
                    Event::Hangup => self.disconnect(DisconnectReason::Requested),
                    event => return Some(event),
                }
            }
            let transmitted = self.transmit(until);
            // What the server said before nothing could be written any more is still to be read, and may say why.
            match self.receive(until, transmitted) {
                Ok(()) if self.now() >= until => return None,
                Ok(()) => self.connection.handle_timeout(self.now()),
                Err(error) if error.kind() == UnexpectedEof => {
                    self.disconnect(DisconnectReason::Eof);
                }
                Err(error) => self.disconnect(DisconnectReason::Io(error.to_string())),
            }
        }
    }

    /// Tries all addresses of the host.
    fn dial(&mut self, server: &ServerAddr) -> Result<(), DialError> {
        if server.is_websocket() {
            return Err(DialError::Unsupported(server.scheme().into()));
        }
        let addrs = (server.host(), server.port()).to_socket_addrs();
        let mut last = DialError::Resolve("there is no address".into());
        for addr in addrs.map_err(|error| DialError::Resolve(error.to_string()))? {
            let opened = TcpStream::connect_timeout(&addr, TIMEOUT);
            match opened.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => {
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(error) => last = DialError::Io(error.to_string()),
            }
        }
        Err(last)
    }

    /// How long the connection and the application have time.
    fn wait(&self, until: Instant) -> Duration {
        let deadline = self.connection.poll_timeout().unwrap_or(until).min(until);
        (deadline - self.now()).max(MOMENT)
    }

    /// Writes what there is, but not for longer than that: a server may take nothing, or little, or nothing before it is read
    /// from.
    fn transmit(&mut self, until: Instant) -> io::Result<()> {
        let wait = self.wait(until);
        let (origin, end) = (self.origin, self.now() + wait);
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        stream.set_write_timeout(Some(wait.min(100 * MOMENT)))?;
        while !self.output.is_empty() || self.connection.poll_transmit(&mut self.output) {
            let result = stream.write(self.output.chunks().next().unwrap_or_default());
            match result {
                Ok(written) => self.output.advance(written),
                Err(error) if error.kind() == Interrupted => {}
                Err(e) if matches!(e.kind(), WouldBlock | TimedOut) => break,
                Err(error) => return Err(error),
            }
            if Instant::ZERO + origin.elapsed() >= end {
                break;
            }
        }
        Ok(())
    }

    /// Waits for bytes, but not longer than the connection or the application wants to. When there are none any more, it is
    /// over with a stream to which nothing could be transmitted.
    fn receive(&mut self, until: Instant, transmitted: io::Result<()>) -> io::Result<()> {
        // If something is left to write, that comes first.
        let wait = if self.output.is_empty() { self.wait(until) } else { MOMENT };
        let Some(stream) = &mut self.stream else {
            std::thread::sleep(wait);
            return Ok(());
        };
        let mut buffer = [0; 16 * 1024];
        stream.set_read_timeout(Some(wait))?;
        match stream.read(&mut buffer) {
            Ok(0) => return transmitted.and(Err(UnexpectedEof.into())),
            Ok(count) => self.input.extend_from_slice(&buffer[..count]),
            // Systems differ in what they say when the time is over.
            Err(e) if matches!(e.kind(), WouldBlock | TimedOut | Interrupted) => {
                return transmitted;
            }
            Err(error) => return transmitted.and(Err(error)),
        }
        self.connection.receive(self.now(), &mut self.input);
        Ok(())
    }

    fn disconnect(&mut self, reason: DisconnectReason) {
        self.stream = None;
        self.input.clear();
        let unsent = std::mem::take(&mut self.output);
        self.connection.handle_disconnect(self.now(), reason, unsent);
    }
}

/// What no other client has, or both would have the same inboxes: std seeds its hash maps from the operating system.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for (index, word) in seed.chunks_exact_mut(8).enumerate() {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_usize(index);
        word.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    seed
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let url = match (args.next().as_deref(), args.next(), args.next()) {
        (None, ..) => String::from("nats://127.0.0.1:4222"),
        (Some("--url"), Some(url), None) => url,
        (Some(url), None, None) if !url.starts_with('-') => url.to_owned(),
        _ => return Err("usage: blocking [[--url] nats://host:port]".into()),
    };
    let mut client = Client::new(Config::new(vec![url.parse()?]))?;
    let ticks = client.connection.subscribe("blocking.tick", None)?;
    let echo = client.connection.subscribe("blocking.echo", None)?;
    let (mut round, mut received, mut replies, mut next_round) = (0, 0, 0, Instant::ZERO);
    let result = loop {
        // What is published without a connection waits for the next one.
        if client.now() >= next_round && round < ROUNDS {
            round += 1;
            next_round = client.now() + Duration::from_millis(100);
            let (payload, deadline) = (format!("round {round}").into(), client.now() + TIMEOUT);
            client.connection.publish(Outgoing::new("blocking.tick", &payload))?;
            client.connection.request(Outgoing::new("blocking.echo", &payload), deadline)?;
        } else if client.now() >= next_round {
            next_round = client.now() + Duration::MAX;
            client.connection.drain(client.now());
        }
        match client.next_event(next_round) {
            Some(Event::Message { subscription, .. }) if subscription == ticks => received += 1,
            Some(Event::Message { subscription, message }) if subscription == echo => {
                let reply = message.reply.ok_or("a request without a reply subject")?;
                client.connection.publish(Outgoing::new(&reply, &message.payload))?;
            }
            Some(Event::Reply { .. }) => replies += 1,
            Some(Event::SubscriptionsDrained) => client.connection.handle_drained(client.now()),
            Some(Event::Closed { error, .. }) => break error.map_or(Ok(()), |e| Err(e.into())),
            Some(event) => println!("{event:?}"),
            None => {}
        }
    };
    let statistics = client.connection.statistics();
    println!("{ROUNDS} rounds: {received} ticks, {replies} replies, {statistics:?}");
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use nats_proto::ServerError;

    #[test]
    fn a_server_that_takes_nothing_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"INFO {\"max_payload\":1048576}\r\nPONG\r\n").unwrap();
            client
        });
        let mut config = Config::new(vec![url.parse().unwrap()]);
        config.ping_interval = Duration::from_millis(100);
        (config.send_limit, config.pending_limit) = (64 << 20, 64 << 20);
        let mut client = Client::new(config).unwrap();
        let payload = vec![b'x'; 1000].into();
        for _ in 0..32_000 {
            client.connection.publish(Outgoing::new("a", &payload)).unwrap();
        }
        let far = Instant::ZERO + Duration::from_secs(3600);
        let reason = loop {
            match client.next_event(far) {
                Some(Event::Disconnected { reason }) => break reason,
                Some(_) => {}
                None => panic!("nothing happens"),
            }
        };
        assert_eq!(reason, DisconnectReason::Stale);
        drop(server.join());
    }

    #[test]
    fn a_server_that_closes_the_stream_is_told_from_one_that_breaks_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let mut client = Client::new(Config::new(vec![url.parse().unwrap()])).unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"INFO {\"max_payload\":1048576}\r\n").unwrap();
            let mut hello = Vec::new();
            while !hello.ends_with(b"PING\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                hello.extend(byte);
            }
            client.write_all(b"PONG\r\n").unwrap();
        });
        let far = Instant::ZERO + Duration::from_secs(3600);
        let reason = loop {
            let event = client.next_event(far).expect("something happens");
            if let Event::Disconnected { reason } = event {
                break reason;
            }
        };
        assert_eq!(reason, DisconnectReason::Eof);
        server.join().unwrap();
    }

    #[test]
    fn what_the_server_said_is_read_though_nothing_can_be_written() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let (connected, is_connected) = std::sync::mpsc::channel();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.set_nodelay(true).unwrap();
            client.write_all(b"INFO {\"max_payload\":1048576}\r\n").unwrap();
            // The rest of CONNECT is not read: so the end of the stream is a reset, by which writing fails at once.
            client.read_exact(&mut [0]).unwrap();
            client.write_all(b"PONG\r\n").unwrap();
            is_connected.recv().unwrap();
            let last = b"MSG a 1 2\r\nhi\r\n-ERR 'Maximum Payload Violation'\r\n";
            client.write_all(last).unwrap();
        });
        let mut client = Client::new(Config::new(vec![url.parse().unwrap()])).unwrap();
        client.connection.subscribe("a", None).unwrap();
        let far = Instant::ZERO + Duration::from_secs(3600);
        let event = client.next_event(far);
        assert!(matches!(event, Some(Event::Connected { .. })), "{event:?}");
        connected.send(()).unwrap();
        server.join().unwrap();
        let mut messages = 0;
        let reason = loop {
            match client.next_event(far) {
                Some(Event::Message { .. }) => messages += 1,
                Some(Event::Disconnected { reason }) => break reason,
                Some(_) => {}
                None => panic!("nothing happens"),
            }
        };
        let violation = DisconnectReason::Server(ServerError::MaximumPayloadViolation);
        assert_eq!((messages, reason), (1, violation));
    }
}
