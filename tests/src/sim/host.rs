//! A broker and its end of the byte streams.

use std::collections::BTreeMap;

use bytes::BytesMut;
use nats_broker::{Broker, BrokerEvent, Config, SessionId};
use nats_proto::wire::{Limits, OutBuf, ServerDecoder, ServerOp, ServerOps};
use nats_proto::{Instant, Message, Rng};

use super::pipe::Read;
use super::simulation::{Links, Observer};

#[derive(Debug, Default)]
struct Peer {
    link: u64,
    input: BytesMut,
    out: OutBuf,
    closing: bool,
}

/// A broker process: it can crash, and start again without its state.
pub(super) struct Host {
    index: usize,
    pub(super) broker: Option<Broker>,
    incarnation: u64,
    peers: BTreeMap<SessionId, Peer>,
    observer: Option<(SessionId, ServerDecoder, BytesMut)>,
}

impl Host {
    pub(super) fn new(index: usize) -> Self {
        Self { index, broker: None, incarnation: 0, peers: BTreeMap::new(), observer: None }
    }

    pub(super) fn start(&mut self, now: Instant, config: Config, seed: [u8; 32], watch: &[String]) {
        let mut broker = Broker::new(config, seed);
        self.incarnation += 1;
        if !watch.is_empty() {
            let id = broker.handle_connect(now, "");
            let mut input = BytesMut::from(
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"headers\":true}\r\n",
            );
            for (sid, subject) in watch.iter().enumerate() {
                input.extend_from_slice(format!("SUB {subject} {sid}\r\n").as_bytes());
            }
            broker.handle_input(now, id, &mut input);
            let decoder = ServerDecoder::new(Limits::default());
            self.observer = Some((id, decoder, BytesMut::new()));
        }
        self.broker = Some(broker);
    }

    /// The process dies: its state is gone. The caller sees to the links.
    pub(super) fn crash(&mut self) {
        self.broker = None;
        self.observer = None;
        self.peers.clear();
    }

    pub(super) fn accept(&mut self, now: Instant, link: u64) -> Option<SessionId> {
        let session = self.broker.as_mut()?.handle_connect(now, "10.0.0.1");
        self.peers.insert(session, Peer { link, ..Peer::default() });
        Some(session)
    }

    /// Puts bytes between two operations that the broker sends, if it is between two.
    pub(super) fn inject(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        link: u64,
        links: &mut Links,
        bytes: &[u8],
    ) {
        let Some(peer) = self.peers.values().find(|peer| peer.link == link) else {
            return;
        };
        let Some(link) = links.get_mut(&link) else {
            return;
        };
        if peer.out.is_empty() && link.down.room() >= bytes.len() {
            let mut rest = bytes;
            while !rest.is_empty() {
                let taken = link.down.write(now, rng, rest);
                rest = &rest[taken..];
            }
        }
    }

    pub(super) fn next(&self, now: Instant, links: &Links) -> Option<Instant> {
        let broker = self.broker.as_ref()?;
        let peers = self.peers.values().filter_map(|peer| {
            let link = links.get(&peer.link)?;
            let write = (!peer.out.is_empty() && link.down.room() > 0).then_some(now);
            link.up.readable_at().into_iter().chain(write).min()
        });
        peers.chain(broker.poll_timeout()).min()
    }

    pub(super) fn run(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        links: &mut Links,
        observer: &mut Observer,
    ) {
        let Some(broker) = &mut self.broker else {
            return;
        };
        let ids: Vec<SessionId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            let Some(link) = links.get_mut(&peer.link) else {
                broker.handle_disconnect(id);
                self.peers.remove(&id);
                continue;
            };
            match link.up.read(now, rng, &mut peer.input) {
                Read::Bytes(_) => broker.handle_input(now, id, &mut peer.input),
                Read::Eof => {
                    broker.handle_disconnect(id);
                    link.broker_gone = true;
                    self.peers.remove(&id);
                }
                Read::Nothing => {}
            }
            self.observe(now, observer);
            let Some(_) = self.broker else { return };
            let Some(broker) = &mut self.broker else {
                return;
            };
            Self::pump(broker, &mut self.peers);
            Self::write(broker, &mut self.peers, now, rng, links);
            self.observe(now, observer);
            if self.broker.is_none() {
                return;
            }
            let _ = &self.broker;
            // Borrow anew for the next peer.
            let Some(again) = &mut self.broker else { return };
            Self::write(again, &mut self.peers, now, rng, links);
            break_borrow();
            return self.run_rest(now, rng, links, observer);
        }
    }
}
