//! One direction of a virtual byte stream.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use nats_proto::{Instant, Rng};

use crate::between;

/// How a byte stream behaves: delays, sizes of reads, and how much it holds.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The least and the longest time that written bytes take.
    pub delay: (Duration, Duration),
    /// The most bytes that one write takes; at random up to this.
    pub write: usize,
    /// The most bytes that one read gives; at random up to this.
    pub read: usize,
    /// The least time between two reads: with a small `read`, a slow drip.
    pub pause: Duration,
    /// Bytes under way before a writer must wait.
    pub window: usize,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            delay: (Duration::from_micros(50), Duration::from_micros(500)),
            write: 64 * 1024,
            read: 64 * 1024,
            pause: Duration::ZERO,
            window: 64 * 1024,
        }
    }
}

/// What a read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// The end: nothing more comes.
    Eof,
    /// Nothing for now.
    Nothing,
}

/// One direction of a byte stream: bytes on their way, in order.
#[derive(Debug)]
pub(crate) struct Pipe {
    weather: Weather,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    len: usize,
    /// No byte and no end arrives before this.
    not_before: Instant,
    /// When the reader sees the end, once it has read everything.
    eof: Option<Instant>,
    /// What is written from now on is lost, and nobody is told.
    vanishing: bool,
    /// The stream breaks after so many more bytes.
    breaks_after: Option<usize>,
    broken: bool,
}

impl Pipe {
    pub(crate) fn new(weather: Weather) -> Self {
        Self {
            weather,
            under_way: VecDeque::new(),
            len: 0,
            not_before: Instant::ZERO,
            eof: None,
            vanishing: false,
            breaks_after: None,
            broken: false,
        }
    }

    /// Bytes that a write would take.
    pub(crate) fn room(&self) -> usize {
        self.weather.window.saturating_sub(self.len)
    }

    /// Takes some of `bytes`, at least one if there is room.
    pub(crate) fn write(&mut self, now: Instant, rng: &mut Rng, bytes: &[u8]) -> usize {
        let most = bytes.len().min(self.room());
        let taken = most.min(1 + rng.below(self.weather.write as u64) as usize);
        if taken == 0 {
            return 0;
        }
        let mut passing = taken;
        if let Some(left) = &mut self.breaks_after {
            passing = taken.min(*left);
            *left -= passing;
            self.broken |= *left == 0;
        }
        if self.vanishing || passing == 0 {
            // A dead peer's bytes fill the sender's socket all the same.
            self.len += taken;
            return taken;
        }
        let due = now + between(rng, self.weather.delay);
        let due = self.under_way.back().map_or(due, |(last, _)| due.max(*last));
        self.under_way.push_back((due, bytes[..passing].to_vec()));
        self.len += taken;
        taken
    }

    /// Reads some of what has arrived.
    pub(crate) fn read(&mut self, now: Instant, rng: &mut Rng, into: &mut BytesMut) -> Read {
        self.read_up_to(usize::MAX, now, rng, into)
    }

    /// Reads some of what has arrived, `most` bytes of it.
    pub(crate) fn read_up_to(
        &mut self,
        most: usize,
        now: Instant,
        rng: &mut Rng,
        into: &mut BytesMut,
    ) -> Read {
        if now < self.not_before {
            return Read::Nothing;
        }
        let limit = most.min(1 + rng.below(self.weather.read as u64) as usize);
        let mut count = 0;
        while count < limit
            && let Some((due, bytes)) = self.under_way.front_mut()
            && *due <= now
        {
            let part = bytes.len().min(limit - count);
            into.extend_from_slice(&bytes[..part]);
            bytes.drain(..part);
            count += part;
            if bytes.is_empty() {
                self.under_way.pop_front();
            }
        }
        if count > 0 {
            self.len -= count;
            self.not_before = now + self.weather.pause;
            return Read::Bytes(count);
        }
        match self.eof {
            Some(eof) if self.under_way.is_empty() && eof <= now => Read::Eof,
            _ => Read::Nothing,
        }
    }

    /// When there is something to read.
    pub(crate) fn readable_at(&self) -> Option<Instant> {
        let due = self.under_way.front().map(|(due, _)| *due).or(self.eof)?;
        Some(due.max(self.not_before))
    }

    /// The writer is done: the reader sees the end behind everything that is under way.
    pub(crate) fn end(&mut self, at: Instant) {
        if !self.vanishing {
            self.eof = Some(self.eof.map_or(at, |eof| eof.min(at)));
        }
    }

    /// What is under way is lost, and what a writer writes before it notices.
    pub(crate) fn lose(&mut self) {
        self.under_way.clear();
        self.breaks_after = Some(0);
        self.broken = true;
    }

    /// Whether what is written is lost.
    pub(crate) fn is_vanishing(&self) -> bool {
        self.vanishing
    }

    /// What is written from now on is lost, and what is under way as well.
    pub(crate) fn vanish(&mut self) {
        self.under_way.clear();
        self.vanishing = true;
    }

    /// Nothing arrives before `until`.
    pub(crate) fn stall(&mut self, until: Instant) {
        self.not_before = self.not_before.max(until);
    }

    pub(crate) fn break_after(&mut self, bytes: usize) {
        if !self.broken {
            self.breaks_after = Some(bytes);
        }
    }

    /// Whether the byte at which it was to break has been written.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// It does not break by itself any more, and what has arrived can be read.
    pub(crate) fn heal(&mut self) {
        if !self.broken {
            self.breaks_after = None;
        }
        self.not_before = Instant::ZERO;
    }

    pub(crate) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }
}
