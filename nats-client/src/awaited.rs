//! What futures wait for, by what the protocol core calls it.

use std::collections::HashMap;
use std::hash::Hash;
use std::task::Waker;

use nats_proto::RequestId;
use nats_proto::connection::RequestError;
use nats_proto::wire::{Chunk, MessageFrame};

use crate::faults::fault;
use crate::waiters::{Entry, Waiters};

/// The requests that wait for their replies.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) waiters: Waiters<Result<Reply, RequestError>>,
    /// From the index of a [`RequestId`], which the core uses again as soon as the request is over, to the
    /// waiter, whose outcome may be taken much later.
    routes: Vec<Option<(RequestId, u32)>>,
    /// Of requests that were given up to make room for others, and whose places in `routes` others have taken before the
    /// driver could tell them.
    replaced: HashMap<RequestId, u32>,
}

/// A reply, to be turned into a message by whoever waits for it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) chunk: Chunk,
    pub(crate) frame: MessageFrame,
}

impl Requests {
    pub(crate) fn insert(&mut self, id: RequestId, waker: Waker) -> u32 {
        let key = self.waiters.insert(waker);
        if self.routes.len() <= id.index() {
            self.routes.resize(id.index() + 1, None);
        }
        if let Some(route) = self.routes.get_mut(id.index()) {
            self.replaced
                .extend(route.replace((id, key)).filter(|_| !fault!(ReplacedRequestIsForgotten)));
        }
        key
    }

    #[must_use = "to be woken after the lock"]
    pub(crate) fn complete(
        &mut self,
        id: RequestId,
        outcome: Result<Reply, RequestError>,
    ) -> Option<Waker> {
        let key = self.take_route(id)?;
        self.waiters.complete(key, outcome)
    }

    /// Forgets a request. The waiter tells whether the core still knows it.
    #[must_use = "to be dropped after the lock"]
    pub(crate) fn remove(&mut self, id: RequestId, key: u32) -> Entry<Result<Reply, RequestError>> {
        self.take_route(id);
        self.waiters.remove(key)
    }

    fn take_route(&mut self, id: RequestId) -> Option<u32> {
        let route = self.routes.get_mut(id.index())?;
        if let Some((_, key)) = route.take_if(|(known, _)| *known == id) {
            return Some(key);
        }
        self.replaced.remove(&id)
    }
}

/// Futures that wait for something of the core with an id.
#[derive(Debug)]
pub(crate) struct Awaited<K, E> {
    pub(crate) waiters: Waiters<Result<(), E>>,
    pub(crate) keys: HashMap<K, u32>,
}

impl<K, E> Default for Awaited<K, E> {
    fn default() -> Self {
        Self { waiters: Waiters::default(), keys: HashMap::new() }
    }
}

impl<K: Eq + Hash, E> Awaited<K, E> {
    pub(crate) fn insert(&mut self, id: K, waker: Waker) -> u32 {
        let key = self.waiters.insert(waker);
        self.keys.insert(id, key);
        key
    }

    #[must_use = "to be woken after the lock"]
    pub(crate) fn complete(&mut self, id: &K, outcome: Result<(), E>) -> Option<Waker> {
        let key = self.keys.remove(id)?;
        self.waiters.complete(key, outcome)
    }
}
