//! Which server is next, when, and the attempt at it.

use super::event::{DialId, Event};
use super::handshake::LameDuck;
use super::state::{Link, Next};
use super::{ConnectError, Connection, DialError, ReconnectToServer, SetServerPoolError};
use crate::faults::fault;
use crate::servers::{Source, Turn};
use crate::{Instant, ServerAddr};
use alloc::vec::Vec;
use core::time::Duration;

impl Connection {
    /// Goes on to the next server: at once, or after a wait.
    pub(super) fn next_server(&mut self, now: Instant) {
        self.leave_server(now, None);
    }

    /// Goes on to the next server without waiting.
    pub(super) fn reconnect_now(&mut self, now: Instant) {
        self.pool.forget_waits();
        self.leave_server(now, Some(Duration::ZERO));
    }

    /// Goes on to the next server, which the caller chooses if it wants to. `delay` replaces the wait.
    fn leave_server(&mut self, now: Instant, delay: Option<Duration>) {
        // Where every server gets one chance, none is given up before the others had theirs.
        let most = self.config.max_reconnects.filter(|_| !self.has_one_round());
        self.pool.rotate(most);
        if self.config.choose_server && self.pool.has_other() {
            let deadline = now + self.config.connect_timeout;
            self.link = Link::Choosing { deadline, delay };
            let (servers, info) = (self.pool.servers(), self.info.clone());
            self.emit(Event::ChooseServer { servers, info });
        } else {
            self.take_turn(now, delay);
        }
    }

    /// Whether this is the first connect, and there is no second attempt at any server.
    pub(super) fn has_one_round(&self) -> bool {
        self.connects == 0 && !self.config.retry_on_initial_connect
    }

    /// The answer to [`Event::ChooseServer`]. With `None`, or a server that is not in the pool, the pool decides.
    /// Ignored if nobody asked, or no longer. Answers cannot be told apart: withdraw a question once
    /// [`state`](Self::state) is not [`State::Choosing`](super::State::Choosing) any more.
    pub fn handle_choice(&mut self, now: Instant, choice: Option<ReconnectToServer>) {
        let Link::Choosing { delay, .. } = self.link else {
            return;
        };
        match choice {
            Some(choice) if self.pool.choose(&choice.addr) => {
                self.take_turn(now, choice.delay.or(delay));
            }
            _ => self.take_turn(now, delay),
        }
    }

    /// Dials the server whose turn it is, after `delay` or when its time has come.
    pub(super) fn take_turn(&mut self, now: Instant, delay: Option<Duration>) {
        match self.pool.next() {
            Turn::Dial(_, not_before) => {
                let until = match delay {
                    Some(delay) => now + delay,
                    None => self.backoff(now, not_before),
                };
                if until <= now {
                    self.dial(now);
                } else {
                    self.link = Link::Backoff { until };
                    self.wake.attention();
                }
            }
            Turn::Exhausted => self.close_now(Some(ConnectError::MaxReconnects)),
        }
    }

    /// Replaces the servers of the pool. What is known of those that stay is kept, and attempts are counted anew. A
    /// connection that is up stays, wherever it is to; [`force_reconnect`](Self::force_reconnect) moves it.
    ///
    /// # Errors
    ///
    /// Nothing has changed.
    pub fn set_server_pool(
        &mut self,
        now: Instant,
        servers: Vec<ServerAddr>,
    ) -> Result<(), SetServerPoolError> {
        if self.link.is_last() {
            return Err(SetServerPoolError::Closed);
        }
        self.pool.replace(servers, self.config.retain_servers_order, &mut self.rng)?;
        self.attempts = 0;
        // Nobody waits for a server that is not to be tried.
        if matches!(self.link, Link::Backoff { .. }) && self.pool.is_leaving() {
            self.next_server(now);
        }
        // There may be somewhere to go now.
        if self.is_up() {
            self.leave_lame_duck(now);
            // The time to leave may have come nearer.
            self.wake.attention();
        }
        Ok(())
    }

    /// When the next server might be dialled if the one in use were left now. Where the application says which that is,
    /// or how long it takes, nothing is known of that.
    pub(super) fn next_dial_if_left(&self, now: Instant) -> Instant {
        match self.pool.other_not_before() {
            Some(time) if !self.config.choose_server && self.config.reconnect_delay.is_none() => {
                time
            }
            _ => now,
        }
    }

    /// When the next attempt may begin.
    fn backoff(&self, now: Instant, not_before: Option<Instant>) -> Instant {
        let first_round = self.connects == 0 && self.attempts < self.pool.len();
        match &self.config.reconnect_delay {
            Some(delay) if !first_round => now + delay(self.attempts.saturating_add(1)),
            _ if fault!(NoBackoff) => now,
            _ => not_before.unwrap_or(now),
        }
    }

    /// Dials the server whose turn it is, as the pool has it now.
    pub(super) fn dial(&mut self, now: Instant) {
        let Some(server) = self.pool.current().cloned() else {
            return self.close_now(Some(ConnectError::MaxReconnects));
        };
        self.attempts = self.attempts.saturating_add(1);
        self.dials = self.dials.saturating_add(1);
        self.pool.dialled(now);
        let id = DialId(self.dials);
        self.link = Link::Dialing { id, deadline: now + self.config.connect_timeout };
        self.emit(Event::Dial { id, server });
    }

    /// The attempt `id` has ended. An answer for an attempt that is not the latest is ignored.
    pub fn handle_dial(&mut self, now: Instant, id: DialId, result: Result<(), DialError>) {
        let Link::Dialing { id: current, deadline } = self.link else {
            return;
        };
        if id != current {
            return;
        }
        match result {
            Ok(()) => {
                if !fault!(DecoderIsNotReset) {
                    self.input.reset(self.config.limits);
                }
                self.pongs = 0;
                let encrypted = self.pool.current().is_some_and(|server| self.is_encrypted(server));
                self.source = if encrypted { Source::Encrypted } else { Source::Plain };
                self.greeting = None;
                self.lame_duck = LameDuck::No;
                self.link = Link::AwaitInfo { deadline };
            }
            Err(error) => self.connect_failed(now, ConnectError::Dial(error), Next::Reconnect),
        }
    }
}
