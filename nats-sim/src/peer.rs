//! One client of a broker, at the broker's end of the byte stream.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use nats_broker::{Broker, SessionId};
use nats_proto::wire::OutBuf;
use nats_proto::{Instant, Rng};

use crate::pipe::{Pipe, Read};
use crate::terminator::Terminator;
use crate::watch::Watch;

/// Bytes of the broker's that a terminator is given at a time. It is given no more before all that it has made of them is on
/// its way, so that a slow stream holds up the broker, as it does without one.
const PIECE: usize = 16 * 1024;

/// How long a client that takes nothing of what there is for it is kept, as in `nats_broker::serve`.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client that publishes to slow ones waits.
const STALL: Duration = Duration::from_millis(5);

/// A client and what is on its way to it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: u64,
    pub(crate) input: BytesMut,
    pub(crate) out: OutBuf,
    /// The broker has no more to say than what is in `out`.
    closing: bool,
    /// Until when what is being written must be, or, behind the end, all that is left.
    write_by: Option<Instant>,
    /// Nothing is read before, for the sake of those who get it.
    stalled_until: Instant,
    /// Looks at the same input, if anybody wants to know what the broker handles.
    pub(crate) watch: Option<Watch>,
    front: Option<Front>,
}

/// A terminator and what it has to write.
#[derive(Debug)]
struct Front {
    terminator: Box<dyn Terminator>,
    out: BytesMut,
    /// The client has said its last.
    over: bool,
}

impl Peer {
    pub(crate) fn new(
        link: u64,
        watch: Option<Watch>,
        terminator: Option<Box<dyn Terminator>>,
    ) -> Self {
        let front = |terminator| Front { terminator, out: BytesMut::new(), over: false };
        Self {
            link,
            input: BytesMut::new(),
            out: OutBuf::new(),
            closing: false,
            write_by: None,
            stalled_until: Instant::ZERO,
            watch,
            front: terminator.map(front),
        }
    }

    /// Reads once. With a terminator there may be nothing for the broker in what came.
    pub(crate) fn read(&mut self, now: Instant, rng: &mut Rng, up: &mut Pipe) -> Read {
        if self.write_by.is_some_and(|by| by <= now) {
            return Read::Eof;
        }
        if now < self.stalled_until {
            return Read::Nothing;
        }
        let Some(front) = &mut self.front else {
            return up.read(now, rng, &mut self.input);
        };
        let mut bytes = BytesMut::new();
        let read = up.read(now, rng, &mut bytes);
        if let Read::Bytes(_) = read {
            front.over |= front.terminator.receive(&bytes, &mut self.input).is_break();
        }
        read
    }

    /// When there is something to do for it.
    pub(crate) fn next(&self, now: Instant, up: &Pipe, down: &Pipe) -> Option<Instant> {
        let write = (self.has_more() && down.room() > 0).then_some(now);
        let read = up.readable_at().map(|at| at.max(self.stalled_until));
        [read, write, self.write_by].into_iter().flatten().min()
    }

    /// It has published to somebody who lags behind.
    pub(crate) fn stall(&mut self, now: Instant) {
        self.stalled_until = now + STALL;
    }

    /// The broker has no more to say to it than what it has said.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closing = true;
        self.write_by = Some(now + WRITE_TIMEOUT);
    }

    /// Whether nothing more can be said to it.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the client has said its last, though its stream has not ended.
    pub(crate) fn is_over(&self) -> bool {
        self.front.as_ref().is_some_and(|front| front.over)
    }

    /// Says something that is not the broker's, if there is a terminator, without which that goes straight to the stream.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> bool {
        let Some(front) = &mut self.front else { return false };
        front.terminator.send(bytes);
        true
    }

    /// Whether something waits for room in the stream.
    fn has_more(&self) -> bool {
        !self.out.is_empty() || self.front.as_ref().is_some_and(|front| !front.out.is_empty())
    }

    /// Writes what a terminator has to write. True if nothing is left of that.
    pub(crate) fn pour(&mut self, now: Instant, rng: &mut Rng, down: &mut Pipe) -> bool {
        let Some(front) = &mut self.front else { return true };
        front.terminator.transmit(&mut front.out);
        while !front.out.is_empty() {
            match down.write(now, rng, &front.out) {
                0 => return false,
                taken => front.out.advance(taken),
            }
        }
        true
    }

    /// Writes what the broker has to say, as far as there is room. True if it has said its last.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        (broker, id): (&mut Broker, SessionId),
        down: &mut Pipe,
    ) -> bool {
        while self.pour(now, rng, down) && broker.poll_transmit(id, &mut self.out) {
            let chunk = self.out.chunks().next().unwrap_or_default();
            let taken = match &mut self.front {
                Some(front) => {
                    let taken = chunk.len().min(PIECE);
                    front.terminator.send(&chunk[..taken]);
                    taken
                }
                None => down.write(now, rng, chunk),
            };
            if taken == 0 {
                break;
            }
            self.out.advance(taken);
            if self.out.is_empty() && !self.closing {
                self.write_by = None;
            }
        }
        if self.has_more() {
            self.write_by.get_or_insert(now + WRITE_TIMEOUT);
        } else if !self.closing {
            // What a terminator had left is written behind all that the broker had.
            self.write_by = None;
        }
        if !self.closing || !self.out.is_empty() {
            return false;
        }
        if let Some(front) = &mut self.front {
            front.terminator.close();
        }
        self.pour(now, rng, down)
    }
}
