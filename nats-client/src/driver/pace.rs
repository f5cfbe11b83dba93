//! Waiting for a subscriber that falls behind, for a moment.
//!
//! The driver is faster than any subscriber: it hands over what it reads by the batch, and the subscriber builds one
//! message after the other. In a flood it would fill the mailbox, and drop messages, while the subscriber is hard at
//! work; and what waits long has left the processor's cache when it is taken. So nothing is read while a subscriber is
//! [behind](crate::mailbox::Pushed::Behind), as long as it catches up within [`WAIT`]: so it takes two million small
//! messages a second, or 500 MiB of large ones, and half of that at least where little may wait; to the server the client
//! is no slower than others are. One that is slower is not waited for, since that would keep messages from all others, and
//! make the server take the whole client for a slow one.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use nats_proto::{Instant, SubscriptionId};

use super::dispatch::any_blocks;
use crate::faults::fault;
use crate::mailbox::Mailbox;

/// How long a subscriber is waited for.
const WAIT: Duration = Duration::from_millis(2);

/// How long it is not, at most, after that was in vain for the first time: twice as long each further time.
const REST: Duration = Duration::from_millis(2);

/// How often it becomes twice as long. So of a hundred messages for others less than one has to wait in the end.
const DOUBLED: u8 = 8;

/// The subscribers that are behind.
#[derive(Default)]
pub(super) struct Pace {
    behind: Vec<(SubscriptionId, Arc<Mailbox>)>,
    /// Until when they are waited for.
    until: Option<Instant>,
    /// Those for whom that was in vain, and when they may be waited for again.
    slow: Vec<(Instant, Arc<Mailbox>)>,
    /// The first of these times.
    next: Option<Instant>,
}

impl Pace {
    /// Adds one that is behind now.
    pub(super) fn add(&mut self, id: SubscriptionId, mailbox: &Arc<Mailbox>) {
        self.behind.push((id, Arc::clone(mailbox)));
    }

    /// Whether nothing is to be read. Of those who are behind, only open subscriptions count.
    pub(super) fn is_waiting(
        &mut self,
        now: impl FnOnce() -> Instant,
        is_open: impl Fn(SubscriptionId) -> bool,
    ) -> bool {
        if !any_blocks(&mut self.behind, |(id, mailbox)| is_open(*id) && mailbox.holds_up()) {
            self.until = None;
            return false;
        }
        let now = now();
        if now < *self.until.get_or_insert(now + WAIT) || fault!(MomentIsEndless) {
            return true;
        }
        self.until = None;
        // Only the last one was looked at: others have caught up, or ended, all the same.
        let slow =
            |(id, mailbox): &(SubscriptionId, Arc<Mailbox>)| is_open(*id) && mailbox.holds_up();
        for (_, mailbox) in mem::take(&mut self.behind).into_iter().filter(slow) {
            let again = again(now, mailbox.go_on_without());
            self.next = Some(self.next.map_or(again, |next| next.min(again)));
            self.slow.push((again, mailbox));
        }
        false
    }

    /// Until when nothing is read, unless all have caught up before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Waits for nobody for now, though somebody may be behind.
    pub(super) fn stop(&mut self) {
        self.until = None;
    }

    /// Lets those be waited for again whose time has come.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.next.take_if(|next| *next <= now).is_none() {
            return;
        }
        self.slow.retain(|(again, mailbox)| {
            let is_due = *again <= now;
            if is_due {
                mailbox.wait_again();
            }
            !is_due
        });
        self.next = self.slow.iter().map(|(again, _)| *again).min();
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// When a subscriber may be waited for again that was before, in vain so many times. Those for whom that was in vain
/// often are all tried at the same time, so that many of them cost no more than one.
fn again(now: Instant, in_vain: u8) -> Instant {
    let rest = REST.as_nanos() as u64 * (1 << in_vain.min(DOUBLED));
    Instant::from_nanos((now.as_nanos() / rest).saturating_add(1).saturating_mul(rest))
}
