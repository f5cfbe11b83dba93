//! The outgoing buffer against a plain model of it.

mod common;
#[path = "common/settings.rs"]
mod settings;

use bytes::Bytes;
use common::unwritten;
use nats_proto::wire::{OutBuf, encoder};
use nats_proto::{ConnectInfo, HeaderMap};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a client may queue.
#[derive(Clone, Debug)]
enum Frame {
    Publish { reply: bool, headers: bool, payload: usize },
    Ping,
    Pong,
    Subscribe(u64),
    Unsubscribe(u64, Option<u64>),
    Connect,
}

/// What may happen to a buffer.
#[derive(Clone, Debug)]
enum Step {
    Encode(Frame),
    /// Some share of what is unwritten, in 1/256.
    Advance(u8),
    Append(Vec<Frame>),
    DropFront,
    Clear,
}

fn frame() -> impl Strategy<Value = Frame> {
    let threshold = OutBuf::SEGMENT_THRESHOLD;
    let payload = prop_oneof![
        4 => 0..50_usize,
        2 => threshold - 2..threshold + 3,
        1 => threshold..3 * threshold,
    ];
    prop_oneof![
        6 => (any::<bool>(), any::<bool>(), payload).prop_map(|(reply, headers, payload)| {
            Frame::Publish { reply, headers, payload }
        }),
        1 => Just(Frame::Ping),
        1 => Just(Frame::Pong),
        1 => any::<u64>().prop_map(Frame::Subscribe),
        1 => (any::<u64>(), any::<Option<u64>>()).prop_map(|(sid, max)| Frame::Unsubscribe(sid, max)),
        1 => Just(Frame::Connect),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => frame().prop_map(Step::Encode),
        4 => any::<u8>().prop_map(Step::Advance),
        1 => vec(frame(), 0..4).prop_map(Step::Append),
        2 => Just(Step::DropFront),
        1 => Just(Step::Clear),
    ]
}

/// A payload full of what looks like frames, different for every `len`.
fn payload(len: usize) -> Bytes {
    let text = format!("PUB x {len}\r\nPING\r\n");
    Bytes::from(text.repeat(len / text.len() + 1)).slice(..len)
}

fn encode(out: &mut OutBuf, frame: &Frame) {
    match frame {
        Frame::Publish { reply, headers, payload: len } => {
            let reply = reply.then_some(&b"reply.to"[..]);
            let mut map = HeaderMap::new();
            map.append("PUB", "x 5");
            let headers = headers.then_some(&map);
            encoder::publish(out, b"a.subject", reply, headers, &payload(*len));
        }
        Frame::Ping => encoder::ping(out),
        Frame::Pong => encoder::pong(out),
        Frame::Subscribe(sid) => encoder::subscribe(out, b"PUB.>", None, *sid),
        Frame::Unsubscribe(sid, max) => encoder::unsubscribe(out, *sid, *max),
        Frame::Connect => {
            let info = ConnectInfo { name: Some("PUB a 5".into()), ..ConnectInfo::default() };
            encoder::connect(out, &info);
        }
    }
}

/// The size of a publish, and whether it has headers.
type Publish = (usize, bool);

/// The buffer as a list of frames.
#[derive(Clone, Debug, Default)]
struct Model {
    frames: Vec<(Vec<u8>, Option<Publish>)>,
    written: usize,
}

impl Model {
    fn push(&mut self, frame: &Frame) {
        let mut alone = OutBuf::new();
        encode(&mut alone, frame);
        let publish = match frame {
            Frame::Publish { headers, payload, .. } => {
                let block = if *headers { "NATS/1.0\r\nPUB: x 5\r\n\r\n".len() } else { 0 };
                Some((block + payload, *headers))
            }
            _ => None,
        };
        self.frames.push((unwritten(&alone), publish));
    }

    fn unwritten(&self) -> Vec<u8> {
        let all: Vec<u8> = self.frames.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        all[self.written..].to_vec()
    }

    /// Frames with their start and end.
    fn placed(&self) -> impl Iterator<Item = (usize, usize, &(Vec<u8>, Option<Publish>))> {
        self.frames.iter().scan(0, |end, frame| {
            let start = *end;
            *end += frame.0.len();
            Some((start, *end, frame))
        })
    }

    fn unsent(&self) -> Vec<(Vec<u8>, Publish)> {
        self.placed()
            .filter(|(_, end, _)| *end > self.written)
            .filter_map(|(_, _, (bytes, publish))| Some((bytes.clone(), (*publish)?)))
            .collect()
    }

    fn drop_front(&mut self) -> Option<usize> {
        let found = self
            .placed()
            .position(|(start, _, (_, publish))| start >= self.written && publish.is_some())?;
        Some(self.frames.remove(found).0.len())
    }

    fn forget_if_written(&mut self) {
        if self.unwritten().is_empty() {
            *self = Self::default();
        }
    }
}

#[test]
fn a_large_payload_of_a_server_is_not_copied() {
    for size in [OutBuf::SEGMENT_THRESHOLD, 5_000, 20_000] {
        let (mut out, payload) = (OutBuf::new(), payload(size));
        encoder::message(&mut out, b"a", b"1", None, b"", &payload);
        assert!(out.chunks().any(|chunk| chunk.as_ptr() == payload.as_ptr()), "{size} bytes");
        assert_eq!(out.len() - out.copied_len(), size);
    }
}

#[test]
fn what_is_left_of_a_large_payload_is_appended() {
    let large = payload(5_000);
    let (mut all, mut rest) = (OutBuf::new(), OutBuf::new());
    all.put_slice(b"before");
    for _ in 0..2 {
        rest.put_slice(b"head");
        rest.put_bytes(&large);
    }
    rest.advance(b"head".len() + 4_000);
    all.append(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(
        all.chunks().collect::<Vec<_>>().concat(),
        [b"before", &large[4_000..], b"head", &large].concat()
    );
}

proptest! {
    #![proptest_config(settings::config(128))]

    #[test]
    fn the_buffer_is_a_queue_of_bytes_that_knows_its_frames(steps in vec(step(), 0..40)) {
        let mut out = OutBuf::new();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Encode(frame) => {
                    encode(&mut out, &frame);
                    model.push(&frame);
                }
                Step::Advance(share) => {
                    let count = out.len() * usize::from(share) / 255;
                    out.advance(count);
                    model.written += count;
                }
                Step::Append(frames) => {
                    let mut other = OutBuf::new();
                    for frame in &frames {
                        encode(&mut other, frame);
                        model.push(frame);
                    }
                    out.append(&mut other);
                    prop_assert!(other.is_empty());
                }
                Step::DropFront => prop_assert_eq!(out.drop_front_publish(|_| ()), model.drop_front()),
                Step::Clear => {
                    out.clear();
                    model = Model::default();
                }
            }
            model.forget_if_written();
            prop_assert!(out.chunks().all(|chunk| !chunk.is_empty()));
            prop_assert_eq!(unwritten(&out), model.unwritten());
            prop_assert_eq!(out.unsent_publishes(), model.unsent().len() as u64);
        }
        let expected = model.unsent();
        let mut seen = Vec::new();
        let unsent = out.into_unsent_publishes(|size, has_headers| {
            seen.push((size, has_headers));
            size % 3 != 0
        });
        prop_assert_eq!(seen, expected.iter().map(|(_, publish)| *publish).collect::<Vec<_>>());
        let kept = expected.into_iter().filter(|(_, (size, _))| size % 3 != 0);
        let (frames, publishes): (Vec<_>, Vec<_>) = kept.unzip();
        prop_assert_eq!(unwritten(&unsent), frames.concat());
        prop_assert_eq!(unsent.unsent_publishes(), publishes.len() as u64);
    }
}

#[test]
fn a_buffer_cut_at_any_byte_gives_the_publishes_that_are_not_out() {
    let frames = [
        Frame::Connect,
        Frame::Publish { reply: false, headers: false, payload: 3 },
        Frame::Subscribe(7),
        Frame::Publish { reply: true, headers: true, payload: OutBuf::SEGMENT_THRESHOLD },
        Frame::Ping,
        Frame::Publish { reply: true, headers: false, payload: 0 },
    ];
    let mut model = Model::default();
    for frame in &frames {
        model.push(frame);
    }
    let len = model.unwritten().len();
    for cut in 0..len {
        let mut out = OutBuf::new();
        for frame in &frames {
            encode(&mut out, frame);
        }
        out.advance(cut);
        model.written = cut;
        assert_eq!(unwritten(&out), model.unwritten());
        let expected: Vec<u8> = model.unsent().into_iter().flat_map(|(bytes, _)| bytes).collect();
        assert_eq!(unwritten(&out.into_unsent_publishes(|_, _| true)), expected, "cut at {cut}");
    }
}

#[test]
fn large_payloads_are_never_copied() {
    let large = payload(OutBuf::SEGMENT_THRESHOLD);
    let mut out = OutBuf::new();
    encoder::publish(&mut out, b"a", None, None, &large);
    let shares = |out: &OutBuf| out.chunks().any(|chunk| chunk.as_ptr() == large.as_ptr());
    assert!(shares(&out));
    let mut unsent = out.into_unsent_publishes(|_, _| true);
    assert!(shares(&unsent));
    let mut other = OutBuf::new();
    encoder::ping(&mut other);
    other.append(&mut unsent);
    assert!(shares(&other));
    assert!(!large.is_unique());
    other.advance(other.len());
    assert!(large.is_unique(), "a written buffer lets go of its payloads");
}

#[test]
fn whoever_waits_for_an_answer_to_what_goes_is_told() {
    let mut headers = HeaderMap::new();
    headers.insert("A", "b 1 2");
    let mut out = OutBuf::new();
    let mut put = |reply: Option<&[u8]>, headers, size| {
        encoder::publish(&mut out, b"a", reply, headers, &payload(size));
    };
    for (headers, size) in
        [(None, 1), (Some(&headers), 1), (None, OutBuf::SEGMENT_THRESHOLD), (Some(&headers), 5_000)]
    {
        put(Some(b"r.1-2"), headers, size);
        put(None, headers, size);
    }
    let mut told = 0;
    let mut note = |reply: &[u8]| {
        assert_eq!(reply, b"r.1-2");
        told += 1;
    };
    for _ in 0..4 {
        assert!(out.drop_front_publish(&mut note).is_some());
    }
    out.retain_publishes(|_, has_headers| has_headers, &mut note);
    assert_eq!(out.unsent_publishes(), 2);
    out.retain_publishes(|_, _| false, note);
    assert_eq!(told, 4);
}

#[test]
fn a_dropped_payload_is_let_go_of_at_once() {
    let large = payload(OutBuf::SEGMENT_THRESHOLD);
    let mut out = OutBuf::new();
    encoder::publish(&mut out, b"a", None, None, &large);
    encoder::publish(&mut out, b"b", None, None, &payload(10));
    encoder::publish(&mut out, b"c", None, None, &payload(10));
    assert!(out.drop_front_publish(|_| ()).is_some());
    assert!(large.is_unique());
    assert_eq!(out.unsent_publishes(), 2);
}

#[test]
fn advancing_too_far_empties_the_buffer() {
    let mut out = OutBuf::new();
    encoder::ping(&mut out);
    out.advance(usize::MAX);
    assert!(out.is_empty());
    encoder::pong(&mut out);
    assert_eq!(unwritten(&out), b"PONG\r\n");
}

#[test]
fn debug_output_has_no_bytes_of_the_wire() {
    let info = ConnectInfo { pass: Some("s3cret".into()), ..ConnectInfo::default() };
    let mut out = OutBuf::new();
    encoder::connect(&mut out, &info);
    assert!(!format!("{out:?}").contains("s3cret"));
}

#[test]
fn bytes_that_are_no_frames_end_the_walk() {
    for junk in [
        &b"PUB"[..],
        b"PUB a\r\n",
        b"PUB a 5\r\nhi\r\n",
        b"HPUB a 5 3\r\nabc\r\n",
        b"HPUB 5\r\n",
        b"PUB a 18446744073709551615\r\n",
        b"PUB a 99999999999999999999\r\n",
    ] {
        let mut out = OutBuf::new();
        encoder::publish(&mut out, b"a", None, None, &payload(1));
        out.put_slice(junk);
        assert_eq!(out.unsent_publishes(), 1);
        let unsent = out.into_unsent_publishes(|_, _| true);
        assert_eq!(unwritten(&unsent), b"PUB a 1\r\nP\r\n");
    }
}
