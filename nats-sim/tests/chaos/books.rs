//! Books of what one client published, kept from the bytes on its wire alone: what the connection's own
//! counters are checked against.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use nats_proto::wire::{
    ClientDecoder, ClientOp, ClientOps, Limits, ServerDecoder, ServerOp, ServerOps,
};

/// Client and number: what every payload begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) client: u8,
    pub(super) seq: u64,
}

impl Stamp {
    const LEN: usize = 9;

    /// A payload of at least a stamp, filled up to `len` bytes.
    pub(super) fn payload(self, about: Option<Self>, len: usize) -> Bytes {
        let mut bytes = BytesMut::new();
        for stamp in [Some(self), about].into_iter().flatten() {
            bytes.put_u8(stamp.client);
            bytes.put_u64(stamp.seq);
        }
        bytes.resize(bytes.len().max(len), b'.');
        bytes.freeze()
    }

    pub(super) fn of(payload: &[u8]) -> Self {
        let (client, rest) = payload.split_first().expect("a stamp");
        let (seq, _) = rest.split_first_chunk::<8>().expect("a stamp");
        Self { client: *client, seq: u64::from_be_bytes(*seq) }
    }

    /// The second stamp of a payload.
    pub(super) fn about(payload: &[u8]) -> Self {
        Self::of(&payload[Self::LEN..])
    }
}

/// What the brokers have handled, in order.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// The places of each message in the order of all of them, in that of its subject at one run of a broker,
    /// and in that of all of [`topics`](super::topics) there.
    places: BTreeMap<Stamp, Place>,
    count: u64,
    by_subject: BTreeMap<(usize, u64, String), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) overall: u64,
    pub(super) in_subject: u64,
    pub(super) in_topics: u64,
}

pub(super) type SharedArrivals = Rc<RefCell<Arrivals>>;

impl Arrivals {
    pub(super) fn add(&mut self, broker: usize, incarnation: u64, subject: &str, payload: &[u8]) {
        let mut count = |subject: &str| {
            let count = self.by_subject.entry((broker, incarnation, subject.into())).or_default();
            *count += 1;
            *count
        };
        let in_subject = count(subject);
        let in_topics = if subject.starts_with("topic.") { count("topic.*") } else { 0 };
        self.count += 1;
        let place = Place { overall: self.count, in_subject, in_topics };
        let stamp = Stamp::of(payload);
        assert_eq!(self.places.insert(stamp, place), None, "{stamp:?} arrived twice");
    }

    pub(super) fn place(&self, stamp: Stamp) -> Option<Place> {
        self.places.get(&stamp).copied()
    }
}

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

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    len: usize,
    fate: Fate,
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
    /// The smallest payload limit that any server has named.
    strictest: usize,
    /// Publishes before this one may have been pushed out by others that were not the next ones.
    unordered: u64,
    /// How many became uncertain with the last link.
    pub(super) lost_last: u64,
    /// The last publish that was ever written: what stands before it and is not written has been given up.
    last_written: Option<usize>,
    /// Requests that are said to have been given up.
    given_up: BTreeSet<Stamp>,
}

/// What the server of the link was told, and has said.
#[derive(Debug, Default)]
struct Server {
    /// Subscriptions, and how many PINGs went before the UNSUB of those that have one.
    subscriptions: BTreeMap<u64, Option<u64>>,
    pings: u64,
    pongs: u64,
    /// The largest payload limit that it has named.
    max_payload: usize,
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
            strictest: usize::MAX,
            unordered: 0,
            lost_last: 0,
            last_written: None,
            given_up: BTreeSet::new(),
        }
    }

    /// A publish was accepted. With `unordered`, it may have pushed out some that are not the oldest ones: between a
    /// hang-up and the end of the link, the oldest are in the driver's hands.
    pub(super) fn accepted(&mut self, stamp: Stamp, len: usize, unordered: bool) {
        assert_eq!(stamp.seq, self.entries.len() as u64);
        self.entries.push(Entry { stamp, len, fate: Fate::Kept, lost_with: 0 });
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
        for op in ops.items.drain(..) {
            match op {
                ClientOp::Publish(frame) => {
                    let stamp = Stamp::of(frame.payload.of(&ops.chunk));
                    let index = stamp.seq as usize;
                    let entry = self.entries.get_mut(index).expect("accepted before it is written");
                    assert_eq!(entry.fate, Fate::Kept, "{stamp:?} is written again");
                    assert!(!self.given_up.contains(&stamp), "{stamp:?} was to be given up");
                    entry.fate = Fate::Written;
                    let size = frame.payload.len as usize;
                    let limit = self.server.max_payload;
                    assert!(size <= limit, "{stamp:?} has {size} bytes, more than {limit}");
                    self.written_next(index);
                }
                ClientOp::Ping => {
                    self.pings.push_back(self.written.len());
                    self.server.pings += 1;
                }
                ClientOp::Subscribe { sid, .. } => {
                    let sid = number(sid.of(&ops.chunk));
                    let before = self.server.subscriptions.insert(sid, None);
                    assert!(before.is_none(), "the server is told twice of {sid}");
                }
                ClientOp::Unsubscribe { sid, max: None } => {
                    let sid = number(sid.of(&ops.chunk));
                    self.server.subscriptions.insert(sid, Some(self.server.pings));
                }
                _ => {}
            }
        }
    }

    /// A publish is written. Those left out since the last one were given up: as too large, if they had been behind
    /// it, as what is pushed out are the oldest.
    fn written_next(&mut self, index: usize) {
        if let Some(last) = self.written.last() {
            assert!(*last < index, "{:?} is written out of order", self.entries[index].stamp);
            for skipped in &self.entries[last + 1..index] {
                let allowed = skipped.len > self.strictest || skipped.stamp.seq < self.unordered;
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
        assert!(
            may_be_pushed_out || entry.len > self.strictest,
            "{stamp:?} is given up for nothing"
        );
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
        let pings = self.server.subscriptions.get(&sid);
        let confirmed = |pings: &Option<u64>| pings.is_some_and(|pings| pings < self.server.pongs);
        assert!(pings.is_none_or(confirmed), "{sid} is drained too early");
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
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
        self.server = Server::default();
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
