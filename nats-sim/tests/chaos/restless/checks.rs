//! What must hold of what an application is told.

use nats_proto::connection::{
    ConnectError, DialError, DisconnectReason, EndReason, FlushError, PendingPolicy, PublishError,
    RequestError, TlsError,
};
use nats_proto::{
    Connection, Event, FlushId, Instant, PermissionTarget, RequestId, State, SubscriptionId,
};

use super::{Flushing, Restless};
use crate::chaos::books::Size;
use crate::chaos::counts::Seen;
use crate::chaos::topics::Word;

/// For every byte that may be queued on a link, so many with the payloads that are not copied: see
/// [`Config::send_limit`](nats_proto::Config::send_limit).
const SHARED: usize = 8;

/// More than what is queued beside publishes: handshakes, probes and subscriptions.
const LINES: usize = 2048;

impl Restless {
    pub(super) fn is_on_time(&self, now: Instant, deadline: Instant) -> bool {
        now <= deadline.max(self.jumped_to)
    }

    /// Checks that there was room for what was accepted, before which so many bytes were queued.
    pub(super) fn check_room(&mut self, connection: &Connection, before: usize) {
        let config = connection.config();
        let buffered = connection.buffered();
        match connection.state() {
            State::Connected | State::Draining => {
                let copied = buffered.saturating_sub(self.books.shared());
                let limit = config.send_limit;
                let handed_out = self.books.handed_out(connection.statistics().bytes_out) as usize;
                let all = SHARED * limit;
                let fits = copied <= limit + LINES && buffered <= all + LINES;
                // What was kept for the link is handed out at once, and takes room from what is added.
                let fits = fits && buffered + handed_out <= 2 * all + LINES;
                // One that is larger than the limit goes alone.
                assert!(fits || before <= LINES, "{buffered} bytes are queued: {connection:?}");
            }
            State::Choosing | State::Backoff | State::Dialing => {
                let limit = config.pending_limit;
                assert!(buffered <= limit, "{buffered} bytes wait, more than {limit}");
            }
            _ => {}
        }
    }

    /// Checks that a link which breaks adds nothing to what may be queued, and handed out, at one time.
    pub(super) fn check_buffered(&self, connection: &Connection) {
        let config = connection.config();
        let on_link = SHARED * config.send_limit;
        let kept = config.pending_limit.max(on_link) + self.longest;
        let bound = kept.max(2 * on_link) + 2 * LINES;
        assert!(connection.buffered() <= bound, "{} bytes are buffered", connection.buffered());
    }

    /// Checks why a publish is refused.
    pub(super) fn check_refusal(
        &mut self,
        connection: &Connection,
        size: Size,
        error: &PublishError,
    ) {
        let info = connection.server_info();
        match error {
            PublishError::BufferFull { connected: true, .. } => self.counts += Seen::FullOnLink,
            PublishError::BufferFull { .. } => self.counts += Seen::FullAway,
            PublishError::MaxPayloadExceeded { .. } => self.counts += Seen::TooLarge,
            PublishError::HeadersUnsupported => {
                assert!(size.headers > 0 && info.is_some_and(|info| !info.headers), "{error}");
                self.counts += Seen::HeadersRefused;
            }
            PublishError::Draining | PublishError::Closed => {
                assert!(self.is_ending(), "{error} without a reason");
            }
            error => panic!("a publish is refused: {error}"),
        }
    }

    pub(super) fn request_failed(
        &mut self,
        now: Instant,
        connection: &Connection,
        request: RequestId,
        error: &RequestError,
    ) {
        let Some(asked) = self.requests.remove(&request) else {
            assert!(self.cancelled.0.contains_key(&request), "{request:?} ends twice");
            return;
        };
        assert!(self.is_on_time(now, asked.deadline), "{request:?} ends too late");
        self.counts += match error {
            RequestError::TimedOut => {
                assert!(asked.deadline <= now, "too early");
                self.books.check_not_left_out(asked.stamp);
                Seen::RequestTimedOut
            }
            RequestError::Dropped => {
                let policy = connection.config().pending_policy;
                self.books.given_up(asked.stamp, policy == PendingPolicy::DropOldest);
                Seen::RequestDropped
            }
            RequestError::NoResponders => {
                let place = self.arrivals.borrow().place(asked.stamp);
                let place = place.expect("who says that nobody listens has the request");
                assert!(!place.heard, "somebody listened to {:?}", asked.stamp);
                Seen::NoResponders
            }
            RequestError::PublishRefused => {
                let target = PermissionTarget::Publish { subject: asked.subject };
                assert_eq!(self.forbidden, Some(target), "what was refused is not {request:?}");
                Seen::RequestRefused
            }
            RequestError::Closed => {
                assert!(self.is_ending());
                Seen::RequestClosed
            }
            error => panic!("{request:?} fails: {error}"),
        };
    }

    pub(super) fn flushed(
        &mut self,
        now: Instant,
        connection: &Connection,
        id: FlushId,
        result: Result<(), FlushError>,
    ) {
        let Some(flushing) = self.flushes.remove(&id) else {
            assert!(self.forgotten.0.contains_key(&id), "{id:?} ends twice");
            return;
        };
        let Flushing { deadline, count, breaks } = flushing;
        assert!(deadline.is_none_or(|at| self.is_on_time(now, at)), "{id:?} ends too late");
        self.counts += match result {
            Ok(()) => {
                let kept = self.books.check_flush(count, breaks);
                let dropped = connection.statistics().dropped;
                assert!(kept <= dropped, "{id:?} succeeds with {kept} unsent, {dropped} dropped");
                self.flushed.insert(id);
                Seen::Flushed
            }
            Err(FlushError::TimedOut) => {
                assert!(deadline.is_some_and(|at| at <= now));
                Seen::FlushTimedOut
            }
            Err(FlushError::Uncertain { count: told }) => {
                assert_eq!(told, self.books.lost(count, breaks), "uncertain");
                Seen::FlushUncertain
            }
            Err(FlushError::Closed) => {
                assert!(self.is_ending(), "closed without a reason");
                Seen::FlushClosed
            }
            Err(error) => panic!("{id:?} fails: {error}"),
        };
    }

    /// The server has a subscription: which is told once, if it was asked, and in time.
    pub(super) fn confirmed(&mut self, now: Instant, id: SubscriptionId) {
        let Some(known) = self.topics.get_mut(&id) else {
            assert!(self.left.0.contains_key(&id), "{id:?} is confirmed and has ended");
            return;
        };
        let Word::Awaited { deadline, breaks } = std::mem::replace(&mut known.word, Word::Given)
        else {
            panic!("confirmed again, or unasked: {known:?}");
        };
        assert!(deadline.is_none_or(|at| self.is_on_time(now, at)), "{id:?} is confirmed too late");
        self.books.check_confirmed(id.sid(), self.unlinked);
        let links = self.books.breaks - u64::from(self.unlinked);
        self.counts += if breaks < links { Seen::ConfirmedLater } else { Seen::Confirmed };
    }

    pub(super) fn ended(&mut self, now: Instant, id: SubscriptionId, reason: &EndReason) {
        let Some(known) = self.topics.remove(&id) else {
            assert!(self.left.0.contains_key(&id), "{id:?} ends twice");
            return;
        };
        self.counts += match reason {
            EndReason::MaxReached => {
                let exact = known.max == Some(known.delivered);
                let more = known.max.is_some_and(|max| max < known.delivered);
                assert!(exact || (more && (known.settling || known.over)), "{known:?}");
                if exact && !known.changed {
                    self.books.check_max(id.sid());
                }
                Seen::MaxReached
            }
            EndReason::Drained => {
                self.books.check_drained(id.sid());
                Seen::Drained
            }
            EndReason::Unconfirmed => {
                let due =
                    |word| matches!(word, Word::Awaited { deadline: Some(at), .. } if at <= now);
                assert!(due(known.word), "too early, or unasked: {known:?}");
                Seen::Unconfirmed
            }
            EndReason::Closed => {
                assert!(self.is_ending());
                Seen::EndedByClose
            }
            reason => panic!("{id:?} ends: {reason:?}"),
        };
    }

    /// Counts what an event tells, if that is not done where it is checked.
    pub(super) fn count(&mut self, event: &Event) {
        self.counts += match event {
            Event::Connected { .. } => Seen::Connected,
            Event::Disconnected { reason } => match reason {
                DisconnectReason::Eof => Seen::LostToEof,
                DisconnectReason::Stale => Seen::LostToSilence,
                DisconnectReason::Server(_) => Seen::LostToError,
                DisconnectReason::Protocol(_) => Seen::LostToGarbage,
                DisconnectReason::LameDuck => Seen::LeftLameDuck,
                DisconnectReason::Requested => Seen::LostByRequest,
                reason => panic!("disconnected: {reason:?}"),
            },
            Event::ConnectFailed { error, .. } => match error {
                ConnectError::Dial(DialError::Io(_)) => Seen::FailedToDial,
                ConnectError::TimedOut => Seen::FailedInTime,
                ConnectError::AuthTimedOut => Seen::FailedAuthInTime,
                ConnectError::Tls(TlsError::Handshake(_)) => Seen::FailedTls,
                ConnectError::Tls(TlsError::EarlyData | TlsError::EarlyError(_)) => {
                    Seen::FailedTlsEarly
                }
                ConnectError::Authorization(_) => Seen::FailedAuth,
                ConnectError::Auth(_) => Seen::FailedLocalAuth,
                ConnectError::Lost(_) => Seen::FailedEarly,
                error => panic!("no connection: {error}"),
            },
            Event::ChooseServer { .. } => Seen::Chosen,
            Event::Authenticate { .. } => Seen::Authenticated,
            Event::StartTls { .. } => Seen::Encrypted,
            Event::LameDuck => Seen::LameDuckTold,
            Event::ServersDiscovered(_) => Seen::ServersDiscovered,
            Event::ServerError(_) => Seen::ServerError,
            Event::Dropped { .. } => Seen::Dropped,
            Event::SubscriptionsDrained => Seen::AllDrained,
            _ => return,
        };
    }
}
