//! What must hold of a connection at any time, and in the end.

use std::time::Duration;

use nats_proto::{State, SubscriptionId};

use super::Run;

impl Run {
    /// Whether a subscription was to be confirmed, which it is no more.
    pub(super) fn was_confirming(&mut self, id: SubscriptionId) -> bool {
        let index = self.confirming.iter().position(|other| *other == id);
        index.map(|index| self.confirming.swap_remove(index)).is_some()
    }

    /// What holds at any time.
    pub(super) fn check(&mut self) {
        let statistics = self.connection.statistics();
        assert_eq!(statistics.published, self.accepted);
        let sum =
            statistics.confirmed + statistics.uncertain + statistics.dropped + statistics.pending;
        assert_eq!(sum, statistics.published, "{statistics:?}");
        for _ in 0..4 {
            match self.connection.poll_timeout() {
                Some(deadline) if deadline <= self.now => {
                    self.connection.handle_timeout(self.now);
                }
                _ => return self.check_end(),
            }
        }
        panic!("a deadline stays although it was handled");
    }

    fn check_end(&self) {
        let is_due = self.ends_by.is_some_and(|deadline| deadline <= self.now);
        let has_ended = matches!(self.connection.state(), State::HangingUp | State::Closed);
        assert!(!is_due || has_ended, "draining takes longer than it may");
    }

    /// Closes the connection, which must come to its end whatever happened before.
    pub(super) fn finish(mut self) {
        self.connection.close(self.now, Duration::from_secs(1));
        for _ in 0..8 {
            self.poll_events();
            self.check();
            if self.closed {
                break;
            }
            self.now = self.now + Duration::from_secs(60);
            self.connection.handle_timeout(self.now);
        }
        assert!(self.closed, "{:?} does not end", self.connection.state());
        assert_eq!(self.connection.state(), State::Closed);
        assert_eq!(self.connection.statistics().pending, 0);
        assert_eq!(self.connection.poll_timeout(), None);
        assert!(self.flushes.is_empty(), "flushes without an answer");
        assert!(self.requests.is_empty(), "requests without an answer");
        assert!(self.subscriptions.is_empty(), "subscriptions without an end");
    }
}
