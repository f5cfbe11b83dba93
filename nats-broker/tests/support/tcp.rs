//! Clients over TCP, for any server.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::script::World;

/// How long to wait for bytes that should come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server's address and the connections to it.
#[derive(Debug)]
pub(crate) struct Tcp {
    addr: SocketAddr,
    clients: BTreeMap<char, (TcpStream, bool)>,
}

impl Tcp {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, clients: BTreeMap::new() }
    }
}

impl World for Tcp {
    fn connect(&mut self, client: char) {
        let stream = TcpStream::connect(self.addr).expect("the server listens");
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
}
