//! A client and its end of the byte stream: what drives a connection by its contract.

mod input;

use std::sync::Arc;

use bytes::BytesMut;
use nats_proto::connection::{Delivery, DialError, DisconnectReason, Route, TlsError};
use nats_proto::wire::{OutBuf, ServerDecoder, ServerOps};
use nats_proto::{Config, Connection, DialId, Event, Instant, Rng, ServerAddr, State};

use crate::application::Application;
use crate::link::Links;
use crate::pipe::Read;

/// An attempt under way, and how it will end.
#[derive(Debug)]
pub(crate) struct Dialing {
    pub(crate) id: DialId,
    pub(crate) server: ServerAddr,
    /// When the answer comes; never, if there is none.
    pub(crate) at: Option<Instant>,
}

/// A TLS handshake under way.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) id: DialId,
    /// When it is over; never, if the other side does not answer.
    pub(crate) at: Option<Instant>,
    pub(crate) result: Result<(), TlsError>,
}

/// A connection, what runs on it, and the loop of a driver that sleeps until it is woken.
pub(crate) struct Client<A> {
    pub(crate) connection: Connection,
    pub(crate) application: A,
    /// Whether input is decoded outside of the connection.
    decodes: bool,
    decoder: ServerDecoder,
    ops: ServerOps,
    deliveries: Vec<Delivery>,
    input: BytesMut,
    out: OutBuf,
    pub(crate) link: Option<u64>,
    /// What the connection has asked for and the network has not looked at.
    pub(crate) wanted: Option<(DialId, ServerAddr)>,
    pub(crate) dialing: Option<Dialing>,
    /// A TLS handshake that the connection has asked for and the network has not looked at.
    pub(crate) wants_tls: Option<DialId>,
    pub(crate) handshake: Option<Handshake>,
    /// Nothing may be said yet: the server's address asks for encryption.
    silent: bool,
    /// Answers to attempts that were given up, which some drivers tell of nevertheless.
    pub(crate) late: Vec<DialId>,
    /// The deadline that the driver knows of: nearer ones must wake it.
    armed: Option<Instant>,
    woken: bool,
    pause: Pause,
    pub(crate) closed: bool,
    rounds: (Instant, u32),
}

/// Whether the application has to catch up before anything is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    No,
    /// Nothing is read before `until`.
    Paused {
        until: Instant,
    },
    /// The same, and meanwhile everything was written that there was to write: the peer takes it, and so is alive.
    Heard {
        until: Instant,
    },
}

impl<A: Application> Client<A> {
    pub(crate) fn new(
        now: Instant,
        config: Config,
        seed: [u8; 32],
        decodes: bool,
        application: A,
    ) -> Self {
        let limits = config.limits;
        let connection = Connection::new(Arc::new(config), seed, now).expect("valid settings");
        Self {
            connection,
            application,
            decodes,
            decoder: ServerDecoder::new(limits),
            ops: ServerOps::new(),
            deliveries: Vec::new(),
            input: BytesMut::new(),
            out: OutBuf::new(),
            link: None,
            wanted: None,
            dialing: None,
            wants_tls: None,
            handshake: None,
            silent: false,
            late: Vec::new(),
            armed: None,
            woken: true,
            pause: Pause::No,
            closed: false,
            rounds: (now, 0),
        }
    }

    /// When there is something to do, as far as the driver can know.
    pub(crate) fn next(&self, now: Instant, links: &Links) -> Option<Instant> {
        let link = self.link.and_then(|link| links.get(&link));
        // What comes during a handshake is for others.
        let read = link.filter(|_| !self.is_shaking_hands() && self.paused_until().is_none());
        let read = read.and_then(|link| link.down.readable_at());
        let write = link.is_some_and(|link| !self.out.is_empty() && link.up.room() > 0);
        let now_if = |yes: bool| yes.then_some(now);
        [now_if(self.woken || write || !self.late.is_empty()), read, self.armed]
            .into_iter()
            .chain([self.application.poll_timeout(), self.paused_until()])
            .chain(self.dialing.iter().map(|dialing| dialing.at))
            .chain(self.handshake.iter().map(|handshake| handshake.at))
            .flatten()
            .min()
    }

    /// Lets the application use the connection outside of the loop, and wakes the loop if it must be.
    pub(crate) fn with<T>(&mut self, f: impl FnOnce(&mut A, &mut Connection) -> T) -> T {
        let result = f(&mut self.application, &mut self.connection);
        self.woken |= self.connection.take_wake();
        result
    }

    /// Nothing is read before `until`, or everything from now on.
    pub(crate) fn pause(&mut self, until: Option<Instant>) {
        self.pause = until.map_or(Pause::No, |until| Pause::Paused { until });
        self.woken = true;
    }

    fn paused_until(&self) -> Option<Instant> {
        match self.pause {
            Pause::No => None,
            Pause::Paused { until } | Pause::Heard { until } => Some(until),
        }
    }

    /// Tells the connection whether anything is read, as drivers do in every round.
    fn tell_of_pause(&mut self, now: Instant) {
        if self.paused_until().is_some_and(|until| now < until) {
            self.connection.handle_pause();
        } else {
            self.pause = Pause::No;
            self.connection.handle_resume(now);
        }
    }

    fn interleave(&mut self, now: Instant) {
        self.application.interleave(now, &mut self.connection);
    }

    fn is_shaking_hands(&self) -> bool {
        self.wants_tls.is_some() || self.handshake.is_some()
    }

    /// Somebody on the way adds plain bytes to INFO, before the TLS handshake.
    pub(crate) fn tampered(&mut self, now: Instant) {
        let old = self.input.len();
        self.input.extend_from_slice(b"PING\r\n");
        self.receive(now, old);
        assert_eq!(self.connection.state(), State::HangingUp, "plain bytes before TLS are taken");
        self.woken = true;
    }

    /// Tells the connection how its TLS handshake ended.
    pub(crate) fn encrypted(&mut self, id: DialId, result: Result<(), TlsError>) {
        self.silent &= result.is_err();
        self.connection.handle_tls(id, result);
        self.woken = true;
    }

    /// Tells the connection how its attempt ended.
    pub(crate) fn dialled(&mut self, now: Instant, dialing: Dialing, link: Option<u64>) {
        let Dialing { id, server, .. } = dialing;
        self.silent = server.tls_required();
        let result = link.map(drop).ok_or_else(|| DialError::Io("refused".into()));
        if link.is_some() {
            self.link = link;
            self.input.clear();
            self.decoder = ServerDecoder::new(self.connection.config().limits);
        }
        self.connection.handle_dial(now, id, result);
        self.woken = true;
    }

    /// One round of the driver.
    pub(crate) fn run(&mut self, now: Instant, rng: &mut Rng, links: &mut Links) {
        self.count_round(now);
        for id in std::mem::take(&mut self.late) {
            self.connection.handle_dial(now, id, Ok(()));
        }
        if self.application.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.with(|application, connection| application.handle_timeout(now, connection));
        }
        self.woken = false;
        self.tell_of_pause(now);
        self.read(now, rng, links);
        self.interleave(now);
        let heard = matches!(self.pause, Pause::Heard { .. });
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.connection.handle_timeout(now);
            self.check_progress(now);
        }
        self.interleave(now);
        self.poll_events(now, rng, links, heard);
        self.interleave(now);
        self.write(now, rng, links);
        self.armed = self.connection.poll_timeout();
        self.interleave(now);
        self.woken |= self.connection.take_wake();
        // Not always: asking closes the short way for publishes.
        if self.link.is_none() && rng.below(8) == 0 {
            assert!(!self.connection.poll_transmit(&mut self.out), "bytes for nobody");
        }
        if self.closed {
            assert_eq!(self.connection.poll_timeout(), None, "a deadline after the end");
        }
        self.application.check(now, &self.connection);
    }

    /// A driver that has nothing to do must be able to sleep.
    fn count_round(&mut self, now: Instant) {
        let (at, rounds) = self.rounds;
        self.rounds = if at == now { (at, rounds + 1) } else { (now, 0) };
        assert!(rounds < 10_000, "a loop without delay at {now:?}: {:?}", self.connection);
    }

    fn check_progress(&mut self, now: Instant) {
        // A state may end and the next one begin with a deadline of its own, but not for ever.
        let mut times = 0;
        while self.connection.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.connection.handle_timeout(now);
            times += 1;
            assert!(times < 4, "a deadline that is handled and stays: {:?}", self.connection);
        }
    }

    fn read(&mut self, now: Instant, rng: &mut Rng, links: &mut Links) {
        let reads = !self.is_shaking_hands() && self.paused_until().is_none();
        let link = self.link.filter(|_| reads);
        let Some(link) = link.and_then(|link| links.get_mut(&link)) else {
            return;
        };
        let old = self.input.len();
        let mut read = link.down.read(now, rng, &mut self.input);
        if matches!(read, Read::Bytes(_)) {
            self.application.read(now, &self.connection, &self.input[old..]);
            self.receive(now, old);
            // A driver may learn in one round what came last and that it was the last.
            if rng.below(2) == 0
                && let Some(link) = self.link.and_then(|link| links.get_mut(&link))
            {
                let mut more = BytesMut::new();
                read = link.down.read(now, rng, &mut more);
                if matches!(read, Read::Bytes(_)) {
                    self.application.read(now, &self.connection, &more);
                    let old = self.input.len();
                    self.input.extend_from_slice(&more);
                    self.receive(now, old);
                }
            }
        }
        if read == Read::Eof {
            self.disconnect(now, links, DisconnectReason::Eof);
        }
    }

    /// Whether the connection has let go of its server.
    fn is_leaving(&self) -> bool {
        matches!(self.connection.state(), State::HangingUp | State::Closed)
    }

    /// The byte stream is at its end, by whichever side.
    fn disconnect(&mut self, now: Instant, links: &mut Links, reason: DisconnectReason) {
        if let Some(link) = self.link.take().and_then(|link| links.get_mut(&link)) {
            link.up.end(now);
        }
        if let Some(given_up) = self.dialing.take() {
            self.late.push(given_up.id);
        }
        (self.wants_tls, self.handshake) = (None, None);
        self.input.clear();
        self.application.disconnected(now);
        self.connection.handle_disconnect(now, reason, std::mem::take(&mut self.out));
    }

    /// With `heard`, the peer has shown that it is alive.
    fn poll_events(&mut self, now: Instant, rng: &mut Rng, links: &mut Links, heard: bool) {
        while let Some(event) = self.connection.poll_event() {
            assert!(
                !self.closed || matches!(event, Event::Flushed { result: Err(_), .. }),
                "{event:?} after the end"
            );
            match event {
                Event::Message { subscription, message } => {
                    self.deliver(now, Route::Subscription(subscription), message);
                    continue;
                }
                Event::Reply { request, message } => {
                    self.deliver(now, Route::Request(request), message);
                    continue;
                }
                Event::Dial { id, ref server } => {
                    assert_eq!(self.link, None, "a second byte stream is asked for");
                    self.dialing = None;
                    self.wanted = Some((id, server.clone()));
                }
                Event::StartTls { id, .. } => {
                    assert!(self.link.is_some(), "TLS is asked for without a byte stream");
                    self.wants_tls = Some(id);
                }
                Event::Hangup => {
                    if self.out.is_empty() && rng.below(8) == 0 {
                        let writes = self.connection.poll_transmit(&mut self.out);
                        assert!(!writes, "bytes for a server that is left");
                    }
                    self.wanted = None;
                    self.disconnect(now, links, DisconnectReason::Requested);
                }
                Event::Disconnected { reason: DisconnectReason::Stale } => {
                    assert!(!heard, "stale, and took all that was written while nothing was read");
                }
                Event::Closed { .. } => {
                    assert_eq!(self.connection.state(), State::Closed);
                    assert_eq!(self.link, None, "an end with an open byte stream");
                    self.closed = true;
                }
                _ => {}
            }
            self.application.handle_event(now, &mut self.connection, &event);
        }
    }

    fn write(&mut self, now: Instant, rng: &mut Rng, links: &mut Links) {
        let until = self.paused_until();
        self.pause = until.map_or(Pause::No, |until| Pause::Paused { until });
        let Some(link) = self.link.and_then(|link| links.get_mut(&link)) else {
            return;
        };
        loop {
            if self.out.is_empty() {
                let left = self.is_leaving();
                if !self.connection.poll_transmit(&mut self.out) {
                    break;
                }
                assert!(!left, "bytes for a server that is left");
            }
            let chunk = self.out.chunks().next().unwrap_or_default();
            assert!(!self.silent, "plain bytes to a server whose address asks for TLS");
            let taken = link.up.write(now, rng, chunk);
            if taken == 0 {
                return;
            }
            self.application.written(now, &chunk[..taken]);
            self.out.advance(taken);
            if self.out.is_empty() {
                self.interleave(now);
            }
        }
        self.pause = until.map_or(Pause::No, |until| Pause::Heard { until });
    }
}
