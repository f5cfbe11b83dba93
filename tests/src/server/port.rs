//! Ports that belong to one test, also while nothing listens on them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the ports that operating systems give to outgoing connections and to binds to port 0, so that none
/// of those takes a port while its server is being restarted.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port of the loopback interface that no other test on this machine takes, in whatever process, until
/// this is dropped.
///
/// The reservation is the UDP port of the same number. It needs no file, cannot be left behind by a process
/// that dies, and does not hinder a server that binds the TCP port.
#[derive(Debug)]
pub struct ReservedPort {
    port: u16,
    _reservation: UdpSocket,
}

impl ReservedPort {
    /// Reserves a port on which nothing listens.
    ///
    /// # Panics
    /// There is none.
    #[allow(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        // Processes that start together begin their search at different places.
        let start = RandomState::new().hash_one(std::process::id());
        for offset in 0..u64::from(COUNT) {
            let position = start.wrapping_add(offset) % u64::from(COUNT);
            let port = FIRST + u16::try_from(position).expect("below COUNT, which is a u16");
            let Ok(reservation) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else {
                continue;
            };
            // Somebody who knows nothing of reservations may be there already.
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Self { port, _reservation: reservation };
            }
        }
        panic!("no free port from {FIRST} to {}", FIRST + (COUNT - 1));
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
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
}
