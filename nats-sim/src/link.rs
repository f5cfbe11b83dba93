//! A byte stream and both of its ends.

use std::collections::BTreeMap;

use nats_broker::SessionId;
use nats_proto::Instant;

use crate::pipe::Pipe;

/// A byte stream between a client and a broker.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) owner: Owner,
    pub(crate) host: usize,
    pub(crate) session: SessionId,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    pub(crate) broker_gone: bool,
    pub(crate) broken: bool,
}

pub(crate) type Links = BTreeMap<u64, Link>;

/// Who is at a link's end that is not the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Client(usize),
    /// A driver outside of the simulation.
    Program,
    /// Such a driver, which has closed its end.
    Gone,
}

impl Link {
    /// Whether a write fails: the link is broken, or full, and what is at its other end says that nobody is there.
    pub(crate) fn takes_no_more(&self) -> bool {
        let refuses = self.broker_gone && !self.up.is_vanishing() && self.up.room() == 0;
        self.broken || refuses
    }

    pub(crate) fn cut(&mut self, now: Instant) {
        self.broken = true;
        self.up.lose();
        self.down.lose();
        self.up.end(now);
        self.down.end(now);
    }
}
