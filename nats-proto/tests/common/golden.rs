//! Streams with what they mean.

use super::{Message, Op};
use nats_proto::{ConnectInfo, ServerError, ServerInfo};

/// A stream, and the operations in it.
pub struct Golden {
    pub stream: &'static [u8],
    pub ops: Vec<Op>,
}

fn golden(stream: &'static [u8], ops: Vec<Op>) -> Golden {
    Golden { stream, ops }
}

fn message(sid: u64, parts: [&str; 4]) -> Op {
    let [subject, reply, headers, payload] = parts.map(|part| part.as_bytes().to_vec());
    Op::Message(Message { sid, subject, reply, headers, payload })
}

fn subscribe(subject: &str, queue: &str, sid: &str) -> Op {
    Op::Subscribe { subject: subject.into(), queue: queue.into(), sid: sid.into() }
}

fn unsubscribe(sid: &str, max: Option<u64>) -> Op {
    Op::Unsubscribe { sid: sid.into(), max }
}

/// What servers send.
pub fn server() -> Vec<Golden> {
    let info = |set: fn(&mut ServerInfo)| {
        // No limit is told.
        let mut info = ServerInfo { max_payload: usize::MAX, ..ServerInfo::default() };
        set(&mut info);
        Op::Info(Box::new(info))
    };
    let error = |text: &str| Op::Err(ServerError::parse(text));
    vec![
        golden(b"", vec![]),
        golden(
            b"INFO {\"server_id\":\"A\",\"max_payload\":1048576,\"new\":[{}]} \r\nPING\r\n",
            vec![
                info(|info| {
                    info.server_id = "A".into();
                    info.max_payload = 1_048_576;
                }),
                Op::Ping,
            ],
        ),
        golden(
            b"Info\t{\"headers\":true}\nINFO{}\r\n",
            vec![info(|info| info.headers = true), info(|_| ())],
        ),
        golden(
            b"PING\r\nPONG\r\n+OK\r\nping \r\nPong\t \n+oK\n",
            vec![Op::Ping, Op::Pong, Op::Ok, Op::Ping, Op::Pong, Op::Ok],
        ),
        golden(
            b"PINGPONG and more\r\nPING\rPING\r\r\n+OKAY\r\n",
            vec![Op::Ping, Op::Ping, Op::Ok],
        ),
        golden(
            b"-ERR 'Stale Connection'\r\n-err\r\n-ERR   what\xff\n-ERR\n",
            vec![
                error("'Stale Connection'"),
                error(""),
                error("what\u{fffd}"),
                error(""),
            ],
        ),
        golden(
            b"-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n",
            vec![error("'Permissions Violation for Publish to \"a.b\"'")],
        ),
        golden(
            b"MSG a.b 1 5\r\nhello\r\nMSG a 18446744073709551615 r.s 0\r\n\r\n",
            vec![
                message(1, ["a.b", "", "", "hello"]),
                message(u64::MAX, ["a", "r.s", "", ""]),
            ],
        ),
        golden(
            b"msg \t a.b\t1  5  \nhello\r\nMsG\ta 01 7 002\r\n\r\n\r\nMSG a 1 2\r\nxy\r\n",
            vec![
                message(1, ["a.b", "", "", "hello"]),
                message(1, ["a", "7", "", "\r\n"]),
                message(1, ["a", "", "", "xy"]),
            ],
        ),
        golden(
            b"HMSG a 9 12 17\r\nNATS/1.0\r\n\r\nhello\r\nHMSG a 9 r 30 30\r\nNATS/1.0 503 No Responders\r\n\r\n\r\n",
            vec![
                message(9, ["a", "", "NATS/1.0\r\n\r\n", "hello"]),
                message(9, ["a", "r", "NATS/1.0 503 No Responders\r\n\r\n", ""]),
            ],
        ),
        golden(
            b"HMSG _INBOX.abc 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nhmsg a 1 r 0 2\nok\r\n",
            vec![
                message(1, ["_INBOX.abc", "", "NATS/1.0 503\r\n\r\n", ""]),
                message(1, ["a", "r", "", "ok"]),
            ],
        ),
        golden(
            b"MSG subject.of.more.than.eight.bytes 1234567 reply.of.more.than.eight.bytes 11\r\nMSG a 1 0\r\n\r\nPI",
            vec![message(
                1_234_567,
                [
                    "subject.of.more.than.eight.bytes",
                    "reply.of.more.than.eight.bytes",
                    "",
                    "MSG a 1 0\r\n",
                ],
            )],
        ),
        golden(
            b"MSG \x01\xff\x7f 12345678 1234567890 3\r\n\0\r\n\r\n",
            vec![Op::Message(Message {
                sid: 12_345_678,
                subject: b"\x01\xff\x7f".to_vec(),
                reply: b"1234567890".to_vec(),
                headers: vec![],
                payload: b"\0\r\n".to_vec(),
            })],
        ),
    ]
}

/// What clients send.
pub fn client() -> Vec<Golden> {
    let connect = |text: &str| {
        let info: ConnectInfo = serde_json::from_str(text).expect("the JSON is right");
        Op::Connect(Box::new(info))
    };
    let bare = "{\"verbose\":false,\"pedantic\":false,\"echo\":true,\"tls_required\":false,\"lang\":\"x\",\"version\":\"1\",\"protocol\":1,\"headers\":true,\"no_responders\":true}";
    vec![
        golden(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\"tls_required\":false,\"lang\":\"x\",\"version\":\"1\",\"protocol\":1,\"headers\":true,\"no_responders\":true}\r\nPING\r\n",
            vec![connect(bare), Op::Ping],
        ),
        golden(
            b"connect{\"verbose\":false,\"pedantic\":false,\"echo\":true,\"tls_required\":false,\"lang\":\"x\",\"version\":\"1\",\"protocol\":1,\"headers\":true,\"no_responders\":true} \nPONG\r\n",
            vec![connect(bare), Op::Pong],
        ),
        golden(
            b"PUB a 5\r\nhello\r\nPUB a.b r.s 0\r\n\r\npub\ta\t1\n\n\r\n",
            vec![
                message(0, ["a", "", "", "hello"]),
                message(0, ["a.b", "r.s", "", ""]),
                message(0, ["a", "", "", "\n"]),
            ],
        ),
        golden(
            // A space in a subject makes a reply of its end.
            b"PUB a b 5\r\nhello\r\nPUB 1 2 3\r\nabc\r\n",
            vec![
                message(0, ["a", "b", "", "hello"]),
                message(0, ["1", "2", "", "abc"]),
            ],
        ),
        golden(
            b"HPUB a 12 17\r\nNATS/1.0\r\n\r\nhello\r\nhPuB  a  r  12  12 \r\nNATS/1.0\r\n\r\n\r\n",
            vec![
                message(0, ["a", "", "NATS/1.0\r\n\r\n", "hello"]),
                message(0, ["a", "r", "NATS/1.0\r\n\r\n", ""]),
            ],
        ),
        golden(
            b"SUB a.* 1\r\nSUB a.> q 2\r\nsub \t x\ty  z\t\n",
            vec![
                subscribe("a.*", "", "1"),
                subscribe("a.>", "q", "2"),
                subscribe("x", "y", "z"),
            ],
        ),
        golden(
            b"UNSUB 1\r\nUNSUB 2 5\r\nunsub  a-sid  0 \nUNSUB 1 999999999\r\nUNSUB 1 1000000000\r\nUNSUB 1 99999999999999999999\r\n",
            vec![
                unsubscribe("1", None),
                unsubscribe("2", Some(5)),
                unsubscribe("a-sid", Some(0)),
                unsubscribe("1", Some(999_999_999)),
                unsubscribe("1", None),
                unsubscribe("1", None),
            ],
        ),
    ]
}
