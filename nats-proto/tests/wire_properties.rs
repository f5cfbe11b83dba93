//! Properties of the wire format: splitting changes nothing, what is encoded is decoded, a second decoder
//! agrees, and no bytes make a decoder panic.

mod common;
#[path = "common/settings.rs"]
mod settings;

use bytes::Bytes;
use common::{Message, Op, Side, decode, decode_split, naive, unwritten};
use nats_proto::wire::{Limits, OutBuf, encoder};
use nats_proto::{ConnectInfo, HeaderMap, ServerError, ServerInfo};
use proptest::collection::vec;
use proptest::prelude::*;

/// Limits that random streams reach.
fn small() -> Limits {
    let mut limits = Limits::default();
    (limits.control_line, limits.info) = (40, 60);
    (limits.header_block, limits.payload) = (12, 30);
    limits
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Server), Just(Side::Client)]
}

fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![Just(small()), Just(Limits::default())]
}

/// Subjects and the like: what is usual, and anything in one word, short and long.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9_$>*.-]{1,20}", 1 => "[^\\s\\p{C}]{1,60}"]
}

/// What a person may have for a name or a password.
fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(any::<String>())
}

/// What a client says of itself and of its user.
fn connect_info() -> impl Strategy<Value = ConnectInfo> {
    let secrets = (text(), text(), text(), text(), text(), text());
    let flags = any::<[bool; 6]>();
    (text(), secrets, ".{0,10}", flags).prop_map(|(name, secrets, version, flags)| {
        let (user, pass, auth_token, user_jwt, nkey, signature) = secrets;
        let [verbose, pedantic, echo, tls_required, headers, no_responders] = flags;
        ConnectInfo {
            verbose,
            pedantic,
            echo,
            tls_required,
            headers,
            no_responders,
            name,
            user,
            pass,
            auth_token,
            user_jwt,
            nkey,
            signature,
            version,
            ..ConnectInfo::default()
        }
    })
}

/// Pieces from which streams are made that are right often enough to get far, and wrong often enough.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = |choices: &'static [&'static str]| {
        proptest::sample::select(choices).prop_map(|text| text.as_bytes().to_vec())
    };
    prop_oneof![
        4 => text(&[
            "MSG", "HMSG", "PING", "PONG", "+OK", "-ERR", "INFO", "PUB", "HPUB", "SUB", "UNSUB",
            "CONNECT", "msg", "Hmsg", "pUB", "hpub", "sub", "unsub",
        ]),
        4 => text(&[" ", " ", " ", "\t", "  ", "\r\n", "\r\n", "\r\n", "\n", "\r"]),
        3 => text(&["0", "1", "2", "5", "12", "30", "31", "-1", "99999999999999999999", "007"]),
        2 => text(&["{}", "{\"port\":4222}", "'Stale Connection'", "NATS/1.0\r\n\r\n", "a.b"]),
        2 => text(&[
            "MSG a 1 5\r\nhello\r\n", "MSG a 1 r 0\r\n\r\n", "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nok\r\n",
            "PING\r\n", "+OK\r\n", "-ERR 'x'\r\n", "INFO {}\r\n", "PUB a 5\r\nhello\r\n",
            "HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", "SUB a q 1\r\n", "UNSUB 1 5\r\n",
        ]),
        1 => token().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..10),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..30).prop_map(|pieces| pieces.concat())
}

/// An operation of a server, with a stream of its own making.
fn server_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => message().prop_map(Op::Message),
        1 => Just(Op::Ping),
        1 => Just(Op::Pong),
        1 => Just(Op::Ok),
        1 => "[ -~]{0,30}".prop_map(|text| {
            Op::Err(ServerError::parse(&format!("'{text}'")))
        }),
        1 => (token(), 0..=u16::MAX, any::<u32>()).prop_map(|(server_id, port, max)| {
            let max_payload = max as usize;
            let info = ServerInfo { server_id, port, max_payload, ..ServerInfo::default() };
            Op::Info(Box::new(info))
        }),
    ]
}

fn client_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => message().prop_map(|message| Op::Message(Message { sid: 0, ..message })),
        1 => Just(Op::Ping),
        1 => Just(Op::Pong),
        1 => (token(), proptest::option::of(token()), any::<u64>()).prop_map(
            |(subject, queue, sid)| Op::Subscribe {
                subject: subject.into(),
                queue: queue.unwrap_or_default().into(),
                sid: sid.to_string().into(),
            }
        ),
        1 => (any::<u64>(), proptest::option::of(0..=999_999_999_u64)).prop_map(|(sid, max)| Op::Unsubscribe {
            sid: sid.to_string().into(),
            max,
        }),
        1 => connect_info().prop_map(|info| Op::Connect(Box::new(info))),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let payload = prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => (4090_usize..4200).prop_map(|len| vec![b'\n'; len]),
    ];
    let sid = prop_oneof![0_u64..100, any::<u64>()];
    let headers = vec(("[!-9;-~]{1,8}", "[!-~]{0,12}"), 0..3);
    (sid, token(), proptest::option::of(token()), headers, payload).prop_map(
        |(sid, subject, reply, headers, payload)| Message {
            sid,
            subject: subject.into(),
            reply: reply.unwrap_or_default().into(),
            headers: encoded(&header_map(&headers)),
            payload,
        },
    )
}

fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.as_str(), value.as_str());
    }
    map
}

fn encoded(headers: &HeaderMap) -> Vec<u8> {
    let mut block = Vec::new();
    if !headers.is_empty() {
        headers.encode(&mut block);
    }
    block
}

/// Encodes an operation as its side does, and returns the length that was foretold for a publish.
fn encode(side: Side, out: &mut OutBuf, op: &Op) -> Option<usize> {
    match op {
        Op::Message(message) => {
            let reply = (!message.reply.is_empty()).then_some(&message.reply[..]);
            let payload = Bytes::from(message.payload.clone());
            if side == Side::Server {
                let sid = message.sid.to_string();
                let headers = &message.headers;
                encoder::message(out, &message.subject, sid.as_bytes(), reply, headers, &payload);
                return None;
            }
            let block = Bytes::from(message.headers.clone());
            let headers = match block.is_empty() {
                true => None,
                false => Some(HeaderMap::parse(&block).expect("it was encoded").headers),
            };
            encoder::publish(out, &message.subject, reply, headers.as_ref(), &payload);
            return Some(encoder::publish_len(&message.subject, reply, block.len(), payload.len()));
        }
        Op::Ping => encoder::ping(out),
        Op::Pong => encoder::pong(out),
        Op::Ok => encoder::ok(out),
        Op::Err(error) => encoder::err(out, &error.to_string()),
        Op::Info(info) => encoder::info(out, info),
        Op::Connect(info) => encoder::connect(out, info),
        Op::Subscribe { subject, queue, sid } => {
            let sid = String::from_utf8_lossy(sid).parse().expect("it is a number");
            let queue = (!queue.is_empty()).then_some(&queue[..]);
            encoder::subscribe(out, subject, queue, sid);
        }
        Op::Unsubscribe { sid, max } => {
            let sid = String::from_utf8_lossy(sid).parse().expect("it is a number");
            encoder::unsubscribe(out, sid, *max);
        }
    }
    None
}

fn round_trip(side: Side, ops: &[Op], cuts: &[usize]) -> Result<(), TestCaseError> {
    let mut out = OutBuf::new();
    for op in ops {
        let before = out.len();
        if let Some(len) = encode(side, &mut out, op) {
            prop_assert_eq!(out.len() - before, len);
        }
    }
    let stream = unwritten(&out);
    let cuts = ascending(cuts, stream.len());
    let outcome = decode_split(side, Limits::default(), &stream, &cuts);
    prop_assert_eq!(outcome.error, None);
    prop_assert_eq!(&outcome.ops[..], ops);
    prop_assert!(outcome.left.is_empty());
    Ok(())
}

fn ascending(cuts: &[usize], len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(settings::config(512))]

    #[test]
    fn any_split_gives_the_same_operations_and_the_same_error(
        side in side(),
        limits in limits(),
        stream in stream(),
        splits in vec(vec(any::<usize>(), 0..8), 8),
    ) {
        let whole = decode(side, limits, &stream);
        for cuts in splits {
            let cuts = ascending(&cuts, stream.len());
            prop_assert_eq!(decode_split(side, limits, &stream, &cuts), whole.clone());
        }
        let every: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(decode_split(side, limits, &stream, &every), whole);
    }

    #[test]
    fn a_naive_decoder_agrees(side in side(), limits in limits(), stream in stream()) {
        let ours = decode(side, limits, &stream);
        naive::assert_same(&ours, &naive::decode(side, limits, &stream));
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(
        side in side(),
        stream in vec(any::<u8>(), 0..200),
    ) {
        let ours = decode(side, small(), &stream);
        naive::assert_same(&ours, &naive::decode(side, small(), &stream));
    }

    #[test]
    fn what_a_server_encodes_is_decoded(
        ops in vec(server_op(), 0..10),
        cuts in vec(any::<usize>(), 0..4),
    ) {
        // An error that has no text of its own is told by another text.
        let ops: Vec<Op> = ops
            .into_iter()
            .map(|op| match op {
                Op::Err(error) => Op::Err(ServerError::parse(&format!("'{error}'"))),
                op => op,
            })
            .collect();
        round_trip(Side::Server, &ops, &cuts)?;
    }

    #[test]
    fn what_a_client_encodes_is_decoded(
        ops in vec(client_op(), 0..10),
        cuts in vec(any::<usize>(), 0..4),
    ) {
        round_trip(Side::Client, &ops, &cuts)?;
    }
}
