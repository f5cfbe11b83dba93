//! How much may be queued for writing.

use super::state::Link;
use super::{Connection, PendingPolicy, PublishError};
use crate::faults::fault;
use crate::wire::OutBuf;

/// For every byte that may be copied into the outgoing buffer, so many may wait in all. Payloads that are not copied
/// take no memory of the connection's own, and a buffer that holds one of them would have each written alone.
const SHARED: usize = 8;

/// What a buffer holds, or may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Bytes in the buffer's own memory.
    copied: usize,
    /// The same, with the payloads that are not copied.
    all: usize,
}

impl Load {
    /// What is not written yet of a buffer.
    pub(super) fn of(buf: &OutBuf) -> Self {
        Self { copied: buf.copied_len(), all: buf.len() }
    }

    /// A frame with a payload.
    pub(super) fn of_frame(frame: usize, payload: usize) -> Self {
        let shared = if payload < OutBuf::SEGMENT_THRESHOLD { 0 } else { payload };
        Self { copied: frame.saturating_sub(shared), all: frame }
    }

    fn zip(self, other: Self, with: fn(usize, usize) -> usize) -> Self {
        Self { copied: with(self.copied, other.copied), all: with(self.all, other.all) }
    }

    fn fits(self, limit: Self) -> bool {
        self.copied <= limit.copied && self.all <= limit.all
    }
}

impl Connection {
    /// Whether who has found no room finds none without another link: there is none, or one that is about to be left. As long
    /// as it is so, it is no use to try again; [`Event::Connected`](super::Event::Connected) ends it, for one. Never true where
    /// publishes are refused for another reason.
    pub fn room_needs_link(&self) -> bool {
        let can_write = self.is_up() && !self.lame_duck.is_leaving();
        !can_write && self.accepts_publishes().is_ok()
    }

    /// Whether as much is queued on a link as may be. [`publish`](Self::publish) and [`request`](Self::request) refuse
    /// more; for subscriptions and fences there is always room, but who can wait should do so before.
    pub fn is_full(&self) -> bool {
        self.is_up() && !self.outgoing.is_empty() && self.room() == 0
    }

    /// What may be queued.
    ///
    /// What was kept for a link is handed out all at once, and comes back if that link breaks. As long as it
    /// is being written, what it has more than may be queued takes room from what may be added: else each
    /// link that breaks would add to what is kept.
    fn room_limit(&self, connected: bool) -> Load {
        if !connected {
            return Load { copied: self.config.pending_limit, all: self.config.pending_limit };
        }
        let limit = self.send_limit();
        if fault!(HandedOutIsNotCounted) {
            return limit;
        }
        let excess = self.handed_out.zip(limit, usize::saturating_sub);
        limit.zip(excess, usize::saturating_sub)
    }

    /// What takes up room beside what is added.
    ///
    /// What is handed out when a link is hung up on comes back, as far as it is not written: else each hang-up would
    /// add to what is kept. Where the oldest make room for newer ones they do so once they are back.
    fn queued(&self) -> Load {
        let queued = Load::of(&self.outgoing);
        match self.link {
            Link::HangingUp { .. } if self.config.pending_policy != PendingPolicy::DropOldest => {
                queued.zip(self.handed_out, usize::saturating_add)
            }
            _ => queued,
        }
    }

    /// A link is gone on which was hung up, and what was handed out is back: makes room for what came meanwhile.
    pub(super) fn make_room_afterwards(&mut self, came_back: usize) {
        if self.config.pending_policy == PendingPolicy::DropOldest {
            // Nothing is given up that nothing newer takes the place of.
            let most = self.config.pending_limit.max(self.send_limit().all).max(came_back);
            self.drop_oldest(most);
        }
    }

    fn send_limit(&self) -> Load {
        let copied = self.config.send_limit;
        Load { copied, all: copied.saturating_mul(SHARED) }
    }

    /// Bytes that may be queued for a link that is up, whatever they are.
    pub(super) fn room(&self) -> usize {
        let left = self.room_limit(true).zip(Load::of(&self.outgoing), usize::saturating_sub);
        left.copied.min(left.all)
    }

    pub(super) fn has_room(&self, frame: Load, connected: bool) -> bool {
        let queued = self.queued().zip(frame, usize::saturating_add);
        queued.fits(self.room_limit(connected)) || (connected && fault!(RoomIsNotCounted))
    }

    /// Sees to it that a frame fits, or says why it does not.
    pub(super) fn make_room(&mut self, frame: Load, connected: bool) -> Result<(), PublishError> {
        if self.has_room(frame, connected) {
            return Ok(());
        }
        let limit = self.room_limit(connected);
        let queued = self.queued();
        // On a link, one frame that is larger than the limit goes alone: waiting would not make it fit.
        // It may do so while another such frame is being written, but not on top of what was kept for the link. PINGs and what
        // is said of subscriptions are no publishes: however many there are, it need not wait for a moment without any.
        let most = self.send_limit().zip(self.room_limit(false), usize::max);
        let is_alone = match frame.fits(self.send_limit()) {
            true => queued.all == 0,
            false => !self.queued.any,
        };
        if connected && is_alone && self.handed_out.fits(most) {
            return Ok(());
        }
        let drops = !connected && self.config.pending_policy == PendingPolicy::DropOldest;
        if drops && frame.fits(limit) {
            self.drop_oldest(limit.all.saturating_sub(frame.all));
            // More than may be kept is never kept, even if there were something that cannot be given up.
            if self.has_room(frame, connected) {
                return Ok(());
            }
        }
        // Whoever waits for room now must not be overtaken by the short way.
        self.gate.close();
        let all_fits = queued.all.saturating_add(frame.all) <= limit.all;
        let (buffered, limit) = match all_fits {
            true => (queued.copied, limit.copied),
            false => (queued.all, limit.all),
        };
        Err(PublishError::BufferFull { size: frame.all, buffered, limit, connected })
    }
}
