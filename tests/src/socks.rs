//! A SOCKS5 proxy (RFC 1928) for tests: opens connections, asks for a password if it has one, and counts.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A proxy on a port of its own. It lives for as long as the process.
#[derive(Debug)]
pub struct SocksProxy {
    addr: SocketAddr,
    tunnels: Arc<AtomicUsize>,
}

impl SocksProxy {
    /// Starts a proxy, for everybody or for this user with this password.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start(user: Option<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let addr = listener.local_addr().expect("it listens");
        let tunnels = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&tunnels);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                // A client that breaks off concerns nobody else.
                thread::spawn(move || serve(client, user, &counter));
            }
        });
        Self { addr, tunnels }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections it has opened.
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::SeqCst)
    }
}

fn serve(
    mut client: TcpStream,
    user: Option<(&str, &str)>,
    tunnels: &AtomicUsize,
) -> io::Result<()> {
    const NONE: u8 = 0;
    const PASSWORD: u8 = 2;

    let [5, count] = read::<2>(&mut client)? else { return Err(io::ErrorKind::InvalidData.into()) };
    let offered = read_text(&mut client, count)?;
    let method = if user.is_some() { PASSWORD } else { NONE };
    if !offered.as_bytes().contains(&method) {
        return client.write_all(&[5, 0xff]);
    }
    client.write_all(&[5, method])?;
    if let Some(user) = user {
        let [_, len] = read::<2>(&mut client)?;
        let name = read_text(&mut client, len)?;
        let [len] = read::<1>(&mut client)?;
        let password = read_text(&mut client, len)?;
        let right = (name.as_str(), password.as_str()) == user;
        client.write_all(&[1, u8::from(!right)])?;
        if !right {
            return Ok(());
        }
    }
    let [5, 1, 0, kind] = read::<4>(&mut client)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(&mut client)?).to_string(),
        _ => {
            let [len] = read::<1>(&mut client)?;
            read_text(&mut client, len)?
        }
    };
    let port = u16::from_be_bytes(read::<2>(&mut client)?);
    let server = TcpStream::connect((host, port));
    let reply = u8::from(server.is_err()) * 5;
    client.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let server = server?;
    tunnels.fetch_add(1, Ordering::SeqCst);
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || pass_on(from, to));
    pass_on(server, client);
    Ok(())
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    // Either end may break off; then the other one is told.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_text(stream: &mut TcpStream, len: u8) -> io::Result<String> {
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}
