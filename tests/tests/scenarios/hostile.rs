//! Servers that mean no good, or have lost their minds.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nats_client::connection::State;
use nats_client::{ConnectErrorKind, Notice, PublishErrorKind};
use nats_proto::connection::{ConnectError, DisconnectReason};
use nats_tests::server::RawConnection;
use nats_tests::server::jwt::{Key, Role};

use crate::played::{INFO, greet, play};
use crate::support::{Env, Events, Rt, next, text, until};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Nobody sends so much to a client that has stopped reading: buffers of sockets are smaller.
const TOO_MUCH: usize = 64 * MIB;

/// What breaks the protocol at any time, and how it is called.
fn violations() -> Vec<(Vec<u8>, &'static str)> {
    let long = |start: &str, len| [start.as_bytes(), &vec![b'a'; len], b"\r\n"].concat();
    let deep = format!("INFO {{\"x\":{}\r\n", "[".repeat(100 * KIB));
    let mut violations: Vec<(Vec<u8>, &'static str)> = vec![
        (long("MSG ", 64 * KIB), "control line is longer than 65536 bytes"),
        (long("-ERR ", 64 * KIB), "control line is longer than 65536 bytes"),
        (long("INFO {\"x\":\"", MIB), "INFO or CONNECT line is longer than 1048576 bytes"),
        (deep.into_bytes(), "JSON of INFO cannot be read"),
        (b"\0\xff\xfe\x16\x03\x01\r\n".to_vec(), "no operation begins"),
    ];
    for (line, error) in [
        ("MSG s 1 -1", "is not a number: \"-1\""),
        ("MSG s 1 18446744073709551616", "is not a number: \"18446744073709551616\""),
        ("MSG s -1 0", "is not a number: \"-1\""),
        ("MSG s 18446744073709551616 0", "is not a number: \"18446744073709551616\""),
        ("MSG s 1 67108865", "message of 67108865 bytes with its headers is longer than 67108864"),
        ("MSG s 1 9223372036854775808", "message of 9223372036854775808 bytes"),
        ("MSG s 1 18446744073709551615", "message of 18446744073709551615 bytes"),
        ("HMSG s 1 20 19", "header block of 20 bytes is longer than its message of 19 bytes"),
        ("HMSG s 1 18446744073709551615 0", "header block of 18446744073709551615 bytes"),
        ("HMSG s 1 67108865 67108865", "message of 67108865 bytes with its headers is longer than"),
        ("MSG s 1 2\r\nhixx", "payload is not followed by CRLF"),
        ("MSG s", "bad arguments of MSG"),
        ("HTTP/1.1 400 Bad Request", "no operation begins"),
        ("INFO []", "JSON of INFO cannot be read"),
        ("INFO {\"max_payload\":9223372036854775808}", "JSON of INFO cannot be read"),
        ("INFO {\"port\":\"none\"}", "JSON of INFO cannot be read"),
    ] {
        violations.push((format!("{line}\r\n").into_bytes(), error));
    }
    violations
}

pub(crate) async fn what_breaks_the_protocol_ends_the_connection_by_name<R: Rt>(env: Env<R, ()>) {
    let (url, server) = play(|listener| {
        for (bytes, _) in violations() {
            let mut client = greet(&listener);
            client.send(b"PONG\r\n");
            client.try_send(&bytes);
            client.read_to_end();
        }
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        client
    });
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(&url).await.unwrap();
    for (bytes, expected) in violations() {
        assert_eq!(events.next().await, Notice::Connected);
        let Notice::Disconnected { reason: DisconnectReason::Protocol(error) } =
            events.next().await
        else {
            panic!("no violation: {}", bytes[..bytes.len().min(80)].escape_ascii())
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(events.next().await, Notice::Connected);
    drop(client);
    drop(server.join().unwrap());
}

pub(crate) async fn what_breaks_the_protocol_at_first_fails_the_attempt_by_name<R: Rt>(
    env: Env<R, ()>,
) {
    // In place of INFO, and in place of PONG.
    for greeted in [false, true] {
        let (url, server) = play(move |listener| {
            for (bytes, _) in violations() {
                let mut client = match greeted {
                    true => greet(&listener),
                    false => RawConnection::accept(&listener),
                };
                client.try_send(&bytes);
                client.read_to_end();
            }
        });
        for (_, expected) in violations() {
            let (options, mut events) = Events::in_detail(env.options());
            let error = options.connect(&url).await.unwrap_err();
            assert_eq!(error.kind(), ConnectErrorKind::Io, "{error}");
            let Notice::ConnectFailed { error, .. } = events.next().await else {
                panic!("no failed attempt: {expected}")
            };
            let ConnectError::Lost(DisconnectReason::Protocol(error)) = error else {
                panic!("{error}, not {expected}")
            };
            assert!(error.to_string().contains(expected), "{error}");
        }
        server.join().unwrap();
    }
}

pub(crate) async fn lines_without_an_end_are_not_read_to_their_end<R: Rt>(env: Env<R, ()>) {
    const STARTS: [&str; 4] = ["INFO {\"x\":\"", "MSG ", "-ERR '", "+OK"];
    let (url, server) = play(|listener| {
        for start in STARTS {
            let mut client = greet(&listener);
            client.send(format!("PONG\r\n{start}").as_bytes());
            let block = vec![b' '; 64 * KIB];
            let mut sent = 0;
            while sent < TOO_MUCH && client.try_send(&block) {
                sent += block.len();
            }
            assert!(sent < TOO_MUCH, "{start} is read for ever");
        }
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        client
    });
    let client = env.options().connect(&url).await.unwrap();
    env.connected(&client, STARTS.len() as u64 + 1).await;
    drop(server.join().unwrap());
}

pub(crate) async fn floods_change_nothing<R: Rt>(env: Env<R, ()>) {
    let (url, server) = play(|listener| {
        let mut client = greet(&listener);
        // Messages before the handshake is over are for nobody.
        client.send(&b"MSG s 1 2\r\nhi\r\n".repeat(1000));
        client.send(b"PONG\r\n");
        assert_eq!(client.read_line(), "SUB s 1");
        let flapping = [
            "INFO {\"headers\":true,\"max_payload\":1000,\"proto\":1,\"ldm\":true}\r\n".as_bytes(),
            INFO,
        ]
        .concat();
        client.send(&flapping.repeat(5000));
        client.send(&b"-ERR 'something that nobody knows'\r\n".repeat(50_000));
        client.send(&b"+OK\r\nPONG\r\n".repeat(50_000));
        client.send(&b"MSG s 99 2\r\nhi\r\nMSG s 18446744073709551615 0\r\n\r\n".repeat(50_000));
        client.send(&b"MSG _INBOX.nobody.asked 2 0\r\n\r\n".repeat(50_000));
        client.send(b"MSG s 1 4\r\nlast\r\n");
        // A flush still goes through.
        assert_eq!(client.read_line(), "PING");
        client.send(b"PONG\r\n");
        client
    });
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(&url).await.unwrap();
    let mut subscriber = client.subscribe("s").await.unwrap();
    assert_eq!(text(&next(&mut subscriber).await), "last");
    client.flush().await.unwrap();
    let statistics = client.delivery_statistics();
    assert_eq!((statistics.connects, statistics.messages_in), (1, 1));
    assert_eq!(statistics.unroutable, 1000 + 150_000);
    assert_eq!(events.next().await, Notice::Connected);
    assert_eq!(events.next().await, Notice::LameDuckMode);
    // It is said once, however often the server changes its mind.
    assert!(matches!(events.next().await, Notice::ServerError(_)));
    drop((client, subscriber));
    drop(server.join().unwrap());
}

pub(crate) async fn a_flood_of_pings_by_a_server_that_does_not_read_fills_nothing<R: Rt>(
    env: Env<R, ()>,
) {
    const PINGS: usize = 4_000_000;
    let (url, server) = play(|listener| {
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        let block = b"PING\r\n".repeat(1000);
        for _ in 0..PINGS / 1000 {
            client.send(&block);
        }
        // The client has read them all, and was never stopped by what it could not write.
        client.send(b"-ERR 'Stale Connection'\r\n");
        let answers = client.read_to_end().len() / "PONG\r\n".len();
        assert!(answers < PINGS, "{answers} answers were kept");
    });
    let (options, mut events) = Events::in_detail(env.options().max_reconnects(1));
    let client = options.connect(&url).await.unwrap();
    events.until(|event| matches!(event, Notice::Disconnected { .. })).await;
    drop(client);
    server.join().unwrap();
}

pub(crate) async fn limits_of_payloads_may_be_anything<R: Rt>(env: Env<R, ()>) {
    for (told, limit) in [
        ("0", 0),
        ("1", 1),
        ("null", usize::MAX),
        ("-1", usize::MAX),
        ("-9223372036854775808", usize::MAX),
        ("9223372036854775807", i64::MAX as usize),
    ] {
        let (url, server) = play(move |listener| {
            let mut client = RawConnection::accept(&listener);
            client.send(format!("INFO {{\"max_payload\":{told},\"proto\":1}}\r\n").as_bytes());
            let mut longest = 0;
            while let Some(line) = client.try_read_line() {
                longest = longest.max(line.len());
                if line == "PING" {
                    client.try_send(b"PONG\r\n");
                }
            }
            longest
        });
        let client = env.options().connect(&url).await.unwrap();
        assert_eq!(client.max_payload(), limit);
        let sent = client.publish("s", vec![b'x'; MIB].into()).await;
        match limit {
            0 | 1 => assert_eq!(sent.unwrap_err().kind(), PublishErrorKind::MaxPayloadExceeded),
            _ => sent.unwrap(),
        }
        client.publish("s", vec![b'x'; limit.min(1)].into()).await.unwrap();
        client.close().await;
        assert_eq!(server.join().unwrap() == MIB, limit > 1);
    }
}

pub(crate) async fn addresses_of_other_servers_may_be_nonsense_and_many<R: Rt>(env: Env<R, ()>) {
    let nonsense =
        ["", ":", "a:0", "a:99999", "nats://a:1", "u:p@a:1", "a b:1", "[::1", "\\u0000:1"];
    let listed = |range: std::ops::Range<usize>| {
        let many = range.map(|number| format!("host{number}:1"));
        let urls: Vec<String> = nonsense.iter().map(ToString::to_string).chain(many).collect();
        format!("INFO {{\"max_payload\":9,\"connect_urls\":[\"{}\"]}}\r\n", urls.join("\",\""))
    };
    let infos: Vec<String> = (0..50).map(|turn| listed(turn * 5000..turn * 5000 + 5000)).collect();
    let (url, server) = play(move |listener| {
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        for info in infos {
            client.send(info.as_bytes());
        }
        client.send(b"PING\r\n");
        assert_eq!(client.read_line(), "PONG");
        client
    });
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(&url).await.unwrap();
    let connection = server.join().unwrap();
    // Each list replaces the one before, and counts up to 1,024 entries, whatever they are.
    let pool = client.server_pool().await.unwrap();
    assert_eq!(pool.len(), 1 + 1024 - nonsense.len());
    assert_eq!(events.next().await, Notice::Connected);
    let Notice::ServersDiscovered(servers) = events.next().await else {
        panic!("no servers discovered")
    };
    assert_eq!(servers.len(), 1024 - nonsense.len());
    client.close().await;
    drop(connection);
}

pub(crate) async fn a_nonce_of_any_length_is_signed<R: Rt>(env: Env<R, ()>) {
    let key = Key::new(Role::User);
    let nonce = "n".repeat(MIB - KIB);
    let info = format!("INFO {{\"max_payload\":9,\"nonce\":\"{nonce}\"}}\r\n");
    let (url, server) = play(move |listener| {
        let mut client = RawConnection::accept(&listener);
        client.send(info.as_bytes());
        let connect = client.read_line();
        assert!(connect.contains("\"sig\":\"") && connect.len() < 4096, "{connect}");
        client.send(b"PONG\r\n");
        client
    });
    let client = env.options().nkey(key.seed()).connect(&url).await.unwrap();
    drop(client);
    drop(server.join().unwrap());
}

pub(crate) async fn headers_may_be_as_many_as_fit<R: Rt>(env: Env<R, ()>) {
    const COUNT: usize = 100_000;
    let (url, server) = play(|listener| {
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        assert_eq!(client.read_line(), "SUB s 1");
        let same = "a:\r\n".repeat(COUNT);
        let others: String = (0..COUNT).map(|number| format!("{number:x}:\r\n")).collect();
        let broken = "no colon\r\n".repeat(COUNT);
        for headers in [same, others, broken] {
            let block = format!("NATS/1.0\r\n{headers}\r\n");
            client.send(format!("HMSG s 1 {0} {0}\r\n{block}\r\n", block.len()).as_bytes());
        }
        client.send(b"MSG s 1 4\r\nlast\r\n");
        client
    });
    let client = env.options().connect(&url).await.unwrap();
    let mut subscriber = client.subscribe("s").await.unwrap();
    let same = next(&mut subscriber).await.headers.unwrap();
    assert_eq!((same.len(), same.get_all("a").count()), (1, COUNT));
    let others = next(&mut subscriber).await.headers.unwrap();
    assert_eq!(others.len(), COUNT);
    // What cannot be read does not cost the message.
    next(&mut subscriber).await;
    assert_eq!(text(&next(&mut subscriber).await), "last");
    assert_eq!(client.delivery_statistics().connects, 1);
    drop(server.join().unwrap());
}

pub(crate) async fn one_byte_at_a_time_is_enough_to_connect_but_not_for_ever<R: Rt>(
    env: Env<R, ()>,
) {
    let (url, server) = play(|listener| {
        let mut client = RawConnection::accept(&listener);
        for byte in [INFO, b"PONG\r\n"].concat() {
            client.send(&[byte]);
        }
        client
    });
    let client = env.options().connect(&url).await.unwrap();
    assert_eq!(client.connection_state(), State::Connected);
    drop(client);
    drop(server.join().unwrap());

    let (url, server) = play(|listener| {
        let mut client = RawConnection::accept(&listener);
        client.send(b"INFO {");
        while client.try_send(b" ") {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let options = env.options().connection_timeout(Duration::from_millis(200));
    let error = options.connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    server.join().unwrap();
}

pub(crate) async fn the_end_of_one_direction_is_the_end<R: Rt>(env: Env<R, ()>) {
    let (url, server) = play(|listener| {
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        client.shut_down();
        client.read_to_end();
        let mut client = greet(&listener);
        client.send(b"PONG\r\n");
        client
    });
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(&url).await.unwrap();
    assert_eq!(events.next().await, Notice::Connected);
    let lost = Notice::Disconnected { reason: DisconnectReason::Eof };
    assert_eq!(events.next().await, lost);
    assert_eq!(events.next().await, Notice::Connected);
    drop(client);
    drop(server.join().unwrap());
}

pub(crate) async fn who_hangs_up_at_once_is_not_dialled_at_once<R: Rt>(env: Env<R, ()>) {
    const WAIT: Duration = Duration::from_millis(50);
    const DIALS: u32 = 6;
    let answers: [fn(&TcpListener); 3] = [
        |listener| drop(RawConnection::accept(listener)),
        |listener| RawConnection::accept(listener).send(INFO),
        |listener| greet(listener).send(b"PONG\r\n"),
    ];
    for answer in answers {
        let dials = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&dials);
        let (url, server) = play(move |listener| {
            for _ in 0..DIALS {
                answer(&listener);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let begin = Instant::now();
        let options = env.options().reconnect_wait(WAIT).retry_on_initial_connect();
        let client = options.connect(&url).await.unwrap();
        until::<R>("the dials", || dials.load(Ordering::Relaxed) == DIALS).await;
        // One pause less than dials: without any, nothing would keep them from being thousands.
        assert!(begin.elapsed() >= WAIT * (DIALS - 1));
        client.close().await;
        server.join().unwrap();
    }
}
