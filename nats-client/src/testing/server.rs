//! The servers that a test plays, and their ends of streams.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};

use super::stream::Pipe;

/// The server's end of a stream, played by the test.
pub(crate) struct Peer {
    pub(super) input: Pipe,
    pub(super) output: Pipe,
    pub(super) seen: String,
}

impl Peer {
    /// Sends bytes to the client.
    pub(crate) fn send(&self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    /// The same of bytes that are no text.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.output.write(bytes).expect("the client reads");
    }

    /// Waits until the client has sent `text`, and gives what came before it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.seen, rest);
                before.truncate(at);
                return before;
            }
            let mut lane = self.input.0.0.lock().unwrap();
            while lane.bytes.is_empty() {
                assert!(!lane.closed, "closed without {text:?}: {:?}", self.seen);
                lane = self.input.0.1.wait(lane).unwrap();
            }
            let bytes: Vec<u8> = lane.bytes.drain(..).collect();
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Waits until the client has closed the stream, and gives all that it sent.
    pub(crate) fn expect_close(&mut self) -> String {
        let mut lane = self.input.0.0.lock().unwrap();
        while !lane.closed {
            lane = self.input.0.1.wait(lane).unwrap();
        }
        let bytes: Vec<u8> = lane.bytes.drain(..).collect();
        self.seen.push_str(&String::from_utf8_lossy(&bytes));
        std::mem::take(&mut self.seen)
    }

    /// Takes nothing more from the client, or goes on to do so.
    pub(crate) fn stall(&self, stalled: bool) {
        self.take(if stalled { 0 } else { usize::MAX });
    }

    /// Takes so many bytes more from the client.
    pub(crate) fn take(&self, bytes: usize) {
        self.input.change(|lane| lane.room = bytes);
    }

    /// Takes so many bytes of the client in one write, as TLS and WebSockets do.
    pub(crate) fn take_at_once(&self, bytes: usize) {
        self.input.change(|lane| lane.at_once = bytes);
    }

    /// Takes nothing more from the client, whose writes fail from now on.
    pub(crate) fn refuse(&self) {
        self.input.close();
    }

    /// Lets other tasks run when the client reads next, as TLS, WebSockets and runtimes do now and then.
    pub(crate) fn hesitate(&self) {
        self.output.0.0.lock().unwrap().hesitant = true;
    }

    /// Has a signal come in between when the client reads next, and when it writes next.
    pub(crate) fn interrupt(&self) {
        for lane in [&self.input, &self.output] {
            lane.0.0.lock().unwrap().interrupted = true;
        }
    }

    /// Takes no byte of the client any more, whose writes do not fail.
    pub(crate) fn fall_mute(&self) {
        self.input.0.0.lock().unwrap().mute = true;
    }

    /// Bytes for the client that it has not read.
    pub(crate) fn unread(&self) -> usize {
        self.output.0.0.lock().unwrap().bytes.len()
    }

    /// Makes the client's end panic when it is written to.
    pub(crate) fn rot(&self) {
        self.input.0.0.lock().unwrap().rotten = true;
    }

    /// Makes the client's end panic when it is read from.
    pub(crate) fn rot_for_readers(&self) {
        self.output.0.0.lock().unwrap().rotten = true;
    }

    /// What the client has sent and nobody has looked at.
    #[cfg(feature = "websocket")]
    pub(crate) fn take_bytes(&self) -> Vec<u8> {
        self.input.0.0.lock().unwrap().bytes.drain(..).collect()
    }

    /// Bytes that the client has sent and nobody has looked at.
    pub(crate) fn arrived(&self) -> usize {
        self.input.0.0.lock().unwrap().bytes.len()
    }

    /// Goes through the handshake.
    pub(crate) fn greet(&mut self) {
        self.send("INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n");
        self.expect("CONNECT ");
        self.expect("PING\r\n");
        self.send("PONG\r\n");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input.close();
        self.output.close();
    }
}

pub(super) fn listeners() -> &'static Mutex<HashMap<u16, Sender<Peer>>> {
    static LISTENERS: OnceLock<Mutex<HashMap<u16, Sender<Peer>>>> = OnceLock::new();
    LISTENERS.get_or_init(Mutex::default)
}

/// A server that a test plays.
pub(crate) struct FakeServer {
    port: u16,
    peers: Mutex<Receiver<Peer>>,
}

impl FakeServer {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        let (sender, peers) = channel();
        listeners().lock().unwrap().insert(port, sender);
        Self { port, peers: Mutex::new(peers) }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The URL of a name whose addresses are those of these servers.
    pub(crate) fn url_of_all(servers: &[&Self]) -> String {
        let ports = servers.iter().map(|server| format!("-{}", server.port));
        format!("nats://ports{}", ports.collect::<String>())
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        self.peers.lock().unwrap().recv().expect("a connection")
    }

    /// Whether nobody has connected since the last that was accepted.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.peers.lock().unwrap().try_recv().is_err()
    }
}
