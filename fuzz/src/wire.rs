//! The decoders, whole against split, against a naive decoder, and against the encoder.

use bytes::Bytes;
use nats_proto::HeaderMap;
use nats_proto::wire::{Limits, OutBuf, encoder};

use crate::Choices;
use crate::common::{Message, Op, Side, decode, decode_split, naive, unwritten};

/// Limits that short inputs reach.
fn small() -> Limits {
    let mut limits = Limits::default();
    (limits.control_line, limits.info) = (64, 96);
    (limits.header_block, limits.payload) = (24, 48);
    limits
}

/// What a server may send: the first byte says how many splits follow it (and whether limits are small), each
/// of two bytes; the rest is the stream.
pub fn server_ops(data: &[u8]) {
    ops(Side::Server, data);
}

/// What a client may send, in the same form.
pub fn client_ops(data: &[u8]) {
    ops(Side::Client, data);
}

fn ops(side: Side, data: &[u8]) {
    let mut choices = Choices::new(data);
    let first = choices.byte();
    let limits = if first & 0x80 == 0 { Limits::default() } else { small() };
    let cuts: Vec<u16> = (0..first & 0xf).map(|_| choices.word()).collect();
    let stream = choices.data;
    let mut cuts: Vec<usize> =
        cuts.into_iter().map(|cut| usize::from(cut) % (stream.len() + 1)).collect();
    cuts.sort_unstable();

    let whole = decode(side, limits, stream);
    assert_eq!(decode_split(side, limits, stream, &cuts), whole);
    naive::assert_same(&whole, &naive::decode(side, limits, stream));
    for op in whole.ops {
        if let Op::Message(message) = op {
            round_trip(side, message);
        }
    }
}

/// What was decoded decodes to the same again when it is encoded.
fn round_trip(side: Side, mut message: Message) {
    let reply = (!message.reply.is_empty()).then_some(&message.reply[..]);
    let payload = Bytes::from(message.payload.clone());
    let mut out = OutBuf::new();
    match side {
        Side::Server => {
            let sid = message.sid.to_string();
            let headers = &message.headers;
            encoder::message(&mut out, &message.subject, sid.as_bytes(), reply, headers, &payload);
        }
        Side::Client => {
            // Only blocks that can be read can be written.
            let block = Bytes::from(message.headers.clone());
            let headers = HeaderMap::parse(&block).unwrap_or_default().headers;
            encoder::publish(&mut out, &message.subject, reply, Some(&headers), &payload);
            let len = if headers.is_empty() { 0 } else { headers.encoded_len() };
            assert_eq!(
                out.len(),
                encoder::publish_len(&message.subject, reply, len, payload.len())
            );
            assert_eq!(out.unsent_publishes(), 1);
            let mut block = Vec::new();
            if !headers.is_empty() {
                headers.encode(&mut block);
            }
            message.headers = block;
        }
    }
    let mut limits = Limits::default();
    limits.control_line = 1 << 30;
    let again = decode(side, limits, &unwritten(&out));
    assert_eq!(again.error, None);
    assert_eq!(again.ops, [Op::Message(message)]);
}
