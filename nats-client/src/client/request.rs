//! Requests.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::connection::{self, EndReason};
use nats_proto::{
    HeaderMap, Instant, Message, OutboundMessage, Outgoing, RequestId, ServerError, Subject,
    ToSubject,
};

use super::{Client, RequestError, RequestErrorKind};
use crate::faults::fault;
use crate::shared::Shared;
use crate::subscriber::Subscriber;
use crate::timers::Timer;
use crate::trace;

/// What a request still waits for that is not accepted in time.
pub(super) const NO_ROOM: &str = "there was no room in the buffer";

/// What it waits for afterwards.
const NO_REPLY: &str = "no reply came";

/// A request, with what differs from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The payload; empty if not set.
    pub payload: Option<Bytes>,
    /// The headers.
    pub headers: Option<HeaderMap>,
    /// How long to wait for the reply: not set, as the client's options say; `Some(None)`, without end.
    pub timeout: Option<Option<Duration>>,
    /// The subject to which the reply comes, with a subscription of its own and without wildcards; not set, the client
    /// chooses, which is cheaper. If another subscription of the client matches it by a wildcard, a server may tell that one
    /// that nobody listens, and the request is `TimedOut`.
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
    /// If the future is dropped, the request is forgotten, and a reply that comes later is ignored. The message may
    /// have been published: one that still waits for room in the buffer is not, one that is in the buffer goes
    /// out like any other.
    ///
    /// # Errors
    ///
    /// No reply came in time, nobody listens to the subject, or the message was not accepted: the source is then a
    /// [`PublishError`](connection::PublishError). Where the server does not allow publishing to the subject, the source is
    /// [`RequestError::PublishRefused`](connection::RequestError::PublishRefused); where it does not allow the subscription for
    /// replies, [`RequestError::InboxRefused`](connection::RequestError::InboxRefused); where the message was given up before it
    /// was sent, [`RequestError::Dropped`](connection::RequestError::Dropped). With an [inbox](Request::inbox) of its own these are
    /// not told, and the source may be an [`InboxError`].
    pub async fn request<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> Result<Message, RequestError> {
        self.send_request(subject, Request::new().payload(payload)).await
    }

    /// Like [`request`](Self::request), with headers. If the future is dropped, the request is forgotten; the message
    /// may have been published.
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

    /// Like [`request`](Self::request), with everything that a [`Request`] can say. If the future is dropped, the
    /// request is forgotten, and the subscription to an [inbox](Request::inbox) of its own ends; the message may have
    /// been published.
    ///
    /// # Errors
    ///
    /// See [`request`](Self::request).
    pub async fn send_request<S: ToSubject>(
        &self,
        subject: S,
        request: Request,
    ) -> Result<Message, RequestError> {
        let span = trace::request_span(&subject.subject_text());
        trace::within(span, self.exchange(subject, request)).await
    }

    async fn exchange<S: ToSubject>(
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
        if inbox.contains(['*', '>']) {
            // The subscription would get what is for others, perhaps the request itself.
            let why = format!("inbox {inbox:?} has a wildcard");
            return Err(RequestError::with_source(RequestErrorKind::InvalidSubject, why));
        }
        let mut timer =
            timeout.map(|timeout| Timer::new(&*self.handle, self.handle.now() + timeout));
        let accepted = async {
            let mut replies = self.subscribe(&inbox).await?;
            // Nothing is lost if the client closes right now: the stream ends.
            let _ = replies.unsubscribe_after(1).await;
            let message = OutboundMessage { reply: Some(inbox), ..message };
            self.publish_message(message).await?;
            Ok(replies)
        };
        let accepted = within(timer.as_mut(), accepted, || timed_out(NO_ROOM, timeout));
        let mut replies = accepted.await?;
        let reply = async {
            let reply = next(&mut replies).await;
            let capacity = self.handle.settings.subscription.bytes;
            reply.ok_or_else(|| inbox_ended(replies.end_reason(), capacity))
        };
        match within(timer.as_mut(), reply, || timed_out(NO_REPLY, timeout)).await? {
            message if message.is_no_responders() => {
                Err(RequestError::new(RequestErrorKind::NoResponders))
            }
            message => Ok(message),
        }
    }
}

/// Why the [inbox](Request::inbox) of a request has ended without a reply, while the client was open: the source of a
/// [`RequestError`] of the kind [`Other`](RequestErrorKind::Other). The request was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboxError {
    /// The server refuses the inbox: the user may not subscribe to it. Of a subscription too many the server does not say which
    /// it is, and the request is `TimedOut`.
    Refused(ServerError),
    /// The client was drained, and the server had no reply until then.
    Drained,
    /// The reply came, and is larger than
    /// [`subscription_byte_capacity`](crate::ConnectOptions::subscription_byte_capacity).
    ReplyTooLarge,
}

impl fmt::Display for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the server refuses the inbox: {error}"),
            Self::Drained => f.write_str("the client was drained before a reply came"),
            Self::ReplyTooLarge => {
                f.write_str("the reply is larger than the byte capacity of a subscription")
            }
        }
    }
}

impl std::error::Error for InboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Drained | Self::ReplyTooLarge => None,
        }
    }
}

fn inbox_ended(reason: Option<EndReason>, capacity: usize) -> RequestError {
    let kind = RequestErrorKind::Other;
    match reason {
        Some(EndReason::Refused(error)) => {
            RequestError::with_source(kind, InboxError::Refused(error))
        }
        Some(EndReason::Drained) => RequestError::with_source(kind, InboxError::Drained),
        // The one that it was for has come, and was not given out.
        Some(EndReason::MaxReached) => {
            let why = InboxError::ReplyTooLarge;
            RequestError::worded(kind, format!("{why}, which is {capacity} bytes"), why)
        }
        _ => connection::RequestError::Closed.into(),
    }
}

/// What has not happened in time, of which there was so much.
pub(super) fn timed_out(what: &str, limit: Option<Duration>) -> RequestError {
    match limit {
        Some(limit) => RequestError::with_source(
            RequestErrorKind::TimedOut,
            format!("{what} within {limit:?}"),
        ),
        None => RequestErrorKind::TimedOut.into(),
    }
}

/// What `exchange` gives, if that comes before the time is over; else what `late` does.
pub(super) async fn within<T, S: Deref<Target = Shared>>(
    mut timer: Option<&mut Timer<S>>,
    exchange: impl Future<Output = Result<T, RequestError>>,
    late: impl Fn() -> RequestError,
) -> Result<T, RequestError> {
    let mut exchange = pin!(exchange);
    poll_fn(|cx| match exchange.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => match timer.as_mut().map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(late())),
            _ => Poll::Pending,
        },
    })
    .await
}

async fn next(replies: &mut Subscriber) -> Option<Message> {
    poll_fn(|cx| Pin::new(&mut *replies).poll_next(cx)).await
}

/// A request under way.
struct Reply<'a> {
    shared: &'a Shared,
    message: Outgoing<'a>,
    deadline: Instant,
    timeout: Option<Duration>,
    /// Until the message is accepted: the place among those who wait for room, and how long that may last.
    room: Option<u64>,
    timer: Option<Timer<&'a Shared>>,
    waiting: Option<(RequestId, u32)>,
}

impl<'a> Reply<'a> {
    fn new(shared: &'a Shared, message: Outgoing<'a>, timeout: Option<Duration>) -> Self {
        Self {
            shared,
            message,
            deadline: shared.now() + timeout.unwrap_or(Duration::MAX),
            timeout,
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
                timer.poll(cx).map(|()| Err(timed_out(NO_ROOM, self.timeout)))
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
                    Ok(mut reply) => Ok(Message::from_frame(&mut reply.chunk, &reply.frame)),
                    Err(connection::RequestError::TimedOut) => {
                        Err(timed_out(NO_REPLY, this.timeout))
                    }
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
        let waited = self.room.is_some();
        let room = core.turns.leave_room(&mut self.room);
        // Woken, and gone: others may go on now.
        if waited && room.is_none() {
            core.tell_driver();
        }
        let entry = self.waiting.take().map(|(id, key)| {
            let entry = core.requests.remove(id, key);
            if matches!(entry, crate::waiters::Entry::Waiting(_)) {
                if !fault!(CancelledRequestStays) {
                    core.conn.cancel_request(id);
                }
                // A drain may have waited for this one alone.
                core.tell_of_output();
            }
            entry
        });
        drop(core);
        drop((room, entry));
    }
}
