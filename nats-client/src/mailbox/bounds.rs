//! How much may wait for one subscriber.

/// What happens to messages for a subscriber for whom as many wait as may.
///
/// See [`ConnectOptions::subscription_policy`](crate::ConnectOptions::subscription_policy) and
/// [`NewSubscription::when_full`](crate::NewSubscription::when_full).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// The new message is dropped and counted.
    #[default]
    DropNewest,
    /// The oldest of those that wait are dropped and counted, to make room for the new one. A few messages that the
    /// subscriber has begun to give out (at most 16, and a quarter of what may wait, or a single larger one) stay. A
    /// message that does not fit beside them is dropped itself, and pushes nothing out.
    DropOldest,
    /// Nothing is dropped: the client reads nothing more from the server until at most half of what may wait is left. It looks
    /// for that whenever the subscriber has given out another quarter of what may wait, or a message that is larger, and with
    /// every request. What one read has brought is taken in, so that the limits may be exceeded by one read buffer.
    ///
    /// Meanwhile *nothing* comes in on the connection: no message for any other subscription, no reply, no end of
    /// a flush. A server keeps only so much for a client that does not read (a `nats-server` by default 64 MiB,
    /// for 10 s) and then hangs up; what it had kept is lost then. Whether the server is alive is judged
    /// meanwhile by whether it takes what is written.
    ///
    /// Reading goes on when the subscriber catches up, unsubscribes or is dropped, and when the client closes.
    /// Draining waits for the subscriber, until its deadline.
    Block,
}

/// How much may wait for one subscriber, and what happens beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) when_full: WhenFull,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: 64 * 1024, bytes: 64 * 1024 * 1024, when_full: WhenFull::default() }
    }
}

/// With so many messages that wait, or so many bytes, a subscriber is behind at the latest: more would have left the
/// processor's cache when it takes them.
const AHEAD: (usize, usize) = (8 * 1024, 2 * 1024 * 1024);

/// Where half of what may wait is fewer messages or bytes, the driver waits for nobody: half of little is soon taken, also by
/// a subscriber that is slow, and all others would wait for that again and again. Who takes half of so much within the 2 ms
/// that it waits (`driver/pace.rs`) takes a million messages a second, or 250 MiB.
const LITTLE: (usize, usize) = (4 * 1024, 1024 * 1024);

impl Bounds {
    /// At how much the driver reads no more, until half of it is left: because the subscription is to be waited for, or is
    /// behind, and would soon drop what its subscriber is about to take.
    pub(super) fn hold_up(&self) -> Option<Self> {
        match self.when_full {
            WhenFull::Block => Some(*self),
            WhenFull::DropNewest => {
                let half = (self.messages / 2, self.bytes / 2);
                let is_much = half.0 >= LITTLE.0 && half.1 >= LITTLE.1;
                is_much.then_some(Self {
                    messages: half.0.min(AHEAD.0),
                    bytes: half.1.min(AHEAD.1),
                    when_full: self.when_full,
                })
            }
            WhenFull::DropOldest => None,
        }
    }

    /// How many messages and bytes a subscriber may give out, if they are more than one message, before it sees whether the
    /// driver can go on: where that is for no longer than a moment, any number.
    pub(super) fn stretch(&self) -> Option<(usize, usize)> {
        (self.when_full == WhenFull::Block).then_some((self.messages / 4, self.bytes / 4))
    }

    /// Whether so much leaves half of the room.
    pub(super) fn is_half(&self, messages: usize, bytes: usize) -> bool {
        messages <= self.messages / 2 && bytes <= self.bytes / 2
    }

    /// Whether so much leaves no room.
    pub(super) fn is_full(&self, messages: usize, bytes: usize) -> bool {
        messages >= self.messages || bytes >= self.bytes
    }

    /// How much a subscriber takes at once where the oldest are dropped: what it has taken stays.
    pub(super) fn portion(&self) -> (usize, usize) {
        const MOST: usize = 16;
        ((self.messages / 4).clamp(1, MOST), self.bytes / 4)
    }
}
