//! A broker and its end of the byte streams.

use std::collections::BTreeMap;

use nats_broker::{Broker, BrokerEvent, Config, SessionId};
use nats_proto::{Instant, Rng};

use crate::link::{Link, Links};
use crate::peer::Peer;
use crate::pipe::Read;
use crate::terminator::Terminator;
use crate::watch::Watch;

/// A publish that a broker has handled.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The index of the broker.
    pub broker: usize,
    /// How many times the broker has been started.
    pub incarnation: u64,
    /// The subject. What is no UTF-8 in it is replaced.
    pub subject: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Subscriptions for exactly this subject that get it if nobody else does: of clients that are there, without a
    /// maximum that they may have reached. There may be more.
    pub listeners: usize,
}

/// Is shown what the brokers handle.
pub type Observer = Box<dyn FnMut(Observed<'_>)>;

/// A broker process: it can crash, and start again without its state.
#[derive(Debug)]
pub(crate) struct Host {
    index: usize,
    incarnation: u64,
    pub(crate) broker: Option<Broker>,
    peers: BTreeMap<SessionId, Peer>,
    /// Something was done to the broker outside of [`run`](Self::run).
    pub(crate) woken: bool,
}

impl Host {
    pub(crate) fn new(index: usize) -> Self {
        Self { index, incarnation: 0, broker: None, peers: BTreeMap::new(), woken: false }
    }

    pub(crate) fn start(&mut self, config: Config, seed: [u8; 32]) {
        self.broker = Some(Broker::new(config, seed));
        self.incarnation += 1;
    }

    /// The process dies: its state is gone. The caller sees to the links.
    pub(crate) fn crash(&mut self) {
        self.broker = None;
        self.peers.clear();
    }

    pub(crate) fn accept(
        &mut self,
        now: Instant,
        link: u64,
        watch: Option<Watch>,
        terminator: Option<Box<dyn Terminator>>,
    ) -> Option<SessionId> {
        let session = self.broker.as_mut()?.handle_connect(now, "10.0.0.1");
        self.peers.insert(session, Peer::new(link, watch, terminator));
        self.woken = true;
        Some(session)
    }

    /// Whether the broker is between two operations on this link, so that another fits in.
    pub(crate) fn is_between_operations(&self, session: SessionId) -> bool {
        self.peers.get(&session).is_some_and(|peer| peer.out.is_empty() && !peer.is_closing())
    }

    /// Says something in the broker's place, if the peer has a terminator.
    pub(crate) fn say(&mut self, session: SessionId, bytes: &[u8]) -> bool {
        let said = self.peers.get_mut(&session).is_some_and(|peer| peer.say(bytes));
        self.woken |= said;
        said
    }

    pub(crate) fn next(&self, now: Instant, links: &Links) -> Option<Instant> {
        let broker = self.broker.as_ref()?;
        let peers = self.peers.values().filter_map(|peer| {
            let link = links.get(&peer.link)?;
            peer.next(now, &link.up, &link.down)
        });
        peers.chain(broker.poll_timeout()).chain(self.woken.then_some(now)).min()
    }

    pub(crate) fn run(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        links: &mut Links,
        observer: &mut Option<Observer>,
    ) {
        let Some(mut broker) = self.broker.take() else {
            return;
        };
        self.woken = false;
        if broker.poll_timeout().is_some_and(|deadline| deadline <= now) {
            broker.handle_timeout(now);
            let next = broker.poll_timeout();
            assert!(next.is_none_or(|next| next > now), "the broker's deadline did not move");
        }
        let ids: Vec<SessionId> = self.peers.keys().copied().collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            let old = peer.input.len();
            let read = match links.get_mut(&peer.link) {
                Some(link) => peer.read(now, rng, &mut link.up),
                None => Read::Eof,
            };
            match read {
                Read::Bytes(_) => {
                    let observer = observer.as_mut().filter(|_| peer.watch.is_some());
                    let read = observer.is_some().then(|| peer.input[old..].to_vec());
                    let before = broker.statistics().in_messages;
                    broker.handle_input(now, id, &mut peer.input);
                    if broker.is_stalled(id) {
                        peer.stall(now);
                    }
                    let handled = broker.statistics().in_messages - before;
                    if let (Some(observer), Some(read)) = (observer, read) {
                        self.observe(&broker, id, &read, handled, observer);
                    }
                }
                Read::Eof => self.drop_peer(now, &mut broker, links, id),
                Read::Nothing => {}
            }
            self.obey(now, &mut broker, links);
            if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_over()) {
                if let Some(link) = links.get_mut(&peer.link) {
                    peer.pour(now, rng, &mut link.down);
                }
                self.drop_peer(now, &mut broker, links, id);
            }
        }
        self.obey(now, &mut broker, links);
        self.write(now, rng, &mut broker, links);
        self.broker = Some(broker);
    }

    /// Shows the next `count` publishes of a client, which the broker says it has handled. They were in `input`, or
    /// began before it.
    fn observe(
        &mut self,
        broker: &Broker,
        id: SessionId,
        input: &[u8],
        count: u64,
        observer: &mut Observer,
    ) {
        let Some(mut watch) = self.peers.get_mut(&id).and_then(|peer| peer.watch.take()) else {
            return;
        };
        watch.look(input, broker.config(), count, |chunk, frame, own| {
            let subject = frame.subject.of(chunk);
            // Without the client itself, whose watch this is.
            let others = self.peers.iter().filter(|(id, _)| broker.is_open(**id));
            let others = others.filter_map(|(_, peer)| peer.watch.as_ref());
            let others: usize = others.map(|watch| watch.listeners(subject)).sum();
            observer(Observed {
                broker: self.index,
                incarnation: self.incarnation,
                subject: &String::from_utf8_lossy(subject),
                payload: frame.payload.of(chunk),
                listeners: others + if broker.is_open(id) { own } else { 0 },
            });
        });
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.watch = Some(watch);
        }
    }

    fn drop_peer(&mut self, now: Instant, broker: &mut Broker, links: &mut Links, id: SessionId) {
        broker.handle_disconnect(id);
        if let Some(peer) = self.peers.remove(&id)
            && let Some(link) = links.get_mut(&peer.link)
        {
            link.broker_gone = true;
            link.down.end(now);
        }
    }

    /// Does what the broker asks for.
    fn obey(&mut self, now: Instant, broker: &mut Broker, links: &mut Links) {
        while let Some(event) = broker.poll_event() {
            match event {
                BrokerEvent::Hangup(id) => {
                    if let Some(peer) = self.peers.get_mut(&id) {
                        peer.close(now);
                    }
                }
                BrokerEvent::Abort(id) => self.drop_peer(now, broker, links, id),
                // Everybody is looked at anyway.
                _ => {}
            }
        }
    }

    fn write(&mut self, now: Instant, rng: &mut Rng, broker: &mut Broker, links: &mut Links) {
        let mut done = Vec::new();
        for (id, peer) in &mut self.peers {
            let Some(link) = links.get_mut(&peer.link) else {
                continue;
            };
            if peer.write(now, rng, (broker, *id), &mut link.down) {
                done.push(*id);
            }
        }
        for id in done {
            self.drop_peer(now, broker, links, id);
        }
    }

    /// The subscriptions of the session at the other end of `link`.
    pub(crate) fn subscriptions(&self, link: &Link) -> Option<usize> {
        Some(self.broker.as_ref()?.subscriptions(link.session))
    }
}
