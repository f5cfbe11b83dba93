//! One client, as the broker sees it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;

use bytes::Bytes;
use nats_proto::wire::{ClientDecoder, OutBuf};
use nats_proto::{ConnectInfo, Instant, Protocol};

use crate::event::{BrokerEvent, SessionId};
use crate::input::Undone;
use crate::routing::SubscriptionKey;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No CONNECT yet. Where no credentials are asked for, everything works nevertheless.
    Introducing,
    /// CONNECT was accepted, and no PING answered since.
    Connected,
    /// CONNECT was accepted, and the first PING answered with PONG and the second INFO.
    Settled,
    /// The driver was told to hang up: nothing goes in or out any more, but for what is buffered.
    Closing,
}

/// Whether it is known how long an answer of a client takes, as a real server wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoundTrip {
    /// It was neither introduced nor sent PONG.
    Unknown,
    /// CONNECT or PONG has come.
    Known,
}

/// What a client asked for in CONNECT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    /// Whether it takes INFO at any time.
    pub(crate) async_info: bool,
}

impl Wishes {
    /// What holds for a client that did not introduce itself.
    const UNKNOWN: Self = Self {
        verbose: true,
        pedantic: true,
        echo: true,
        headers: false,
        no_responders: false,
        async_info: false,
    };

    pub(crate) fn of(connect: &ConnectInfo) -> Self {
        Self {
            verbose: connect.verbose,
            pedantic: connect.pedantic,
            echo: connect.echo,
            headers: connect.headers,
            no_responders: connect.no_responders,
            async_info: connect.protocol != Protocol::Original,
        }
    }
}

/// More waits to be written to a client than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) phase: Phase,
    pub(crate) client_ip: String,
    pub(crate) wishes: Wishes,
    /// The name by which the client was let in, where credentials are asked for; empty if only a token is.
    pub(crate) user: Option<String>,
    pub(crate) decoder: ClientDecoder,
    /// What was decoded and is still to be handled.
    pub(crate) undone: Option<Undone>,
    /// By the client's own name for each.
    pub(crate) subscriptions: BTreeMap<Bytes, SubscriptionKey>,
    /// The client to whom the latest input was delivered though it lags behind, and the bytes that waited for it then.
    pub(crate) stalled: Option<(SessionId, usize)>,
    /// Until when the client must introduce itself.
    pub(crate) introduce_by: Option<Instant>,
    /// When the next keepalive probe is due.
    pub(crate) probe_at: Option<Instant>,
    /// When the timer for this session is due: the earlier of the two.
    pub(crate) deadline: Option<Instant>,
    pub(crate) round_trip: RoundTrip,
    /// When the client connected.
    pub(crate) since: Instant,
    /// When it last pinged, published, subscribed or unsubscribed.
    pub(crate) last_in: Option<Instant>,
    pub(crate) last_probe: Option<Instant>,
    pub(crate) pings_out: usize,
    /// What waits for the driver.
    out: OutBuf,
    /// What the driver had not written when it last asked.
    in_flight: usize,
    /// Whether the driver knows that there is something to write.
    announced: bool,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        now: Instant,
        client_ip: &str,
        decoder: ClientDecoder,
    ) -> Self {
        Self {
            id,
            phase: Phase::Introducing,
            client_ip: String::from(client_ip),
            wishes: Wishes::UNKNOWN,
            user: None,
            decoder,
            undone: None,
            subscriptions: BTreeMap::new(),
            stalled: None,
            introduce_by: None,
            probe_at: None,
            deadline: None,
            round_trip: RoundTrip::Unknown,
            since: now,
            last_in: None,
            last_probe: None,
            pings_out: 0,
            out: OutBuf::new(),
            in_flight: 0,
            announced: false,
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Bytes that wait to be written, here and at the driver.
    pub(crate) fn pending(&self) -> usize {
        self.out.len().saturating_add(self.in_flight)
    }

    /// Buffers what `encode` writes, and tells the driver if it does not know yet.
    pub(crate) fn queue(
        &mut self,
        max_pending: usize,
        events: &mut VecDeque<BrokerEvent>,
        encode: impl FnOnce(&mut OutBuf),
    ) -> Result<(), Overflow> {
        encode(&mut self.out);
        if self.pending() > max_pending {
            return Err(Overflow);
        }
        if !self.announced {
            self.announced = true;
            events.push_back(BrokerEvent::Transmit(self.id));
        }
        Ok(())
    }

    /// Gives the buffered bytes to the driver, if it has written what it had.
    pub(crate) fn transmit(&mut self, out: &mut OutBuf) -> bool {
        if out.is_empty() {
            core::mem::swap(&mut self.out, out);
            self.announced = false;
        }
        self.in_flight = out.len();
        self.in_flight > 0
    }

    /// Forgets what is buffered.
    pub(crate) fn discard(&mut self) {
        self.out = OutBuf::new();
    }
}
