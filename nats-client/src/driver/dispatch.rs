//! Leaving messages in the mailboxes of their subscriptions.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use nats_proto::SubscriptionId;
use nats_proto::connection::{Delivery, EndReason, Route};

use crate::mailbox::Mailbox;
use crate::shared::Change;

/// The driver's own table of mailboxes, so that finding one takes neither a lock nor a reference count.
#[derive(Default)]
pub(super) struct Router {
    /// By [`SubscriptionId::index`].
    mailboxes: Vec<Option<(u64, Arc<Mailbox>)>>,
    /// Mailboxes of ended subscriptions from which something is still to be taken.
    finishing: Vec<Arc<Mailbox>>,
}

impl Router {
    /// Learns of new subscriptions and forgets old ones.
    pub(super) fn apply(&mut self, changes: &mut Vec<Change>) {
        for change in changes.drain(..) {
            match change {
                Change::Added(id, mailbox) => {
                    if self.mailboxes.len() <= id.index() {
                        self.mailboxes.resize(id.index() + 1, None);
                    }
                    if let Some(place) = self.mailboxes.get_mut(id.index()) {
                        *place = Some((id.sid(), mailbox));
                    }
                }
                Change::Removed(id) => {
                    self.remove(id);
                }
            }
        }
    }

    /// Leaves the messages of a batch for the subscriptions, in runs of the same one. Returns the numbers of
    /// those that have become slow through `slow`.
    pub(super) fn deliver(
        &self,
        chunk: &Bytes,
        deliveries: &[Delivery],
        wakers: &mut Vec<Waker>,
        slow: &mut Vec<u64>,
    ) {
        for run in deliveries.chunk_by(|a, b| a.route == b.route) {
            let Some(Route::Subscription(id)) = run.first().map(|delivery| delivery.route) else {
                continue;
            };
            if let Some(mailbox) = self.mailbox(id)
                && mailbox.push(chunk, run, wakers)
            {
                slow.push(id.sid());
            }
        }
    }

    /// Tells a subscriber that nothing more comes.
    pub(super) fn finish(
        &mut self,
        id: SubscriptionId,
        reason: EndReason,
        wakers: &mut Vec<Waker>,
    ) {
        let Some(mailbox) = self.remove(id) else {
            return;
        };
        mailbox.finish(Some(reason), wakers);
        self.finishing.retain(|mailbox| !mailbox.is_consumed());
        if !mailbox.is_consumed() {
            self.finishing.push(mailbox);
        }
    }

    /// Tells all subscribers that nothing more comes.
    pub(super) fn finish_all(&mut self, reason: &EndReason, wakers: &mut Vec<Waker>) {
        for (_, mailbox) in self.mailboxes.drain(..).flatten() {
            mailbox.finish(Some(reason.clone()), wakers);
        }
        self.finishing.clear();
    }

    /// Whether every subscriber has taken everything, or is gone.
    pub(super) fn is_consumed(&self) -> bool {
        let open = self.mailboxes.iter().flatten().map(|(_, mailbox)| mailbox);
        open.chain(&self.finishing).all(|mailbox| mailbox.is_consumed())
    }

    fn mailbox(&self, id: SubscriptionId) -> Option<&Mailbox> {
        match self.mailboxes.get(id.index())? {
            Some((sid, mailbox)) if *sid == id.sid() => Some(mailbox),
            _ => None,
        }
    }

    fn remove(&mut self, id: SubscriptionId) -> Option<Arc<Mailbox>> {
        let place = self.mailboxes.get_mut(id.index())?;
        let (_, mailbox) = place.take_if(|(sid, _)| *sid == id.sid())?;
        Some(mailbox)
    }
}
