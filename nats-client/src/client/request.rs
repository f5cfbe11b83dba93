//! Requests and flushes: futures that wait for something of their own.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::connection;
use nats_proto::{
    FlushId, HeaderMap, Instant, Message, OutboundMessage, Outgoing, RequestId, Subject, ToSubject,
};

use super::{Client, FlushError, RequestError, RequestErrorKind};
use crate::shared::Shared;
use crate::subscriber::Subscriber;
use crate::timers::TimerKey;

/// A request, with what differs from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The payload; empty if not set.
    pub payload: Option<Bytes>,
    /// The headers.
    pub headers: Option<HeaderMap>,
    /// How long to wait for the reply: not set, as the client's options say; `Some(None)`, without end.
    pub timeout: Option<Option<Duration>>,
    /// The subject to which the reply comes, with a subscription of its own; not set, the client chooses, which
    /// is cheaper.
    pub inbox: Option<String>,
}

impl Request {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the payload.
    pub fn payload(mut self, payload: Bytes) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Sets the headers.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Sets how long to wait for the reply; `None` for no end.
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the subject to which the reply comes.
    pub fn inbox(mut self, inbox: String) -> Self {
        self.inbox = Some(inbox);
        self
    }
}

impl Client {
    /// Publishes a message and waits for the reply, for as long as
    /// [`request_timeout`](crate::ConnectOptions::request_timeout) says.
    ///
    /// Dropping the future forgets the request; a reply that comes later is ignored.
    ///
    /// # Errors
    ///
    /// No reply came in time, nobody listens to the subject, or the message was not accepted.
    pub async fn request<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> Result<Message, RequestError> {
        self.send_request(subject, Request::new().payload(payload)).await
    }

    /// Like [`request`](Self::request), with headers.
    ///
    /// # Errors
    ///
    /// See [`request`](Self::request).
    pub async fn request_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Message, RequestError> {
        let request = Request::new().headers(headers).payload(payload);
        self.send_request(subject, request).await
    }

    /// Like [`request`](Self::request), with everything that a [`Request`] can say.
    ///
    /// # Errors
    ///
    /// See [`request`](Self::request).
    pub async fn send_request<S: ToSubject>(
        &self,
        subject: S,
        request: Request,
    ) -> Result<Message, RequestError> {
        let timeout = request.timeout.unwrap_or(self.timeout());
        let Request { payload, headers, inbox, .. } = request;
        let payload = payload.unwrap_or_default();
        if let Some(inbox) = inbox {
            let message =
                OutboundMessage { subject: subject.to_subject(), reply: None, payload, headers };
            return self.request_to_inbox(message, inbox, timeout).await;
        }
        let message = Outgoing {
            subject: &subject.subject_text(),
            reply: None,
            headers: headers.as_ref(),
            payload: &payload,
        };
        Reply::new(&self.handle, message, timeout).await
    }

    async fn request_to_inbox(
        &self,
        message: OutboundMessage,
        inbox: String,
        timeout: Option<Duration>,
    ) -> Result<Message, RequestError> {
        let inbox = Subject::from(inbox);
        let mut replies = self.subscribe(&inbox).await?;
        // Nothing is lost if the client closes right now: the stream ends.
        let _ = replies.unsubscribe_after(1).await;
        let mut timer =
            timeout.map(|timeout| Timer::new(&self.handle, self.handle.now() + timeout));
        let exchange = async {
            self.publish_message(OutboundMessage { reply: Some(inbox), ..message }).await?;
            Ok(next(&mut replies).await)
        };
        let mut exchange = pin!(exchange);
        let reply = poll_fn(|cx| match exchange.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => match timer.as_mut().map(|timer| timer.poll(cx)) {
                Some(Poll::Ready(())) => {
                    Poll::Ready(Err(RequestError::new(RequestErrorKind::TimedOut)))
                }
                _ => Poll::Pending,
            },
        });
        match reply.await? {
            Some(message) if message.is_no_responders() => {
                Err(RequestError::new(RequestErrorKind::NoResponders))
            }
            Some(message) => Ok(message),
            None => Err(connection::RequestError::Closed.into()),
        }
    }

    /// Waits until the server has seen everything that was published before, for at most
    /// [`flush_timeout`](crate::ConnectOptions::flush_timeout).
    ///
    /// A flush that succeeds proves it: a PING was answered that went out after all of it. Dropping the future
    /// gives up waiting; what is buffered goes out all the same.
    ///
    /// # Errors
    ///
    /// It took too long, the client is closed, or the link broke after something had been written of which it
    /// is not known whether the server has it.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let mut fence = Fence { shared: &self.handle, waiting: None };
        poll_fn(|cx| fence.poll(cx)).await.map_err(FlushError::from)
    }
}

async fn next(replies: &mut Subscriber) -> Option<Message> {
    poll_fn(|cx| Pin::new(&mut *replies).poll_next(cx)).await
}

/// A request under way.
struct Reply<'a> {
    shared: &'a Shared,
    message: Outgoing<'a>,
    deadline: Instant,
    /// Until the message is accepted: the place among those who wait for room, and how long that may last.
    room: Option<u64>,
    timer: Option<Timer<'a>>,
    waiting: Option<(RequestId, u32)>,
}

impl<'a> Reply<'a> {
    fn new(shared: &'a Shared, message: Outgoing<'a>, timeout: Option<Duration>) -> Self {
        Self {
            shared,
            message,
            deadline: shared.now() + timeout.unwrap_or(Duration::MAX),
            room: None,
            timer: None,
            waiting: None,
        }
    }

    fn start(&mut self, cx: &Context<'_>) -> Poll<Result<Message, RequestError>> {
        let (shared, deadline) = (self.shared, self.deadline);
        match shared.request(self.message, deadline, cx.waker(), &mut self.room) {
            Poll::Ready(Ok(waiting)) => {
                self.waiting = Some(waiting);
                self.timer = None;
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => {
                let timer = self.timer.get_or_insert_with(|| Timer::new(shared, deadline));
                timer.poll(cx).map(|()| Err(RequestErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Future for Reply<'_> {
    type Output = Result<Message, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some((_, key)) = this.waiting else {
            return this.start(cx);
        };
        let mut core = this.shared.lock();
        let outcome = core.requests.waiters.poll(key, cx.waker());
        drop(core);
        match outcome {
            Ok(outcome) => {
                this.waiting = None;
                Poll::Ready(match outcome {
                    Ok(reply) => Ok(Message::from_frame(&reply.chunk, &reply.frame)),
                    Err(error) => Err(error.into()),
                })
            }
            Err(old) => {
                drop(old);
                Poll::Pending
            }
        }
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        if self.waiting.is_none() && self.room.is_none() {
            return;
        }
        let mut core = self.shared.lock();
        let room = core.turns.room.remove(&mut self.room);
        let entry = self.waiting.take().map(|(id, key)| {
            let entry = core.requests.remove(id, key);
            if matches!(entry, crate::waiters::Entry::Waiting(_)) {
                core.conn.cancel_request(id);
            }
            entry
        });
        drop(core);
        drop((room, entry));
    }
}

/// A flush under way.
struct Fence<'a> {
    shared: &'a Shared,
    waiting: Option<(FlushId, u32)>,
}

impl Fence<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), connection::FlushError>> {
        let Some((_, key)) = self.waiting else {
            return self.start(cx);
        };
        let mut core = self.shared.lock();
        let outcome = core.flushes.waiters.poll(key, cx.waker());
        drop(core);
        match outcome {
            Ok(result) => {
                self.waiting = None;
                Poll::Ready(result)
            }
            Err(old) => {
                drop(old);
                Poll::Pending
            }
        }
    }

    fn start(&mut self, cx: &Context<'_>) -> Poll<Result<(), connection::FlushError>> {
        let deadline = self.shared.now() + self.shared.settings.flush_timeout;
        self.waiting = self.shared.change(|core| {
            if core.ended.is_some() {
                return None;
            }
            let id = core.conn.flush(Some(deadline));
            let key = core.flushes.waiters.insert(cx.waker().clone());
            core.flushes.keys.insert(id, key);
            Some((id, key))
        });
        match self.waiting {
            Some(_) => Poll::Pending,
            None => Poll::Ready(Err(connection::FlushError::Closed)),
        }
    }
}

impl Drop for Fence<'_> {
    fn drop(&mut self) {
        let Some((id, key)) = self.waiting.take() else {
            return;
        };
        let mut core = self.shared.lock();
        if core.flushes.keys.remove(&id).is_some() {
            core.conn.cancel_flush(id);
        }
        let entry = core.flushes.waiters.remove(key);
        drop(core);
        drop(entry);
    }
}

/// A deadline that the driver watches.
struct Timer<'a> {
    shared: &'a Shared,
    deadline: Instant,
    key: Option<TimerKey>,
}

impl<'a> Timer<'a> {
    fn new(shared: &'a Shared, deadline: Instant) -> Self {
        Self { shared, deadline, key: None }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.shared.now() >= self.deadline {
            return Poll::Ready(());
        }
        let mut core = self.shared.lock();
        if core.ended.is_some() {
            return Poll::Ready(());
        }
        let (old, driver) = match self.key {
            Some(key) => (core.timers.renew(key, cx.waker()), None),
            None => {
                self.key = Some(core.timers.insert(self.deadline, cx.waker().clone()));
                (None, core.wake_for_deadline())
            }
        };
        drop(core);
        drop(old);
        if let Some(driver) = driver {
            driver.wake();
        }
        Poll::Pending
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let old = self.shared.lock().timers.remove(key);
            drop(old);
        }
    }
}
