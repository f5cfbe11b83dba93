//! What a connection tells its caller.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::error::{ConnectError, DisconnectReason, FlushError, RequestError};
use crate::servers::Server;
use crate::{Message, ServerAddr, ServerError, ServerInfo};

/// One attempt to reach a server. Answered by [`Connection::handle_dial`](crate::Connection::handle_dial).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialId(pub(crate) u64);

/// A subscription of one connection object; it stays valid over reconnects. Another connection may give an id that is
/// equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId {
    pub(crate) index: u32,
    pub(crate) sid: u64,
}

impl SubscriptionId {
    /// A small number, unique among the subscriptions that exist at the same time and used again later: the
    /// place of one's own data about the subscription in a `Vec`.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The number on the wire, never used twice by one connection object.
    pub const fn sid(self) -> u64 {
        self.sid
    }
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl RequestId {
    /// A small number, unique among the requests that wait at the same time and used again later.
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A flush that waits for its PONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlushId(pub(crate) u64);

/// Whom a message is for: see [`Connection::handle_ops`](crate::Connection::handle_ops).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// A subscription.
    Subscription(SubscriptionId),
    /// A request; it has its reply now and is forgotten.
    Request(RequestId),
}

/// Messages of a batch that stand one behind the other, and whom they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whom they are for. A request gets one message.
    pub route: Route,
    /// Where they are in the batch: see [`ServerOps::messages`](crate::wire::ServerOps::messages).
    pub messages: Range<usize>,
}

/// Why a subscription has ended. No message follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It got as many messages as [`unsubscribe_after`](crate::Connection::unsubscribe_after) allows.
    MaxReached,
    /// It was drained: the server has confirmed that nothing more comes.
    Drained,
    /// The connection is closed.
    Closed,
    /// The server did not confirm it in time: see
    /// [`subscribe_confirmed`](crate::Connection::subscribe_confirmed).
    Unconfirmed,
    /// The server refuses it: a permissions violation, or a limit.
    Refused(ServerError),
}

/// What became of everything that was published, told when a connection closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Publishes that never left the buffer, or not whole: the server has not seen them.
    pub unsent: u64,
    /// Publishes written whole of which it is not known whether the server has seen them: on the last link that was
    /// up, and on all since the end began.
    pub uncertain: u64,
}

/// What a connection tells its caller, in the order in which it happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Open a byte stream to `server` and answer with [`handle_dial`](crate::Connection::handle_dial). An
    /// attempt under way for an earlier `Dial` is to be given up.
    ///
    /// The stream is one of NATS operations: for a [WebSocket](ServerAddr::is_websocket), what its binary messages hold, one
    /// behind the other. The WebSocket is the caller's, with the [path](ServerAddr::path) of the address, and for `wss://`
    /// the encryption below it, which begins with the stream; no [`StartTls`](Self::StartTls) asks for that. So does it, on
    /// TCP as well, with [`TlsMode::First`](super::TlsMode::First). The certificate must be for
    /// [`tls_name`](ServerAddr::tls_name), which need not be the host. A caller that cannot do what the
    /// [scheme](ServerAddr::scheme_kind) asks for answers with [`DialError::Unsupported`](super::DialError::Unsupported).
    Dial {
        /// To be handed back.
        id: DialId,
        /// Where to connect.
        server: ServerAddr,
    },
    /// Encrypt the byte stream of this attempt, and answer with
    /// [`handle_tls`](crate::Connection::handle_tls). The name that the certificate must be for is
    /// [`ServerAddr::tls_name`] of the address, and not its host: an INFO that came in plain text, which anybody may have
    /// written, may have told of that. Only with a [`TlsMode`](super::TlsMode) that allows it.
    ///
    /// Nothing may have been read beyond INFO: who has bytes left over that the connection has not seen answers with
    /// [`TlsError::EarlyData`](super::TlsError::EarlyData).
    StartTls {
        /// To be handed back.
        id: DialId,
        /// The server on the other side.
        server: ServerAddr,
    },
    /// Answer with the credentials for this attempt: [`handle_auth`](crate::Connection::handle_auth). Only with
    /// [`AuthSource::Ask`](super::AuthSource::Ask).
    Authenticate {
        /// To be handed back.
        id: DialId,
        /// The server that they are for.
        server: ServerAddr,
        /// What the server wants signed; empty if it does not.
        nonce: String,
    },
    /// Answer with the server to dial: [`handle_choice`](crate::Connection::handle_choice). Without an answer within
    /// [`Config::connect_timeout`](crate::Config::connect_timeout), the pool decides. Only with
    /// [`Config::choose_server`](crate::Config::choose_server).
    ChooseServer {
        /// The pool.
        servers: Vec<Server>,
        /// What the server of the last connection said of itself.
        info: Option<Box<ServerInfo>>,
    },
    /// Close the byte stream (or give up the attempt) and answer with
    /// [`handle_disconnect`](crate::Connection::handle_disconnect). What was read of the stream and not handled is of no use
    /// any more: the input of the next one begins empty.
    Hangup,
    /// A connection is up: subscriptions are restored and publishes flow.
    Connected {
        /// What the server says of itself.
        info: Box<ServerInfo>,
        /// Whether it is the first one of this object.
        first: bool,
    },
    /// A connection that was up is lost; of one that could not be brought up, `ConnectFailed` tells. What follows is another
    /// `Dial`, perhaps after a wait or `ChooseServer`, or `Closed`.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
    /// An attempt to connect has failed. What follows is as after `Disconnected`.
    ConnectFailed {
        /// The server.
        server: ServerAddr,
        /// Why.
        error: ConnectError,
    },
    /// The server told of servers that the pool did not know.
    ServersDiscovered(Vec<ServerAddr>),
    /// A message for a subscription. Only after [`receive`](crate::Connection::receive).
    Message {
        /// The subscription.
        subscription: SubscriptionId,
        /// The message.
        message: Message,
    },
    /// The reply to a request. Only after [`receive`](crate::Connection::receive).
    Reply {
        /// The request, which is over.
        request: RequestId,
        /// The reply.
        message: Message,
    },
    /// A request has ended without a reply.
    RequestFailed {
        /// The request, which is over.
        request: RequestId,
        /// Why.
        error: RequestError,
    },
    /// A flush has ended.
    Flushed {
        /// The flush, which is over.
        flush: FlushId,
        /// Whether all that was pending before it has reached the server.
        result: Result<(), FlushError>,
    },
    /// The server has a subscription, as
    /// [`subscribe_confirmed`](crate::Connection::subscribe_confirmed) asked.
    SubscriptionConfirmed {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// A subscription has ended and its [`SubscriptionId`] is free.
    SubscriptionEnded {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why.
        reason: EndReason,
    },
    /// The server is about to shut down and asks its clients to leave.
    LameDuck,
    /// The server reported an error.
    ServerError(ServerError),
    /// Buffered publishes were given up: too large for the server that is connected now, or pushed out by
    /// newer ones.
    Dropped {
        /// How many.
        count: u64,
    },
    /// Draining has begun.
    Draining,
    /// All subscriptions are drained: nothing more comes. When the application is done with what it has got, answer with
    /// [`handle_drained`](crate::Connection::handle_drained), which lets the connection go on to its end.
    SubscriptionsDrained,
    /// The connection is at its end and stays so.
    Closed {
        /// Why, if it was not the application's wish. Where the first connect has failed at all servers, that one has refused
        /// the credentials, or else what happened with the last.
        error: Option<ConnectError>,
        /// What was left.
        unfinished: Unfinished,
    },
}
