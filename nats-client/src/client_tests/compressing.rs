//! How much of a message a server inflates, of which the client learns on each link.

use std::sync::LazyLock;
use std::time::Instant;

use bytes::Bytes;
use tungstenite::handshake::derive_accept_key;

use super::rig::Rig;
use crate::testing::{FakeServer, Peer, block_on, options};

/// The first byte of a message that is whole.
const BINARY: u8 = 0x82;
const COMPRESSED: u8 = 0xc2;

/// Agrees to a WebSocket with compression.
fn accept(rig: &Rig) -> Peer {
    rig.drive();
    let mut peer = rig.server.accept();
    peer.expect("Sec-WebSocket-Key: ");
    let key = peer.expect("\r\n");
    peer.expect("\r\n\r\n");
    peer.send(&format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate; \
         server_no_context_takeover; client_no_context_takeover\r\n\r\n",
        derive_accept_key(key.as_bytes())
    ));
    peer
}

/// Says a line that is short, and gives the first byte of what the client says then.
fn say(rig: &Rig, peer: &Peer, line: &str) -> Option<u8> {
    let length = u8::try_from(line.len()).expect("a short line");
    peer.send_bytes(&[&[BINARY, length], line.as_bytes()].concat());
    rig.drive();
    peer.take_bytes().first().copied()
}

#[test]
fn how_much_the_last_server_inflates_is_forgotten_with_its_link() {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let server = FakeServer::new();
    let url = server.url().replace("nats://", "ws://");
    let options = options().websocket_compression(true);
    let rig = Rig::with_url(options, || *START, &url, server);
    for link in 1..=2 {
        let peer = accept(&rig);
        let info = "INFO {\"server_id\":\"x\",\"max_payload\":1048576}\r\n";
        // CONNECT is long enough to be worth it.
        assert_eq!(say(&rig, &peer, info), Some(BINARY), "nothing is known on link {link}");
        assert_eq!(say(&rig, &peer, "PONG\r\n"), None);
        // An INFO with the limit of the account may come in between. The answer is not worth compressing.
        assert_eq!(say(&rig, &peer, "PING\r\n"), Some(BINARY));
        block_on(rig.client.publish("a", Bytes::from(vec![b'x'; 1_000]))).expect("a live client");
        rig.drive();
        assert_eq!(peer.take_bytes().first(), Some(&COMPRESSED));
    }
}
