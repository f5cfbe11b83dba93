//! Servers behind WebSockets.

#![expect(clippy::result_large_err, reason = "the callbacks of tungstenite are so")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use nats_client::connection::State;
use nats_client::{Client, ConnectErrorKind, ConnectOptions, Notice};
use nats_tests::server::{Options, RealServer, Release, TestServer};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

use crate::support::{Env, Events, Rt, next, numbers, publish_numbers, take, text, until};

/// Every way to agree on compression: what the server is told, and what the client.
const AGREEMENTS: [(bool, bool); 4] = [(false, false), (true, true), (true, false), (false, true)];

async fn connect<R: Rt>(
    env: &Env<R, Release>,
    (server, client): (bool, bool),
) -> (RealServer, Client) {
    let server = RealServer::start(env.kind, &Options::new().websocket(server));
    let options = env.options().websocket_compression(client);
    let client = options.connect(server.websocket_url()).await.expect("the server runs");
    (server, client)
}

pub(crate) async fn messages_and_requests_go_both_ways<R: Rt>(env: Env<R, Release>) {
    for agreement in AGREEMENTS {
        let (server, client) = connect(&env, agreement).await;
        // The other one comes by TCP.
        let other = env.options().connect(server.url()).await.unwrap();
        let mut here = client.subscribe("here").await.unwrap();
        client.flush().await.unwrap();
        other.publish("here", "hello".into()).await.unwrap();
        assert_eq!(text(&next(&mut here).await), "hello");

        let mut questions = other.subscribe("questions").await.unwrap();
        other.flush().await.unwrap();
        let answer = async {
            let question = next(&mut questions).await;
            other.publish(question.reply.unwrap(), question.payload).await.unwrap();
        };
        let (reply, ()) = futures_util::future::join(
            client.request("questions", "is anybody there?".into()),
            answer,
        )
        .await;
        assert_eq!(text(&reply.unwrap()), "is anybody there?");
        let nobody = client.request("nobody", "?".into()).await;
        assert_eq!(nobody.unwrap_err().kind(), nats_client::RequestErrorKind::NoResponders);
        client.drain().await.unwrap();
        client.closed().await;
    }
}

pub(crate) async fn large_payloads_arrive_whole<R: Rt>(env: Env<R, Release>) {
    // As large as the server takes them; noise and what compresses well.
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..1024 * 1024)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let payloads = [Bytes::from(noise), Bytes::from(vec![b'x'; 1024 * 1024]), Bytes::new()];
    for agreement in AGREEMENTS {
        let (_server, client) = connect(&env, agreement).await;
        let mut subscriber = client.subscribe("large").await.unwrap();
        for _ in 0..3 {
            for payload in &payloads {
                client.publish("large", payload.clone()).await.unwrap();
            }
        }
        for _ in 0..3 {
            for payload in &payloads {
                assert!(next(&mut subscriber).await.payload == payload, "{agreement:?}");
            }
        }
        client.flush().await.unwrap();
        assert_eq!(client.delivery_statistics().connects, 1);
    }
}

pub(crate) async fn a_reconnect_goes_through_the_websocket_again<R: Rt>(env: Env<R, Release>) {
    for agreement in [(false, false), (true, true)] {
        let (mut server, client) = connect(&env, agreement).await;
        let mut subscriber = client.subscribe("again").await.unwrap();
        client.flush().await.unwrap();
        for round in 2..=3 {
            // One crash, one orderly end with a close frame.
            if round == 2 {
                server.kill()
            } else {
                server.stop()
            }
            until::<R>("the link to break", || client.connection_state() == State::Disconnected)
                .await;
            publish_numbers(&client, "again", 0..100).await;
            server.restart();
            env.connected(&client, round).await;
            assert_eq!(take(&mut subscriber, 100).await, numbers(100));
        }
        client.force_reconnect().await.unwrap();
        client.publish("again", "forced".into()).await.unwrap();
        assert_eq!(text(&next(&mut subscriber).await), "forced");
    }
}

pub(crate) async fn pings_of_the_protocol_and_many_small_messages_pass<R: Rt>(
    env: Env<R, Release>,
) {
    const COUNT: usize = 20_000;
    // Unanswered PINGs: a busy machine must not be taken for a connection that is dead.
    const PATIENT: u32 = 10_000;
    for compression in [false, true] {
        let options = Options::new().websocket(true).pings(Duration::from_millis(50), PATIENT);
        let server = RealServer::start(env.kind, &options);
        let options = env
            .options()
            .websocket_compression(compression)
            .ping_interval(Duration::from_millis(20))
            .max_pings_outstanding(PATIENT);
        let client = options.connect(server.websocket_url()).await.unwrap();
        let mut subscriber = client.subscribe("many").await.unwrap();
        let publishing = async {
            publish_numbers(&client, "many", 0..COUNT).await;
            client.flush().await.unwrap();
        };
        let ((), received) =
            futures_util::future::join(publishing, take(&mut subscriber, COUNT)).await;
        assert_eq!(received, numbers(COUNT));
        R::sleep(Duration::from_millis(300)).await;
        client.flush().await.unwrap();
        assert_eq!(client.delivery_statistics().connects, 1);
    }
}

pub(crate) async fn a_server_inflates_all_that_is_sent_however_little_it_takes<R: Rt>(
    env: Env<R, Release>,
) {
    const COUNT: usize = 5_000;
    const LIMIT: usize = 4_096;
    let options = Options::new().websocket(true);
    // INFO tells the limit of an account only when it has heard who one is.
    let account = format!(
        "accounts {{ A: {{ users: [ {} ], limits: {{ max_payload: {LIMIT} }} }} }}",
        nats_tests::server::user("ann", "secret")
    );
    for options in [options.clone().max_payload(LIMIT), options.extra(&account)] {
        let mut server = RealServer::start(env.kind, &options);
        let options = env.options().websocket_compression(true);
        let options = options.user_and_password("ann".into(), "secret".into());
        let client = options.connect(server.websocket_url()).await.unwrap();
        let mut subscriber = client.subscribe("many").await.unwrap();
        let mut others = Vec::new();
        for number in 0..1_000 {
            others.push(client.subscribe(format!("one.of.many.others.{number}")).await.unwrap());
        }
        for connects in 1..=2 {
            if connects > 1 {
                server.restart();
            }
            env.connected(&client, connects).await;
            publish_numbers(&client, "many", 0..COUNT).await;
            assert_eq!(take(&mut subscriber, COUNT).await, numbers(COUNT));
            client.flush().await.unwrap();
            assert_eq!(client.delivery_statistics().connects, connects);
            assert_eq!(client.server_info().max_payload, LIMIT);
        }
    }
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Plays a server up to the PONG that ends its handshake.
fn greet(socket: &mut WebSocket<TcpStream>) {
    let mut said = Vec::new();
    let info = b"INFO {\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n";
    socket.send(info.to_vec().into()).unwrap();
    while !said.ends_with(b"PING\r\n") {
        said.extend(socket.read().unwrap().into_data());
    }
    socket.send(b"PONG\r\n".to_vec().into()).unwrap();
}

pub(crate) async fn path_and_headers_are_sent_with_the_request<R: Rt>(env: Env<R, ()>) {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut seen = None;
        let look = |request: &Request, response: Response| {
            let header = |name| request.headers()[name].to_str().unwrap().to_owned();
            seen = Some((request.uri().to_string(), header("authorization"), header("x-tenant")));
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, look).unwrap();
        greet(&mut socket);
        seen.unwrap()
    });
    let headers = [("Authorization", "Bearer canary"), ("X-Tenant", "a b")];
    let options = env.options().websocket_headers(headers);
    assert!(!format!("{options:?}").contains("canary"));
    let _client = options.connect(format!("{url}/nats/v1?tenant=7")).await.unwrap();
    let seen = server.join().unwrap();
    assert_eq!(seen, ("/nats/v1?tenant=7".into(), "Bearer canary".into(), "a b".into()));
}

pub(crate) async fn the_end_of_a_client_is_a_close_frame<R: Rt>(env: Env<R, ()>) {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        greet(&mut socket);
        loop {
            match socket.read().unwrap() {
                // RFC 6455, 7.4.1: a normal closure.
                Message::Close(frame) => return assert_eq!(u16::from(frame.unwrap().code), 1000),
                Message::Binary(said) if said.ends_with(b"PING\r\n") => {
                    socket.send(b"PONG\r\n".to_vec().into()).unwrap();
                }
                _ => {}
            }
        }
    });
    let client = env.options().connect(&url).await.unwrap();
    client.publish("last", "words".into()).await.unwrap();
    assert_eq!(client.close().await, Default::default());
    server.join().unwrap();
}

pub(crate) async fn a_server_that_stops_says_so_in_its_close_frame<R: Rt>(env: Env<R, Release>) {
    let mut server = RealServer::start(env.kind, &Options::new().websocket(false));
    let (options, mut events) = Events::in_detail(env.options());
    let client = options.connect(server.websocket_url()).await.unwrap();
    client.flush().await.unwrap();
    server.stop();
    let told = "the server closed the WebSocket with code 1001: \"Server Shutdown\"";
    events
        .until(|event| match event {
            Notice::Disconnected { reason } => {
                assert_eq!(reason.to_string(), told);
                true
            }
            _ => false,
        })
        .await;
}

/// Each waits for the other one to speak.
pub(crate) async fn a_listener_for_websockets_is_thought_of_where_nothing_is_said<R: Rt>(
    env: Env<R, Release>,
) {
    let server = RealServer::start(env.kind, &Options::new().websocket(false));
    let options = env.options().connection_timeout(Duration::from_millis(500));
    let error = options.connect(server.websocket_addr().to_string()).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut, "{error}");
    assert!(error.to_string().ends_with("wants tls_first or a WebSocket"), "{error}");
}

pub(crate) async fn a_refused_request_is_told_with_its_status<R: Rt>(env: Env<R, ()>) {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream
    });
    let error = env.options().connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Io);
    assert!(error.to_string().contains("HTTP status 403"), "{error}");
    server.join().unwrap();
}

/// A frame that gives 200 MB of what the protocol allows.
fn bomb() -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut bytes = Vec::with_capacity(4 * 1024 * 1024);
    // For a subscription that there is not.
    let message = [&b"MSG a 9 1000000\r\n"[..], &[b' '; 1_000_000], b"\r\n"].concat();
    for _ in 0..200 {
        compress.compress_vec(&message, &mut bytes, FlushCompress::None).unwrap();
    }
    compress.compress_vec(&[], &mut bytes, FlushCompress::Sync).unwrap();
    bytes.truncate(bytes.len() - 4);
    let mut frame = vec![0xc2, 127];
    frame.extend((bytes.len() as u64).to_be_bytes());
    frame.extend(bytes);
    frame
}

pub(crate) async fn a_bomb_ends_the_connection_and_nothing_else<R: Rt>(env: Env<R, ()>) {
    let (listener, url) = listen();
    let server = thread::spawn(move || {
        let mut connections = Vec::new();
        for bombed in [true, false] {
            let (stream, _) = listener.accept().unwrap();
            let agree = |_: &Request, mut response: Response| {
                let extension =
                    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
                response
                    .headers_mut()
                    .insert("sec-websocket-extensions", extension.parse().unwrap());
                Ok(response)
            };
            let mut socket = tungstenite::accept_hdr(stream, agree).unwrap();
            // What the client says is compressed, and not looked at here.
            let info = b"INFO {\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n";
            socket.send(info.to_vec().into()).unwrap();
            socket.flush().unwrap();
            socket.get_mut().write_all(&[0x82, 6]).unwrap();
            socket.get_mut().write_all(b"PONG\r\n").unwrap();
            if bombed {
                // It is not read to its end.
                let _ = socket.get_mut().write_all(&bomb());
            }
            connections.push(socket);
        }
        connections
    });
    let (options, mut events) = Events::in_detail(env.options().websocket_compression(true));
    let client = options.connect(&url).await.unwrap();
    let seen = events.until(|event| matches!(event, Notice::Disconnected { .. })).await;
    let told = format!("{:?}", seen.last());
    assert!(told.contains("at most 134217728 are taken"), "{told}");
    env.connected(&client, 2).await;
    drop(server.join().unwrap());
}

pub(crate) async fn transports_are_not_mixed<R: Rt>(env: Env<R, ()>) {
    let error = env.options().connect(["ws://a:80", "nats://b:4222"]).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::ServerParse);
    let text = error.to_string();
    assert!(text.contains("ws://a:80") && text.contains("nats://b:4222"), "{text}");
}

pub(crate) async fn headers_that_cannot_be_sent_are_refused_at_once<R: Rt>(env: Env<R, ()>) {
    for (name, value) in [("X", "a\r\nY: b"), ("X Y", "a"), ("Host", "a")] {
        let options: ConnectOptions<R> = env.options().websocket_headers([(name, value)]);
        let error = options.connect("ws://localhost").await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::ServerParse);
        assert!(error.to_string().contains(name), "{error}");
    }
}
