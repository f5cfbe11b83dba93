//! Books of what one client published, kept from the bytes on its wire alone: what the connection's own
//! counters are checked against.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::BytesMut;
use nats_proto::wire::{
    ClientDecoder, ClientOp, ClientOps, Limits, PublishFrame, ServerDecoder, ServerOp, ServerOps,
};

use super::arrivals::{SharedArrivals, Stamp};
use super::counts::{Counts, Seen};
use super::extras::Extras;

/// What has become of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not written whole.
    Kept,
    /// Written whole on the link there is.
    Written,
    Confirmed,
    Uncertain,
}

/// Bytes of a publish.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) headers: usize,
    pub(super) payload: usize,
}

impl Size {
    fn all(self) -> usize {
        self.headers + self.payload
    }
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    size: Size,
    fate: Fate,
    /// How many links had broken when it was accepted.
    accepted_with: u64,
    /// How many links had broken when it became uncertain.
    lost_with: u64,
}

/// The books of one client.
#[derive(Debug)]
pub(super) struct Books {
    arrivals: SharedArrivals,
    entries: Vec<Entry>,
    pub(super) confirmed: u64,
    pub(super) uncertain: u64,
    /// Links that have broken.
    pub(super) breaks: u64,
    /// Indices of those written on this link, in order.
    written: Vec<usize>,
    resolved: usize,
    /// PINGs under way, and how many publishes were written before each.
    pings: VecDeque<usize>,
    up: (ClientDecoder, BytesMut),
    down: (ServerDecoder, BytesMut),
    /// Something came after which nothing counts.
    deaf: bool,
    server: Server,
    /// That of the link before.
    last_server: Server,
    /// The smallest payload limit that any server has named.
    strictest: usize,
    /// Whether any server has said that it takes no headers.
    headerless: bool,
    /// Publishes before this one may have been pushed out by others that were not the next ones.
    unordered: u64,
    /// How many became uncertain with the last link.
    pub(super) lost_last: u64,
    /// The last publish that was ever written: what stands before it and is not written has been given up.
    last_written: Option<usize>,
    /// Requests that are said to have been given up.
    given_up: BTreeSet<Stamp>,
    pub(super) counts: Counts,
}

/// What the server of the link was told, and has said.
#[derive(Debug, Default)]
struct Server {
    subscriptions: BTreeMap<u64, Told>,
    pings: u64,
    pongs: u64,
    /// The largest payload limit that it has named.
    max_payload: usize,
    /// Bytes that were handed out before this link, and that were written to it: all of them, and those of whole operations.
    handed_out_before: Option<u64>,
    written: u64,
    decoded: u64,
    /// What it has named last.
    limits: Terms,
}

/// What a server takes.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    /// It holds for what was not handed out when it was told: for all behind so many bytes of the link.
    from: u64,
    max_payload: usize,
    headers: bool,
}

/// What the server was told of a subscription: how many PINGs went before.
#[derive(Clone, Copy, Debug)]
struct Told {
    sub: u64,
    unsub: Option<u64>,
    /// The maximum, as it was told last.
    max: Option<u64>,
    /// The messages that have come from it.
    came: u64,
}

impl Server {
    /// Whether it has shown that it knows of a subscription.
    fn knows(&self, sid: u64) -> bool {
        self.subscriptions.get(&sid).is_some_and(|told| told.sub < self.pongs)
    }
}

impl Books {
    pub(super) fn new(arrivals: SharedArrivals) -> Self {
        Self {
            arrivals,
            entries: Vec::new(),
            confirmed: 0,
            uncertain: 0,
            breaks: 0,
            written: Vec::new(),
            resolved: 0,
            pings: VecDeque::new(),
            up: (ClientDecoder::new(Limits::default()), BytesMut::new()),
            down: (ServerDecoder::new(Limits::default()), BytesMut::new()),
            deaf: false,
            server: Server::default(),
            last_server: Server::default(),
            strictest: usize::MAX,
            headerless: false,
            unordered: 0,
            lost_last: 0,
            last_written: None,
            given_up: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// A publish was accepted. With `unordered`, it may have pushed out some that are not the oldest ones: between a
    /// hang-up and the end of the link, the oldest are in the driver's hands.
    pub(super) fn accepted(&mut self, stamp: Stamp, size: Size, unordered: bool) {
        assert_eq!(stamp.seq, self.published());
        let accepted_with = self.breaks;
        self.entries.push(Entry { stamp, size, fate: Fate::Kept, accepted_with, lost_with: 0 });
        if unordered {
            self.unordered = self.published();
        }
    }

    pub(super) fn published(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        let (decoder, input) = &mut self.up;
        input.extend_from_slice(bytes);
        let mut ops = ClientOps::new();
        decoder.decode(input, &mut ops).expect("a client that keeps the protocol");
        self.server.written += bytes.len() as u64;
        for op in ops.items.drain(..) {
            match op {
                ClientOp::Publish(frame) => self.wrote_publish(&ops.chunk, &frame),
                ClientOp::Ping => {
                    self.pings.push_back(self.written.len());
                    self.server.pings += 1;
                }
                ClientOp::Subscribe { sid, .. } => {
                    let sid = number(sid.of(&ops.chunk));
                    let told = Told { sub: self.server.pings, unsub: None, max: None, came: 0 };
                    let before = self.server.subscriptions.insert(sid, told);
                    assert!(before.is_none(), "the server is told twice of {sid}");
                }
                ClientOp::Unsubscribe { sid, max } => {
                    let sid = number(sid.of(&ops.chunk));
                    if let Some(told) = self.server.subscriptions.get_mut(&sid) {
                        match max {
                            None => told.unsub = Some(self.server.pings),
                            max => told.max = max,
                        }
                    }
                }
                _ => {}
            }
        }
        self.server.decoded += ops.chunk.len() as u64;
    }

    fn wrote_publish(&mut self, chunk: &[u8], frame: &PublishFrame) {
        let stamp = Stamp::of(frame.payload.of(chunk));
        let index = stamp.seq as usize;
        let entry = self.entries.get_mut(index).expect("accepted before it is written");
        assert_eq!(entry.fate, Fate::Kept, "{stamp:?} is written again");
        assert!(!self.given_up.contains(&stamp), "{stamp:?} was to be given up");
        entry.fate = Fate::Written;
        Extras::of(stamp).check_frame(chunk, frame);
        let size = frame.size();
        assert_eq!(size, entry.size.all(), "{stamp:?}");
        let Server { limits, decoded, max_payload, .. } = self.server;
        let is_held = decoded + u64::from(frame.subject.start) >= limits.from;
        let limit = if is_held { limits.max_payload } else { max_payload };
        assert!(size <= limit, "{stamp:?} has {size} bytes, more than {limit}");
        let takes = limits.headers || !is_held || frame.headers.is_empty();
        assert!(takes, "{stamp:?} has headers, and the server takes none");
        if !frame.headers.is_empty() && entry.accepted_with < self.breaks {
            self.counts += Seen::HeadersKept;
        }
        self.written_next(index);
    }

    /// Whether a server may have said that it does not take a publish.
    fn may_be_refused(&self, entry: &Entry) -> bool {
        entry.size.all() > self.strictest || (self.headerless && entry.size.headers > 0)
    }

    /// A publish is written. Those left out since the last one were given up: as too large, if they had been behind
    /// it, as what is pushed out are the oldest.
    fn written_next(&mut self, index: usize) {
        if let Some(last) = self.written.last() {
            assert!(*last < index, "{:?} is written out of order", self.entries[index].stamp);
            for skipped in &self.entries[last + 1..index] {
                let allowed = self.may_be_refused(skipped) || skipped.stamp.seq < self.unordered;
                assert!(allowed, "{:?} is left out, and older ones are not", skipped.stamp);
            }
        }
        self.written.push(index);
        self.last_written = self.last_written.max(Some(index));
    }

    /// A request is told that it is not sent: because others took its place, if they may, or as it is too large.
    pub(super) fn given_up(&mut self, stamp: Stamp, may_be_pushed_out: bool) {
        let entry = &self.entries[stamp.seq as usize];
        assert_eq!(entry.fate, Fate::Kept, "{stamp:?} is given up and was written");
        let allowed = may_be_pushed_out || self.may_be_refused(entry);
        assert!(allowed, "{stamp:?} is given up for nothing");
        self.given_up.insert(stamp);
    }

    /// Checks that a request that got no reply in time was not given up before: that would have been to be told at once.
    pub(super) fn check_not_left_out(&self, stamp: Stamp) {
        let index = stamp.seq as usize;
        let left_out = self.entries[index].fate == Fate::Kept && Some(index) < self.last_written;
        assert!(!left_out, "{stamp:?} was given up and waited");
    }

    /// Checks that a subscription may be called drained: the server has confirmed that nothing more comes, or is gone.
    pub(super) fn check_drained(&self, sid: u64) {
        let told = self.server.subscriptions.get(&sid).map(|told| told.unsub);
        let confirmed = |pings: Option<u64>| pings.is_some_and(|pings| pings < self.server.pongs);
        assert!(told.is_none_or(confirmed), "{sid} is drained too early");
    }

    /// Checks that a subscription has ended with the maximum that the server was told, if it was: with a larger one, more
    /// messages would be on their way to nobody.
    pub(super) fn check_max(&self, sid: u64) {
        if let Some(Told { max: Some(max), came, .. }) = self.server.subscriptions.get(&sid) {
            assert!(came >= max, "{sid} has ended after {came}, the server was told of {max}");
        }
    }

    /// Checks that a subscription may be called confirmed. With `unlinked`, the link has just ended.
    pub(super) fn check_confirmed(&self, sid: u64, unlinked: bool) {
        let known = self.server.knows(sid) || (unlinked && self.last_server.knows(sid));
        assert!(known, "{sid} is confirmed and the server has not said so");
    }

    /// Bytes of payloads that wait and are not copied; at most, if some may have been given up.
    pub(super) fn shared(&self) -> usize {
        let unwritten = &self.entries[self.last_written.map_or(0, |last| last + 1)..];
        unwritten.iter().map(|entry| Extras::shared(entry.size.payload)).sum()
    }

    /// Bytes that are handed out and not written, if so many were handed out in all.
    pub(super) fn handed_out(&self, bytes_out: u64) -> u64 {
        let before = self.server.handed_out_before.unwrap_or(bytes_out);
        bytes_out - before - self.server.written
    }

    /// Bytes have come, and so many were handed out by then.
    pub(super) fn read(&mut self, bytes: &[u8], bytes_out: u64) {
        let handed_out_before = *self.server.handed_out_before.get_or_insert(bytes_out);
        let (decoder, input) = &mut self.down;
        input.extend_from_slice(bytes);
        let mut ops = ServerOps::new();
        // What cannot be decoded is the connection's to find out.
        let _ = decoder.decode(input, &mut ops);
        for op in ops.items.drain(..) {
            self.deaf |= matches!(&op, ServerOp::Err(error) if error.closes_connection());
            if let ServerOp::Info(info) = &op {
                self.server.max_payload = self.server.max_payload.max(info.max_payload);
                self.strictest = self.strictest.min(info.max_payload);
                self.headerless |= !info.headers;
                let (max_payload, headers) = (info.max_payload, info.headers);
                let from = bytes_out - handed_out_before;
                self.server.limits = Terms { from, max_payload, headers };
            }
            if let ServerOp::Message(frame) = &op
                && let Some(told) = self.server.subscriptions.get_mut(&frame.sid)
            {
                told.came += 1;
            }
            self.server.pongs += u64::from(matches!(op, ServerOp::Pong));
            if let (ServerOp::Pong, false) = (op, self.deaf)
                && let Some(count) = self.pings.pop_front()
            {
                for index in &self.written[self.resolved..count] {
                    let entry = &mut self.entries[*index];
                    entry.fate = Fate::Confirmed;
                    self.confirmed += 1;
                    let stamp = entry.stamp;
                    let arrived = self.arrivals.borrow().place(stamp).is_some();
                    assert!(arrived, "{stamp:?} is confirmed and not there");
                }
                self.resolved = count;
            }
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.breaks += 1;
        let before = self.uncertain;
        for index in self.written.drain(..).skip(self.resolved) {
            let entry = &mut self.entries[index];
            entry.fate = Fate::Uncertain;
            entry.lost_with = self.breaks;
            self.uncertain += 1;
        }
        self.lost_last = self.uncertain - before;
        self.resolved = 0;
        if self.up.1.starts_with(b"HPUB ") {
            self.counts += Seen::HeadersCut;
        }
        self.last_server = std::mem::take(&mut self.server);
        self.pings.clear();
        self.deaf = false;
        self.up = (ClientDecoder::new(Limits::default()), BytesMut::new());
        self.down = (ServerDecoder::new(Limits::default()), BytesMut::new());
    }

    /// Checks that a flush of what was accepted up to `count` (when `breaks` links had broken) may succeed; gives
    /// how many publishes before it were never written.
    pub(super) fn check_flush(&self, count: u64, breaks: u64) -> u64 {
        let mut kept = 0;
        for Entry { stamp, fate, lost_with, .. } in &self.entries[..count as usize] {
            match fate {
                Fate::Kept => kept += 1,
                Fate::Confirmed => {}
                Fate::Uncertain if *lost_with <= breaks => {}
                fate => panic!("a flush succeeds and {stamp:?} is {fate:?}"),
            }
        }
        kept
    }

    /// How many publishes of the first `count` became uncertain with a link later than the first `breaks`.
    pub(super) fn lost(&self, count: u64, breaks: u64) -> u64 {
        let lost = |entry: &&Entry| entry.fate == Fate::Uncertain && entry.lost_with > breaks;
        self.entries[..count as usize].iter().filter(lost).count() as u64
    }

    /// Checks at the end that nothing arrived of what was given up.
    pub(super) fn check_dropped(&self, dropped: u64) {
        let kept = self.entries.iter().filter(|entry| entry.fate == Fate::Kept);
        let mut count = 0;
        for Entry { stamp, .. } in kept {
            count += 1;
            let arrived = self.arrivals.borrow().place(*stamp).is_some();
            assert!(!arrived, "{stamp:?} was dropped and is there");
        }
        assert_eq!(count, dropped, "dropped");
    }
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a number")
}
