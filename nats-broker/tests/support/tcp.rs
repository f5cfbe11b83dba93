//! Clients over TCP, for any server.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::script::World;

/// How long to wait for bytes that should come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that listens on a TCP port.
pub(crate) trait Server {
    fn addr(&self) -> SocketAddr;
    /// Whether a line of a script that begins with `@` and this name is meant.
    fn is(&self, name: &str) -> bool;
    fn lame_duck(&mut self);
}

/// A server and the connections to it.
pub(crate) struct Tcp<'a> {
    server: &'a mut dyn Server,
    clients: BTreeMap<char, (TcpStream, bool)>,
}

impl<'a> Tcp<'a> {
    pub(crate) fn new(server: &'a mut dyn Server) -> Self {
        Self { server, clients: BTreeMap::new() }
    }
}

impl World for Tcp<'_> {
    fn is(&self, server: &str) -> bool {
        self.server.is(server)
    }

    fn connect(&mut self, client: char) {
        let stream = TcpStream::connect(self.server.addr()).expect("the server listens");
        stream.set_nodelay(true).expect("the option is known");
        stream.set_read_timeout(Some(PATIENCE)).expect("the option is known");
        self.clients.insert(client, (stream, false));
    }

    fn send(&mut self, client: char, bytes: &[u8]) {
        let (stream, closed) = self.clients.get_mut(&client).expect("connected");
        // A server that closes in the middle of it is for the next expectation to notice.
        *closed |= stream.write_all(bytes).is_err();
    }

    fn receive(&mut self, client: char, into: &mut Vec<u8>) -> bool {
        let (stream, closed) = self.clients.get_mut(&client).expect("connected");
        let mut buffer = [0; 64 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) => *closed = true,
            Ok(count) => into.extend_from_slice(&buffer[..count]),
            Err(error) => {
                *closed |= !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                return false;
            }
        }
        !*closed
    }

    fn is_closed(&mut self, client: char) -> bool {
        self.clients.get(&client).is_some_and(|(_, closed)| *closed)
    }

    fn wait(&mut self, millis: u64) {
        std::thread::sleep(Duration::from_millis(millis));
    }

    fn lame_duck(&mut self) {
        self.server.lame_duck();
    }
}
