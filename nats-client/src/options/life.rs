//! How the connection is kept up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nats_proto::ServerInfo;

use super::ConnectOptions;
use crate::event::Event;
use crate::notice::Notice;
use crate::panics::call;
use crate::server_addr::{ReconnectToServer, Server};

/// How the connection is kept up.
impl<R> ConnectOptions<R> {
    /// Time that one attempt may take, from resolving the name to the server's first PONG. Default: 5 s.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// Makes a failing first connect be retried like a reconnect: `connect` gives the handle at once and
    /// connects in the background. After [`max_reconnects`](Self::max_reconnects) attempts at each server the client closes,
    /// and what was published by then is lost. Default: off.
    pub fn retry_on_initial_connect(mut self) -> Self {
        self.config.retry_on_initial_connect = true;
        self
    }

    /// Time between keepalive probes; zero turns them off. Default: 2 min.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = interval;
        self
    }

    /// Probes in a row that may stay without any inbound byte; at the next one the connection is given up.
    /// Default: 2.
    pub fn max_pings_outstanding(mut self, count: u32) -> Self {
        self.config.max_pings_outstanding = count;
        self
    }

    /// Attempts in a row at one server before it is given up; `None` or zero for no end. Default: 60.
    ///
    /// When no server is left, the client closes: `Event::ClientError(ClientError::MaxReconnects)` and
    /// `Event::Closed` tell.
    pub fn max_reconnects<T: Into<Option<usize>>>(mut self, max_reconnects: T) -> Self {
        self.config.max_reconnects = max_reconnects.into().filter(|count| *count > 0);
        self
    }

    /// Never reconnects: the client closes when its connection breaks, and is not moved by
    /// [`force_reconnect`](crate::Client::force_reconnect) either. Default: it does.
    pub fn no_reconnect(mut self) -> Self {
        self.config.reconnect = false;
        self
    }

    /// The least time between two attempts at the same server. Default: 2 s.
    pub fn reconnect_wait(mut self, wait: Duration) -> Self {
        self.config.reconnect_wait = wait;
        self
    }

    /// At most so much is added to the wait at random, so that clients do not all come back at the same
    /// instant. Default: 100 ms.
    pub fn reconnect_jitter(mut self, jitter: Duration) -> Self {
        self.config.reconnect_jitter = jitter;
        self
    }

    /// Replaces wait and jitter by a function of the number of the attempt (from 1).
    ///
    /// It is called while the client is locked: it must only compute, and not use the client. If it panics, the wait is
    /// [`reconnect_wait`](Self::reconnect_wait).
    pub fn reconnect_delay_callback<F>(mut self, callback: F) -> Self
    where
        F: Fn(usize) -> Duration + Send + Sync + 'static,
    {
        self.config.reconnect_delay = Some(Arc::new(callback));
        self
    }

    /// Sees to it that a delay that panics, under the lock, is one of [`reconnect_wait`](Self::reconnect_wait).
    pub(super) fn guard_delay(&mut self) {
        let wait = self.config.reconnect_wait;
        if let Some(delay) = self.config.reconnect_delay.take() {
            let guarded = move |attempt| call(|| delay(attempt)).unwrap_or(wait);
            self.config.reconnect_delay = Some(Arc::new(guarded));
        }
    }

    /// Asks which server to dial next, on every attempt, also where there is only one: `callback` gets the pool, those to
    /// be tried next first, and what the last server said of itself (empty before the first connection).
    ///
    /// It answers with a server of the pool and the wait before dialling it ([`None`] for what the other settings
    /// say), or with [`None`] to let the pool decide. The pool also decides if the server is not in it, which
    /// [`ClientError::ServerNotInPool`](crate::ClientError::ServerNotInPool) tells, or if no answer comes within the
    /// [`connection_timeout`](Self::connection_timeout): the future is dropped then, or when the client is closed.
    pub fn reconnect_to_server_callback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Vec<Server>, ServerInfo) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<ReconnectToServer>> + Send + 'static,
    {
        self.config.choose_server = true;
        self.hooks.server = Some(Arc::new(move |pool, info| Box::pin(callback(pool, info))));
        self
    }

    /// Moves to another server of the pool, if there is one, as soon as the server in use announces its shutdown
    /// (lame duck mode). What was published before is confirmed first, and publishers wait meanwhile, so that no
    /// message becomes uncertain; requests under way may lose their replies. Default: only
    /// [`Event::LameDuckMode`] tells.
    ///
    /// A server that tells of no other one then is left only for one that was given: what is known besides may be itself.
    ///
    /// Where the next server failed or was left less than [`reconnect_wait`](Self::reconnect_wait) ago, the client stays
    /// until that is over: a connection that ends soon is better than none. If it ends before, it is lost like any other.
    pub fn leave_lame_duck_servers(mut self) -> Self {
        self.config.leave_lame_duck = true;
        self
    }

    /// Goes on when the same server refuses the credentials twice in a row with the same words. Default: the client
    /// closes, because asking again is pointless (ADR-40).
    pub fn ignore_repeated_auth_errors(mut self) -> Self {
        self.config.ignore_repeated_auth_errors = true;
        self
    }

    /// Tries servers, and the addresses of one host name, in the given order; where an attempt at a server has failed, the
    /// next one begins with its next address. Default: a random order.
    pub fn retain_servers_order(mut self) -> Self {
        self.config.retain_servers_order = true;
        self
    }

    /// Ignores servers that other servers tell of. Default: they join the pool.
    pub fn ignore_discovered_servers(mut self) -> Self {
        self.config.ignore_discovered_servers = true;
        self
    }

    /// Calls `callback` for every [`Event`], one after the other, in a task of its own. A slow callback
    /// delays nothing else; when it is 4,096 events or 1 MiB behind, it misses newer ones. One that panics is called for
    /// the next event all the same.
    ///
    /// The callback should not own a [`Client`](crate::Client): the client would never be dropped.
    pub fn event_callback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.callbacks.event = Some(Arc::new(move |event| Box::pin(callback(event))));
        self
    }

    /// Calls `callback` for every [`Notice`]: what [`event_callback`](Self::event_callback) is told, with the details and
    /// with what no [`Event`] tells. Each happening is given to this callback first if both are set; they take turns in
    /// one task, in which a panic of one does not harm the other.
    pub fn notice_callback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Notice) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.callbacks.notice = Some(Arc::new(move |notice| Box::pin(callback(notice))));
        self
    }
}
