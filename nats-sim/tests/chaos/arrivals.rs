//! What the brokers have handled.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};

use nats_sim::Observed;

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
    /// Whether somebody listened for certain.
    pub(super) heard: bool,
}

pub(super) type SharedArrivals = Rc<RefCell<Arrivals>>;

impl Arrivals {
    pub(super) fn add(&mut self, seen: &Observed<'_>) {
        let Observed { broker, incarnation, subject, payload, listeners } = *seen;
        let mut count = |subject: &str| {
            let count = self.by_subject.entry((broker, incarnation, subject.into())).or_default();
            *count += 1;
            *count
        };
        let in_subject = count(subject);
        let in_topics = if subject.starts_with("topic.") { count("topic.*") } else { 0 };
        self.count += 1;
        let place = Place { overall: self.count, in_subject, in_topics, heard: listeners > 0 };
        let stamp = Stamp::of(payload);
        assert_eq!(self.places.insert(stamp, place), None, "{stamp:?} arrived twice");
    }

    pub(super) fn place(&self, stamp: Stamp) -> Option<Place> {
        self.places.get(&stamp).copied()
    }
}
