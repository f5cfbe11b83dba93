//! The server loop, over real sockets.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nats_async_std::AsyncStd;
use nats_broker::{Config, ServerConfig, ServerHandle, serve};
use nats_tokio::Tokio;
use support::memory;
use support::script::World;
use support::tcp::{Server, Tcp};
use tokio::runtime::Runtime;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn start(runtime: &Runtime, config: impl Into<ServerConfig>) -> ServerHandle {
    runtime.block_on(serve::<Tokio>(config)).unwrap()
}

/// Settings with an address that nobody else takes as long as the socket lives, also while nobody listens there.
///
/// The port lies below those that are given to outgoing connections and to port 0. The UDP port of the same number
/// reserves it, as for the tests of the whole workspace.
fn reserved(broker: Config) -> (ServerConfig, UdpSocket) {
    let mut config = ServerConfig::from(broker);
    let first = 20_000 + u16::try_from(std::process::id() % 12_000).unwrap();
    for port in (first..32_000).chain(20_000..first) {
        config.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(reservation) = UdpSocket::bind(config.addr)
            && TcpListener::bind(config.addr).is_ok()
        {
            return (config, reservation);
        }
    }
    panic!("no free port");
}

/// A connection that has got through the handshake.
fn client(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n").unwrap();
    for expected in ["INFO ", "PONG\r\n", "INFO "] {
        assert!(line(&mut stream).starts_with(expected));
    }
    stream
}

/// Reads a line, and not a byte more.
fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") && stream.read(&mut byte).unwrap() == 1 {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Whether the server has nothing more to say and has closed the connection.
fn is_at_end(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok() && rest.is_empty()
}

impl Server for ServerHandle {
    fn addr(&self) -> SocketAddr {
        ServerHandle::addr(self)
    }

    fn is(&self, name: &str) -> bool {
        matches!(name, "broker" | "new")
    }

    fn lame_duck(&mut self) {
        ServerHandle::lame_duck(self);
    }
}

/// Runs all scripts, each on a broker of its own.
fn run_all(start: impl Fn(Config) -> ServerHandle, stop: impl Fn(ServerHandle)) {
    let failures: Vec<String> = support::scripts()
        .iter()
        .filter_map(|script| {
            let mut server = start(memory::config(script));
            let failure = script.run(&mut Tcp::new(&mut server)).err();
            stop(server);
            failure
        })
        .collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_script_gives_the_same_over_tcp_on_tokio() {
    let runtime = runtime();
    run_all(|config| start(&runtime, config), |server| runtime.block_on(server.shutdown()));
}

#[test]
fn every_script_gives_the_same_over_tcp_on_async_std() {
    run_all(
        |config| async_std::task::block_on(serve::<AsyncStd>(config)).unwrap(),
        |server| async_std::task::block_on(server.shutdown()),
    );
}

#[test]
fn after_shutdown_the_port_can_be_bound_again() {
    let runtime = runtime();
    let (config, _reservation) = reserved(Config::default());
    let addr = config.addr;
    let first = start(&runtime, config.clone());
    let mut stays = client(addr);
    runtime.block_on(first.shutdown());
    assert!(is_at_end(&mut stays));
    assert!(TcpStream::connect(addr).is_err());
    for _ in 0..3 {
        let again = start(&runtime, config.clone());
        assert_eq!(again.addr(), addr);
        client(addr);
        runtime.block_on(again.shutdown());
    }
}

#[test]
fn a_dropped_handle_stops_the_broker() {
    let runtime = runtime();
    let server = start(&runtime, Config::default());
    let mut stays = client(server.addr());
    drop(server);
    assert!(is_at_end(&mut stays));
}

#[test]
fn a_handle_outlives_its_runtime_without_harm() {
    let runtime = runtime();
    let server = start(&runtime, Config::default());
    let mut stays = client(server.addr());
    runtime.shutdown_timeout(Duration::from_secs(5));
    assert!(is_at_end(&mut stays));
    assert_eq!(server.statistics().connections, 0);
    server.disconnect_all();
    server.lame_duck();
    // All tasks are gone, so that there is nothing to wait for.
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(server.shutdown());
}

#[test]
fn disconnected_clients_may_come_back() {
    let runtime = runtime();
    let server = start(&runtime, Config::default());
    let (mut one, mut two) = (client(server.addr()), client(server.addr()));
    assert_eq!(server.statistics().connections, 2);
    server.disconnect_all();
    assert!(is_at_end(&mut one));
    assert!(is_at_end(&mut two));
    client(server.addr());
    assert_eq!(server.statistics().total_connections, 3);
}

#[test]
fn a_lame_duck_tells_its_clients_and_listens_no_more() {
    let runtime = runtime();
    let mut config = Config::default();
    config.lame_duck_grace = Duration::from_millis(50);
    config.lame_duck_duration = Duration::from_millis(100);
    let (config, _reservation) = reserved(config);
    let server = start(&runtime, config);
    let mut stays = client(server.addr());
    server.lame_duck();
    assert!(line(&mut stays).contains("\"ldm\":true"));
    assert!(is_at_end(&mut stays));
    assert!(TcpStream::connect(server.addr()).is_err());
}

#[test]
fn a_client_that_does_not_read_is_cut_off_while_others_get_everything() {
    const MESSAGES: usize = 400;
    const SIZE: usize = 256 * 1024;
    let runtime = runtime();
    let mut config = Config::default();
    config.max_pending = 8 * 1024 * 1024;
    let server = start(&runtime, config);
    let mut idle = client(server.addr());
    let mut reader = client(server.addr());
    for subscriber in [&mut idle, &mut reader] {
        subscriber.write_all(b"SUB flood 1\r\nPING\r\n").unwrap();
        assert_eq!(line(subscriber), "PONG\r\n");
    }
    let mut publisher = client(server.addr());
    let payload: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();
    let expected = payload.clone();
    let reading = std::thread::spawn(move || {
        let mut payload = vec![0; SIZE + 2];
        for _ in 0..MESSAGES {
            assert_eq!(line(&mut reader), format!("MSG flood 1 {SIZE}\r\n"));
            reader.read_exact(&mut payload).unwrap();
            assert!(payload[..SIZE] == expected);
        }
    });
    for _ in 0..MESSAGES {
        publisher.write_all(format!("PUB flood {SIZE}\r\n").as_bytes()).unwrap();
        publisher.write_all(&payload).unwrap();
        publisher.write_all(b"\r\n").unwrap();
    }
    reading.join().unwrap();
    assert_eq!(server.statistics().slow_consumers, 1);
    // What had reached the socket can still be read; then there is an end.
    let mut rest = Vec::new();
    let _ = idle.read_to_end(&mut rest);
    assert!(rest.len() < MESSAGES * SIZE);
}

#[test]
fn a_client_that_reads_all_the_time_gets_everything_however_much_comes_at_once() {
    for (max_pending, subscriptions, size, messages) in [
        (64 * 1024, 1, 1_000, 1_000),
        (64 * 1024, 2, 1_000, 1_000),
        (1024 * 1024, 3, 200_000, 10),
        (1024 * 1024, 50, 1_000, 200),
    ] {
        let runtime = runtime();
        let mut config = Config::default();
        (config.max_pending, config.max_payload) = (max_pending, size);
        let server = start(&runtime, config);
        let mut reader = client(server.addr());
        for sid in 0..subscriptions {
            reader.write_all(format!("SUB a {sid}\r\n").as_bytes()).unwrap();
        }
        reader.write_all(b"PING\r\n").unwrap();
        assert_eq!(line(&mut reader), "PONG\r\n");
        let mut publisher = client(server.addr());
        let message = [format!("PUB a {size}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat();
        let publishing = std::thread::spawn(move || {
            publisher.write_all(&message.repeat(messages)).unwrap();
            publisher
        });
        let mut left: usize =
            (0..subscriptions).map(|sid| format!("MSG a {sid} {size}\r\n\r\n").len() + size).sum();
        left *= messages;
        let mut buffer = vec![0; 1024 * 1024];
        while left > 0 {
            let count = reader.read(&mut buffer).unwrap();
            assert!(count > 0, "cut off, {left} bytes too early: {max_pending}, {subscriptions}");
            left -= count;
        }
        assert_eq!(server.statistics().slow_consumers, 0);
        drop(publishing.join().unwrap());
    }
}

#[test]
fn a_client_that_reads_steadily_but_too_slowly_is_cut_off_as_well() {
    const SIZE: usize = 500_000;
    const MESSAGES: usize = 60;
    let runtime = runtime();
    let mut config = ServerConfig::default();
    config.write_timeout = Duration::from_millis(500);
    let server = start(&runtime, config);
    let mut slow = client(server.addr());
    slow.write_all(b"SUB a 1\r\nPING\r\n").unwrap();
    assert_eq!(line(&mut slow), "PONG\r\n");
    let mut publisher = client(server.addr());
    let publishing = std::thread::spawn(move || {
        let message = [format!("PUB a {SIZE}\r\n").as_bytes(), &[b'x'; SIZE], b"\r\n"].concat();
        (0..MESSAGES).for_each(|_| publisher.write_all(&message).unwrap());
        publisher
    });
    let mut buffer = vec![0; 32 * 1024];
    let mut read = 0;
    while let Ok(count @ 1..) = slow.read(&mut buffer) {
        read += count;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(read < SIZE * MESSAGES, "it got everything");
    assert_eq!(server.statistics().slow_consumers, 1);
    drop(publishing.join().unwrap());
}

#[test]
fn what_is_buffered_is_written_before_the_connection_is_closed() {
    let runtime = runtime();
    let server = start(&runtime, Config::default());
    let mut stream = client(server.addr());
    // A client that closes its side still gets what it asked for.
    stream.write_all(b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "MSG a 1 1\r\nx\r\nPONG\r\n");
}

#[test]
fn a_client_that_has_closed_its_side_may_read_late() {
    const SIZE: usize = 1_000_000;
    const MESSAGES: usize = 20;
    let runtime = runtime();
    let mut config = ServerConfig::default();
    config.write_timeout = Duration::from_secs(600);
    let server = start(&runtime, config);
    // It stops sending in one way or the other.
    for end in ["PING\r\n", "NONSENSE\r\n"] {
        let mut stream = client(server.addr());
        stream.write_all(b"SUB a 1\r\n").unwrap();
        let message = [format!("PUB a {SIZE}\r\n").as_bytes(), &[b'x'; SIZE], b"\r\n"].concat();
        for _ in 0..MESSAGES {
            stream.write_all(&message).unwrap();
        }
        stream.write_all(end.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let mut payload = vec![0; SIZE + 2];
        for _ in 0..MESSAGES {
            assert_eq!(line(&mut stream), format!("MSG a 1 {SIZE}\r\n"));
            stream.read_exact(&mut payload).unwrap();
        }
        let answer = line(&mut stream);
        assert!(
            answer == "PONG\r\n" || answer == "-ERR 'Unknown Protocol Operation'\r\n",
            "{answer}"
        );
        assert!(is_at_end(&mut stream));
    }
}

#[test]
fn a_client_that_is_refused_while_it_sends_may_send_on_and_learns_why() {
    let runtime = runtime();
    let server = start(&runtime, Config::default());
    // Far more than the kernel keeps for the two.
    let mut nonsense = b"NONSENSE\r\n".to_vec();
    nonsense.resize(32 * 1024 * 1024, b'x');
    // On a machine that is busy, a client may be silent for so long that it counts as done.
    let is_told = (0..20).any(|_| {
        let (mut stream, mut told) = (client(server.addr()), String::new());
        stream.write_all(&nonsense).is_ok()
            && stream.read_to_string(&mut told).is_ok()
            && told == "-ERR 'Unknown Protocol Operation'\r\n"
    });
    assert!(is_told);
}

#[test]
fn a_shutdown_does_not_wait_for_a_client_that_reads_late() {
    let runtime = runtime();
    let mut config = ServerConfig::default();
    config.write_timeout = Duration::MAX;
    let server = start(&runtime, config);
    let mut stream = client(server.addr());
    stream.write_all(b"SUB a 1\r\n").unwrap();
    let message = [&b"PUB a 1000000\r\n"[..], &[b'x'; 1_000_000], b"\r\n"].concat();
    for _ in 0..20 {
        stream.write_all(&message).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let start = Instant::now();
    while server.statistics().connections > 0 {
        assert!(start.elapsed() < PATIENCE, "it still counts");
        std::thread::sleep(Duration::from_millis(1));
    }
    let shutdown = async { tokio::time::timeout(PATIENCE, server.shutdown()).await };
    runtime.block_on(shutdown).expect("it ends at all");
    drop(stream);
}

#[test]
fn clients_over_tcp_are_told_where_they_come_from() {
    let runtime = runtime();
    let mut server = start(&runtime, Config::default());
    assert_eq!(server.url(), format!("nats://{}", server.addr()));
    let mut world = Tcp::new(&mut server);
    world.connect('A');
    let mut info = Vec::new();
    assert!(world.receive('A', &mut info));
    let info = String::from_utf8(info).unwrap();
    assert!(info.contains("\"client_ip\":\"127.0.0.1\""), "{info}");
    assert!(info.contains(&format!("\"port\":{}", server.addr().port())), "{info}");
}

#[test]
fn the_address_of_a_client_is_its_own_and_not_that_of_the_server() {
    // All of 127.0.0.0/8 is this machine.
    let local: SocketAddr = "127.0.0.2:0".parse().unwrap();
    let dialled = |runtime: &Runtime, addr: SocketAddr| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(local).unwrap();
        let stream = runtime.block_on(socket.connect(addr)).unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        line(&mut { stream })
    };
    let runtime = runtime();
    let server = start(&runtime, Config::default());
    let on_async_std = async_std::task::block_on(serve::<AsyncStd>(Config::default())).unwrap();
    for addr in [server.addr(), on_async_std.addr()] {
        let info = dialled(&runtime, addr);
        assert!(info.contains("\"client_ip\":\"127.0.0.2\""), "{info}");
    }
}
