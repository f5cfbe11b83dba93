//! A connection for tests that look at single bytes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long to wait for a byte before giving the test up. Not a claim about speed: it only turns a test
/// that would hang into one that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end of a TCP connection that speaks NATS only as far as the test does.
///
/// Whatever goes wrong is a panic that shows what was there instead.
#[derive(Debug)]
pub struct RawConnection {
    stream: BufReader<TcpStream>,
}

impl RawConnection {
    /// Connects to a server, which then speaks first.
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr)
            .unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"));
        Self::new(stream)
    }

    /// Waits for a client, to play the server.
    pub fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a client should connect");
        Self::new(stream)
    }

    /// Connects and introduces itself without credentials. The server has seen it when this returns, and will
    /// send no INFO again, whatever changes.
    pub fn ready(addr: SocketAddr) -> Self {
        let mut connection = Self::connect(addr);
        connection.read_info();
        connection.introduce("{\"verbose\":false,\"headers\":true,\"no_responders\":true}");
        connection
    }

    /// Sends CONNECT with this JSON and waits until the server has accepted it.
    ///
    /// To a client of protocol 1 it may send INFO again, at once and at any later time.
    pub fn introduce(&mut self, connect: &str) {
        self.send(format!("CONNECT {connect}\r\n").as_bytes());
        self.round_trip();
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("the socket is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("the time limit is not zero");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends exactly these bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream
            .get_mut()
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("cannot send {}: {error}", bytes.escape_ascii()));
    }

    /// Sends these bytes, unless the peer has closed the connection: false then.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Ends what is sent; the peer can still be read.
    pub fn shut_down(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).expect("the socket is open");
    }

    /// The next line, without its CR LF.
    pub fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\r\n") => {
                line.truncate(line.len() - 2);
                String::from_utf8(line).expect("a line should be UTF-8")
            }
            Ok(_) => panic!("the stream ended with {:?}", line.escape_ascii().to_string()),
            Err(error) => panic!("no line, only {:?}: {error}", line.escape_ascii().to_string()),
        }
    }

    /// The next line, without its CR LF, or nothing if the peer has closed the connection instead.
    pub fn try_read_line(&mut self) -> Option<String> {
        (!self.is_at_end()).then(|| self.read_line())
    }

    /// Waits until the peer has said something more, or has closed the connection: true then.
    pub fn is_at_end(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// The next line that is not a PING, which is answered.
    ///
    /// A server probes a new client of its own accord after a while, which has nothing to do with most tests.
    pub fn next_line(&mut self) -> String {
        loop {
            let line = self.read_line();
            if line != "PING" {
                return line;
            }
            self.send(b"PONG\r\n");
        }
    }

    /// Reads the next line (as [`next_line`](Self::next_line) does), which must be exactly `expected`.
    #[track_caller]
    pub fn expect_line(&mut self, expected: &str) {
        assert_eq!(self.next_line(), expected);
    }

    /// Reads INFO and gives back its JSON.
    pub fn read_info(&mut self) -> String {
        let line = self.read_line();
        let json = line.strip_prefix("INFO ");
        json.unwrap_or_else(|| panic!("expected INFO, got {line:?}")).trim().to_owned()
    }

    /// Reads exactly `count` bytes.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("there are no {count} bytes: {error}"));
        bytes
    }

    /// What the peer says next, at least one byte and at most some thousand; nothing at the end.
    pub fn read_some(&mut self) -> Vec<u8> {
        let bytes = self.stream.fill_buf().expect("the peer says something or ends").to_vec();
        self.stream.consume(bytes.len());
        bytes
    }

    /// All that the peer still says, however it ends.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                panic!("the connection should have ended: {error}")
            }
            _ => rest,
        }
    }

    /// Waits until the server has handled everything sent so far. What it sent before that must have been read.
    #[track_caller]
    pub fn round_trip(&mut self) {
        self.send(b"PING\r\n");
        self.expect_line("PONG");
    }

    /// The peer must have closed the connection, with nothing left to read.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(rest.escape_ascii().to_string(), ""),
            // A peer that dies with unread bytes of ours resets the connection.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection should have ended: {error}"),
        }
    }
}
