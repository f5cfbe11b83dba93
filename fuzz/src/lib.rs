//! The bodies of the fuzz targets: each takes any bytes and panics if what must always hold does not.
//!
//! They are a library so that ordinary tests can replay the corpora.

mod broker;
mod connection;
mod context;
mod text;
mod websocket;
mod wire;

#[path = "../../nats-proto/tests/common/mod.rs"]
mod common;

use bytes::Bytes;
use nats_proto::HeaderMap;

pub use broker::broker_sessions;
pub use connection::connection_ops;
pub use context::context_fields;
pub use text::{credentials, header_text, info_connect, server_addr, server_errors, subjects};
pub use websocket::{websocket_answer, websocket_input};
pub use wire::{client_ops, server_ops};

/// A header block: read or refused; what is read survives being written and read again.
pub fn header_block(data: &[u8]) {
    let Ok(mut parsed) = HeaderMap::parse(&Bytes::copy_from_slice(data)) else {
        return;
    };
    let mut block = Vec::new();
    parsed.encode(&mut block);
    // With a space behind each colon, it may be too long.
    if block.len() > HeaderMap::MAX_BLOCK {
        return;
    }
    let mut again = HeaderMap::parse(&Bytes::from(block)).expect("it was written");
    // Of a description, only what can be printed is written.
    for parsed in [&mut parsed, &mut again] {
        let printed = |text: String| text.replace(char::is_control, " ").trim().to_owned();
        parsed.description = parsed.description.take().map(printed).filter(|text| !text.is_empty());
    }
    assert_eq!(again, parsed);

    if !parsed.headers.is_empty() {
        let mut block = Vec::new();
        parsed.headers.encode(&mut block);
        assert_eq!(block.len(), parsed.headers.encoded_len());
        let again = HeaderMap::parse(&Bytes::from(block)).map(|parsed| parsed.headers);
        assert_eq!(again, Ok(parsed.headers));
    }
}

/// Feeds the files that the program's arguments name to `target`.
///
/// # Errors
///
/// A file cannot be read.
pub fn replay(target: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}

/// Takes choices from the front of the input; there is always another one, zero after the end.
struct Choices<'a> {
    data: &'a [u8],
}

impl<'a> Choices<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data }
    }

    fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.data.split_first() {
            Some((byte, rest)) => {
                self.data = rest;
                *byte
            }
            None => 0,
        }
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.data.split_at(len.min(self.data.len()));
        self.data = rest;
        bytes
    }
}
