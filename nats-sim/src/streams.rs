//! Byte streams to the brokers for drivers outside of the simulation.

use std::time::Duration;

use bytes::BytesMut;
use nats_proto::Instant;

use crate::application::Application;
use crate::between;
use crate::link::Owner;
use crate::pipe::Read;
use crate::simulation::{Dials, Simulation};
use crate::terminator::Terminator;

/// One end of a byte stream, opened with [`Simulation::open_stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(crate) u64);

impl StreamId {
    /// The number of the stream: greater than that of any stream, or link of a client, that was opened before.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What faults happen to: the link of a client, or a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The link that the client with this index has.
    Client(usize),
    /// A stream that a program has opened.
    Stream(StreamId),
}

impl From<usize> for Wire {
    fn from(client: usize) -> Self {
        Self::Client(client)
    }
}

impl From<StreamId> for Wire {
    fn from(stream: StreamId) -> Self {
        Self::Stream(stream)
    }
}

/// Streams of programs that bring a driver of their own, with a loop around [`next_step`](Self::next_step) and
/// [`run_for`](Self::run_for). That way a whole async client runs in virtual time, as the tests of this crate show.
///
/// ```
/// use std::time::Duration;
///
/// use nats_sim::{Read, Simulation};
///
/// let mut simulation = Simulation::<()>::new(7);
/// simulation.add_broker(Default::default());
/// let stream = simulation.open_stream(0).expect("a broker that runs");
/// simulation.run_for(Duration::from_millis(10));
/// let mut greeting = bytes::BytesMut::new();
/// let read = simulation.read_stream(stream, 5, &mut greeting);
/// assert_eq!((read, &greeting[..]), (Read::Bytes(5), &b"INFO "[..]));
/// ```
impl<A: Application> Simulation<A> {
    /// How long an attempt takes that begins now; `None` if it is never answered.
    pub fn dial_delay(&mut self) -> Option<Duration> {
        let delay = between(&mut self.rng, self.weather.delay);
        (self.dials != Dials::Vanish).then_some(delay)
    }

    /// Opens a stream to a broker, by its index, at the end of an attempt. `None` if it is refused.
    pub fn open_stream(&mut self, broker: usize) -> Option<StreamId> {
        self.open_program(broker, None)
    }

    /// The same to a broker that has something in front of it: TLS, or a WebSocket. What is [read](Self::read_stream) and
    /// [written](Self::write_stream) is what goes over the network, where faults happen to it.
    pub fn open_stream_through(
        &mut self,
        broker: usize,
        terminator: Box<dyn Terminator>,
    ) -> Option<StreamId> {
        self.open_program(broker, Some(terminator))
    }

    fn open_program(
        &mut self,
        broker: usize,
        terminator: Option<Box<dyn Terminator>>,
    ) -> Option<StreamId> {
        if broker >= self.brokers() {
            return None;
        }
        self.open(Owner::Program, broker, terminator).map(StreamId)
    }

    /// Reads some of what has arrived, at most `most` bytes.
    pub fn read_stream(&mut self, stream: StreamId, most: usize, into: &mut BytesMut) -> Read {
        match self.links.get_mut(&stream.0) {
            Some(link) => link.down.read_up_to(most, self.now, &mut self.rng, into),
            None => Read::Eof,
        }
    }

    /// Writes some of `bytes`, none if there is no room. `None` if the stream is broken, or there will never be room: nobody
    /// is there any more. At the byte at which it is [cut](Self::cut_after), that shows with the next write, or later.
    pub fn write_stream(&mut self, stream: StreamId, bytes: &[u8]) -> Option<usize> {
        let link = self.links.get_mut(&stream.0).filter(|link| !link.takes_no_more())?;
        if link.up.is_broken() && self.rng.below(2) == 0 {
            return None;
        }
        Some(link.up.write(self.now, &mut self.rng, bytes))
    }

    /// When there is something to read, the end included; `None` if nothing is under way.
    pub fn stream_readable_at(&self, stream: StreamId) -> Option<Instant> {
        match self.links.get(&stream.0) {
            Some(link) => link.down.readable_at(),
            None => Some(self.now),
        }
    }

    /// Whether a write takes something, or fails.
    pub fn is_stream_writable(&self, stream: StreamId) -> bool {
        self.links.get(&stream.0).is_none_or(|link| link.takes_no_more() || link.up.room() > 0)
    }

    /// Closes this end. What was written still arrives.
    pub fn close_stream(&mut self, stream: StreamId) {
        if let Some(link) = self.links.get_mut(&stream.0) {
            link.owner = Owner::Gone;
            link.up.end(self.now);
        }
    }
}
