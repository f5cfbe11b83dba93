//! The harness itself, on real servers of both releases.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nats_proto::auth::encode_signature;

use super::jwt::{Account, Operator, User};
use super::{Cluster, Options, RawConnection, RealServer, Release, ServerKind, TestServer};

/// Runs `test` with each release.
fn on_each_release(test: impl Fn(Release)) {
    Release::ALL.into_iter().for_each(test);
}

fn start(release: Release) -> RealServer {
    RealServer::start(release, &Options::new())
}

#[test]
fn a_server_is_of_the_release_asked_for() {
    on_each_release(|release| {
        let server = ServerKind::Real(release).start(&Options::new());
        let info = RawConnection::connect(server.addr()).read_info();
        let version = format!("\"version\":\"{}\"", release.version());
        assert!(info.contains(&version), "{info}");
        assert_eq!(server.url(), format!("nats://127.0.0.1:{}", server.addr().port()));
    });
}

#[test]
fn a_raw_connection_publishes_and_receives() {
    on_each_release(|release| {
        let server = start(release);
        let mut raw = RawConnection::ready(server.addr());
        raw.send(b"SUB a.* 7\r\nPUB a.b 5\r\nhello\r\n");
        raw.expect_line("MSG a.b 7 5");
        assert_eq!(raw.read_bytes(7), b"hello\r\n");
        raw.round_trip();
    });
}

#[test]
fn servers_run_side_by_side_without_knowing_each_other() {
    on_each_release(|release| {
        let (first, second) = (start(release), start(release));
        assert_ne!(first.addr(), second.addr());
        let mut subscriber = RawConnection::ready(first.addr());
        subscriber.send(b"SUB a 1\r\n");
        subscriber.round_trip();
        let mut publisher = RawConnection::ready(second.addr());
        publisher.send(b"PUB a 1\r\nx\r\n");
        publisher.round_trip();
        // Had the message come this way, it would be here before the PONG.
        subscriber.round_trip();
    });
}

#[test]
fn a_killed_server_cuts_its_clients_off_and_comes_back_on_its_port() {
    on_each_release(|release| {
        let mut server = start(release);
        let addr = server.addr();
        let mut before = RawConnection::ready(addr);
        server.kill();
        before.expect_eof();
        assert!(!server.is_running());
        assert!(TcpStream::connect(addr).is_err());
        server.restart();
        assert_eq!(server.addr(), addr);
        RawConnection::ready(addr);
    });
}

#[test]
fn a_restart_kills_what_runs() {
    let mut server = start(Release::V2_15);
    let mut before = RawConnection::ready(server.addr());
    server.restart();
    before.expect_eof();
    RawConnection::ready(server.addr());
}

#[test]
fn a_stopped_server_ends_in_order() {
    on_each_release(|release| {
        let mut server = start(release);
        server.stop();
        assert!(!server.is_running());
        assert!(server.log().contains("Server Exiting"), "{}", server.log());
        server.stop();
    });
}

#[test]
fn a_lame_duck_tells_its_clients_and_ends() {
    on_each_release(|release| {
        let mut server =
            RealServer::start(release, &Options::new().extra("lame_duck_grace_period: \"50ms\""));
        let mut raw = RawConnection::connect(server.addr());
        raw.read_info();
        raw.introduce("{\"verbose\":false,\"protocol\":1}");
        server.lame_duck();
        // The server may still have been about to tell of something else.
        let mut info = raw.read_info();
        while !info.contains("\"ldm\":true") {
            info = raw.read_info();
        }
        drop(raw);
        server.await_exit();
    });
}

#[test]
fn a_paused_server_is_silent_until_it_is_resumed() {
    let mut server = start(Release::V2_15);
    let mut raw = RawConnection::ready(server.addr());
    server.pause();
    assert!(server.is_running());
    raw.send(b"PING\r\n");
    server.resume();
    raw.expect_line("PONG");
}

#[test]
fn user_and_password_are_asked_for() {
    on_each_release(|release| {
        let server = RealServer::start(release, &Options::new().user_password("joe", "secret"));
        let mut right = RawConnection::connect(server.addr());
        assert!(right.read_info().contains("\"auth_required\":true"));
        right.send(b"CONNECT {\"user\":\"joe\",\"pass\":\"secret\"}\r\n");
        right.expect_line("+OK");
        let mut wrong = RawConnection::connect(server.addr());
        wrong.read_info();
        wrong.send(b"CONNECT {\"user\":\"joe\",\"pass\":\"guess\"}\r\n");
        wrong.expect_line("-ERR 'Authorization Violation'");
        wrong.expect_eof();
    });
}

#[test]
fn a_token_is_asked_for() {
    on_each_release(|release| {
        let server = RealServer::start(release, &Options::new().token("t0ken"));
        let mut right = RawConnection::connect(server.addr());
        right.read_info();
        right.send(b"CONNECT {\"auth_token\":\"t0ken\",\"verbose\":false}\r\n");
        right.round_trip();
        let mut wrong = RawConnection::connect(server.addr());
        wrong.read_info();
        wrong.send(b"CONNECT {\"auth_token\":\"other\"}\r\n");
        wrong.expect_line("-ERR 'Authorization Violation'");
    });
}

#[test]
fn limits_and_pings_are_what_the_options_say() {
    on_each_release(|release| {
        let options = Options::new().max_payload(64).pings(Duration::from_millis(50), 2);
        let server = RealServer::start(release, &options);
        let mut raw = RawConnection::connect(server.addr());
        assert!(raw.read_info().contains("\"max_payload\":64"));
        raw.send(b"CONNECT {\"verbose\":false}\r\n");
        // Nobody answers, so that the server gives the connection up.
        let mut line = raw.read_line();
        assert_eq!(line, "PING");
        while line == "PING" {
            line = raw.read_line();
        }
        assert_eq!(line, "-ERR 'Stale Connection'");
    });
}

#[test]
fn the_nodes_of_a_cluster_tell_of_each_other_and_pass_messages_on() {
    on_each_release(|release| {
        let mut cluster = Cluster::start(release, 3, &Options::new());
        assert_eq!(cluster.urls().len(), 3);
        let mut subscriber = RawConnection::ready(cluster.nodes()[0].addr());
        cluster.node(1).kill();
        cluster.node(1).restart();
        cluster.await_discovery();
        subscriber.send(b"SUB a 1\r\n");
        subscriber.round_trip();
        // A subscription reaches the other nodes some time after its own: until then nobody responds.
        let mut publisher = RawConnection::ready(cluster.nodes()[2].addr());
        publisher.send(b"SUB inbox 1\r\n");
        loop {
            publisher.send(b"PUB a inbox 1\r\nx\r\nPING\r\n");
            let line = publisher.next_line();
            if line == "PONG" {
                break;
            }
            assert!(line.starts_with("HMSG inbox 1 "), "{line}");
            publisher.expect_line("NATS/1.0 503");
            // Some releases name the subject in a header.
            while publisher.next_line() != "PONG" {}
        }
        subscriber.expect_line("MSG a 1 inbox 1");
    });
}

#[test]
fn a_configuration_that_the_server_refuses_fails_the_test() {
    let mut server = RealServer::prepare(Release::V2_15);
    server.configure(&Options::new().extra("no_such_setting: 1"));
    server.launch();
    // Only the wait panics here: the server is dropped by a test that passes, and cleans up.
    let refused = catch_unwind(AssertUnwindSafe(|| server.await_ready())).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("the server ended with"), "{message}");
    assert!(message.contains("no_such_setting"), "{message}");
}

#[test]
fn a_dropped_server_leaves_neither_process_nor_files() {
    let server = start(Release::V2_10);
    let (addr, directory) = (server.addr(), server.directory().to_owned());
    assert!(directory.exists());
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
    assert!(!directory.exists());
}

#[test]
fn a_raw_connection_can_play_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut server = RawConnection::accept(&listener);
    server.send(b"INFO {}\r\n");
    let mut greeting = [0; 9];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"INFO {}\r\n");
    client.write_all(b"CONNECT {}\r\n").unwrap();
    server.expect_line("CONNECT {}");
    drop(client);
    server.expect_eof();
}

#[test]
fn a_reload_changes_what_a_running_server_does() {
    on_each_release(|release| {
        let mut server = start(release);
        let mut raw = RawConnection::ready(server.addr());
        server.reload(&Options::new().max_payload(64));
        raw.round_trip();
        assert!(RawConnection::connect(server.addr()).read_info().contains("\"max_payload\":64"));
    });
}

#[test]
fn a_server_in_operator_mode_asks_for_a_signed_nonce() {
    on_each_release(|release| {
        let (operator, account) = (Operator::new(), Account::new());
        let options = Options::new().operator(&operator, &[&account]);
        let server = RealServer::start(release, &options);
        let user = User::new();
        for signed in [true, false] {
            let mut raw = RawConnection::connect(server.addr());
            let info = raw.read_info();
            let nonce = info.split("\"nonce\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let nonce = if signed { nonce.unwrap() } else { "another" };
            let sig = encode_signature(&user.key().sign(nonce.as_bytes()));
            let jwt = account.jwt(&user);
            let connect = format!("CONNECT {{\"jwt\":\"{jwt}\",\"sig\":\"{sig}\"}}\r\n");
            raw.send(connect.as_bytes());
            raw.expect_line(if signed { "+OK" } else { "-ERR 'Authorization Violation'" });
        }
    });
}
