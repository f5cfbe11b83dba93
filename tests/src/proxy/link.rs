//! One client's connection through the proxy: a thread for each direction.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::{Direction, Fault, Shared};

/// The most that is read at once.
const CHUNK: usize = 64 * 1024;

/// How long a write may wait before it looks whether the link is still wanted.
const WRITE_PATIENCE: Duration = Duration::from_millis(20);

/// Closes `stream` so that the peer reads a reset.
pub(super) fn reset(stream: TcpStream) {
    // The peer may have closed it, and then there is nothing to reset.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

/// The two connections that are made one.
#[derive(Debug)]
pub(super) struct Link {
    /// How many were let through before it.
    number: usize,
    client: TcpStream,
    server: TcpStream,
    /// Directions whose receivers have been told of the end: what comes after it is thrown away.
    ended: [AtomicBool; 2],
    /// The link is to be closed as it is.
    reset: AtomicBool,
    /// Directions that are still served.
    running: AtomicUsize,
}

impl Link {
    pub(super) fn new(number: usize, client: TcpStream, server: TcpStream) -> Self {
        for stream in [&client, &server] {
            // Errors mean that the peer is gone, which reading finds out.
            let _ = stream.set_nodelay(true);
            let _ = stream.set_write_timeout(Some(WRITE_PATIENCE));
        }
        let ended = [AtomicBool::new(false), AtomicBool::new(false)];
        let (reset, running) = (AtomicBool::new(false), AtomicUsize::new(2));
        Self { number, client, server, ended, reset, running }
    }

    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Lets a fault happen now.
    pub(super) fn suffer(&self, direction: Direction, fault: Fault) {
        match fault {
            Fault::Reset => {
                for stream in [&self.client, &self.server] {
                    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
                }
                self.reset.store(true, Ordering::Relaxed);
                // Nothing is sent for that, but whoever reads here wakes and closes, which resets.
                for stream in [&self.client, &self.server] {
                    let _ = stream.shutdown(Shutdown::Read);
                }
            }
            Fault::End => Direction::BOTH.into_iter().for_each(|direction| self.end(direction)),
            Fault::HalfEnd => self.end(direction),
            Fault::Corrupt => {}
        }
    }

    /// Tells the receiver of the end.
    fn end(&self, direction: Direction) {
        self.ended[direction.index()].store(true, Ordering::Relaxed);
        let _ = self.ends(direction).1.shutdown(Shutdown::Write);
    }

    fn has_ended(&self, direction: Direction) -> bool {
        self.ended[direction.index()].load(Ordering::Relaxed)
    }

    /// Where the bytes of a direction come from, and where they go.
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }

    /// Serves both directions in the background.
    pub(super) fn run(self: Arc<Self>, shared: &Arc<Shared>) {
        for direction in Direction::BOTH {
            let (link, shared) = (Arc::clone(&self), Arc::clone(shared));
            thread::spawn(move || {
                link.pump(direction, &shared);
                if link.running.fetch_sub(1, Ordering::AcqRel) == 1 {
                    // The last handle closes the sockets: that of the list, or this one, which is dropped next.
                    shared.lock().links.retain(|other| !Arc::ptr_eq(other, &link));
                    shared.changed.notify_all();
                }
            });
        }
    }

    fn pump(&self, direction: Direction, shared: &Shared) {
        let (mut from, _) = self.ends(direction);
        let mut chunk = vec![0; CHUNK];
        while !self.is_reset() {
            match from.read(&mut chunk) {
                Ok(0) if !self.is_reset() => return self.end(direction),
                Ok(count) => {
                    self.record(direction, &chunk[..count], shared);
                    self.pass(direction, &mut chunk[..count], shared);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever resets one side has reset the other.
                Err(_) => self.suffer(direction, Fault::Reset),
            }
            shared.changed.notify_all();
        }
        // What was under way is lost, but it was said.
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            if !self.record(direction, &chunk[..count], shared) {
                return;
            }
        }
    }

    /// Keeps what the client has said, if that is wanted: whether it is.
    fn record(&self, direction: Direction, bytes: &[u8], shared: &Shared) -> bool {
        direction == Direction::ToServer && shared.record(self.number, bytes)
    }

    /// Passes on what was read, with what has been planted.
    fn pass(&self, direction: Direction, mut waiting: &mut [u8], shared: &Shared) {
        while !waiting.is_empty() && !self.has_ended(direction) {
            let Some(portion) = shared.portion(direction, self, waiting.len()) else { return };
            let (now, later) = waiting.split_at_mut(portion.bytes);
            if portion.corrupt
                && let Some(byte) = now.first_mut()
            {
                *byte ^= 0x80;
            }
            self.write(direction, now);
            if let Some(fault) = portion.fault {
                self.suffer(direction, fault);
                shared.changed.notify_all();
            }
            if let Some(pause) = portion.pause {
                thread::sleep(pause);
            }
            waiting = later;
        }
    }

    /// Writes everything, unless the link breaks.
    fn write(&self, direction: Direction, mut bytes: &[u8]) {
        let (_, mut to) = self.ends(direction);
        while !bytes.is_empty() && !self.is_reset() && !self.has_ended(direction) {
            match to.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.suffer(direction, Fault::Reset),
            }
        }
    }
}
