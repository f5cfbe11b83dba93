//! What one subscription of a simulated client may get, and has got.

use nats_proto::Instant;

use super::arrivals::{Arrivals, Stamp};

/// How many plain subjects there are to publish to.
pub(super) const TOPICS: u64 = 3;

/// The subject of a topic.
pub(super) fn topic(number: u64) -> String {
    format!("topic.{number}")
}

/// What the application knows of the server's having a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It has not asked.
    Unasked,
    /// It waits for the word, until a deadline if there is one. So many links had broken when it asked.
    Awaited { deadline: Option<Instant>, breaks: u64 },
    /// The server has it.
    Given,
}

/// One subscription.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) subject: String,
    /// Whether it gets every message on its subject: no queue group, no messages held back.
    pub(super) gets_all: bool,
    pub(super) word: Word,
    /// Whether it is drained: nobody waits for the server's word any more.
    pub(super) draining: bool,
    pub(super) max: Option<u64>,
    /// Whether messages that were queued when the maximum was set may still come.
    pub(super) settling: bool,
    /// Whether more had come already when the maximum was set.
    pub(super) over: bool,
    /// Whether its maximum was raised, which a server may learn too late.
    pub(super) raised: bool,
    /// Whether there was another maximum before, of which a server may have been told last.
    pub(super) changed: bool,
    pub(super) delivered: u64,
    /// Links that had broken, and places, when the latest message came.
    last: Option<(u64, u64, u64)>,
}

impl Topic {
    pub(super) fn new(subject: String, gets_all: bool, word: Word) -> Self {
        Self {
            subject,
            gets_all,
            word,
            draining: false,
            max: None,
            settling: false,
            over: false,
            raised: false,
            changed: false,
            delivered: 0,
            last: None,
        }
    }

    /// By when the server's word is due.
    pub(super) fn word_by(&self) -> Option<Instant> {
        match self.word {
            Word::Awaited { deadline, .. } if !self.draining => deadline,
            _ => None,
        }
    }

    /// A message has come.
    pub(super) fn deliver(
        &mut self,
        arrivals: &Arrivals,
        breaks: u64,
        subject: &str,
        stamp: Stamp,
    ) {
        assert!(matches(&self.subject, subject), "{subject} came to {}", self.subject);
        self.delivered += 1;
        let allowed = self.settling || self.max.is_none_or(|max| self.delivered <= max);
        assert!(allowed, "more than allowed: {self:?}");
        let place = arrivals.place(stamp).expect("delivered, and so seen by the broker");
        let all_topics = self.subject == "topic.*";
        let in_list = if all_topics { place.in_topics } else { place.in_subject };
        if let Some((link, overall, before)) = self.last {
            assert!(place.overall > overall, "{stamp:?} came out of order: {self:?}");
            assert!(
                link != breaks || !self.gets_all || in_list == before + 1,
                "{} were left out before {stamp:?}: {self:?}",
                in_list - before - 1
            );
        }
        self.last = Some((breaks, place.overall, in_list));
    }

    /// Whether a message on `subject` must reach it, if nothing fails.
    pub(super) fn must_get(&self, subject: &str) -> bool {
        self.gets_all && !self.raised && matches(&self.subject, subject)
    }
}

fn matches(pattern: &str, subject: &str) -> bool {
    pattern == subject || (pattern == "topic.*" && subject.starts_with("topic."))
}
