//! Requests that wait for their replies, all on one inbox subscription.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::event::RequestId;
use super::timers::Deadlines;
use crate::faults::fault;
use crate::wire::{OutBuf, encoder};
use crate::{Instant, Rng};

/// How many characters of `0-9A-Za-z` make an inbox unique: 22 of them are 131 bits.
const UNIQUE_LEN: usize = 22;

/// What the subjects of the API of JetStream begin with, in whichever domain.
const JETSTREAM: &str = "$JS.";

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Goes up each time the slot is used, so that a late reply does not reach its successor.
    generation: u32,
    waits: Waits,
    /// What is asked, by which a server that does not allow it names the request; kept for its memory.
    subject: String,
}

/// A subject no longer than this leaves its memory to the next one.
const SHORT_SUBJECT: usize = 128;

/// What a slot waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// Nothing: it is free.
    #[default]
    No,
    /// A reply to its reply subject.
    ForReply,
    /// The same, or a stored message, which comes with the subject that it was stored under.
    ForStored,
}

/// What the server has said of the inbox subscription on this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Nothing, since it was told of it.
    None,
    /// Messages came through it.
    Kept,
    /// It has refused a subscription without saying which: perhaps this one.
    Doubtful,
}

/// The request multiplexer: `prefix.unique.*` is subscribed once, and the last token of a reply subject
/// names the slot of the request.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// `prefix.unique.`
    inbox: String,
    /// The inbox subscription, made with the first request.
    sid: Option<u64>,
    word: Word,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The slots that wait for a stored message. There may be many others, and a server sends what is for nobody as often as
    /// it likes.
    stored: BTreeSet<u32>,
    deadlines: Deadlines<RequestId>,
    /// Requests for stored messages that have ended without a reply to this inbox: it may still come.
    unanswered: u32,
    /// The reply subject of the request being made; kept for its memory.
    reply: String,
}

/// A subject that nobody else has.
pub(super) fn new_inbox(prefix: &str, rng: &mut Rng) -> String {
    let mut inbox =
        String::with_capacity(prefix.len().saturating_add(UNIQUE_LEN).saturating_add(1));
    inbox.push_str(prefix);
    inbox.push('.');
    rng.fill_base62(&mut inbox, UNIQUE_LEN);
    inbox
}

/// What the reply subjects of one inbox begin with.
fn new_prefix(prefix: &str, rng: &mut Rng) -> String {
    let mut inbox = new_inbox(prefix, rng);
    inbox.push('.');
    inbox
}

/// Appends a number in hexadecimal. As `write!` would, at a tenth of the cost.
fn push_hex(text: &mut String, number: u32) {
    let digits = (u32::BITS.saturating_sub(number.leading_zeros())).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = (number >> digit.saturating_mul(4)) & 0xf;
        text.push(char::from_digit(nibble, 16).unwrap_or('0'));
    }
}

impl Requests {
    pub(super) fn new(prefix: &str, rng: &mut Rng) -> Self {
        Self {
            inbox: new_prefix(prefix, rng),
            sid: None,
            word: Word::None,
            slots: Vec::new(),
            free: Vec::new(),
            stored: BTreeSet::new(),
            deadlines: Deadlines::new(),
            unanswered: 0,
            reply: String::new(),
        }
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(super) fn sid(&self) -> Option<u64> {
        self.sid
    }

    /// Notes that the inbox subscription has the number `sid` from now on.
    pub(super) fn open(&mut self, sid: u64) {
        self.sid = Some(sid);
    }

    /// Ends the inbox subscription; a later request would open another.
    pub(super) fn close_inbox(&mut self) -> Option<u64> {
        self.sid.take()
    }

    /// Whether a server means the inbox subscription by this number, or without one by this subject.
    pub(super) fn is_inbox(&self, subject: &str, sid: Option<u64>) -> bool {
        match (self.sid, sid) {
            (None, _) => false,
            (ours, Some(_)) => ours == sid,
            (Some(_), None) => subject.strip_suffix('*') == Some(&*self.inbox),
        }
    }

    /// A message came with the number of the inbox subscription.
    pub(super) fn heard(&mut self) {
        self.word = Word::Kept;
    }

    /// The server has refused a subscription and does not say which.
    pub(super) fn doubt(&mut self) {
        if self.word == Word::None {
            self.word = Word::Doubtful;
        }
    }

    /// Whether the server may not have the inbox subscription that it was told of.
    pub(super) fn is_doubtful(&self) -> bool {
        self.word == Word::Doubtful
    }

    /// A link begins, whose server is told of the inbox subscription.
    ///
    /// A pull outlives its link: JetStream answers it once somebody listens to its inbox again. So doubt ends with the
    /// inbox, which is kept for requests that still wait.
    pub(super) fn begin_link(&mut self, prefix: &str, rng: &mut Rng, out: &mut OutBuf) {
        if self.unanswered > 0 && self.len() == 0 {
            self.inbox = new_prefix(prefix, rng);
            self.unanswered = 0;
        }
        self.restore(out);
    }

    /// Tells a server of the inbox subscription, if there is one.
    pub(super) fn restore(&mut self, out: &mut OutBuf) {
        self.word = Word::None;
        if let Some(sid) = self.sid {
            let mut subject = self.inbox.clone();
            subject.push('*');
            encoder::subscribe(out, subject.as_bytes(), None, sid);
        }
    }

    /// The slot that the next request gets, and its reply subject.
    pub(super) fn reserve(&mut self) -> (RequestId, String) {
        let index = self.free.last().copied().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
            self.slots.push(Slot::default());
            self.free.push(index);
            index
        });
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        let mut reply = mem::take(&mut self.reply);
        reply.clear();
        reply.push_str(&self.inbox);
        push_hex(&mut reply, index);
        reply.push('-');
        push_hex(&mut reply, generation);
        (RequestId { index, generation }, reply)
    }

    /// Starts the request that was reserved last, to `subject`. Says whether its deadline is now the soonest.
    pub(super) fn start(&mut self, id: RequestId, subject: &str, deadline: Instant) -> bool {
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.waits = Waits::ForReply;
            slot.subject.push_str(subject);
            if subject.starts_with(JETSTREAM) {
                slot.waits = Waits::ForStored;
                note_stored(&mut self.stored, id.index);
            }
            // Behind it are those of requests that were given up to make room for this one.
            if let Some(place) = self.free.iter().rposition(|index| *index == id.index) {
                self.free.swap_remove(place);
            }
        }
        let late = if fault!(RequestDeadlineIsLate) { 100 } else { 0 };
        self.deadlines.insert(deadline + Duration::from_millis(late), id)
    }

    /// Takes the memory of a reply subject back.
    pub(super) fn recycle(&mut self, reply: String) {
        self.reply = reply;
    }

    /// The waiting request that a reply subject names.
    pub(super) fn find(&self, subject: &[u8]) -> Option<RequestId> {
        let token = subject.strip_prefix(self.inbox.as_bytes())?;
        let token = core::str::from_utf8(token).ok()?;
        let (index, generation) = token.split_once('-')?;
        let id = RequestId {
            index: u32::from_str_radix(index, 16).ok()?,
            generation: u32::from_str_radix(generation, 16).ok()?,
        };
        self.is_waiting(&id).then_some(id)
    }

    /// The request that a message in the inbox is for.
    ///
    /// Where a request is answered with a stored message, as by the pull of JetStream, it comes with the subject that it
    /// was stored under. Then it is for the one that waits, if that is the only one and has asked for such a thing, and if
    /// it cannot be the late reply of another one.
    pub(super) fn find_in_inbox(&self, subject: &[u8]) -> Option<RequestId> {
        match subject.starts_with(self.inbox.as_bytes()) {
            true => self.find(subject),
            false => self.only(),
        }
    }

    fn only(&self) -> Option<RequestId> {
        if self.len() != 1 || self.unanswered > 0 {
            return None;
        }
        let index = *self.stored.first()?;
        let slot = self.slots.get(index as usize)?;
        Some(RequestId { index, generation: slot.generation })
    }

    /// Frees the slot of a request whose reply may still come.
    pub(super) fn cancel(&mut self, id: RequestId) {
        self.leave_unanswered(id);
        self.finish(id);
    }

    /// Notes that the request, if it waits, ends before its reply has come.
    fn leave_unanswered(&mut self, id: RequestId) {
        let slot = self.slots.get(id.index()).filter(|slot| slot.generation == id.generation);
        if slot.is_some_and(|slot| slot.waits == Waits::ForStored) {
            self.unanswered = self.unanswered.saturating_add(1);
        }
    }

    /// Frees the slot; false if the request is not waiting any more.
    pub(super) fn finish(&mut self, id: RequestId) -> bool {
        if !self.is_waiting(&id) {
            return false;
        }
        if let Some(slot) = self.slots.get_mut(id.index()) {
            if mem::replace(&mut slot.waits, Waits::No) == Waits::ForStored {
                forget_stored(&mut self.stored, id.index);
            }
            slot.generation = slot.generation.wrapping_add(u32::from(!fault!(LateReplyIsTaken)));
            slot.subject.clear();
            if slot.subject.capacity() > SHORT_SUBJECT {
                slot.subject = String::new();
            }
            self.free.push(id.index);
        }
        let Self { slots, free, deadlines, .. } = self;
        let live = slots.len().saturating_sub(free.len());
        deadlines.tidy(live, |id| waiting(slots, id));
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes out one waiting request whose deadline has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<RequestId> {
        loop {
            let id = self.deadlines.pop_due(now)?;
            self.leave_unanswered(id);
            if self.finish(id) {
                return Some(id);
            }
        }
    }

    /// Takes out all, unanswered.
    pub(super) fn take_all(&mut self) -> Vec<RequestId> {
        self.take_where(|_| true)
    }

    /// Takes out those to `subject`, unanswered.
    pub(super) fn take_to(&mut self, subject: &str) -> Vec<RequestId> {
        self.take_where(|slot| slot.subject == subject || fault!(RefusalEndsAll))
    }

    fn take_where(&mut self, takes: impl Fn(&Slot) -> bool) -> Vec<RequestId> {
        let ids: Vec<RequestId> = (0_u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.is_waiting() && takes(slot))
            .map(|(index, slot)| RequestId { index, generation: slot.generation })
            .collect();
        for id in &ids {
            self.cancel(*id);
        }
        ids
    }

    fn is_waiting(&self, id: &RequestId) -> bool {
        waiting(&self.slots, id)
    }
}

// Where they stand, they would cost other requests more than the question whether they are needed.
#[inline(never)]
fn note_stored(stored: &mut BTreeSet<u32>, index: u32) {
    stored.insert(index);
}

#[inline(never)]
fn forget_stored(stored: &mut BTreeSet<u32>, index: u32) {
    stored.remove(&index);
}

impl Slot {
    fn is_waiting(&self) -> bool {
        self.waits != Waits::No
    }
}

fn waiting(slots: &[Slot], id: &RequestId) -> bool {
    slots.get(id.index()).is_some_and(|slot| slot.is_waiting() && slot.generation == id.generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Requests {
        Requests::new("_INBOX", &mut Rng::from_seed([1; 32]))
    }

    fn start(requests: &mut Requests, deadline: u64) -> (RequestId, String) {
        let (id, reply) = requests.reserve();
        requests.start(id, "svc", Instant::from_millis(deadline));
        (id, reply)
    }

    #[test]
    fn numbers_are_hexadecimal_without_zeros_in_front() {
        for number in [0, 1, 15, 16, 0xabc, 0x1000_0000, u32::MAX] {
            let mut text = String::from("-");
            push_hex(&mut text, number);
            assert_eq!(text, alloc::format!("-{number:x}"));
        }
    }

    #[test]
    fn a_reply_subject_leads_back_to_its_request() {
        let mut requests = requests();
        let (a, subject_a) = start(&mut requests, 10);
        let (b, subject_b) = start(&mut requests, 10);
        assert_eq!(requests.find(subject_a.as_bytes()), Some(a));
        assert_eq!(requests.find(subject_b.as_bytes()), Some(b));
        for wrong in ["", "_INBOX.x.0-0", "0-0"] {
            assert_eq!(requests.find(wrong.as_bytes()), None);
        }
    }

    #[test]
    fn the_memory_of_a_short_subject_is_used_again_and_that_of_a_long_one_is_not() {
        let mut requests = requests();
        for (len, kept) in [(SHORT_SUBJECT, true), (SHORT_SUBJECT + 1, false)] {
            let (id, _) = requests.reserve();
            requests.start(id, &"x".repeat(len), Instant::from_millis(10));
            assert!(requests.finish(id));
            let slot = requests.slots.first().expect("the one that is used again");
            assert_eq!(slot.subject.capacity() > 0, kept, "{len} bytes");
        }
    }

    #[test]
    fn a_late_reply_does_not_reach_the_slots_next_user() {
        let mut requests = requests();
        let (a, subject) = start(&mut requests, 10);
        assert!(requests.finish(a));
        assert!(!requests.finish(a));
        let (b, _) = start(&mut requests, 10);
        assert_eq!(a.index(), b.index());
        assert_eq!(requests.find(subject.as_bytes()), None);
        assert_eq!(requests.len(), 1);
    }

    #[test]
    fn finished_requests_leave_neither_slots_nor_deadlines() {
        let mut requests = requests();
        for _ in 0..10_000 {
            let (id, _) = start(&mut requests, 10);
            assert!(requests.finish(id));
            let (id, _) = requests.reserve();
            requests.start(id, "$JS.API", Instant::from_millis(10));
            assert!(requests.finish(id));
        }
        assert!(requests.stored.is_empty());
        assert_eq!(requests.slots.len(), 1);
        assert_eq!(requests.next_deadline(), None);
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn due_requests_come_once() {
        let mut requests = requests();
        let (a, _) = start(&mut requests, 10);
        let (b, _) = start(&mut requests, 20);
        assert_eq!(requests.pop_due(Instant::from_millis(9)), None);
        assert_eq!(requests.pop_due(Instant::from_millis(20)), Some(a));
        assert_eq!(requests.pop_due(Instant::from_millis(20)), Some(b));
        assert_eq!(requests.pop_due(Instant::from_millis(20)), None);
    }

    #[test]
    fn no_deadline_is_left_when_the_last_request_is_due() {
        let mut requests = requests();
        let (a, _) = start(&mut requests, 10);
        let (b, _) = start(&mut requests, 20);
        assert!(requests.finish(b));
        assert_eq!(requests.pop_due(Instant::from_millis(10)), Some(a));
        assert_eq!(requests.next_deadline(), None);
    }

    #[test]
    fn a_reserved_slot_that_is_not_started_stays_free() {
        let mut requests = requests();
        let (a, _) = requests.reserve();
        assert_eq!(requests.len(), 0);
        let (b, _) = requests.reserve();
        assert_eq!(a, b);
    }
}
