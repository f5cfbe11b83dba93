//! The way of events from the driver to those who want to know.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::event::Event;

/// Events that wait for a slow listener. Newer ones are lost when there are more.
const QUEUE_LIMIT: usize = 4096;

/// A callback for events, without its types.
pub(crate) type EventCallback =
    Arc<dyn Fn(Event) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Everyone who wants to know of events.
#[derive(Debug, Default)]
pub(crate) struct EventHub {
    /// Whether anybody does: most clients have none.
    listening: AtomicBool,
    listeners: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    queues: Vec<Arc<EventQueue>>,
    closed: bool,
}

impl EventHub {
    /// A queue of all that happens from now on, up to the end of the client.
    pub(crate) fn listen(&self) -> Arc<EventQueue> {
        let queue = Arc::new(EventQueue::default());
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

    fn leave(&self, queue: &Arc<EventQueue>) {
        self.lock().queues.retain(|other| !Arc::ptr_eq(other, queue));
    }

    /// Tells everyone. Wakes tasks: not to be called under a lock.
    pub(crate) fn emit(&self, event: Event) {
        if !self.listening.load(Ordering::Acquire) {
            return;
        }
        let queues = self.lock().queues.clone();
        for queue in queues {
            queue.push(event.clone());
        }
    }

    /// Lets everyone end who has seen all events. Wakes tasks.
    pub(crate) fn close(&self) {
        let mut listeners = self.lock();
        listeners.closed = true;
        let queues = std::mem::take(&mut listeners.queues);
        drop(listeners);
        for queue in queues {
            queue.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events that one listener has not seen yet.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    inner: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    closed: bool,
}

impl EventQueue {
    fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.events.len() >= QUEUE_LIMIT && event != Event::Closed {
            return;
        }
        queue.events.push_back(event);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut queue = self.lock();
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
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

/// Calls `callback` for one event after the other, until the client is closed.
pub(crate) async fn run_callbacks(queue: Arc<EventQueue>, callback: EventCallback) {
    while let Some(event) = poll_fn(|cx| queue.poll_next(cx)).await {
        callback(event).await;
    }
}

/// The events of a client from [`Client::events`](crate::Client::events) on, up to and with [`Event::Closed`], after
/// which the stream ends.
///
/// It does not keep the client alive. When 4,096 events wait, newer ones are missed, except [`Event::Closed`].
pub struct Events {
    hub: Arc<EventHub>,
    queue: Arc<EventQueue>,
}

impl Events {
    pub(crate) fn new(hub: &Arc<EventHub>) -> Self {
        Self { hub: Arc::clone(hub), queue: hub.listen() }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll_next(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.hub.leave(&self.queue);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.queue.lock().events.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(events: &mut Events) -> Vec<Event> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Some(event)) = Pin::new(&mut *events).poll_next(&mut cx) {
            seen.push(event);
        }
        seen
    }

    #[test]
    fn every_listener_gets_what_happens_while_it_listens() {
        let hub = Arc::new(EventHub::default());
        hub.emit(Event::Connected);
        let mut first = Events::new(&hub);
        hub.emit(Event::Disconnected);
        let mut second = Events::new(&hub);
        hub.emit(Event::Connected);
        assert_eq!(waiting(&mut first), [Event::Disconnected, Event::Connected]);
        assert_eq!(waiting(&mut second), [Event::Connected]);
        drop(first);
        assert_eq!(hub.lock().queues.len(), 1);
    }

    #[test]
    fn a_slow_listener_misses_newer_events_but_never_the_end() {
        let hub = Arc::new(EventHub::default());
        let mut events = Events::new(&hub);
        for _ in 0..QUEUE_LIMIT + 10 {
            hub.emit(Event::Connected);
        }
        hub.emit(Event::Closed);
        hub.close();
        let seen = waiting(&mut events);
        assert_eq!((seen.len(), seen.last()), (QUEUE_LIMIT + 1, Some(&Event::Closed)));
    }

    #[test]
    fn who_comes_after_the_end_gets_nothing_and_does_not_wait() {
        let hub = Arc::new(EventHub::default());
        hub.close();
        let mut late = Events::new(&hub);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut late).poll_next(&mut cx), Poll::Ready(None));
    }
}
