//! The runtime-neutral half of the NATS client.
//!
//! [`Client`], [`Subscriber`] and [`ConnectOptions`] over any async runtime that can implement [`Runtime`]; the
//! protocol itself is the state machine of [`nats_proto`]. Programs use this crate through an adapter,
//! `nats-tokio` or `nats-async-std`, which has the same names without the type of the runtime. The [`guide`] shows how to
//! use them, chapter by chapter.
//!
//! # How it works
//!
//! A client is one [`nats_proto::Connection`] under a lock, and one *driver*: a future in the background that
//! owns the socket. Publishing encodes into the connection's buffer under the lock, and wakes the driver only
//! if it has nothing to write; the driver swaps the buffer for an empty one and writes it after releasing the
//! lock. What comes in is decoded without the lock, booked under it batch by batch, and left in the mailboxes
//! of the subscriptions, each with a lock of its own; a waiting subscriber is woken once a batch.
//!
//! # Memory of messages
//!
//! Small messages (up to 512 bytes of headers and payload) are copied out of the read buffer when they are
//! given out, into blocks of 4 KiB; larger ones are slices of the read buffer. So a message that is kept for
//! long keeps up to 4 KiB alive if it is small, and otherwise at most the buffer it came in: twice
//! [`ConnectOptions::read_buffer_capacity`], which is 64 KiB, or one and a half times what the largest message in it
//! needed. The same goes for replies to requests, which are copied when they come. Messages that wait for a
//! subscriber that lags behind are bounded in number and bytes, and are copied out of buffers of which they are less than a
//! quarter.
//!
//! Read buffers are used again when there are no messages in them any more. For that at most eight are kept, of 4 MiB
//! in all, beside the one that is being read into; a client that receives little lets go of them one by one.
//!
//! # Features
//!
//! None is on by default; the adapters turn on what most programs want.
//!
//! | feature | what it adds |
//! |---|---|
//! | `tls`, with `ring` or `aws-lc-rs` | encrypted connections, and which cryptography they use |
//! | `websocket` | servers behind `ws://` and, with `tls`, `wss://` addresses |
//! | `nkeys` | nkeys, JWTs and credentials files |
//! | `url` | `ServerAddr` from and to the URLs of the crate `url` |
//! | `context` | the contexts of the `nats` command |
//! | `tracing` | events and spans for `tracing` subscribers |
#![forbid(unsafe_code)]

mod awaited;
mod callbacks;
pub mod client;
mod connect;
pub mod connection;
#[cfg(feature = "context")]
pub mod context;
mod driver;
pub mod error;
mod event;
#[cfg(feature = "planted-faults")]
#[doc(hidden)]
pub mod faults;
#[cfg(not(feature = "planted-faults"))]
mod faults;
mod frames;
pub mod guide;
mod handle;
mod hub;
mod link;
mod locked;
mod mailbox;
mod notice;
mod options;
mod panics;
pub mod runtime;
mod server_addr;
mod shared;
mod statistics;
mod subscriber;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/missing.rs"]
mod tls;
mod to_server_addrs;
mod trace;
mod transport;
mod turns;
mod waiters;
#[cfg(feature = "websocket")]
mod websocket;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod testing;

pub use client::{
    Client, ConfirmError, DrainError, FlushError, FlushErrorKind, NewSubscription, PublishError,
    PublishErrorKind, ReconnectError, Remainder, Request, RequestError, RequestErrorKind,
    ServerPoolError, ServerPoolErrorKind, SetServerPoolError, SetServerPoolErrorKind,
    SubscribeError, SubscribeErrorKind, TryPublishError,
};
pub use connect::{ConnectError, ConnectErrorKind, connect, connect_with_options};
pub use error::BoxError as Error;
pub use event::{CallbackError, ClientError, Event, ServerError};
pub use hub::{Events, Notices};
pub use mailbox::{SubscriberStatistics, WhenFull};
#[doc(no_inline)]
pub use nats_proto;
pub use nats_proto::connection::{AuthError, EndReason, PendingPolicy, Unfinished};
pub use nats_proto::{
    Auth, ConnectInfo, HeaderMap, HeaderName, HeaderValue, Message, PermissionTarget, Protocol,
    ServerInfo, StatusCode, Subject, SubjectError, ToSubject, header, status, subject,
};
pub use notice::Notice;
pub use options::ConnectOptions;
pub use runtime::Runtime;
/// The version of rustls that [`ConnectOptions::tls_client_config`] speaks of.
#[cfg(feature = "tls")]
#[doc(no_inline)]
pub use rustls;
pub use server_addr::{ReconnectToServer, Server, ServerAddr};
pub use statistics::Statistics;
pub use subscriber::{Subscriber, UnsubscribeError};
pub use to_server_addrs::{AsServerAddr, ToServerAddrs};

/// The former name of [`OutboundMessage`](message::OutboundMessage).
#[deprecated(note = "use `message::OutboundMessage`")]
pub type PublishMessage = message::OutboundMessage;

/// Messages, received and to be published.
pub mod message {
    pub use nats_proto::{Message, OutboundMessage};
}
