//! Whether the peer is alive.

use core::time::Duration;

use crate::Instant;
use crate::faults::fault;

/// What is to be done about a peer at the time of its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing yet.
    Wait,
    /// Send a PING.
    Ping,
    /// Too many have gone without an answer.
    Stale,
}

/// What shows that a peer is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Bytes that come in, and nothing else: a full socket buffer takes writes for minutes after the peer has
    /// died.
    Inbound,
    /// While nothing is read there is nothing better than that everything can be written.
    Outbound,
}

/// Sends a probe each interval, whatever else is going on: also while nothing is read, because a server counts
/// it as life of ours.
///
/// A silent peer is found within `interval * (max_outstanding + 1)`. With none that may be outstanding it is not asked, so
/// something must come in every interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    max_outstanding: u32,
    /// Probes since the last sign of life. Where none are sent: one from the beginning of an interval on, until there is
    /// a sign of life in it.
    outstanding: u32,
    next: Option<Instant>,
    life: Life,
}

impl Keepalive {
    pub(super) fn new(interval: Duration, max_outstanding: u32) -> Self {
        Self { interval, max_outstanding, outstanding: 0, next: None, life: Life::Inbound }
    }

    /// A connection came up.
    pub(super) fn start(&mut self, now: Instant) {
        self.life = Life::Inbound;
        self.outstanding = u32::from(self.is_mute());
        self.next = (!self.interval.is_zero()).then(|| now + self.interval);
    }

    /// The connection is gone.
    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    /// Bytes came in.
    pub(super) fn heard(&mut self) {
        self.outstanding = 0;
    }

    /// Nothing is read from now on.
    pub(super) fn pause(&mut self) {
        if !fault!(PausedGoesStale) {
            self.life = Life::Outbound;
        }
    }

    /// Whether no probes are sent.
    fn is_mute(&self) -> bool {
        self.max_outstanding == 0
    }

    /// What has come meanwhile is read from now on. Says whether the next probe is at another time now.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        if self.life == Life::Inbound {
            return false;
        }
        self.life = Life::Inbound;
        self.outstanding = u32::from(self.is_mute());
        self.next = self.next.map(|_| now + self.interval);
        true
    }

    /// Everything that was handed out is written.
    pub(super) fn wrote(&mut self) {
        if self.life == Life::Outbound {
            self.outstanding = 0;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Probe {
        if self.next.is_none_or(|next| now < next) {
            return Probe::Wait;
        }
        // Nobody can tell a peer that has nothing to say from a dead one if it is neither asked nor read.
        let judged = !self.is_mute() || self.life == Life::Inbound;
        if judged && self.outstanding >= self.max_outstanding.max(1) {
            return Probe::Stale;
        }
        // From now, not from when it was due: after a long sleep of the machine one probe is enough.
        self.next = Some(now + self.interval);
        if self.is_mute() {
            self.outstanding = 1;
            return Probe::Wait;
        }
        self.outstanding = self.outstanding.saturating_add(1);
        Probe::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_silent_peer_is_stale_after_one_interval_more_than_probes() {
        let mut keepalive = Keepalive::new(SECOND, 2);
        keepalive.start(at(0));
        assert_eq!(keepalive.handle_timeout(at(1)), Probe::Ping);
        assert_eq!(keepalive.handle_timeout(at(1)), Probe::Wait);
        assert_eq!(keepalive.handle_timeout(at(2)), Probe::Ping);
        assert_eq!(keepalive.handle_timeout(at(3)), Probe::Stale);
    }

    #[test]
    fn any_inbound_byte_is_life() {
        let mut keepalive = Keepalive::new(SECOND, 1);
        keepalive.start(at(0));
        for second in 1..100 {
            assert_eq!(keepalive.handle_timeout(at(second)), Probe::Ping);
            keepalive.heard();
        }
    }

    #[test]
    fn while_nothing_is_read_a_peer_that_takes_what_is_written_is_alive() {
        let mut keepalive = Keepalive::new(SECOND, 1);
        keepalive.start(at(0));
        keepalive.pause();
        for second in 1..100 {
            assert_eq!(keepalive.handle_timeout(at(second)), Probe::Ping);
            keepalive.wrote();
        }
        assert_eq!(keepalive.handle_timeout(at(100)), Probe::Ping);
        assert_eq!(keepalive.handle_timeout(at(101)), Probe::Stale);
    }

    #[test]
    fn when_reading_goes_on_a_peer_has_all_the_time_again() {
        let mut keepalive = Keepalive::new(SECOND, 1);
        keepalive.start(at(0));
        keepalive.pause();
        assert_eq!(keepalive.handle_timeout(at(1)), Probe::Ping);
        keepalive.resume(Instant::from_millis(1_900));
        assert_eq!(keepalive.handle_timeout(at(2)), Probe::Wait);
        assert_eq!(keepalive.handle_timeout(at(3)), Probe::Ping);
        keepalive.wrote();
        assert_eq!(keepalive.handle_timeout(at(4)), Probe::Stale, "writing is no life any more");
    }

    #[test]
    fn without_probes_something_must_come_in_every_interval() {
        let mut keepalive = Keepalive::new(SECOND, 0);
        keepalive.start(at(0));
        for second in 1..100 {
            keepalive.heard();
            assert_eq!(keepalive.handle_timeout(at(second)), Probe::Wait);
            assert_eq!(keepalive.deadline(), Some(at(second + 1)));
        }
        assert_eq!(keepalive.handle_timeout(at(100)), Probe::Stale);
        keepalive.start(at(200));
        assert_eq!(keepalive.handle_timeout(at(201)), Probe::Stale, "also in the first one");
    }

    #[test]
    fn without_probes_a_peer_is_not_judged_while_nothing_is_read() {
        let mut keepalive = Keepalive::new(SECOND, 0);
        keepalive.start(at(0));
        keepalive.pause();
        assert_eq!(keepalive.handle_timeout(at(1)), Probe::Wait);
        assert_eq!(keepalive.handle_timeout(at(2)), Probe::Wait);
        keepalive.resume(at(2));
        assert_eq!(keepalive.handle_timeout(at(3)), Probe::Stale);
    }

    #[test]
    fn a_zero_interval_turns_it_off() {
        let mut keepalive = Keepalive::new(Duration::ZERO, 2);
        keepalive.start(at(0));
        assert_eq!(keepalive.deadline(), None);
        assert_eq!(keepalive.handle_timeout(at(1_000)), Probe::Wait);
    }
}
