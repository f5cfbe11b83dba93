//! Subscribing.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nats_proto::connection::{self, EndReason, SubscriptionId};
use nats_proto::{ServerError, Subject, ToSubject};

use super::room::Room;
use super::{Client, SubscribeError};
use crate::handle::Handle;
use crate::mailbox::{Bounds, Mailbox, WhenFull};
use crate::shared::{Change, Core};
use crate::subscriber::Subscriber;
use crate::timers::Timer;

/// Subscribing.
impl Client {
    /// Subscribes to a subject, which may have wildcards. The subscription survives reconnects.
    ///
    /// Returns before the server knows of it; what this client publishes afterwards comes after it. To be sure of messages
    /// of other clients, [`flush`](Self::flush) first. It waits while the buffer is full, as [`publish`](Self::publish)
    /// does, and lets other tasks run from time to time. If the future is dropped before its end, there is no subscription.
    ///
    /// # Errors
    ///
    /// The subject is not one, or the client is closed or draining.
    pub async fn subscribe<S: ToSubject>(&self, subject: S) -> Result<Subscriber, SubscribeError> {
        self.subscription(subject).subscribe().await
    }

    /// Like [`subscribe`](Self::subscribe), as a member of a queue group: each message goes to one of them. If the
    /// future is dropped before its end, there is no subscription.
    ///
    /// # Errors
    ///
    /// As for [`subscribe`](Self::subscribe), or the name of the group is not one.
    pub async fn queue_subscribe<S: ToSubject>(
        &self,
        subject: S,
        queue_group: String,
    ) -> Result<Subscriber, SubscribeError> {
        self.subscription(subject).queue_group(queue_group).subscribe().await
    }

    /// A subscription with limits or a policy of its own, to be awaited. If the future is dropped before its end,
    /// there is no subscription.
    ///
    /// ```no_run
    /// # async fn example(client: nats_client::Client) -> Result<(), nats_client::SubscribeError> {
    /// use nats_client::WhenFull;
    ///
    /// let mut prices = client
    ///     .subscription("prices.*")
    ///     .capacity(1_000)
    ///     .when_full(WhenFull::DropOldest)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscription<S: ToSubject>(&self, subject: S) -> NewSubscription<'_> {
        NewSubscription {
            handle: &self.handle,
            subject: subject.to_subject(),
            queue_group: None,
            bounds: self.handle.settings.subscription,
            max_messages: None,
        }
    }

    /// A subject that nobody else has, to receive replies.
    pub fn new_inbox(&self) -> String {
        self.handle.lock().conn.new_inbox()
    }
}

/// A subscription that is not made yet: see [`Client::subscription`].
///
/// Awaiting it is like [`Client::subscribe`]: if the future is dropped before its end, there is no subscription.
#[derive(Debug)]
#[must_use = "nothing is subscribed to before this is awaited"]
pub struct NewSubscription<'a> {
    handle: &'a Handle,
    subject: Subject,
    queue_group: Option<String>,
    bounds: Bounds,
    max_messages: Option<u64>,
}

impl<'a> NewSubscription<'a> {
    /// Makes it a member of a queue group: each message goes to one of them. Default: none.
    pub fn queue_group(mut self, name: impl Into<String>) -> Self {
        self.queue_group = Some(name.into());
        self
    }

    /// Messages that may wait for the subscriber. Zero counts as one. Default:
    /// [`ConnectOptions::subscription_capacity`](crate::ConnectOptions::subscription_capacity).
    pub fn capacity(mut self, messages: usize) -> Self {
        self.bounds.messages = messages;
        self
    }

    /// Bytes of messages (subject, reply, headers, payload) that may wait for the subscriber. Default:
    /// [`ConnectOptions::subscription_byte_capacity`](crate::ConnectOptions::subscription_byte_capacity).
    pub fn byte_capacity(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// What happens to more messages than may wait. Default:
    /// [`ConnectOptions::subscription_policy`](crate::ConnectOptions::subscription_policy).
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.bounds.when_full = when_full;
        self
    }

    /// Ends the subscription when it has got so many messages, dropped ones among them, as
    /// [`Subscriber::unsubscribe_after`] does. Default: it does not end by itself.
    pub fn max_messages(mut self, count: u64) -> Self {
        self.max_messages = Some(count);
        self
    }

    /// Subscribes, and waits until the server has the subscription, for at most
    /// [`ConnectOptions::flush_timeout`](crate::ConnectOptions::flush_timeout): whatever anybody publishes from then
    /// on comes to it. A reconnect meanwhile makes it ask the next server.
    ///
    /// If the future is dropped before its end, the subscription ends.
    ///
    /// # Errors
    ///
    /// As for [`Client::subscribe`], or the server refuses the subscription, or does not answer in time.
    pub async fn confirmed(self) -> Result<Subscriber, ConfirmError> {
        let handle = self.handle;
        let limit = handle.settings.flush_timeout;
        let deadline = handle.now() + limit;
        let mut key = None;
        let (mut room, mut timer) = (pin!(Room::new(handle)), Timer::new(&**handle, deadline));
        let in_time = poll_fn(|cx| match room.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => timer.poll(cx).map(|()| false),
        });
        if !in_time.await {
            return Err(ConfirmError::TimedOut { limit });
        }
        let subscriber = self.make(|core, subject, queue| {
            let id = core.conn.subscribe_confirmed(subject, queue, Some(deadline))?;
            key = Some(core.confirms.insert(id, Waker::noop().clone()));
            Ok(id)
        })?;
        let mut confirmation = Confirmation { handle, id: subscriber.id(), key };
        match poll_fn(|cx| confirmation.poll(cx)).await {
            // It has got all that it asked for: so the server had it.
            Ok(()) | Err(EndReason::MaxReached) => Ok(subscriber),
            Err(EndReason::Refused(error)) => Err(ConfirmError::Refused(error)),
            Err(EndReason::Unconfirmed) => Err(ConfirmError::TimedOut { limit }),
            Err(_) => Err(ConfirmError::Closed),
        }
    }

    async fn subscribe(self) -> Result<Subscriber, SubscribeError> {
        Room::new(self.handle).await;
        self.make(|core, subject, queue| core.conn.subscribe(subject, queue))
    }

    fn make(
        self,
        subscribe: impl FnOnce(
            &mut Core,
            &str,
            Option<&str>,
        ) -> Result<SubscriptionId, connection::SubscribeError>,
    ) -> Result<Subscriber, SubscribeError> {
        let mailbox = Arc::new(Mailbox::new(self.bounds));
        let known = Arc::clone(&mailbox);
        let id = self.handle.change(|core| {
            if core.ended.is_some() {
                return Err(connection::SubscribeError::Closed);
            }
            let id = subscribe(core, &self.subject, self.queue_group.as_deref())?;
            core.changes.push(Change::Added(id, known));
            if let Some(max) = self.max_messages {
                // It exists.
                let _ = core.conn.unsubscribe_after(id, max);
            }
            Ok(id)
        })?;
        Ok(Subscriber::new(self.handle.clone(), id, mailbox))
    }
}

impl<'a> IntoFuture for NewSubscription<'a> {
    type Output = Result<Subscriber, SubscribeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.subscribe())
    }
}

/// Why there is no confirmed subscription: see [`NewSubscription::confirmed`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfirmError {
    /// It could not be asked for: see [`Client::subscribe`].
    Subscribe(SubscribeError),
    /// The server refuses it: the user may not subscribe to this, or has as many subscriptions as are allowed.
    Refused(ServerError),
    /// The server did not answer in time. It may have had the subscription; now it has not.
    TimedOut {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The client was closed or drained meanwhile.
    Closed,
}

impl fmt::Display for ConfirmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe(error) => error.fmt(f),
            Self::Refused(error) => write!(f, "the server refuses the subscription: {error}"),
            Self::TimedOut { limit } => {
                write!(f, "the server did not confirm the subscription within {limit:?}")
            }
            Self::Closed => f.write_str("the client is closed or draining"),
        }
    }
}

impl std::error::Error for ConfirmError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Subscribe(error) => error.source(),
            Self::Refused(error) => Some(error),
            Self::TimedOut { .. } | Self::Closed => None,
        }
    }
}

impl From<SubscribeError> for ConfirmError {
    fn from(error: SubscribeError) -> Self {
        Self::Subscribe(error)
    }
}

/// A wait for the server to have a subscription.
struct Confirmation<'a> {
    handle: &'a Handle,
    id: SubscriptionId,
    key: Option<u32>,
}

impl Confirmation<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), EndReason>> {
        let Some(key) = self.key else {
            return Poll::Ready(Err(EndReason::Closed));
        };
        let outcome = self.handle.lock().confirms.waiters.poll(key, cx.waker());
        match outcome {
            Ok(result) => {
                self.key = None;
                Poll::Ready(result)
            }
            Err(old) => {
                drop(old);
                Poll::Pending
            }
        }
    }
}

impl Drop for Confirmation<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let mut core = self.handle.lock();
            core.confirms.keys.remove(&self.id);
            let entry = core.confirms.waiters.remove(key);
            drop(core);
            drop(entry);
        }
    }
}
