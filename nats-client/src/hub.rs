//! The way of notices from the driver to those who want to know.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;

use crate::event::Event;
use crate::faults::fault;
use crate::notice::Notice;

/// Notices that wait for a slow listener. Newer ones are lost when there are more.
const QUEUE_LIMIT: usize = 4096;

/// Bytes of them: a server chooses how long its errors are, and of how many others it tells.
const QUEUE_BYTES: usize = 1024 * 1024;

/// Everyone who wants to know of notices.
#[derive(Debug, Default)]
pub(crate) struct NoticeHub {
    /// Whether anybody does: most clients have none.
    listening: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    queues: Vec<Arc<NoticeQueue>>,
    closed: bool,
}

impl NoticeHub {
    /// A queue of all that happens from now on, up to the end of the client.
    pub(crate) fn listen(&self) -> Arc<NoticeQueue> {
        let queue = Arc::new(NoticeQueue::default());
        let mut listeners = self.lock();
        if listeners.closed {
            queue.lock().closed = true;
        } else {
            listeners.queues.push(Arc::clone(&queue));
            self.listening.store(true, Ordering::Release);
        }
        drop(listeners);
        queue
    }

    fn leave(&self, queue: &Arc<NoticeQueue>) {
        self.lock().queues.retain(|other| !Arc::ptr_eq(other, queue));
    }

    /// Tells everyone. With [`Notice::Closed`] everyone ends who has seen all before it. Wakes tasks: not to be called under
    /// a lock.
    pub(crate) fn emit(&self, notice: Notice) {
        let queues = if notice == Notice::Closed {
            let mut listeners = self.lock();
            listeners.closed = true;
            mem::take(&mut listeners.queues)
        } else if self.listening.load(Ordering::Acquire) {
            self.lock().queues.clone()
        } else {
            return;
        };
        for queue in queues {
            queue.push(notice.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The notices that one listener has not seen yet.
#[derive(Debug, Default)]
pub(crate) struct NoticeQueue {
    inner: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Each with its size.
    notices: VecDeque<(Notice, usize)>,
    bytes: usize,
    waker: Option<Waker>,
    closed: bool,
}

impl NoticeQueue {
    fn push(&self, notice: Notice) {
        let size = notice.size();
        let mut queue = self.lock();
        let bytes = queue.bytes.saturating_add(size);
        // A single one may be as large as the limits of the protocol let it be.
        let too_large = bytes > QUEUE_BYTES && !queue.notices.is_empty();
        let is_full = queue.notices.len() >= QUEUE_LIMIT || too_large;
        let is_last = notice == Notice::Closed;
        if queue.closed || (is_full && !is_last) {
            return;
        }
        // At once: others who found the queue open may be about to tell of something.
        queue.closed = is_last;
        queue.bytes = bytes;
        queue.notices.push_back((notice, size));
        let waker = if fault!(NoticeWakesNobody) { None } else { queue.waker.take() };
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next notice; `None` after the last.
    pub(crate) async fn next(&self) -> Option<Notice> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Notice>> {
        let mut queue = self.lock();
        match queue.notices.pop_front() {
            Some((notice, size)) => {
                queue.bytes = queue.bytes.saturating_sub(size);
                Poll::Ready(Some(notice))
            }
            None if queue.closed => Poll::Ready(None),
            None => {
                let old = queue.waker.replace(cx.waker().clone());
                drop(queue);
                drop(old);
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happens to a client from [`Client::notices`](crate::Client::notices) on, up to and with [`Notice::Closed`],
/// after which the stream ends.
///
/// It does not keep the client alive. When 4,096 notices wait, or 1 MiB of them, newer ones are missed, except
/// [`Notice::Closed`]. If the stream is dropped, the others and the client go on. A notice is never lost with the
/// future of `StreamExt::next` that waited for it.
pub struct Notices {
    hub: Arc<NoticeHub>,
    queue: Arc<NoticeQueue>,
}

impl Notices {
    pub(crate) fn new(hub: &Arc<NoticeHub>) -> Self {
        Self { hub: Arc::clone(hub), queue: hub.listen() }
    }
}

impl Stream for Notices {
    type Item = Notice;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        self.queue.poll_next(cx)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.hub.leave(&self.queue);
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("waiting", &self.queue.lock().notices.len()).finish()
    }
}

/// Like [`Notices`], in the words of `async-nats`: see [`Client::events`](crate::Client::events). If the stream is
/// dropped, the others and the client go on.
#[derive(Debug)]
pub struct Events(Notices);

impl Events {
    pub(crate) fn new(hub: &Arc<NoticeHub>) -> Self {
        Self(Notices::new(hub))
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(notice) => {
                    if let Some(event) = Event::of(&notice) {
                        return Poll::Ready(Some(event));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(notices: &mut Notices) -> Poll<Option<Notice>> {
        Pin::new(notices).poll_next(&mut Context::from_waker(Waker::noop()))
    }

    fn waiting(notices: &mut Notices) -> Vec<Notice> {
        let mut seen = Vec::new();
        while let Poll::Ready(Some(notice)) = poll(notices) {
            seen.push(notice);
        }
        seen
    }

    #[test]
    fn every_listener_gets_what_happens_while_it_listens() {
        let hub = Arc::new(NoticeHub::default());
        hub.emit(Notice::Connected);
        let mut first = Notices::new(&hub);
        hub.emit(Notice::LameDuckMode);
        let mut second = Notices::new(&hub);
        hub.emit(Notice::Connected);
        assert_eq!(waiting(&mut first), [Notice::LameDuckMode, Notice::Connected]);
        assert_eq!(waiting(&mut second), [Notice::Connected]);
        drop(first);
        assert_eq!(hub.lock().queues.len(), 1);
    }

    #[test]
    fn a_slow_listener_misses_newer_notices_but_never_the_end() {
        let hub = Arc::new(NoticeHub::default());
        let mut notices = Notices::new(&hub);
        for _ in 0..QUEUE_LIMIT + 10 {
            hub.emit(Notice::Connected);
        }
        hub.emit(Notice::Closed);
        let seen = waiting(&mut notices);
        assert_eq!((seen.len(), seen.last()), (QUEUE_LIMIT + 1, Some(&Notice::Closed)));
    }

    #[test]
    fn nothing_comes_behind_the_end() {
        let hub = Arc::new(NoticeHub::default());
        let mut notices = Notices::new(&hub);
        hub.emit(Notice::Closed);
        // Of a subscriber that is late.
        hub.emit(Notice::SlowConsumerRecovered { sid: 1, dropped: 2 });
        assert_eq!(waiting(&mut notices), [Notice::Closed]);
        assert_eq!(poll(&mut notices), Poll::Ready(None));
        assert_eq!(poll(&mut Notices::new(&hub)), Poll::Ready(None));
    }

    #[test]
    fn notices_that_wait_are_limited_in_bytes_as_well() {
        let hub = Arc::new(NoticeHub::default());
        let mut notices = Notices::new(&hub);
        let long = |bytes| Notice::ServerError(nats_proto::ServerError::Other("e".repeat(bytes)));
        // A single one may be larger than all may be together.
        hub.emit(long(2 * QUEUE_BYTES));
        hub.emit(Notice::Connected);
        assert_eq!(waiting(&mut notices).len(), 1);
        for _ in 0..100 {
            hub.emit(long(QUEUE_BYTES / 10));
        }
        assert_eq!(waiting(&mut notices).len(), 9);
        // Those that are taken make room.
        hub.emit(Notice::Connected);
        assert_eq!(waiting(&mut notices), [Notice::Connected]);
        assert_eq!(notices.queue.lock().bytes, 0);
    }

    #[test]
    fn who_comes_after_the_end_gets_nothing_and_does_not_wait() {
        let hub = Arc::new(NoticeHub::default());
        hub.emit(Notice::Closed);
        let mut late = Notices::new(&hub);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut late).poll_next(&mut cx), Poll::Ready(None));
    }
}
