//! What a server can do on a plain connection.

use super::{
    ADDRESSES, Attack, Begin, End, HEADERS, INFO, INFO_TOO_LONG, KIB, LINE, MAILBOX,
    MAILBOX_BETWEEN, MESSAGE, MIB, NOTICES, PARSED, READ, TOO_LONG, Transport,
};

pub(crate) fn attack(
    name: &'static str,
    begin: Begin,
    end: End,
    cap: usize,
    pieces: impl IntoIterator<Item = (Vec<u8>, usize)>,
) -> Attack {
    let (transport, pieces) = (Transport::Tcp, pieces.into_iter().collect());
    Attack { transport, name, begin, pieces, waiting: 0, end, cap }
}

/// `head`, and then `filler` until there are `len` bytes of that.
fn long(head: &str, filler: u8, len: usize) -> [(Vec<u8>, usize); 2] {
    [(head.as_bytes().to_vec(), 1), (vec![filler; 64 * KIB], len / (64 * KIB))]
}

pub(crate) fn message(sid: u64, headers: &[u8], payload: usize) -> Vec<u8> {
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

pub(crate) fn info_with(count: usize, host: &str) -> Vec<u8> {
    let urls: Vec<String> = (0..count).map(|number| format!("{host}{number}:1")).collect();
    let urls = urls.join("\",\"");
    let info = format!("INFO {{\"max_payload\":9,\"connect_urls\":[\"{urls}\"]}}\r\n");
    assert!(info.len() < MIB);
    info.into_bytes()
}

/// As many headers as `size` bytes have room for.
pub(crate) fn header_block(size: usize, header: impl Fn(usize) -> String) -> Vec<u8> {
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

/// More than are parsed, with as little as a header can have.
pub(crate) fn million_headers() -> Vec<u8> {
    [b"NATS/1.0\r\n", &b"a:\r\n".repeat(1_000_000)[..], b"\r\n"].concat()
}

pub(crate) fn attacks() -> Vec<Attack> {
    use Begin::{AtOnce, Greeted, Subscribed};
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
        add("garbage", End::Error("no operation begins with"), LINE, garbage);
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
            (
                "HMSG s 1 67108865 67108865",
                "67108865 bytes with its headers is longer than 67108864",
            ),
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
    let long = header_block(MESSAGE, |_| format!("a: {}\r\n", "x".repeat(KIB)));
    survived("more headers than are parsed", MESSAGE, vec![(message(1, &long, 0), 1)]);
    let million = million_headers();
    survived("a million headers", million.len(), vec![(message(1, &million, 0), 1)]);
    survived("headers that are none", HEADERS + PARSED, vec![(message(1, &broken, 0), 2)]);
    attacks.extend(unread());
    attacks
}

/// What a subscriber does not take.
fn unread() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut unread = |name, waiting, cap, pieces: Vec<_>| {
        let attack = attack(name, Begin::Subscribed, End::None, cap, pieces);
        attacks.push(Attack { waiting, ..attack });
    };
    // More than is kept to be read into again.
    let large = 5 * MIB;
    let turn = [(message(99, b"", large), 1), (message(1, b"", 20), 1)];
    let turns = (0..8).flat_map(|_| turn.clone()).collect();
    unread("a message behind each large one", 8, large, turns);
    let between = [message(1, b"", 1), message(99, b"", 1)].concat().repeat(1_000);
    unread("messages between others'", 60_000, MAILBOX_BETWEEN, vec![(between, 60)]);
    let spaces = format!("MSG s{}1 1\r\nx\r\n", " ".repeat(60 * KIB)).into_bytes();
    unread("lines of spaces", 500, MIB, vec![(spaces, 500)]);
    attacks
}
