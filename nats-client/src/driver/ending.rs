//! The end of a driver.

use std::mem;
use std::time::Duration;

use nats_proto::connection::{
    DisconnectReason, EndReason, Event as CoreEvent, FlushError, RequestError, Unfinished,
};
use nats_proto::wire::OutBuf;
use nats_proto::{Connection, Instant};

use super::Driver;
use crate::client::Remainder;
use crate::faults::fault;
use crate::notice::Notice;
use crate::runtime::Runtime;
use crate::shared::wake_all;

impl<R: Runtime> Driver<R> {
    /// Lets go of everything and everyone, once.
    pub(super) fn release(&mut self, unfinished: Unfinished) {
        if mem::replace(&mut self.released, true) {
            return;
        }
        let attempts = (self.dial.take(), self.handshake.take(), self.question.take());
        let garbage = (self.shared.link().close(), attempts, self.sleep.take());
        let wakers = &mut self.batch.wakers;
        let mut core = self.shared.lock();
        let driver = core.driver.take();
        // After a panic something may be queued still. With it the short way of publishing is taken away, which does
        // not ask whether this is the end.
        let mut unwritten = OutBuf::new();
        core.conn.poll_transmit(&mut unwritten);
        self.router.apply(&mut core.changes);
        core.ended = Some(Remainder {
            unsent: unfinished.unsent,
            uncertain: unfinished.uncertain,
            undelivered: self.router.pending(),
            undrained: self.undrained + self.router.open(),
        });
        core.startup.settle(Err(None));
        let closed = || Err(RequestError::Closed);
        if !fault!(RequestsOutliveTheEnd) {
            core.requests.waiters.complete_all(closed, wakers);
        }
        let closed = || Err(FlushError::Closed);
        core.flushes.waiters.complete_all(closed, wakers);
        core.flushes.keys.clear();
        core.confirms.waiters.complete_all(|| Err(EndReason::Closed), wakers);
        core.confirms.keys.clear();
        core.turns.end(wakers);
        // There are some if a panic came between booking and the end of the round.
        wakers.append(&mut self.batch.publishers);
        core.watchers.take_all(wakers);
        core.timers.fire(Instant::from_nanos(u64::MAX), wakers);
        let payloads = core.conn.take_garbage();
        drop(core);
        let missed = self.router.finish_all(&EndReason::Closed, wakers);
        wake_all(wakers);
        for (sid, dropped) in missed {
            self.shared.emit(Notice::SlowConsumerRecovered { sid, dropped });
        }
        self.shared.emit(Notice::Closed);
        // The application's own, which may panic: not before everybody knows.
        drop((garbage, driver, unwritten, payloads));
    }
}

/// A driver that is dropped before its end (with its runtime, or by a panic) must leave nobody waiting.
impl<R: Runtime> Drop for Driver<R> {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        let mut unfinished = Unfinished::default();
        // Both at once: a publisher must not write behind a message that is written in part.
        let mut link = self.shared.link();
        let (stream, mut unsent) = (link.close(), mem::take(&mut link.out));
        drop(link);
        let mut payloads = Vec::new();
        // After a panic the core may not be in order: it is only asked for what it has queued.
        if !std::thread::panicking() {
            let now = self.shared.now();
            let mut core = self.shared.lock();
            unfinished = cut_short(&mut core.conn, now, mem::take(&mut unsent));
            payloads = core.conn.take_garbage();
        }
        self.release(unfinished);
        drop((stream, unsent, payloads));
    }
}

/// Brings a connection to its end that nobody drives any more.
fn cut_short(conn: &mut Connection, now: Instant, mut unsent: OutBuf) -> Unfinished {
    // Closing takes a hang-up and a deadline that has passed, in the worst case one after the other.
    for _ in 0..4 {
        conn.close(now, Duration::ZERO);
        conn.handle_disconnect(now, DisconnectReason::Requested, mem::take(&mut unsent));
        conn.handle_timeout(now);
        while let Some(event) = conn.poll_event() {
            if let CoreEvent::Closed { unfinished, .. } = event {
                return unfinished;
            }
        }
    }
    Unfinished::default()
}
