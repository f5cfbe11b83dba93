//! The publishes that are queued, and which of them are given up.

use alloc::vec::Vec;

use super::event::{Event, RequestId};
use super::state::Link;
use super::{Connection, RequestError, fences};
use crate::faults::fault;

/// What is known of the queued publishes without looking through them, which takes time: there may be hundreds of
/// thousands, and servers send INFO, and hang up, as often as they like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queued {
    /// On a link, whether there is any.
    pub(super) any: bool,
    /// On a link, none of them has more bytes of headers and payload.
    largest: usize,
    /// On a link, whether one of them may have headers.
    headers: bool,
    /// Between a hang-up and the end of its link: the last publish before the first of them. Found when it is first
    /// needed, and the same until then.
    behind: Option<u64>,
}

impl Connection {
    /// A publish was queued on a link, and those that go the short way follow.
    pub(super) fn note_queued(&mut self) {
        self.queued.any = true;
        self.queued.largest = self.queued.largest.max(self.max_payload());
        self.queued.headers |= self.headers_supported();
    }

    /// Gives up the oldest publishes that are kept until at most `limit` bytes are left.
    pub(super) fn drop_oldest(&mut self, limit: usize) {
        let behind = self.last_before_queued();
        let (mut count, mut unsent) = (0_u64, Vec::new());
        let Self { outgoing, requests, garbage, .. } = self;
        let mut note = |reply: &[u8]| unsent.extend(requests.find(reply));
        while outgoing.len() > limit
            && let Some((_, payload)) = outgoing.take_front_publish(&mut note)
        {
            count = count.saturating_add(1);
            payload.into_iter().for_each(|payload| garbage.add(payload));
        }
        self.fences.give_up(fences::GivenUp { behind, count });
        self.fail_unsent(unsent);
        self.dropped(count);
    }

    /// The last publish before those that are queued, as the ledger counts. Only while there is no link.
    fn last_before_queued(&mut self) -> u64 {
        let head = self.ledger.head();
        if !matches!(self.link, Link::HangingUp { .. }) {
            return head.saturating_sub(self.ledger.pending());
        }
        // Between a hang-up and the end of its link not all that is pending is queued.
        if let Some(behind) = self.queued.behind {
            return behind;
        }
        let mut count = 0_u64;
        // Everything else was for the link that ends, and would stand in the way of those that go.
        let queued = core::mem::take(&mut self.outgoing).into_unsent_publishes(|_, _| {
            count = count.saturating_add(1);
            true
        });
        self.outgoing = queued;
        *self.queued.behind.insert(head.saturating_sub(count))
    }

    /// Ends requests whose messages are given up: nobody can answer them.
    fn fail_unsent(&mut self, unsent: Vec<RequestId>) {
        for request in unsent {
            if !fault!(DroppedRequestWaits) && self.requests.finish(request) {
                self.emit(Event::RequestFailed { request, error: RequestError::Dropped });
            }
        }
    }

    /// Counts publishes that are given up. One event is enough for many.
    fn dropped(&mut self, more: u64) {
        self.ledger.drop_pending(more);
        match self.events.back_mut() {
            Some(Event::Dropped { count }) => *count = count.saturating_add(more),
            _ if more > 0 => self.emit(Event::Dropped { count: more }),
            _ => {}
        }
    }

    /// Checks the queued publishes again if the server may not take all of them any more.
    ///
    /// Behind the first PONG comes an INFO with the limits of the account, while what was kept for the link is still
    /// queued. Others may follow, so what counts is what they come to in the end of a read.
    #[inline]
    pub(super) fn recheck_if_stricter(&mut self) {
        let Queued { largest, headers, .. } = self.queued;
        let stricter = largest > self.max_payload() || headers && !self.headers_supported();
        if stricter && self.is_up() {
            self.recheck_queued();
        }
    }

    /// Checks the publishes that are queued against what the server accepts now, and gives up those that it
    /// would not take: one that is too large would cost the connection.
    pub(super) fn recheck_queued(&mut self) {
        let limit = self.max_payload();
        let headers_supported = self.headers_supported() || fault!(HeadersAreForced);
        self.garbage.outlive(&self.outgoing);
        let mut queued = Queued::default();
        let mut count = 0_u64;
        let (mut given_up, mut unsent) = (Vec::new(), Vec::new());
        let Self { outgoing, requests, .. } = self;
        let keep = |size: usize, has_headers: bool| {
            let fits = size <= limit || fault!(TooLargeIsSent);
            let keep = fits && (headers_supported || !has_headers);
            count = count.saturating_add(1);
            if keep {
                queued.any = true;
                queued.largest = queued.largest.max(size);
                queued.headers |= has_headers;
            } else {
                given_up.push(count);
            }
            keep
        };
        outgoing.retain_publishes(keep, |reply| unsent.extend(requests.find(reply)));
        self.queued = queued;
        // The queued publishes are the last ones in the books.
        let first = self.ledger.head().saturating_sub(count);
        self.fences.retreat(|position| {
            let behind = position.saturating_sub(first);
            given_up.partition_point(|queued| *queued <= behind) as u64
        });
        self.fail_unsent(unsent);
        self.dropped(given_up.len() as u64);
    }

    pub(super) fn headers_supported(&self) -> bool {
        self.info.as_ref().is_none_or(|info| info.headers)
    }
}
