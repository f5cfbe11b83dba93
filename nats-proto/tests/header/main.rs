//! Headers: the map, and the block on the wire.

mod block;
mod map;
mod properties;

use bytes::Bytes;
use nats_proto::Message;
use nats_proto::header::{HeaderMap, HeaderValue, ParseHeadersError, ParsedHeaders};
use nats_proto::wire::{Chunk, MessageFrame, Span};

fn parse(block: &str) -> Result<ParsedHeaders, ParseHeadersError> {
    HeaderMap::parse(&Bytes::copy_from_slice(block.as_bytes()))
}

/// A message with this block.
fn received(block: &Bytes) -> Message {
    let len = block.len() as u32;
    let frame = MessageFrame { headers: Span { start: 0, len }, ..MessageFrame::default() };
    Message::from_frame(&mut Chunk::from(block.clone()), &frame)
}

fn encoded(map: &HeaderMap) -> String {
    let mut out = Vec::new();
    map.encode(&mut out);
    assert_eq!(out.len(), map.encoded_len());
    String::from_utf8(out).unwrap()
}

fn pairs(map: &HeaderMap) -> Vec<(String, Vec<String>)> {
    map.iter()
        .map(|(name, values)| {
            let values = values.iter().map(HeaderValue::to_string).collect();
            (name.to_string(), values)
        })
        .collect()
}
