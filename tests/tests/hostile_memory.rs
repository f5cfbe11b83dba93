//! How much memory a server can make a client take, measured. A binary of its own with one test, so that nothing else
//! allocates meanwhile: what the server sends is made before, and sent from a thread that works in fixed buffers.

#[path = "scenarios/support.rs"]
#[allow(dead_code, unreachable_pub)]
mod support;

use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::StreamExt;
use nats_async_std::AsyncStd;
use nats_client::{ConnectOptions, Notice};
use nats_proto::connection::DisconnectReason;
use nats_tests::server::RawConnection;
use nats_tokio::Tokio;
use peak_alloc::PeakAlloc;

use support::{Rt, within};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// What SECURITY.md says, in bytes.
const LINE: usize = 64 * KIB;
/// And as much again while it is read, into memory that grows.
const INFO: usize = 2 * MIB;
const HEADERS: usize = MIB;
/// What a program asks for that looks at the headers of a message: 48 times as much as the block has bytes, at most.
const PARSED: usize = 48 * MIB;
const MESSAGE: usize = 64 * MIB;
/// Descriptors of 65,536 messages.
const MAILBOX: usize = 4 * MIB;
/// Of both listeners that there are here.
const NOTICES: usize = 2 * MIB;
/// 1,024 of them, in the pool, in the INFO that is kept, and on the way there.
const ADDRESSES: usize = 6 * MIB;
/// What one read has brought, as operations and events.
const READ: usize = 8 * MIB;

/// What a client may take beside that, for all it is and does.
const ALLOWANCE: usize = MIB;

/// When the server begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// In place of INFO.
    AtOnce,
    /// In place of the PONG that ends the handshake.
    Greeted,
    /// When there is a subscription to `s`, with the number 1.
    Subscribed,
}

/// What becomes of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The connection, with an error that contains this.
    Error(&'static str),
    /// It goes on.
    None,
}

struct Attack {
    name: &'static str,
    begin: Begin,
    /// What is sent, and how often.
    pieces: Vec<(Vec<u8>, usize)>,
    end: End,
    /// Bytes that it may cost.
    cap: usize,
}

fn attack(
    name: &'static str,
    begin: Begin,
    end: End,
    cap: usize,
    pieces: impl IntoIterator<Item = (Vec<u8>, usize)>,
) -> Attack {
    Attack { name, begin, pieces: pieces.into_iter().collect(), end, cap }
}

/// `head`, and then `filler` until there are `len` bytes of that.
fn long(head: &str, filler: u8, len: usize) -> [(Vec<u8>, usize); 2] {
    [(head.as_bytes().to_vec(), 1), (vec![filler; 64 * KIB], len / (64 * KIB))]
}

fn message(sid: u64, headers: &[u8], payload: usize) -> Vec<u8> {
    let total = headers.len() + payload;
    let head = match headers.len() {
        0 => format!("MSG s {sid} {payload}\r\n"),
        length => format!("HMSG s {sid} {length} {total}\r\n"),
    };
    [head.as_bytes(), headers, &vec![b'x'; payload], b"\r\n"].concat()
}

/// INFO with other addresses for each `turn`, as many as the line has room for.
fn addresses(turn: usize) -> Vec<u8> {
    info_with(60_000, &format!("h{turn}x"))
}

/// Few addresses, of which each is as long as they may be.
fn long_addresses(turn: usize) -> Vec<u8> {
    info_with(1_000, &format!("{}{turn}x", "h".repeat(900)))
}

fn info_with(count: usize, host: &str) -> Vec<u8> {
    let urls: Vec<String> = (0..count).map(|number| format!("{host}{number}:1")).collect();
    let urls = urls.join("\",\"");
    let info = format!("INFO {{\"max_payload\":9,\"connect_urls\":[\"{urls}\"]}}\r\n");
    assert!(info.len() < MIB);
    info.into_bytes()
}

/// As many headers as `size` bytes have room for.
fn header_block(size: usize, header: impl Fn(usize) -> String) -> Vec<u8> {
    let mut block = b"NATS/1.0\r\n".to_vec();
    for number in 0.. {
        let line = header(number);
        if block.len() + line.len() + 2 > size {
            break;
        }
        block.extend_from_slice(line.as_bytes());
    }
    block.extend_from_slice(b"\r\n");
    block
}

fn attacks() -> Vec<Attack> {
    use Begin::{AtOnce, Greeted, Subscribed};
    const TOO_LONG: End = End::Error("control line is longer than 65536 bytes");
    const INFO_TOO_LONG: End = End::Error("INFO or CONNECT line is longer than 1048576 bytes");
    let mut attacks = Vec::new();
    for begin in [AtOnce, Greeted, Subscribed] {
        let mut add = |name, end, cap, pieces: Vec<_>| {
            attacks.push(attack(name, begin, end, cap, pieces));
        };
        add("an endless line", TOO_LONG, LINE, long("MSG ", b'a', 64 * MIB).into());
        add("an endless error", TOO_LONG, LINE, long("-ERR '", b'a', 64 * MIB).into());
        add("an endless PING", TOO_LONG, LINE, long("PING ", b' ', 64 * MIB).into());
        add("64 MiB of INFO", INFO_TOO_LONG, INFO, long("INFO {\"x\":\"", b'a', 64 * MIB).into());
        let million =
            vec![(b"INFO {\"connect_urls\":[\"".to_vec(), 1), (b"host:1\",\"".repeat(10_000), 100)];
        add("a million addresses", INFO_TOO_LONG, INFO, million);
        let deep = vec![(format!("INFO {{\"x\":{}\r\n", "[".repeat(900 * KIB)).into_bytes(), 1)];
        add("deep JSON", End::Error("JSON of INFO cannot be read"), INFO, deep);
        let garbage = vec![(b"\x16\x03\x01\0\xff".repeat(10_000), 1), (b"\r\n".to_vec(), 1)];
        add("garbage", End::Error(""), LINE, garbage);
        add(
            "one byte at a time",
            TOO_LONG,
            LINE,
            vec![(b"MSG ".to_vec(), 1), (b"a".to_vec(), LINE)],
        );
        for (line, error) in [
            ("MSG s 1 -1", "is not a number: \"-1\""),
            ("MSG s 1 9223372036854775808", "message of 9223372036854775808 bytes"),
            ("MSG s 1 18446744073709551616", "is not a number: \"18446744073709551616\""),
            ("HMSG s 1 20 19", "header block of 20 bytes is longer than its message of 19 bytes"),
            ("MSG s 1 67108865", "67108865 bytes with its headers is longer than 67108864"),
            ("HMSG s 1 4000012 4000012", "header block of 4000012 bytes is longer than 1048576"),
        ] {
            let pieces = vec![(format!("{line}\r\n").into_bytes(), 1), (vec![b'a'; 64 * KIB], 64)];
            add(line, End::Error(error), LINE, pieces);
        }
    }
    attacks.push(attack("silence", AtOnce, End::Error("timed out"), 0, []));
    attacks.push(attack("silence behind INFO", Greeted, End::Error("timed out"), 0, []));
    let mut survived = |name, cap, pieces: Vec<_>| {
        attacks.push(attack(name, Subscribed, End::None, cap, pieces));
    };
    survived("lengths of 0", MAILBOX + READ, vec![(message(1, b"", 0).repeat(1_000), 60)]);
    survived("messages for nobody", READ, vec![(message(99, b"", 20).repeat(1_000), 300)]);
    survived("the largest messages for nobody", MESSAGE, vec![(message(99, b"", MESSAGE), 3)]);
    survived("a flood of PINGs", READ, vec![(b"PING\n".repeat(1_000), 500)]);
    survived("a flood of PONGs", READ, vec![(b"PONG\n+OK\n+OK\n".repeat(1_000), 200)]);
    let error = |length| format!("-ERR '{}'\r\n", "e".repeat(length)).into_bytes();
    survived("a flood of errors", READ + NOTICES, vec![(error(10).repeat(1_000), 50)]);
    survived("a flood of long errors", LINE + READ + NOTICES, vec![(error(60 * KIB), 500)]);
    let turns = |make: fn(usize) -> Vec<u8>| (0..10).map(|turn| (make(turn), 1)).collect();
    let cap = INFO + NOTICES + ADDRESSES;
    survived("other addresses all the time", cap, turns(addresses));
    survived("other long addresses all the time", cap, turns(long_addresses));
    let same = header_block(MIB, |_| "a:\r\n".to_owned());
    survived("the same header again and again", HEADERS + PARSED, vec![(message(1, &same, 0), 2)]);
    let other = header_block(MIB, |number| format!("{number:x}:\r\n"));
    survived("as many headers as fit", HEADERS + PARSED, vec![(message(1, &other, 0), 2)]);
    let broken = header_block(MIB, |_| "no colon\r\n".to_owned());
    survived("headers that are none", HEADERS + PARSED, vec![(message(1, &broken, 0), 2)]);
    attacks
}

/// Plays the server for one connection.
fn serve(listener: TcpListener, attack: &Attack) {
    let mut client = RawConnection::accept(&listener);
    if attack.begin != Begin::AtOnce {
        client.send(b"INFO {\"headers\":true,\"max_payload\":1000,\"proto\":1}\r\n");
        assert!(client.read_line().starts_with("CONNECT {"));
        assert_eq!(client.read_line(), "PING");
    }
    if attack.begin == Begin::Subscribed {
        client.send(b"PONG\r\n");
        assert_eq!(client.read_line(), "SUB s 1");
    }
    for (piece, times) in &attack.pieces {
        for _ in 0..*times {
            if !client.try_send(piece) {
                return;
            }
        }
    }
    if attack.end == End::None {
        client.send(b"MSG s 1 4\r\nlast\r\n");
    }
    // Until the client hangs up, which it does when it has its last PONG.
    while let Some(line) = client.try_read_line() {
        if line == "PING" {
            client.try_send(b"PONG\r\n");
        }
    }
}

/// Begins to serve, and gives the attack back in the end.
fn play(attack: Attack) -> (String, JoinHandle<Attack>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    let server = move || {
        serve(listener, &attack);
        attack
    };
    (url, thread::spawn(server))
}

/// Lets the server do it, and gives the bytes that the client has taken meanwhile.
async fn suffer<R: Rt>(attack: Attack) -> (Attack, usize) {
    let (begin, end) = (attack.begin, attack.end);
    let (url, server) = play(attack);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let options = ConnectOptions::<R>::new()
        .max_reconnects(1)
        .connection_timeout(match end {
            End::Error("timed out") => Duration::from_millis(100),
            _ => Duration::from_secs(60),
        })
        // Nobody takes what there is to be told.
        .notice_callback(|_| std::future::pending());
    if begin == Begin::Subscribed {
        let client = options.connect(&url).await.expect("it has greeted");
        let mut notices = client.notices();
        let mut subscriber = client.subscribe("s").await.expect("it is open");
        match end {
            End::None => while &*subscriber.next().await.expect("it goes on").payload != b"last" {},
            End::Error(expected) => loop {
                let notice = notices.next().await.expect("the end of the connection");
                if let Notice::Disconnected { reason: DisconnectReason::Protocol(error) } = notice {
                    assert!(error.to_string().contains(expected), "{error}");
                    break;
                }
            },
        }
    } else {
        let End::Error(expected) = end else { panic!("nobody would know when it is over") };
        let error = options.connect(&url).await.expect_err("no server").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let peak = ALLOCATOR.peak_usage();
    let attack = server.join().expect("no panic");
    (attack, peak.saturating_sub(before))
}

/// Milliseconds that this process has computed for so far. To be looked at, not to be asserted.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // In hundredths of a second, behind the name, which may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    fields.take(2).filter_map(|field| field.parse::<u64>().ok()).map(|ticks| ticks * 10).sum()
}

fn measure<R: Rt>(runtime: &str, over: &mut Vec<String>) {
    R::block_on(async {
        // What is made once for all clients.
        suffer::<R>(attack("nothing", Begin::Subscribed, End::None, 0, [])).await;
        for attack in attacks() {
            let what = format!("{runtime}: {}, {:?}", attack.name, attack.begin);
            let begin = cpu();
            let (attack, taken) = within::<R, _>(&what, suffer::<R>(attack)).await;
            let most = attack.cap + ALLOWANCE;
            println!(
                "{taken:>10} of {most:>10} bytes, {:>5} ms of all threads: {what}",
                cpu() - begin
            );
            if taken > most {
                over.push(format!("{what}: {taken} of {most}"));
            }
        }
    });
}

/// Prints what four times as much costs: about four times as much.
fn scale<R: Rt>(runtime: &str) {
    let different = |number| format!("{number:x}:\r\n");
    type Make<'a> = &'a dyn Fn(usize) -> (Vec<u8>, usize);
    let kinds: [(&str, Make<'_>); 6] = [
        ("PINGs", &|times| (b"PING\r\n".repeat(1_000), 200 * times)),
        ("errors", &|times| (b"-ERR 'something'\r\n".repeat(1_000), 10 * times)),
        ("messages for nobody", &|times| (message(99, b"", 20).repeat(1_000), 50 * times)),
        ("headers", &|times| (message(1, &header_block(times * 256 * KIB, different), 0), 1)),
        ("addresses", &|times| (info_with(15_000 * times, "host"), 4)),
        ("long lines", &|times| {
            let line = [b"PING".to_vec(), vec![b' '; 15 * KIB * times], b"\r\n".to_vec()].concat();
            (line, 1_000)
        }),
    ];
    for (name, make) in kinds {
        let spent = [1, 4].map(|times| {
            let attack = attack(name, Begin::Subscribed, End::None, 0, [make(times)]);
            let begin = cpu();
            R::block_on(within::<R, _>(name, suffer::<R>(attack)));
            cpu() - begin
        });
        println!("{runtime}: {name}: {} ms, four times as many {} ms", spent[0], spent[1]);
    }
}

#[test]
fn no_server_makes_a_client_take_more_than_its_limits() {
    let mut over = Vec::new();
    measure::<Tokio>("tokio", &mut over);
    measure::<AsyncStd>("async-std", &mut over);
    scale::<Tokio>("tokio");
    scale::<AsyncStd>("async-std");
    assert!(over.is_empty(), "{}", over.join("\n"));
}
