//! Requests with many replies (ADR-47).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use nats_proto::connection::EndReason;
use nats_proto::{HeaderMap, Instant, Message, OutboundMessage, StatusCode, Subject, ToSubject};

use super::request::{NO_ROOM, timed_out, within};
use super::{Client, RequestError};
use crate::handle::Handle;
use crate::subscriber::Subscriber;
use crate::timers::Timer;

type Sentinel = Box<dyn Fn(&Message) -> bool + Send + Sync>;

/// A request with many replies, and when they are complete: see [`Client::request_many`].
///
/// Whichever comes first ends the replies: the time in all, a time without any, their number, a reply that says so
/// (the sentinel), or a status instead of a reply, such as that nobody listens.
#[must_use = "nothing is requested before this is sent"]
pub struct RequestMany<'a> {
    client: &'a Client,
    headers: Option<HeaderMap>,
    max_wait: Option<Duration>,
    stall_wait: Option<Duration>,
    max_messages: Option<usize>,
    sentinel: Option<Sentinel>,
}

impl fmt::Debug for RequestMany<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMany")
            .field("headers", &self.headers)
            .field("max_wait", &self.max_wait)
            .field("stall_wait", &self.stall_wait)
            .field("max_messages", &self.max_messages)
            .field("sentinel", &self.sentinel.is_some())
            .finish_non_exhaustive()
    }
}

/// Requests with many replies.
impl Client {
    /// A request that several may answer, or one with several messages: a builder, whose
    /// [`send`](RequestMany::send) gives the stream of replies.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use futures_util::StreamExt;
    /// # async fn example(client: nats_client::Client) -> Result<(), nats_client::Error> {
    /// let request = client.request_many().stall_wait(Duration::from_millis(100)).max_messages(10);
    /// let mut replies = request.send("who.is.there", "".into()).await?;
    /// while let Some(reply) = replies.next().await {
    ///     println!("{:?}", reply.payload);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn request_many(&self) -> RequestMany<'_> {
        RequestMany {
            client: self,
            headers: None,
            max_wait: self.timeout(),
            stall_wait: None,
            max_messages: None,
            sentinel: None,
        }
    }
}

impl<'a> RequestMany<'a> {
    /// Sets the headers of the request.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = Some(headers);
        self
    }

    /// The time that all replies have together, from [`send`](Self::send) on; `None` for no end. Default:
    /// [`request_timeout`](crate::ConnectOptions::request_timeout), which is also how long the request may wait for room
    /// in the buffer where there is no end.
    ///
    /// When it is over, no more are waited for, however fast they come: the subscription ends. Those that have come until
    /// then are still given out, however long the application took for the ones before, and then the stream ends.
    pub fn max_wait(mut self, wait: Option<Duration>) -> Self {
        self.max_wait = wait;
        self
    }

    /// The time that every reply after the first one has; what the application needs for the one before does not
    /// count. Zero, or not less than [`max_wait`](Self::max_wait), means none. Default: none.
    pub fn stall_wait(mut self, wait: Duration) -> Self {
        self.stall_wait = Some(wait);
        self
    }

    /// The number of replies. Zero means any number. Default: any number.
    pub fn max_messages(mut self, count: usize) -> Self {
        self.max_messages = Some(count).filter(|count| *count > 0);
        self
    }

    /// Ends the replies with the first one of which `is_last` is true; that one is not given out.
    pub fn sentinel(mut self, is_last: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.sentinel = Some(Box::new(is_last));
        self
    }

    /// Ends the replies with the first one whose payload is empty: the usual [`sentinel`](Self::sentinel).
    pub fn until_empty(self) -> Self {
        self.sentinel(|message| message.payload.is_empty())
    }

    /// Publishes the request. The replies come to an inbox of its own, which exists until the last one that is wanted is given
    /// out, or the stream ends or is dropped.
    ///
    /// If the future is dropped before its end, the request is not published, and there is no inbox any more.
    ///
    /// # Errors
    ///
    /// The request was not accepted: see [`Client::request`]. `TimedOut` if there was no room for it in the buffer for
    /// as long as the replies may take. That nobody listens is told by [`Responses::end`], unless another subscription of
    /// the client matches the inbox by a wildcard: a server may tell that one alone.
    pub async fn send<S: ToSubject>(
        self,
        subject: S,
        payload: Bytes,
    ) -> Result<Responses, RequestError> {
        let client = self.client;
        let inbox = Subject::from(client.new_inbox());
        let subject = subject.to_subject();
        let handle = client.handle.clone();
        let now = handle.now();
        let wait = self.max_wait.or(client.timeout());
        let mut timer = wait.map(|wait| Timer::new(handle.clone(), now + wait));
        let accepted = async {
            let replies = client.subscribe(&inbox).await?;
            let reply = Some(inbox);
            let message = OutboundMessage { subject, reply, payload, headers: self.headers };
            client.publish_message(message).await?;
            Ok(replies)
        };
        let replies = within(timer.as_mut(), accepted, || timed_out(NO_ROOM, wait)).await?;
        let total = match timer {
            Some(timer) if self.max_wait.is_some() => Total::Running(timer),
            _ => Total::Endless,
        };
        let stall_wait = self
            .stall_wait
            .filter(|stall| !stall.is_zero() && self.max_wait.is_none_or(|total| *stall < total));
        Ok(Responses {
            handle,
            replies,
            total,
            stall_wait,
            stall: None,
            left: self.max_messages,
            sentinel: self.sentinel,
            received: 0,
            end: None,
        })
    }
}

/// Why no more replies come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponsesEnd {
    /// The time that all have together is over.
    TimedOut,
    /// None came for [`stall_wait`](RequestMany::stall_wait).
    Stalled,
    /// As many came as were wanted.
    Complete,
    /// The [`sentinel`](RequestMany::sentinel) came.
    Sentinel,
    /// Nobody listens to the subject.
    NoResponders,
    /// A status came instead of a reply.
    Status(StatusCode),
    /// The client was closed.
    Closed,
    /// The client was drained: the server had no more replies until then.
    Drained,
    /// The server's permissions refuse the inbox; [`Notice::ServerError`](crate::Notice::ServerError) says why. If it is one
    /// subscription too many, that notice is all there is.
    Refused,
}

/// The time that all replies have together.
enum Total {
    Endless,
    Running(Timer<Handle>),
    /// The subscription has ended: what it still gives out had come before.
    Over,
}

/// The replies to a [`RequestMany`]. If the stream is dropped, the request ends: what comes later is ignored. A reply
/// is never lost with the future of `StreamExt::next` that waited for it.
pub struct Responses {
    handle: Handle,
    replies: Subscriber,
    total: Total,
    stall_wait: Option<Duration>,
    /// Armed when the application waits for another reply.
    stall: Option<Timer<Handle>>,
    left: Option<usize>,
    sentinel: Option<Sentinel>,
    received: usize,
    end: Option<ResponsesEnd>,
}

impl Responses {
    /// Why no more replies come; `None` as long as some may. [`Complete`](ResponsesEnd::Complete) comes with the last
    /// reply that was wanted, anything else with the end of the stream.
    pub fn end(&self) -> Option<ResponsesEnd> {
        self.end
    }

    /// Replies that were given out.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Gives nothing more out. What has come beyond that, or still comes, would wait for nobody for as long as this is held,
    /// hold up the connection, and keep a drain waiting.
    fn finish(&mut self, end: ResponsesEnd) {
        self.end = Some(end);
        self.replies.leave();
        (self.total, self.stall) = (Total::Over, None);
    }

    /// What a message that has come means.
    fn accept(&mut self, message: Message) -> Option<Message> {
        self.stall = None;
        if let Some(status) = message.status {
            self.finish(match message.is_no_responders() {
                true => ResponsesEnd::NoResponders,
                false => ResponsesEnd::Status(status),
            });
            return None;
        }
        if self.sentinel.as_ref().is_some_and(|is_last| is_last(&message)) {
            self.finish(ResponsesEnd::Sentinel);
            return None;
        }
        self.received = self.received.saturating_add(1);
        self.left = self.left.map(|left| left.saturating_sub(1));
        // Not with the next poll: who has got as many as there are to be may never ask for another.
        if self.left == Some(0) {
            self.finish(ResponsesEnd::Complete);
        }
        Some(message)
    }

    /// Ends the subscription when the time in all is over: replies that come fast enough would keep the stream going.
    fn check_total(&mut self) {
        if let Total::Running(timer) = &self.total
            && timer.is_over()
        {
            // If the client is closed, the subscription has ended already.
            let _ = self.replies.end();
            self.total = Total::Over;
        }
    }

    fn deadline(&self, wait: Duration) -> Instant {
        self.handle.now() + wait
    }
}

impl Stream for Responses {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = &mut *self;
        if this.end.is_some() {
            return Poll::Ready(None);
        }
        this.check_total();
        match Pin::new(&mut this.replies).poll_next(cx) {
            Poll::Ready(Some(message)) => return Poll::Ready(this.accept(message)),
            Poll::Ready(None) => {
                this.finish(match (&this.total, this.replies.end_reason()) {
                    (Total::Over, _) => ResponsesEnd::TimedOut,
                    (_, Some(EndReason::Drained)) => ResponsesEnd::Drained,
                    (_, Some(EndReason::Refused(_))) => ResponsesEnd::Refused,
                    _ => ResponsesEnd::Closed,
                });
                return Poll::Ready(None);
            }
            // What has come is given out before anything else can end the replies.
            Poll::Pending if this.replies.rests() => return Poll::Pending,
            Poll::Pending => {}
        }
        if let Total::Running(timer) = &mut this.total
            && timer.poll(cx).is_ready()
        {
            this.finish(ResponsesEnd::TimedOut);
            return Poll::Ready(None);
        }
        if let Some(wait) = this.stall_wait.filter(|_| this.received > 0) {
            let deadline = this.deadline(wait);
            let stall = this.stall.get_or_insert_with(|| Timer::new(this.handle.clone(), deadline));
            if stall.poll(cx).is_ready() {
                this.finish(ResponsesEnd::Stalled);
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Responses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses")
            .field("received", &self.received)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
