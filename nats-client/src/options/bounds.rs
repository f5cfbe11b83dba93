//! Timeouts and bounds.

use std::time::Duration;

use nats_proto::connection::PendingPolicy;

use super::ConnectOptions;
use crate::mailbox::WhenFull;

/// Timeouts and bounds.
impl<R> ConnectOptions<R> {
    /// Time that a request waits for its reply, if the request itself does not say; `None` for no end.
    /// Default: 10 s.
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// Time that a flush may take. Default: 10 s.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.settings.flush_timeout = timeout;
        self
    }

    /// Time that draining may take. Default: 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_timeout = timeout;
        self
    }

    /// Messages that may wait for one subscriber, if the subscription itself does not
    /// [say](crate::NewSubscription::capacity). Zero counts as one. Default: 65,536.
    ///
    /// Where 8,192 or more, and 2 MiB or more, may wait and the newest are dropped, a subscriber that has half of that to take
    /// is given a moment to catch up: see the [guide](crate::guide::subscribe).
    pub fn subscription_capacity(mut self, messages: usize) -> Self {
        self.settings.subscription.messages = messages;
        self
    }

    /// Bytes of messages (subject, reply, headers, payload) that may wait for one subscriber, if the subscription
    /// itself does not [say](crate::NewSubscription::byte_capacity). A message that is larger than all of this is
    /// dropped, unless the subscription [holds up](crate::WhenFull::Block) the connection. Default: 64 MiB.
    pub fn subscription_byte_capacity(mut self, bytes: usize) -> Self {
        self.settings.subscription.bytes = bytes;
        self
    }

    /// What happens to more messages than may wait for one subscriber, if the subscription itself does not
    /// [say](crate::NewSubscription::when_full). Default: the newest are dropped and counted.
    pub fn subscription_policy(mut self, when_full: WhenFull) -> Self {
        self.settings.subscription.when_full = when_full;
        self
    }

    /// Bytes that may be queued for writing on a connection before publishers wait. Payloads of 4 KiB or more, which
    /// are not copied, do not count; with those it may be eight times as much. A message that is larger goes alone. As
    /// much again may be on its way to the socket. Default: 128 KiB.
    pub fn send_buffer_limit(mut self, bytes: usize) -> Self {
        self.config.send_limit = bytes;
        self
    }

    /// Sets [`send_buffer_limit`](Self::send_buffer_limit) to 512 bytes for each of so many commands: there
    /// is no queue of commands here, publishers write straight into the buffer.
    pub fn client_capacity(self, commands: usize) -> Self {
        self.send_buffer_limit(commands.saturating_mul(512))
    }

    /// Bytes of publishes that are kept while there is no connection. Zero refuses them all, at once and whatever the
    /// [policy](Self::pending_policy): nobody waits, not even who waited for room when the connection broke.
    /// Default: 8 MiB.
    pub fn pending_limit(mut self, bytes: usize) -> Self {
        self.config.pending_limit = bytes;
        self
    }

    /// What happens when as much is kept as [`pending_limit`](Self::pending_limit) says, unless that is zero:
    /// publishers wait (the default), get an error, or the oldest messages make room; those of a message that is larger
    /// than all the room get an error then, too.
    pub fn pending_policy(mut self, policy: PendingPolicy) -> Self {
        // Where the oldest make room, only what is larger than all the room is refused: waiting would not make it fit.
        self.settings.wait_while_disconnected = policy == PendingPolicy::Wait;
        self.config.pending_policy = policy;
        self
    }

    /// Bytes of headers and payload that a message which is received may have. A larger one ends the connection, as soon as
    /// it begins: this should be no less than the `max_payload` of the servers, which may be set to more than the default
    /// here. Above 1 GiB counts as 1 GiB; over a WebSocket, no more than 128 MiB come through. Default: 64 MiB.
    ///
    /// The [byte capacity](Self::subscription_byte_capacity) of a subscription bounds its messages as well. What is published
    /// before the first connection may not be larger either.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.config.limits.payload = bytes;
        self
    }

    /// Bytes of a read buffer, to half as much again; a large message that is kept holds on to the one it came in.
    /// Messages that are more than half as large get buffers of their own size. Default: 64 KiB.
    pub fn read_buffer_capacity(mut self, bytes: u16) -> Self {
        self.settings.read_buffer = usize::from(bytes);
        self
    }
}
