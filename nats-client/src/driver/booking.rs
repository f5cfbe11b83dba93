//! Telling the core what has happened, and hearing from it what to do, under its lock.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use nats_proto::Instant;
use nats_proto::connection::{Delivery, DisconnectReason, Event as CoreEvent, Route, State};

use super::Driver;
use super::ask::Answer;
use super::dial::{Dial, first_address};
use super::replies::Company;
use super::socket::{Garbage, Hold};
use crate::faults::fault;
use crate::link::Link;
use crate::runtime::Runtime;
use crate::shared::{Core, Shared};

impl<R: Runtime> Driver<R> {
    /// Tells the core what has happened, and learns what to do. Gives the next deadline, and whether this task
    /// is woken by what changes from now on.
    ///
    /// It is not if there is something to write: another round comes after that anyway, and until then
    /// publishers are spared the waking of a task that is running.
    ///
    /// Publishers who wait for room are woken after the write, not before: then this task has nothing to do until
    /// one of them publishes, and an executor that runs what was just woken on the thread that woke it has both take
    /// turns there. Side by side they would be slower, each taking from the other's cache what it needs next.
    pub(super) fn book(
        &mut self,
        shared: &Shared,
        link: &mut Link,
        cx: &mut Context<'_>,
    ) -> (Option<Instant>, bool) {
        let now = shared.now();
        let mut core = shared.lock();
        self.router.apply(&mut core.changes);
        self.router.pace.look_again(now);
        self.tell(&mut core, link, now);
        core.paused = self.held == Hold::Pause;
        // A moment is not worth telling.
        match self.held {
            Hold::Pause if !fault!(PauseIsNotTold) => core.conn.handle_pause(),
            _ => core.conn.handle_resume(now),
        }
        if self.draining && (self.router.is_consumed() || fault!(DrainIsHasty)) {
            self.draining = false;
            core.conn.handle_drained(now);
        }
        let due = core.conn.poll_timeout().is_some_and(|deadline| deadline <= now);
        let ends = due && core.conn.state() == State::Draining;
        // There may be no time at all: what the stream takes at once goes out in this round, and the end comes in the next.
        if !mem::replace(&mut self.ends, ends) && ends {
            self.begun = true;
        } else if due {
            core.conn.handle_timeout(now);
        }
        core.timers.fire(now, &mut self.batch.wakers);
        let mut garbage = self.take_events(&mut core, link, now);
        self.withdraw_question(core.conn.state(), &mut garbage);
        let written = link.stream.is_some() && link.out.is_empty();
        let swapped = written && core.conn.poll_transmit(&mut link.out);
        let no_link = core.conn.room_needs_link();
        core.turns.come_by(now, link.out.len(), swapped, no_link, &mut self.batch.publishers);
        // Without a stream it is as with one that takes nothing: what changes for those who wait comes with an event.
        if !self.batch.events.is_empty() {
            core.turns.end(&mut self.batch.publishers);
        }
        shared.statistics.store(&core.conn);
        shared.uncertain.store(core.conn.statistics().uncertain, Ordering::Relaxed);
        self.up = core.is_up();
        let deadline = core.deadline();
        // A timer that is set for an earlier time is left as it is.
        core.armed = deadline.map(|deadline| match &self.sleep {
            Some((armed, _)) => deadline.min(*armed),
            None => deadline,
        });
        let old = match &core.driver {
            _ if swapped => core.driver.take(),
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => core.driver.replace(cx.waker().clone()),
        };
        // The link is still locked.
        garbage.payloads = core.conn.take_garbage();
        drop(core);
        drop(old);
        self.garbage = garbage;
        (deadline, !swapped)
    }

    fn tell(&mut self, core: &mut Core, link: &mut Link, now: Instant) {
        let (news, batch) = (&mut self.news, &mut self.batch);
        let conn = &mut core.conn;
        if let Some((id, result)) = news.dialled.take() {
            conn.handle_dial(now, id, result);
        }
        if let Some((id, result)) = news.encrypted.take() {
            conn.handle_tls(id, result);
        }
        match news.answer.take() {
            Some(Answer::Auth(id, auth)) => conn.handle_auth(id, auth),
            Some(Answer::Server(choice, _)) => conn.handle_choice(now, choice),
            None => {}
        }
        if news.inbound > 0 {
            conn.handle_inbound(mem::take(&mut news.inbound));
        }
        if !batch.ops.is_empty() {
            conn.handle_ops(now, &mut batch.ops, &mut batch.deliveries);
            let mut company = Company::of_first(batch.deliveries.len());
            for Delivery { route, messages } in &batch.deliveries {
                if let Route::Request(id) = *route
                    && let Some(frame) = batch.ops.messages(messages.clone()).next()
                {
                    let reply = self.replies.take(&batch.ops.chunk, frame, &mut company);
                    batch.wakers.extend(core.requests.complete(id, Ok(reply)));
                }
            }
            // The limit of an account comes right behind the first PONG, or before it: what comes after that has told it.
            if self.up {
                self.inflates.learn(core.conn.max_payload());
            }
        }
        let conn = &mut core.conn;
        if let Some(error) = news.decode_error.take() {
            conn.handle_decode_error(error);
        }
        if let Some(reason) = news.lost.take() {
            conn.handle_disconnect(now, reason, mem::take(&mut link.out));
        }
    }

    /// Handles what concerns the socket and the waiting futures; keeps the rest for after the lock. Returns the
    /// streams and attempts that are over, to be dropped after it.
    fn take_events(&mut self, core: &mut Core, link: &mut Link, now: Instant) -> Garbage {
        let mut garbage = Garbage::default();
        while let Some(event) = core.conn.poll_event() {
            match event {
                CoreEvent::Dial { id, server } => {
                    let first = first_address(self.rng.as_mut(), &core.conn, &server);
                    self.give_up(link, &mut garbage);
                    self.inflates.forget();
                    let (transport, inflates) =
                        (Arc::clone(&self.transport), self.inflates.clone());
                    self.dial = Some(Dial::new::<R>(id, server, transport, inflates, first));
                    self.begun = true;
                }
                CoreEvent::StartTls { id, server } => {
                    if let Err(error) = self.start_tls(id, server, link) {
                        core.conn.handle_tls(id, Err(error));
                    }
                }
                CoreEvent::Hangup => {
                    self.give_up(link, &mut garbage);
                    let unsent = mem::take(&mut link.out);
                    core.conn.handle_disconnect(now, DisconnectReason::Requested, unsent);
                }
                CoreEvent::RequestFailed { request, error } => {
                    let waker = core.requests.complete(request, Err(error));
                    self.batch.wakers.extend(waker);
                }
                CoreEvent::Flushed { flush, result } => {
                    let waker = core.flushes.complete(&flush, result);
                    self.batch.wakers.extend(waker);
                }
                CoreEvent::SubscriptionConfirmed { subscription } => {
                    let waker = core.confirms.complete(&subscription, Ok(()));
                    self.batch.wakers.extend(waker);
                }
                event => {
                    // Given up a moment ago: the time was over.
                    let dialling = garbage.dial.is_some();
                    note(core, &event, dialling, &mut self.batch.wakers);
                    self.batch.events.push(event);
                }
            }
        }
        garbage
    }
}

/// Notes what `connect` and subscriptions that are to be confirmed wait for.
fn note(core: &mut Core, event: &CoreEvent, dialling: bool, wakers: &mut Vec<Waker>) {
    match event {
        CoreEvent::ConnectFailed { server, error } => {
            return core.startup.failed(server, error, dialling);
        }
        CoreEvent::SubscriptionEnded { subscription, reason } => {
            wakers.extend(core.confirms.complete(subscription, Err(reason.clone())));
            return;
        }
        CoreEvent::Connected { .. } => core.startup.settle(Ok(())),
        CoreEvent::Closed { error, .. } => core.startup.settle(Err(error.clone())),
        _ => return,
    }
    if !fault!(FirstConnectionIsNotTold) {
        core.watchers.take_all(wakers);
    }
}
