//! Times in which messages are dropped.

use nats_proto::connection::EndReason;

use super::{ABANDONED, FINISHED, Inbox, Mailbox};
use crate::faults::fault;
use crate::notice::Notice;

/// What most mailboxes never have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    episode: Episode,
    /// So many messages must have been kept before the episode can be over.
    pub(super) resumed: u64,
    /// Messages dropped in all.
    pub(super) dropped: u64,
    pub(super) reason: Option<EndReason>,
}

/// A time in which messages are dropped, with their number.
///
/// It is over when the subscriber has caught up, or nothing more can come. If it had not lagged behind, because what
/// was dropped could not fit at all, it is over when it gets something again: one episode, however many those are.
/// Who begins or ends one tells of it after it has let go of the lock. So none ends before its beginning is told, and none
/// begins before the end of the last one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Episode {
    #[default]
    None,
    /// Somebody is going to tell.
    Begun(u64),
    /// That was told.
    Told(u64),
    /// It has ended, and somebody is going to tell. So many were dropped since, of which another one will tell.
    Ended(u64),
}

impl Mailbox {
    /// Counts dropped messages. True if an episode begins with them.
    pub(super) fn drop_more(&self, inbox: &mut Inbox, count: u64) -> bool {
        let (messages, bytes) = self.waiting(inbox);
        let lags = !self.bounds.is_half(messages, bytes);
        let resumed = inbox.kept.saturating_add(u64::from(!lags));
        let rare = inbox.rare();
        rare.resumed = resumed;
        rare.drop_more(count)
    }

    /// The beginning of an episode was told. Gives its number if it is over already.
    fn told(&self) -> Option<u64> {
        let mut inbox = self.lock();
        let (messages, bytes) = self.waiting(&inbox);
        let caught_up = self.bounds.is_half(messages, bytes) && inbox.has_resumed();
        let over = caught_up || self.is(FINISHED | ABANDONED);
        let rare = inbox.rare.as_mut()?;
        rare.tell();
        if over { rare.end_episode() } else { None }
    }

    /// Tells of an episode that has begun, by way of `emit`, and of what has become of it meanwhile.
    pub(crate) fn tell_slow(&self, sid: u64, emit: impl Fn(Notice)) {
        emit(Notice::SlowConsumer { sid });
        self.tell_recovered(sid, self.told(), emit);
    }

    /// Tells of an episode that has ended with so many messages, if one has, and of those that have begun because more were
    /// dropped meanwhile.
    pub(crate) fn tell_recovered(&self, sid: u64, missed: Option<u64>, emit: impl Fn(Notice)) {
        let mut missed = missed;
        while let Some(dropped) = missed {
            emit(Notice::SlowConsumerRecovered { sid, dropped });
            if !self.lock().rare.as_mut().is_some_and(|rare| rare.begin_again()) {
                return;
            }
            emit(Notice::SlowConsumer { sid });
            missed = self.told();
        }
    }
}

impl Rare {
    /// Counts dropped messages. True if an episode begins with them.
    fn drop_more(&mut self, count: u64) -> bool {
        let counted = count.saturating_sub(u64::from(fault!(DroppedIsNotCounted)));
        self.dropped = self.dropped.saturating_add(counted);
        match &mut self.episode {
            Episode::None => {
                self.episode = Episode::Begun(count);
                true
            }
            Episode::Begun(dropped) | Episode::Told(dropped) | Episode::Ended(dropped) => {
                *dropped = dropped.saturating_add(count);
                false
            }
        }
    }

    /// The beginning of the episode there is was told.
    fn tell(&mut self) {
        if let Episode::Begun(dropped) = self.episode
            && !fault!(EpisodeNeverEnds)
        {
            self.episode = Episode::Told(dropped);
        }
    }

    /// Ends the episode there is, unless its beginning is still to be told: then [`Mailbox::told`] ends it. Whoever gets its
    /// number has to [tell](Mailbox::tell_recovered).
    pub(super) fn end_episode(&mut self) -> Option<u64> {
        let Episode::Told(dropped) = self.episode else {
            return None;
        };
        if !fault!(EpisodeEndsTwice) {
            self.episode = Episode::Ended(0);
        }
        Some(dropped)
    }

    /// The end of an episode was told. True if another begins, with what was dropped meanwhile.
    fn begin_again(&mut self) -> bool {
        let Episode::Ended(dropped) = self.episode else {
            return false;
        };
        let begins = dropped > 0;
        self.episode = if begins { Episode::Begun(dropped) } else { Episode::None };
        begins
    }
}
