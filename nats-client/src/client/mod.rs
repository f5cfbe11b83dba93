//! The client: publishing, subscribing, and the life of the connection.

mod errors;
mod flush;
mod publish;
mod request;
mod request_many;
mod room;
mod servers;
mod sink;
mod subscribe;
pub mod traits;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use nats_proto::connection::{self, Unfinished};
use nats_proto::{HeaderMap, OutboundMessage, Outgoing, ServerInfo, Subject, ToSubject};

pub use crate::statistics::Statistics;
pub use errors::{
    DrainError, FlushError, FlushErrorKind, PublishError, PublishErrorKind, ReconnectError,
    RequestError, RequestErrorKind, ServerPoolError, ServerPoolErrorKind, SetServerPoolError,
    SetServerPoolErrorKind, SubscribeError, SubscribeErrorKind, TryPublishError,
};
pub use publish::{Full, Plain, Publish};
pub use request::{InboxError, Request};
pub use request_many::{RequestMany, Responses, ResponsesEnd};
pub(crate) use room::Room;
pub use subscribe::{ConfirmError, NewSubscription};

use crate::connection::State;
use crate::handle::{Handle, Registration};
use crate::hub::{Events, Notices};

/// What was left when a client came to its end: see [`Client::drain_within`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remainder {
    /// Publishes that never left the buffer, or not whole: the server has not seen them.
    pub unsent: u64,
    /// Publishes written whole of which it is not known whether the server has seen them.
    pub uncertain: u64,
    /// Messages that had come and that their subscribers had not taken. They still can take them.
    pub undelivered: u64,
    /// Subscriptions for which more messages may have been under way.
    pub undrained: usize,
}

impl Remainder {
    /// Whether nothing was left.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What servers accept unless they are told otherwise, in bytes.
const DEFAULT_MAX_PAYLOAD: usize = 1024 * 1024;

/// A handle to a connection. Clones share it; all of its methods can be called from any thread.
///
/// A message that is accepted while there is no connection is kept and sent on the next one, within
/// [`pending_limit`](crate::ConnectOptions::pending_limit). When the last client and the last [`Subscriber`](crate::Subscriber)
/// are dropped, the client closes. If a connection is up, what is buffered still goes out (for at most 5 s); if none is,
/// because the client connects, waits to reconnect or is in the handshake, what is kept is dropped at once, and nobody
/// learns of it. To be sure, [`flush`](Self::flush) before, or [`drain`](Self::drain) and wait for
/// [`closed`](Self::closed).
#[derive(Debug)]
pub struct Client {
    handle: Handle,
    /// What this handle, used as a sink, is at.
    sending: sink::Sending,
    /// What its flushes have told.
    told: flush::Told,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self::new(self.handle.clone())
    }
}

/// Publishing.
impl Client {
    pub(crate) fn new(handle: Handle) -> Self {
        let told = flush::Told::before(&handle);
        Self { handle, sending: sink::Sending::default(), told }
    }

    /// Publishes a message: returns when it is in the buffer. Waits while the buffer is full, and from time to time
    /// for as long as it takes to write what is in it. One that never has to wait lets other tasks run from time to time.
    ///
    /// Publishes keep their order if each is awaited before the next one begins. Several that are polled side by side, as by
    /// `join_all` or `buffer_unordered`, may overtake each other: one that waits is passed by one that need not.
    ///
    /// Whether it has reached the server is known after a [`flush`](Self::flush), or from
    /// [`delivery_statistics`](Self::delivery_statistics). If the future is dropped before its end, the message
    /// is not published.
    ///
    /// # Errors
    ///
    /// The subject is not one, the payload is larger than the server accepts, the client is closed or draining, or the
    /// buffer is full and the [policy](crate::PendingPolicy) is not to wait. Nothing is published then.
    #[inline]
    pub fn publish<S: ToSubject>(&self, subject: S, payload: Bytes) -> Publish<'_, S> {
        Publish::new(&self.handle, subject, Plain, payload)
    }

    /// Like [`publish`](Self::publish), with headers. They count towards the size of the message. If the future is
    /// dropped before its end, the message is not published.
    ///
    /// # Errors
    ///
    /// See [`publish`](Self::publish).
    #[inline]
    pub fn publish_with_headers<S: ToSubject>(
        &self,
        subject: S,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Publish<'_, S, Full> {
        let extra = Full { reply: None, headers: Some(headers) };
        Publish::new(&self.handle, subject, extra, payload)
    }

    /// Like [`publish`](Self::publish), with a subject to which answers shall come. If the future is dropped before its
    /// end, the message is not published.
    ///
    /// # Errors
    ///
    /// See [`publish`](Self::publish).
    #[inline]
    pub fn publish_with_reply<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> Publish<'_, S, Full> {
        let extra = Full { reply: Some(reply.to_subject()), headers: None };
        Publish::new(&self.handle, subject, extra, payload)
    }

    /// Like [`publish`](Self::publish), with a subject to which answers shall come, and headers. If the future is
    /// dropped before its end, the message is not published.
    ///
    /// # Errors
    ///
    /// See [`publish`](Self::publish).
    #[inline]
    pub fn publish_with_reply_and_headers<S: ToSubject, R: ToSubject>(
        &self,
        subject: S,
        reply: R,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Publish<'_, S, Full> {
        let extra = Full { reply: Some(reply.to_subject()), headers: Some(headers) };
        Publish::new(&self.handle, subject, extra, payload)
    }

    /// Like [`publish`](Self::publish), for a message that owns its parts. If the future is dropped before its end, the
    /// message is not published.
    ///
    /// # Errors
    ///
    /// See [`publish`](Self::publish).
    pub fn publish_message(&self, message: OutboundMessage) -> Publish<'_, Subject, Full> {
        let OutboundMessage { subject, reply, payload, headers } = message;
        Publish::new(&self.handle, subject, Full { reply, headers }, payload)
    }

    /// Publishes a message if that is possible without waiting, and gives the payload back otherwise. As it
    /// cannot wait for its turn, it may be faster than those who do: called again and again, it can keep a large message of
    /// another task from finding room.
    ///
    /// # Errors
    ///
    /// The buffer is full ([`TryPublishError::is_full`]), or as [`publish`](Self::publish).
    pub fn try_publish<S: ToSubject>(
        &self,
        subject: S,
        payload: Bytes,
    ) -> Result<(), TryPublishError> {
        self.handle
            .publish(Outgoing::new(&subject.subject_text(), &payload))
            .map_err(|error| TryPublishError { error, payload })
    }
}

/// The life of the connection.
impl Client {
    /// Begins to end the client in good order: all subscriptions stop, their subscribers get what is still to
    /// come, then everything that is buffered goes out and the client closes, all within
    /// [`drain_timeout`](crate::ConnectOptions::drain_timeout).
    ///
    /// Publishes are accepted until the subscribers have taken everything. A message is taken when the stream gives it
    /// out: what is published while the last one is worked on may be refused, with
    /// [`PublishError::Draining`](connection::PublishError::Draining). Where it must not be,
    /// [drain the subscriber](crate::Subscriber::drain) and let its stream end before.
    ///
    /// Returns at once; [`closed`](Self::closed) waits for the end, and so does
    /// [`drain_within`](Self::drain_within), which says what was left. If the future is dropped before its only poll,
    /// nothing has begun.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn drain(&self) -> Result<(), DrainError> {
        let now = self.handle.now();
        self.handle.change(|core| {
            if core.ended.is_some() {
                return Err(DrainError);
            }
            core.conn.drain(now);
            Ok(())
        })
    }

    /// Like [`drain`](Self::drain), but within `timeout`, and waits for the end: all subscriptions stop, the server
    /// confirms that nothing more comes for them, their subscribers take what has come, requests that wait get
    /// their replies, and everything that is buffered goes out. If all of it was in time, what is returned
    /// [is empty](Remainder::is_empty).
    ///
    /// At the end of `timeout` the client closes all the same; of what is still buffered then, as much goes out before as the
    /// stream takes at once. A drain that has begun may thereby end earlier, not later. If the future is dropped after its
    /// first poll, the client drains all the same; before, nothing has begun.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn drain_within(&self, timeout: Duration) -> Result<Remainder, DrainError> {
        let now = self.handle.now();
        self.handle.change(|core| {
            if core.ended.is_some() {
                return Err(DrainError);
            }
            core.conn.drain_within(now, timeout);
            Ok(())
        })?;
        Ok(self.ended().await)
    }

    /// Sends what is buffered, for at most [`flush_timeout`](crate::ConnectOptions::flush_timeout), closes the
    /// connection, and says what could not be sent. Without a connection, that is at once, and everything that is
    /// buffered. Subscribers get what has already come, and then end.
    ///
    /// All clones are closed with it. The clone alone, as a [`Sink`](futures_sink::Sink), is closed by
    /// `SinkExt::close(&mut client)`: `client.close()` means this method also where `SinkExt` is in scope.
    ///
    /// If the future is dropped after its first poll, the client closes all the same; before, nothing has begun.
    pub async fn close(&self) -> Unfinished {
        let now = self.handle.now();
        let timeout = self.handle.settings.flush_timeout;
        self.handle.change(|core| {
            if core.ended.is_none() {
                core.conn.close(now, timeout);
            }
        });
        self.closed().await
    }

    /// Waits until the client is at its end, after [`drain`](Self::drain), [`close`](Self::close), or when no
    /// server can be reached any more, and says what could not be sent.
    ///
    /// If the future is dropped, nothing changes: another call says the same.
    pub async fn closed(&self) -> Unfinished {
        let Remainder { unsent, uncertain, .. } = self.ended().await;
        Unfinished { unsent, uncertain }
    }

    async fn ended(&self) -> Remainder {
        let mut watch = Registration::new(&self.handle, |core| &mut core.watchers);
        poll_fn(|cx| match watch.attempt(cx.waker(), |core| core.ended) {
            Some(remainder) => Poll::Ready(remainder),
            None => Poll::Pending,
        })
        .await
    }

    /// Gives up the connection there is and connects anew at once.
    ///
    /// If the future is dropped before its only poll, the connection stays.
    ///
    /// # Errors
    ///
    /// The client is closed.
    pub async fn force_reconnect(&self) -> Result<(), ReconnectError> {
        let now = self.handle.now();
        self.handle.change(|core| {
            if core.ended.is_some() {
                return Err(ReconnectError);
            }
            core.conn.force_reconnect(now);
            Ok(())
        })
    }
}

/// What is known.
impl Client {
    /// What happens from now on, without being asked for, in detail. Every call gives a stream of its own. If the
    /// stream is dropped, the others and the client go on.
    pub fn notices(&self) -> Notices {
        Notices::new(&self.handle.notices)
    }

    /// Like [`notices`](Self::notices), in the words of `async-nats`. If the stream is dropped, the others and the
    /// client go on.
    pub fn events(&self) -> Events {
        Events::new(&self.handle.notices)
    }

    /// Whether the client is connected.
    pub fn connection_state(&self) -> State {
        State::of(&self.handle.lock())
    }

    /// What the connected (or last connected) server says of itself; empty before the first connection.
    pub fn server_info(&self) -> ServerInfo {
        self.try_server_info().unwrap_or_default()
    }

    /// What the connected (or last connected) server says of itself; `None` before the first connection.
    pub fn try_server_info(&self) -> Option<ServerInfo> {
        self.handle.lock().conn.server_info().cloned()
    }

    /// The largest sum of headers and payload that the server accepts, in bytes. Before the first connection, this is
    /// what servers accept by default, 1 MiB; larger messages are kept until it is known.
    pub fn max_payload(&self) -> usize {
        let core = self.handle.lock();
        match core.conn.server_info() {
            Some(_) => core.conn.max_payload(),
            None => DEFAULT_MAX_PAYLOAD,
        }
    }

    /// Whether the server's version is at least `major.minor.patch`; false before the first connection.
    pub fn is_server_compatible(&self, major: i64, minor: i64, patch: i64) -> bool {
        version(&self.server_info().version).is_some_and(|version| version >= [major, minor, patch])
    }

    /// How long requests wait for their replies.
    pub fn timeout(&self) -> Option<Duration> {
        self.handle.settings.request_timeout
    }

    /// Counters, brought up to date now.
    pub fn statistics(&self) -> Arc<Statistics> {
        self.handle.statistics.store(&self.handle.lock().conn);
        Arc::clone(&self.handle.statistics)
    }

    /// What has become of everything that was published, exactly and at one instant: see
    /// [`nats_proto::connection::Statistics`].
    pub fn delivery_statistics(&self) -> connection::Statistics {
        self.handle.lock().conn.statistics()
    }
}

#[cfg(test)]
impl Client {
    /// Requests and flushes that wait, the same in the core and in the front.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let core = self.handle.lock();
        let requests = core.requests.waiters.len();
        assert_eq!(requests, core.conn.pending_requests());
        (requests, core.flushes.waiters.len())
    }

    /// Subscriptions that exist.
    pub(crate) fn subscriptions(&self) -> usize {
        self.handle.lock().conn.subscriptions()
    }

    /// Publishers that wait.
    pub(crate) fn waiting_for_room(&self) -> usize {
        self.handle.lock().turns.waiting()
    }
}

/// The first three numbers of a version; missing ones are zero.
fn version(text: &str) -> Option<[i64; 3]> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts = text.splitn(3, '.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit());
        part.get(..digits.unwrap_or(part.len())).and_then(|digits| digits.parse().ok())
    });
    let major = parts.next()??;
    let mut next = || parts.next().flatten().unwrap_or(0);
    Some([major, next(), next()])
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_compared_number_by_number() {
        assert_eq!(version("2.10.26"), Some([2, 10, 26]));
        assert_eq!(version("v2.9"), Some([2, 9, 0]));
        assert_eq!(version("2.15.1-beta.3"), Some([2, 15, 1]));
        assert_eq!(version(""), None);
        assert!(version("2.9.30") < version("2.10.0"));
    }
}
