//! How much memory a server can make a client take, measured. A binary of its own with one test, so that nothing else
//! allocates meanwhile: what the server sends is made before, and sent from a thread that works in fixed buffers.

#[path = "hostile_memory/attacks.rs"]
mod attacks;
#[path = "scenarios/support.rs"]
#[allow(dead_code, unreachable_pub)]
mod support;
#[path = "hostile_memory/websocket.rs"]
mod websocket;

use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::{FutureExt, StreamExt};
use nats_async_std::AsyncStd;
use nats_client::{ConnectOptions, Notice};
use nats_tests::server::RawConnection;
use nats_tokio::Tokio;
use peak_alloc::PeakAlloc;

use attacks::{attack, header_block, info_with, message};
use support::{Rt, until, within};

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
/// Descriptors of 65,536 messages that come together.
const MAILBOX: usize = 4 * MIB;
/// The same of messages between others'.
const MAILBOX_BETWEEN: usize = 24 * MIB;
/// Of both listeners that there are here.
const NOTICES: usize = 2 * MIB;
/// 1,024 of them, in the pool, in the INFO that is kept, and on the way there.
const ADDRESSES: usize = 6 * MIB;
/// What one read has brought, as operations and events.
const READ: usize = 8 * MIB;

/// What a client may take beside that, for all it is and does.
const ALLOWANCE: usize = MIB;

const TOO_LONG: End = End::Error("control line is longer than 65536 bytes");
const INFO_TOO_LONG: End = End::Error("INFO or CONNECT line is longer than 1048576 bytes");

/// What may be left of earlier clients when the next begins: what a runtime keeps for later, not a connection.
const REMAINDER: usize = 128 * KIB;

/// When the server begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Begin {
    /// In place of the HTTP answer that makes a WebSocket of the connection.
    Requested,
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

/// What the bytes go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    /// With compression.
    WebSocket,
}

struct Attack {
    transport: Transport,
    name: &'static str,
    begin: Begin,
    /// What is sent, and how often.
    pieces: Vec<(Vec<u8>, usize)>,
    /// Messages that the subscriber leaves until there are so many. If there are any, the next piece is sent when the one
    /// before was read.
    waiting: u64,
    end: End,
    /// Bytes that it may cost.
    cap: usize,
}

impl Attack {
    /// Bytes that it takes by itself.
    fn size(&self) -> usize {
        self.pieces.iter().map(|(piece, _)| piece.capacity()).sum()
    }
}

impl Transport {
    fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "nats",
            Self::WebSocket => "ws",
        }
    }

    /// Says a line, or gives false if the client does not listen any more.
    fn say(self, client: &mut RawConnection, line: &[u8]) -> bool {
        match self {
            Self::Tcp => client.try_send(line),
            Self::WebSocket => websocket::try_say(client, line),
        }
    }

    /// Reads until the client says a line that begins with `wanted`; false at its end.
    fn hears(self, client: &mut RawConnection, wanted: &str) -> bool {
        loop {
            let said = match self {
                Self::Tcp => client.try_read_line().map(String::into_bytes),
                Self::WebSocket => websocket::hear(client),
            };
            // A frame may have several lines.
            let is_wanted = |line: &[u8]| line.starts_with(wanted.as_bytes());
            match said {
                Some(said) if said.split(|byte| *byte == b'\n').any(is_wanted) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }
}

/// Plays the server for one connection.
fn serve(listener: TcpListener, attack: &Attack) {
    let mut client = RawConnection::accept(&listener);
    let transport = attack.transport;
    if transport == Transport::WebSocket && attack.begin > Begin::Requested {
        websocket::accept(&mut client);
    }
    if attack.begin > Begin::AtOnce {
        let info = b"INFO {\"headers\":true,\"max_payload\":1000,\"proto\":1}\r\n";
        assert!(transport.say(&mut client, info));
        match transport {
            Transport::Tcp => assert!(transport.hears(&mut client, "PING")),
            // With CONNECT, in a frame.
            Transport::WebSocket => assert!(transport.hears(&mut client, "")),
        }
    }
    if attack.begin == Begin::Subscribed {
        assert!(transport.say(&mut client, b"PONG\r\n"));
        assert!(transport.hears(&mut client, "SUB s 1"));
    }
    for (piece, times) in &attack.pieces {
        for _ in 0..*times {
            if !client.try_send(piece) {
                return;
            }
            if attack.waiting > 0 {
                assert!(transport.say(&mut client, b"PING\r\n"));
                assert!(transport.hears(&mut client, "PONG"));
            }
        }
    }
    if attack.end == End::None {
        transport.say(&mut client, b"MSG s 1 4\r\nlast\r\n");
    }
    // Until the client hangs up, which it does when it has its last PONG.
    while transport.hears(&mut client, "PING") {
        transport.say(&mut client, b"PONG\r\n");
    }
}

/// Begins to serve, and gives the attack back in the end.
fn play(attack: Attack) -> (String, JoinHandle<Attack>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = format!("{}://{address}", attack.transport.scheme());
    let server = move || {
        serve(listener, &attack);
        attack
    };
    (url, thread::spawn(server))
}

/// Lets the server do it, and gives the bytes that the client has taken meanwhile.
async fn suffer<R: Rt>(attack: Attack) -> (Attack, usize) {
    let (begin, end, waiting) = (attack.begin, attack.end, attack.waiting);
    let (url, server) = play(attack);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let (hold, released) = oneshot::channel::<()>();
    let released = released.shared();
    let options = ConnectOptions::<R>::new()
        .max_reconnects(1)
        .websocket_compression(true)
        .connection_timeout(match end {
            End::Error("timed out") => Duration::from_secs(2),
            _ => Duration::from_secs(60),
        })
        // Nobody takes what there is to be told.
        .notice_callback(move |_| released.clone().map(drop));
    if begin == Begin::Subscribed {
        let client = options.connect(&url).await.expect("it has greeted");
        let mut notices = client.notices();
        let mut subscriber = client.subscribe("s").await.expect("it is open");
        let all_wait = || subscriber.statistics().pending_messages >= waiting;
        until::<R>("all to wait", all_wait).await;
        match end {
            End::None => while &*subscriber.next().await.expect("it goes on").payload != b"last" {},
            End::Error(expected) => loop {
                let notice = notices.next().await.expect("the end of the connection");
                if let Notice::Disconnected { reason } = notice {
                    assert!(reason.to_string().contains(expected), "{reason}");
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
    drop(hold);
    (attack, peak.saturating_sub(before))
}

/// Milliseconds that this process has computed for so far. To be looked at, not to be asserted.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // In hundredths of a second, behind the name, which may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    fields.take(2).filter_map(|field| field.parse::<u64>().ok()).map(|ticks| ticks * 10).sum()
}

/// Bytes in use when they have not changed for a while.
async fn settled<R: Rt>() -> usize {
    let (mut usage, mut same) = (ALLOCATOR.current_usage(), 0);
    while same < 20 {
        R::sleep(Duration::from_millis(5)).await;
        let now = ALLOCATOR.current_usage();
        same = if now.abs_diff(usage) < KIB { same + 1 } else { 0 };
        usage = now;
    }
    usage
}

fn measure<R: Rt>(runtime: &str, over: &mut Vec<String>) {
    R::block_on(async {
        // What is made once for all clients.
        for transport in [Transport::Tcp, Transport::WebSocket] {
            let nothing = attack("nothing", Begin::Subscribed, End::None, 0, []);
            suffer::<R>(Attack { transport, ..nothing }).await;
        }
        let mut attacks = attacks::attacks();
        attacks.extend(websocket::attacks());
        attacks.reverse();
        let held = |attacks: &[Attack]| attacks.iter().map(Attack::size).sum::<usize>();
        let idle = settled::<R>().await - held(&attacks);
        while let Some(attack) = attacks.pop() {
            // What is left of the client before would be taken for what there was already.
            let most = idle + held(&attacks) + attack.size() + REMAINDER;
            until::<R>("the client before to be gone", || ALLOCATOR.current_usage() <= most).await;
            let (transport, begin) = (attack.transport, attack.begin);
            let what = format!("{runtime}, {transport:?}: {}, {begin:?}", attack.name);
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
