//! The NATS client protocol as a pure state machine: it parses, encodes, shakes hands, keeps alive,
//! reconnects and keeps the books, and never does I/O.
//!
//! There is no socket, clock, lock, waker, thread or source of entropy in here. Bytes, results of dialling
//! and the time go in; bytes, events and the next deadline come out. Whoever has a byte stream and a clock
//! (a blocking loop, an async runtime, io_uring, a microcontroller, a simulation) drives a [`Connection`]:
//!
//! | kind of method | when | for example |
//! |---|---|---|
//! | `handle_*`, `receive` | something happened outside | [`handle_dial`](Connection::handle_dial), [`receive`](Connection::receive), [`handle_disconnect`](Connection::handle_disconnect), [`handle_timeout`](Connection::handle_timeout) |
//! | verbs | the application wants something | [`publish`](Connection::publish), [`request`](Connection::request), [`subscribe`](Connection::subscribe), [`flush`](Connection::flush), [`drain`](Connection::drain) |
//! | `poll_*` | what is to be done now | [`poll_event`](Connection::poll_event), [`poll_transmit`](Connection::poll_transmit), [`poll_timeout`](Connection::poll_timeout) |
//! | getters | | [`state`](Connection::state), [`server_info`](Connection::server_info), [`statistics`](Connection::statistics) |
//!
//! # The loop
//!
//! The order is forgiving: verbs may be called between any two polls; polls, `receive` and `handle_timeout` at any time,
//! however often; and an answer that comes too late, to what is not asked any more, is ignored. Only what has happened once
//! is to be told once: the end of a stream, bytes that came, and a decoded batch. What a loop owes to the connection is this:
//!
//! 1. Poll events until there are none. [`Event::Dial`] wants a byte stream, and an answer by
//!    `handle_dial`; [`Event::Hangup`] wants the stream closed, and an answer by `handle_disconnect`. Those two come
//!    whatever the settings are. Others that want an answer come only to those who ask for it: [`Event::StartTls`] where
//!    [`Config::tls`] allows TLS, [`Event::Authenticate`] with [`AuthSource::Ask`](connection::AuthSource::Ask),
//!    [`Event::ChooseServer`] with [`Config::choose_server`], and [`Event::SubscriptionsDrained`] after
//!    [`drain`](Connection::drain). All others are for the application.
//! 2. Write what `poll_transmit` gives, until it gives nothing (what goes first comes alone, and more behind it), and say
//!    with [`OutBuf::advance`](wire::OutBuf::advance) how much of it is written. Writing must not block beyond
//!    `poll_timeout` either, nor keep from reading: a peer may take nothing.
//! 3. Wait for bytes, but not beyond `poll_timeout`; then `receive`, or `handle_timeout`. Handling a
//!    deadline moves it: there is never a loop without delay.
//! 4. When the stream ends, for whatever reason, say so with `handle_disconnect` and hand back the buffer
//!    with what is unwritten in it: that is how no publish is lost that need not be. That nothing can be written any more is
//!    not yet the end: first `receive` what can still be read, which may be messages, and an -ERR that says why. The input
//!    of the next stream begins empty.
//!
//! ```
//! use std::io::ErrorKind::{Interrupted, TimedOut, UnexpectedEof, WouldBlock};
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use bytes::BytesMut;
//! use nats_proto::connection::{DialError, DisconnectReason};
//! use nats_proto::wire::OutBuf;
//! use nats_proto::{Config, Connection, Event, Instant, Outgoing};
//!
//! /// Subscribes, publishes to itself, and comes back with the payload.
//! fn hello(url: &str) -> Result<String, Box<dyn std::error::Error>> {
//!     let origin = std::time::Instant::now();
//!     let now = || Instant::ZERO + origin.elapsed();
//!     let seed = [7; 32]; // from the operating system, unless the run is to be repeatable
//!     let mut connection = Connection::new(Config::new(vec![url.parse()?]).into(), seed, now())?;
//!     let (mut stream, mut input, mut output) = (None, BytesMut::new(), OutBuf::new());
//!     let mut greeting = String::new();
//!
//!     connection.subscribe("greet.*", None)?;
//!     connection.publish(Outgoing::new("greet.world", &"hello".into()))?;
//!     loop {
//!         while let Some(event) = connection.poll_event() {
//!             match event {
//!                 Event::Dial { id, server } if server.is_websocket() => {
//!                     let error = DialError::Unsupported(server.scheme().into());
//!                     connection.handle_dial(now(), id, Err(error));
//!                 }
//!                 Event::Dial { id, server } => {
//!                     let dialled = TcpStream::connect((server.host(), server.port()));
//!                     let dialled = dialled.map(|opened| stream = Some(opened));
//!                     let dialled = dialled.map_err(|error| DialError::Io(error.to_string()));
//!                     connection.handle_dial(now(), id, dialled);
//!                 }
//!                 Event::Hangup => {
//!                     (stream, input) = (None, BytesMut::new());
//!                     let unsent = std::mem::take(&mut output);
//!                     connection.handle_disconnect(now(), DisconnectReason::Requested, unsent);
//!                 }
//!                 Event::Message { message, .. } => {
//!                     greeting = String::from_utf8(message.payload.to_vec())?;
//!                     connection.close(now(), Duration::from_secs(2));
//!                 }
//!                 Event::Closed { error: None, .. } => return Ok(greeting),
//!                 Event::Closed { error: Some(error), .. } => return Err(error.into()),
//!                 _ => {}
//!             }
//!         }
//!         let deadline = connection.poll_timeout().map_or(Duration::MAX, |at| at - now());
//!         let Some(open) = &mut stream else {
//!             std::thread::sleep(deadline);
//!             connection.handle_timeout(now());
//!             continue;
//!         };
//!         let mut exchange = || -> std::io::Result<()> {
//!             let (moment, end) = (Duration::from_millis(1), now() + deadline);
//!             // A peer may take nothing, or not before it is read from.
//!             open.set_write_timeout(Some(deadline.clamp(moment, 100 * moment)))?;
//!             let mut broken = Ok(());
//!             while !output.is_empty() || connection.poll_transmit(&mut output) {
//!                 let result = open.write(output.chunks().next().unwrap_or_default());
//!                 match result {
//!                     Ok(written) => output.advance(written),
//!                     Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => break,
//!                     Err(error) => {
//!                         broken = Err(error);
//!                         break;
//!                     }
//!                 }
//!                 if now() >= end {
//!                     break;
//!                 }
//!             }
//!             let wait = if output.is_empty() { end - now() } else { moment };
//!             open.set_read_timeout(Some(wait.max(moment)))?;
//!             let mut buffer = [0; 4096];
//!             match open.read(&mut buffer) {
//!                 Ok(0) => broken.and(Err(UnexpectedEof.into())),
//!                 // What the server has said before the stream broke, until nothing is left of it.
//!                 Ok(count) => Ok(input.extend_from_slice(&buffer[..count])),
//!                 Err(error) => broken.and(Err(error)),
//!             }
//!         };
//!         match exchange().map_err(|error| (error.kind(), error)) {
//!             // Systems differ in what they say when the time is over.
//!             Ok(()) | Err((WouldBlock | TimedOut | Interrupted, _)) => {}
//!             Err((kind, error)) => {
//!                 (stream, input) = (None, BytesMut::new());
//!                 let reason = match kind {
//!                     UnexpectedEof => DisconnectReason::Eof,
//!                     _ => DisconnectReason::Io(error.to_string()),
//!                 };
//!                 connection.handle_disconnect(now(), reason, std::mem::take(&mut output));
//!             }
//!         }
//!         connection.receive(now(), &mut input);
//!         connection.handle_timeout(now());
//!     }
//! }
//! #
//! # // A server that knows just enough for this page.
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let url = format!("nats://{}", listener.local_addr().unwrap());
//! # std::thread::spawn(move || {
//! #     use std::io::BufRead;
//! #     let mut client = listener.accept().unwrap().0;
//! #     client.write_all(b"INFO {\"max_payload\":1024,\"headers\":true}\r\n").unwrap();
//! #     let mut lines = std::io::BufReader::new(client.try_clone().unwrap()).lines();
//! #     while let Some(Ok(line)) = lines.next() {
//! #         match line.split(' ').next() {
//! #             Some("PING") => client.write_all(b"PONG\r\n").unwrap(),
//! #             Some("PUB") => client.write_all(b"MSG greet.world 1 5\r\nhello\r\n").unwrap(),
//! #             _ => {}
//! #         }
//! #     }
//! # });
//! assert_eq!(hello(&url).unwrap(), "hello");
//! ```
//!
//! The example `blocking` is the same at full length: requests, a drain at the end, and a server that may be
//! restarted in the middle. Loops that decode outside a lock, or that must not build a [`Message`] for each
//! delivery, use [`wire::ServerDecoder`] and [`Connection::handle_ops`] instead of `receive`, which says what else is
//! theirs to do then. Whoever holds a lock around a connection asks it to [keep its garbage](Connection::keep_garbage).
//!
//! # What happens to a message when the link breaks
//!
//! Every accepted publish ends in exactly one of these, and
//! [`Connection::statistics`] counts them:
//!
//! | | when |
//! |---|---|
//! | *confirmed* | a PONG came after it was written: the server has it |
//! | *uncertain* | it was written whole, and the link broke before a PONG |
//! | *pending* | not yet any of the others; what was not written whole when the link broke is kept, and sent on the next link from its start |
//! | *dropped* | given up: pushed out of the full buffer, too large for the new server, or left at the end |
//!
//! # Features
//!
//! The crate is `no_std` and needs `alloc`. The feature `std` (on by default) lets `memchr` choose vector
//! instructions at run time; nothing else changes. The feature `nkeys` brings signatures of the server's nonce and
//! credentials files: see [`auth`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
// What a peer sends must not be able to end the program.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

pub mod auth;
mod connect_info;
pub mod connection;
mod error;
#[cfg(feature = "planted-faults")]
#[doc(hidden)]
pub mod faults;
#[cfg(not(feature = "planted-faults"))]
mod faults;
pub mod header;
mod lenient;
mod message;
mod rng;
mod server_addr;
mod server_info;
mod servers;
pub mod status;
pub mod subject;
mod text;
mod time;
pub mod wire;

pub use auth::Auth;
pub use connect_info::{ConnectInfo, Protocol};
pub use connection::{
    Config, Connection, DialId, Event, FlushId, RequestId, State, SubscriptionId,
};
pub use error::{DecodeError, PermissionTarget, ServerError};
pub use header::{HeaderMap, HeaderName, HeaderValue};
pub use message::{Message, OutboundMessage, Outgoing};
pub use rng::Rng;
pub use server_addr::{Scheme, ServerAddr, ServerAddrError};
pub use server_info::ServerInfo;
pub use status::StatusCode;
pub use subject::{InvalidSubject, Subject, SubjectError, ToSubject};
pub use time::Instant;
