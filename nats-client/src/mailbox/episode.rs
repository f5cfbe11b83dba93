//! Times in which messages are dropped.

use nats_proto::connection::EndReason;

use crate::faults::fault;

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
/// The end must not be told before the beginning is, which the driver does after it has let go of the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Episode {
    #[default]
    None,
    /// The driver is going to tell.
    Begun(u64),
    /// The driver has told.
    Told(u64),
}

impl Rare {
    /// Counts dropped messages. True if an episode begins with them.
    pub(super) fn drop_more(&mut self, count: u64) -> bool {
        let counted = count.saturating_sub(u64::from(fault!(DroppedIsNotCounted)));
        self.dropped = self.dropped.saturating_add(counted);
        match &mut self.episode {
            Episode::None => {
                self.episode = Episode::Begun(count);
                true
            }
            Episode::Begun(dropped) | Episode::Told(dropped) => {
                *dropped = dropped.saturating_add(count);
                false
            }
        }
    }

    /// The beginning of the episode there is was told.
    pub(super) fn tell(&mut self) {
        if let Episode::Begun(dropped) = self.episode
            && !fault!(EpisodeNeverEnds)
        {
            self.episode = Episode::Told(dropped);
        }
    }

    /// Ends the episode there is, unless its beginning is still to be told: then
    /// [`Mailbox::told`](super::Mailbox::told) ends it.
    pub(super) fn end_episode(&mut self) -> Option<u64> {
        let Episode::Told(dropped) = self.episode else {
            return None;
        };
        if !fault!(EpisodeEndsTwice) {
            self.episode = Episode::None;
        }
        Some(dropped)
    }
}
