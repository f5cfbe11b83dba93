//! The proxy, between a client and a server that are plain sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Direction, Fault, Flow, Proxy};
use crate::server::ReservedPort;

/// How long to wait for a byte that comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for a byte that does not.
const MOMENT: Duration = Duration::from_millis(50);

/// A proxy and a link through it.
struct Setup {
    proxy: Proxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Setup {
    fn new() -> Self {
        Self::with(Proxy::start)
    }

    fn with(start: fn(SocketAddr) -> Proxy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = start(listener.local_addr().unwrap());
        let (client, server) = link(&proxy, &listener);
        Self { proxy, listener, client, server }
    }
}

fn link(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.addr()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (client, server)
}

fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    assert_eq!(received(to, bytes.len()), bytes);
}

fn received(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(MOMENT)).unwrap();
    let error = stream.read(&mut [0]).err();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    error.is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn is_at_its_end(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_ok_and(|count| count == 0)
}

fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn everything_passes_in_both_directions() {
    let mut setup = Setup::new();
    let large: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let sent = large.clone();
    let mut client = setup.client.try_clone().unwrap();
    let sender = thread::spawn(move || client.write_all(&sent).unwrap());
    assert_eq!(received(&mut setup.server, large.len()), large);
    sender.join().unwrap();
    passes(&mut setup.server, &mut setup.client, b"back");
    drop(setup.client);
    assert!(is_at_its_end(&mut setup.server));
}

#[test]
fn an_end_comes_behind_what_was_passed_on() {
    let mut setup = Setup::new();
    setup.client.write_all(b"last").unwrap();
    assert_eq!(received(&mut setup.server, 4), b"last");
    setup.proxy.cut(Fault::End);
    assert!(is_at_its_end(&mut setup.server) && is_at_its_end(&mut setup.client));
}

#[test]
fn a_reset_is_read_on_both_sides() {
    let mut setup = Setup::new();
    passes(&mut setup.client, &mut setup.server, b"x");
    setup.proxy.cut(Fault::Reset);
    assert!(is_reset(&mut setup.server) && is_reset(&mut setup.client));
    let (mut client, mut server) = link(&setup.proxy, &setup.listener);
    passes(&mut client, &mut server, b"another");
    assert_eq!(setup.proxy.links(), 2);
}

#[test]
fn a_reset_reaches_links_that_stall_and_links_that_are_full() {
    let mut setup = Setup::new();
    setup.proxy.flow(Direction::ToServer, Flow::Stalled);
    setup.client.write_all(b"held").unwrap();
    assert!(is_silent(&mut setup.server));
    setup.proxy.cut(Fault::Reset);
    assert!(is_reset(&mut setup.server) && is_reset(&mut setup.client));

    setup.proxy.heal();
    let (mut client, mut server) = link(&setup.proxy, &setup.listener);
    client.set_write_timeout(Some(MOMENT)).unwrap();
    while client.write(&[0; 65_536]).is_ok() {}
    setup.proxy.cut(Fault::Reset);
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    // The proxy takes some more off the full link before it closes it.
    let error = loop {
        if let Err(error) = client.write(b"x") {
            break error.kind();
        }
    };
    assert!(matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert!(std::io::copy(&mut server, &mut std::io::sink()).is_err());
}

#[test]
fn what_is_planted_happens_after_so_many_bytes() {
    let mut setup = Setup::new();
    setup.proxy.plant(Direction::ToServer, 6, Fault::End);
    passes(&mut setup.client, &mut setup.server, b"abc");
    setup.client.write_all(b"defghi").unwrap();
    assert_eq!(received(&mut setup.server, 3), b"def");
    assert!(is_at_its_end(&mut setup.server) && is_at_its_end(&mut setup.client));
    // Once, not once a link.
    let (mut client, mut server) = link(&setup.proxy, &setup.listener);
    passes(&mut client, &mut server, b"0123456789");
    passes(&mut server, &mut client, b"0123456789");
}

#[test]
fn one_byte_is_spoiled() {
    let mut setup = Setup::new();
    setup.proxy.plant(Direction::ToClient, 2, Fault::Corrupt);
    setup.server.write_all(b"PONG").unwrap();
    assert_eq!(received(&mut setup.client, 4), [b'P', b'O', b'N' | 0x80, b'G']);
    passes(&mut setup.server, &mut setup.client, b"PONG");
    passes(&mut setup.client, &mut setup.server, b"PING");
}

#[test]
fn a_direction_that_stalls_keeps_what_it_is_given() {
    let mut setup = Setup::new();
    setup.proxy.flow(Direction::ToServer, Flow::Stalled);
    setup.client.write_all(b"later").unwrap();
    passes(&mut setup.server, &mut setup.client, b"now");
    assert!(is_silent(&mut setup.server));
    setup.proxy.heal();
    assert_eq!(received(&mut setup.server, 5), b"later");
}

#[test]
fn a_drip_comes_in_portions() {
    let mut setup = Setup::new();
    let every = Duration::from_millis(20);
    setup.proxy.flow(Direction::ToClient, Flow::Dripping { bytes: 2, every });
    setup.server.write_all(b"abcdef").unwrap();
    let mut portions: Vec<Vec<u8>> = Vec::new();
    while portions.concat().len() < 6 {
        let mut portion = [0; 6];
        let count = setup.client.read(&mut portion).unwrap();
        portions.push(portion[..count].to_vec());
    }
    assert_eq!(portions.concat(), b"abcdef");
    // Whoever reads late finds several in one.
    assert!(portions.iter().all(|portion| portion.len() % 2 == 0), "{portions:?}");
}

#[test]
fn one_direction_may_end_alone() {
    let mut setup = Setup::new();
    setup.proxy.half_close(Direction::ToClient);
    assert!(is_at_its_end(&mut setup.client));
    passes(&mut setup.client, &mut setup.server, b"still there");
    // What goes the other way is lost without a word.
    setup.server.write_all(b"lost").unwrap();
    assert!(is_silent(&mut setup.server));
    assert!(is_at_its_end(&mut setup.client));
}

#[test]
fn a_partition_swallows_links_that_are_opened_in_it() {
    let mut setup = Setup::new();
    setup.proxy.partition();
    setup.client.write_all(b"1").unwrap();
    setup.server.write_all(b"2").unwrap();
    assert!(is_silent(&mut setup.client) && is_silent(&mut setup.server));
    let (mut client, mut server) = link(&setup.proxy, &setup.listener);
    server.write_all(b"INFO").unwrap();
    assert!(is_silent(&mut client));
    setup.proxy.heal();
    assert_eq!(received(&mut client, 4), b"INFO");
    assert_eq!(received(&mut setup.client, 1), b"2");
    assert_eq!(received(&mut setup.server, 1), b"1");
}

#[test]
fn links_are_refused_by_choice_and_without_a_server() {
    let mut setup = Setup::new();
    setup.proxy.refuse(true);
    assert!(is_reset(&mut TcpStream::connect(setup.proxy.addr()).unwrap()));
    passes(&mut setup.client, &mut setup.server, b"still there");
    setup.proxy.heal();
    link(&setup.proxy, &setup.listener);

    let nobody = ReservedPort::new();
    let proxy = Proxy::start(([127, 0, 0, 1], nobody.port()).into());
    assert!(is_reset(&mut TcpStream::connect(proxy.addr()).unwrap()));
    assert_eq!(proxy.links(), 0);
}

#[test]
fn what_clients_say_is_kept_whatever_becomes_of_their_links() {
    let mut setup = Setup::with(Proxy::recording);
    passes(&mut setup.client, &mut setup.server, b"hello");
    passes(&mut setup.server, &mut setup.client, b"not kept");
    setup.proxy.flow(Direction::ToServer, Flow::Stalled);
    setup.client.write_all(b", world").unwrap();
    // It may not have come to the proxy.
    assert!(is_silent(&mut setup.server));
    setup.proxy.cut(Fault::Reset);
    setup.proxy.heal();
    let (mut client, server) = link(&setup.proxy, &setup.listener);
    client.write_all(b"again").unwrap();
    drop((client, server));
    link(&setup.proxy, &setup.listener);
    assert_eq!(setup.proxy.said(), [&b"hello, world"[..], b"again", b""]);
}

#[test]
fn a_dropped_proxy_resets_its_links() {
    let mut setup = Setup::new();
    let addr = setup.proxy.addr();
    drop(setup.proxy);
    assert!(is_reset(&mut setup.client) && is_reset(&mut setup.server));
    assert!(TcpStream::connect(addr).is_err());
}
