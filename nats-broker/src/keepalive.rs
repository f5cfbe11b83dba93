//! Everything that happens by itself: keepalive probes, the time to introduce oneself, lame duck mode.

use core::mem;
use core::ops::Bound;
use core::time::Duration;

use nats_proto::wire::encoder;
use nats_proto::{Instant, Rng};

use crate::Broker;
use crate::config::Config;
use crate::event::SessionId;
use crate::operations::error_text;
use crate::session::{RoundTrip, Session};

/// After so long without a probe, one is sent even to a client that is busy, to measure the round trip.
const ROUND_TRIP_INTERVAL: Duration = Duration::from_secs(3600);

/// A client that does not introduce itself gets a request without PING only so soon after it connected.
const EARLIEST_MEASUREMENT: Duration = Duration::from_secs(2);

/// The longest pause between two connections that a lame duck closes.
const LONGEST_LAME_DUCK_PAUSE: Duration = Duration::from_secs(1);

/// Lame duck mode, once begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LameDuck {
    /// When the next connection is closed; none if none is left.
    next: Option<Instant>,
    pause: Duration,
    /// The connection that was closed last: all older ones are closing as well.
    closed: Option<SessionId>,
}

impl LameDuck {
    pub(crate) fn new(now: Instant, config: &Config, clients: usize) -> Self {
        let spread = config.lame_duck_duration.saturating_sub(config.lame_duck_grace);
        let clients = u32::try_from(clients).unwrap_or(u32::MAX).max(1);
        // At least a nanosecond, so that every deadline lies after the one before it.
        let pause = (spread / clients).clamp(Duration::from_nanos(1), LONGEST_LAME_DUCK_PAUSE);
        Self { next: Some(now + config.lame_duck_grace), pause, closed: None }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Between half of the pause and the whole.
    fn random_pause(&self, rng: &mut Rng) -> Duration {
        let nanos = u64::try_from(self.pause.as_nanos()).unwrap_or(u64::MAX);
        let half = nanos.div_ceil(2);
        Duration::from_nanos(half.saturating_add(rng.below(nanos.saturating_sub(half))))
    }
}

impl Session {
    /// Whether to send PING ahead of a request, since how long this client takes for an answer is not known and it has been
    /// there for long enough. Notes it.
    pub(crate) fn measure(&mut self, now: Instant) -> bool {
        let is_due =
            self.round_trip == RoundTrip::Unknown && now - self.since > EARLIEST_MEASUREMENT;
        if is_due {
            self.note_probe(now);
        }
        is_due
    }

    /// Notes that PING is sent.
    fn note_probe(&mut self, now: Instant) {
        self.pings_out = self.pings_out.saturating_add(1);
        self.last_probe = Some(now);
    }
}

impl Broker {
    pub(crate) fn handle_timers(&mut self, now: Instant) {
        while let Some((deadline, id)) = self.timers.first().copied() {
            if deadline > now {
                break;
            }
            self.timers.remove(&(deadline, id));
            if let Some(session) = self.sessions.get_mut(&id) {
                session.deadline = None;
                if session.introduce_by.is_some_and(|by| by <= deadline) {
                    self.refuse(id, error_text::AUTHENTICATION_TIMEOUT);
                } else {
                    session.probe_at = None;
                    self.probe(now, id);
                    self.arm(id);
                }
            }
        }
        while let Some(duck) = self.lame_duck {
            if duck.next.is_none_or(|next| next > now) {
                break;
            }
            let after = duck.closed.map_or(Bound::Unbounded, Bound::Excluded);
            let oldest = self
                .sessions
                .range((after, Bound::Unbounded))
                .find(|(_, session)| !session.is_closing())
                .map(|(id, _)| *id);
            let next = oldest.and(duck.next).map(|next| next + duck.random_pause(&mut self.rng));
            self.lame_duck = Some(LameDuck { next, closed: oldest.or(duck.closed), ..duck });
            if let Some(oldest) = oldest {
                self.hang_up(oldest);
            }
        }
    }

    /// Sets the time of the first probe after CONNECT, which comes early.
    pub(crate) fn schedule_first_probe(&mut self, id: SessionId, now: Instant) {
        let interval = self.config.first_ping.min(self.config.ping_interval);
        let fifth = u64::try_from((interval / 5).as_nanos()).unwrap_or(u64::MAX);
        let delay = interval.saturating_add(Duration::from_nanos(self.rng.below(fifth)));
        if !self.config.ping_interval.is_zero() {
            self.probe_at(id, now + delay);
        }
    }

    /// Sets the time of the next probe.
    pub(crate) fn schedule_probe(&mut self, id: SessionId, now: Instant) {
        if !self.config.ping_interval.is_zero() {
            self.probe_at(id, now + self.config.ping_interval);
        }
    }

    fn probe_at(&mut self, id: SessionId, at: Instant) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.probe_at = Some(at);
            self.arm(id);
        }
    }

    /// Sets the time until which the client must introduce itself. Probes are sent meanwhile as to any other.
    pub(crate) fn await_introduction(&mut self, id: SessionId, now: Instant) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.introduce_by = Some(now + self.config.auth_timeout);
            self.arm(id);
        }
    }

    /// Takes out what was set before, if anything was.
    pub(crate) fn clear_deadlines(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            (session.introduce_by, session.probe_at) = (None, None);
            self.arm(id);
        }
    }

    /// Sets the timer of a session to the next time at which something is due.
    fn arm(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let next = session.introduce_by.into_iter().chain(session.probe_at).min();
        let before = mem::replace(&mut session.deadline, next);
        if before != next {
            before.map(|before| self.timers.remove(&(before, id)));
            self.timers.extend(next.map(|next| (next, id)));
        }
    }

    /// Sends PING, unless the client was heard of lately, or gives it up if it owes too many PONGs.
    fn probe(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let is_active = session.last_in.is_some_and(|last| now - last < self.config.ping_interval);
        let is_measured = session.round_trip == RoundTrip::Known
            && session.last_probe.is_some_and(|probe| now - probe <= ROUND_TRIP_INTERVAL);
        if !(is_active && is_measured) {
            if session.pings_out >= self.config.max_pings_out {
                self.refuse(id, error_text::STALE_CONNECTION);
                return;
            }
            session.note_probe(now);
            self.send(id, encoder::ping);
        }
        if self.is_open(id) {
            self.schedule_probe(id, now);
        }
    }
}
