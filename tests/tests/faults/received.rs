//! What a subscription got of each publisher, and over which link.

use std::sync::PoisonError;

use crate::PROCESS;

/// Numbers that have come, a bit for each.
#[derive(Debug, Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    /// Whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let is_new = !self.has(number);
        self.0.resize(self.0.len().max(word(number) + 1), 0);
        self.0[word(number)] |= 1 << (number % 64);
        is_new
    }

    fn has(&self, number: u64) -> bool {
        self.0.get(word(number)).is_some_and(|word| word & 1 << (number % 64) != 0)
    }
}

fn word(number: u64) -> usize {
    usize::try_from(number / 64).expect("the books fit into memory")
}

/// The numbers of one publisher that one subscription has got.
#[derive(Debug, Default)]
pub(crate) struct Received {
    seen: Numbers,
    pub(crate) count: u64,
    pub(crate) next: u64,
    /// Behind the last one of each run that came in order: as few runs as there can be.
    ends: Vec<u64>,
    pub(crate) late: u64,
    /// Those that came over one link and then over another one, to another server.
    pub(crate) again: u64,
    /// The newest link, and what is known to have come over it.
    link: u64,
    over_link: Numbers,
    /// Those whose link is known.
    pub(crate) placed: u64,
}

impl Received {
    /// Books for so many numbers, which take no more memory later.
    pub(crate) fn with_room(numbers: u64) -> Self {
        // Zeros alone would not be given memory before they are written to.
        let mut seen = vec![u64::MAX; word(numbers) + 1];
        seen.fill(0);
        Self { seen: Numbers(seen), ..Self::default() }
    }

    /// # Panics
    /// The message has come before.
    pub(crate) fn book_once(&mut self, number: u64) {
        assert!(self.seen.insert(number), "{number} came twice");
        self.count += 1;
    }

    /// Books a number that came over `link`, if that is known. There may have been a link to `another_server` before: it
    /// may have given out what this one has not yet.
    ///
    /// # Panics
    /// The message has come before, over the same link or from the only server.
    pub(crate) fn book(&mut self, number: u64, link: Option<u64>, another_server: bool) {
        if let Some(link) = link {
            if link != self.link {
                (self.link, self.over_link) = (link, Numbers::default());
            }
            assert!(self.over_link.insert(number), "{number} came twice over link {link}");
            self.placed += 1;
        }
        if another_server && self.has(number) {
            self.again += 1;
        } else {
            self.book_once(number);
        }
        self.late += u64::from(number < self.next);
        self.next = self.next.max(number + 1);
        match self.ends.iter_mut().filter(|end| **end <= number).max() {
            Some(end) => *end = number + 1,
            None => self.ends.push(number + 1),
        }
    }

    /// What comes from one link of the publisher over one of the witness comes in order. A server may still have
    /// messages of links that are gone, and give them out between those of the next.
    ///
    /// # Panics
    /// The messages came in more runs than there are pairs of links.
    pub(crate) fn check_order(&self, publisher: u64, witness: u64) {
        let (runs, most) = (self.ends.len() as u64, publisher * witness);
        assert!(runs <= most, "{runs} runs over {publisher} and {witness} links: {:?}", self.ends);
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.seen.has(number)
    }
}

/// Which link a message came over: it is read later than it comes, but in the same order.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Messages read.
    read: u64,
    /// The newest link that has been seen, and the messages that had come by then: those behind them come over it.
    link: u64,
    before: u64,
}

impl Place {
    /// The link of the next message of a client with one subscription, if it is known, from how many connections and
    /// messages the client has had once the message has been read.
    pub(crate) fn of_next(&mut self, connects: u64, messages_in: u64) -> Option<u64> {
        if connects != self.link {
            (self.link, self.before) = (connects, messages_in);
        }
        self.read += 1;
        // What is read has come, so that it cannot be of a later link.
        (self.read > self.before).then_some(self.link)
    }
}

#[test]
fn a_message_is_of_the_newest_link_if_it_came_behind_what_had_come_when_that_was_seen() {
    let mut place = Place::default();
    let mut next = |connects, messages_in| place.of_next(connects, messages_in);
    assert_eq!(next(1, 1), None);
    assert_eq!(next(1, 4), Some(1));
    // The third and the fourth may be of the first link, the fifth of the second.
    assert_eq!([next(2, 5), next(2, 5), next(2, 6)], [None; 3]);
    assert_eq!(next(2, 6), Some(2));
}

#[test]
fn over_another_link_to_another_server_a_message_may_come_again() {
    let mut received = Received::default();
    for link in [Some(1), None, Some(2), Some(3)] {
        received.book(7, link, true);
    }
    assert_eq!((received.count, received.again, received.placed), (1, 3, 3));
}

#[test]
#[should_panic(expected = "7 came twice over link 2")]
fn over_one_link_no_message_may_come_again() {
    // A panic looks up the names of functions, for which it takes memory and keeps it: not beside those who count that.
    let _shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
    let mut received = Received::default();
    for link in [1, 2, 2] {
        received.book(7, Some(link), true);
    }
}
