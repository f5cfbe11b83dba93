//! Ports that belong to one test, also while nothing listens on them.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Below the ports that operating systems give to outgoing connections and to binds to port 0, so that none
/// of those takes a port while its server is being restarted.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// So long a port rests, if so many have not come to rest since: a client that has lost its server, and outlives its test,
/// tries to reconnect for a while, and would take up a place at another server.
const REST: Duration = Duration::from_secs(20);
const MOST: usize = 400;

static RESTING: Mutex<VecDeque<(Instant, UdpSocket)>> = Mutex::new(VecDeque::new());

/// A TCP port of the loopback interface that no other test on this machine takes, in whatever process, until
/// this is dropped, and for 20 s after that if this process lives on.
///
/// The reservation is the UDP port of the same number. It needs no file, cannot be left behind by a process
/// that dies, and does not hinder a server that binds the TCP port.
#[derive(Debug)]
pub struct ReservedPort {
    port: u16,
    /// There until this is dropped.
    reservation: Option<UdpSocket>,
}

impl ReservedPort {
    /// Reserves a port on which nothing listens.
    ///
    /// # Panics
    /// There is none.
    #[allow(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        rest(None);
        // Processes that start together begin their search at different places.
        let start = RandomState::new().hash_one(std::process::id());
        for offset in 0..u64::from(COUNT) {
            let position = start.wrapping_add(offset) % u64::from(COUNT);
            let port = FIRST + u16::try_from(position).expect("below COUNT, which is a u16");
            let Ok(reservation) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else {
                continue;
            };
            // Somebody who knows nothing of reservations may be there already.
            if nobody_listens(port) {
                return Self { port, reservation: Some(reservation) };
            }
        }
        panic!("no free port from {FIRST} to {}", FIRST + (COUNT - 1));
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Whether a server could have this port.
///
/// Nobody is to listen on it even for this: a process that another test starts in that moment would keep the listener until
/// it is another program.
fn nobody_listens(port: u16) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket that may be where others were");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).is_ok()
}

impl Drop for ReservedPort {
    fn drop(&mut self) {
        rest(self.reservation.take());
    }
}

/// Adds a port to those that rest, and lets those go that have rested.
fn rest(reservation: Option<UdpSocket>) {
    let mut resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    resting.extend(reservation.map(|reservation| (now, reservation)));
    while let Some((since, _)) = resting.front()
        && (now.duration_since(*since) > REST || resting.len() > MOST)
    {
        resting.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_reserved_port_is_free_for_its_owner_and_for_nobody_else() {
        let reserved: Vec<ReservedPort> = (0..50).map(|_| ReservedPort::new()).collect();
        let mut ports: Vec<u16> = reserved.iter().map(ReservedPort::port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
        let first = &reserved[0];
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, first.port())).is_err());
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, first.port())).is_ok());
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_not_free() {
        let reserved = ReservedPort::new();
        assert!(nobody_listens(reserved.port()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, reserved.port())).expect("a port");
        assert!(!nobody_listens(reserved.port()));
        drop(listener);
    }

    #[test]
    fn a_port_that_was_given_back_is_not_taken_by_the_next() {
        let first = ReservedPort::new();
        let port = first.port();
        drop(first);
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
