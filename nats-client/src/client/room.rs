//! Waiting for room for what is never refused.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::publish::{Place, Reason};
use crate::shared::Shared;
use crate::turns::ROW;

/// Waits for as long as publishes do, for those who are to queue something that there is always room for: a subscription, or
/// after how many messages it ends.
/// Those who subscribe and unsubscribe again and again would queue more than may be.
///
/// Lets the driver run if it has not looked at the last [`ROW`] subscriptions, which take memory until then. If the future
/// is dropped, nobody waits any more.
pub(crate) struct Room<'a> {
    place: Place<&'a Shared>,
    rested: bool,
}

impl<'a> Room<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { place: Place::new(shared, Reason::Full), rested: false }
    }
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { place: Place { shared, key, .. }, rested } = &mut *self;
        let mut core = shared.lock();
        // The connection may not know that nobody drives it any more.
        let full = core.ended.is_none() && core.conn.is_full();
        // Who has waited is no longer behind others.
        let waits = full || (key.is_none() && core.overtakes());
        let rests = core.changes.len() >= ROW && !mem::replace(rested, true);
        let old = match waits {
            true => core.turns.wait_for_room(key, cx.waker(), false),
            false => core.turns.leave_room(key),
        };
        drop(core);
        drop(old);
        if rests && !waits {
            cx.waker().wake_by_ref();
        }
        if waits || rests { Poll::Pending } else { Poll::Ready(()) }
    }
}
