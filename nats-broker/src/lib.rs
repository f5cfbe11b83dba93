//! An embeddable Core NATS broker with a sans-IO core.
//!
//! [`Broker`] is a pure state machine: it never touches a socket, a clock, a lock or an entropy source. Bytes and
//! time go in; bytes, events and the next deadline come out. The same configuration, seed and inputs give the same
//! outputs, byte for byte, so that a simulation can be replayed from its seed. With the feature `serve` (on by
//! default), `serve` puts it on a TCP port, on any runtime that `nats_client::Runtime` is implemented for. Without
//! it, the crate is `no_std`.
//!
//! # Driving the core
//!
//! There are four kinds of method: `handle_*` (something happened outside), plain verbs (the owner wants
//! something), `poll_*` (what to do now), and getters.
//!
//! 1. A client connected: [`handle_connect`](Broker::handle_connect). It sent bytes:
//!    [`handle_input`](Broker::handle_input). Its stream is closed:
//!    [`handle_disconnect`](Broker::handle_disconnect).
//! 2. After each of these, poll [`poll_event`](Broker::poll_event) until it gives nothing, and do what it says:
//!    write what [`poll_transmit`](Broker::poll_transmit) gives, or close a stream.
//! 3. At the time that [`poll_timeout`](Broker::poll_timeout) gives, call
//!    [`handle_timeout`](Broker::handle_timeout), and go on with step 2.
//!
//! ```
//! use bytes::BytesMut;
//! use nats_broker::{Broker, BrokerEvent, Config};
//! use nats_proto::{Instant, wire::OutBuf};
//!
//! let mut broker = Broker::new(Config::default(), [7; 32]);
//! let client = broker.handle_connect(Instant::ZERO, "");
//! let mut input = BytesMut::from("SUB greet.* 1\r\nPUB greet.joe 5\r\nhello\r\nPIN");
//! broker.handle_input(Instant::from_millis(1), client, &mut input);
//! assert_eq!(&input[..], b"PIN"); // the rest of it is still to come
//!
//! let mut wire = Vec::new();
//! while let Some(event) = broker.poll_event() {
//!     match event {
//!         BrokerEvent::Transmit(session) => {
//!             let mut out = OutBuf::new();
//!             while broker.poll_transmit(session, &mut out) {
//!                 let written = out.chunks().next().map_or(0, |chunk| {
//!                     wire.extend_from_slice(chunk); // a socket may take less than that
//!                     chunk.len()
//!                 });
//!                 out.advance(written);
//!             }
//!         }
//!         BrokerEvent::Hangup(session) | BrokerEvent::Abort(session) => broker.handle_disconnect(session),
//!         _ => {}
//!     }
//! }
//! let text = String::from_utf8(wire).unwrap();
//! assert!(text.starts_with("INFO {"));
//! // This client did not introduce itself, and so gets an +OK for everything.
//! assert!(text.ends_with("\r\n+OK\r\n+OK\r\nMSG greet.joe 1 5\r\nhello\r\n"));
//! ```
//!
//! # What it bounds
//!
//! Everything that a client can make the broker remember has a bound that is a setting of [`Config`]: connections,
//! subscriptions a connection, tokens of their subjects, bytes of a control line and of a message, and bytes that wait
//! to be written to a connection. Payloads of 4 KiB and more are not copied for each subscriber, and not at all if they
//! are half of what was read with them: one that waits for a slow client keeps a buffer of at most four times its size
//! in `serve`. What a message takes grows with the subscriptions that match it; `serve` lets other clients have their turn
//! after some 260,000 of them, but divides no message. When a client leaves, the others wait until its subscriptions are
//! taken out, a million of which take about a second; and a million subjects that have nothing in common take some 500 bytes
//! for each token of each: who serves clients that are not trusted sets [`Config::max_subscriptions`] and
//! [`Config::max_subscription_tokens`] to less. In `serve`, a client that was hung up on is no longer counted, and has
//! the write time-out to take what is left for it.
//!
//! # Where it differs from `nats-server`
//!
//! It is meant to behave as `nats-server` 2.15 does, down to the texts of -ERR and to what closes a connection without
//! any answer. Some two hundred scripts give the same bytes on both, but for lines that are marked, each with its
//! reason, and but for INFO, of which only what clients act on is compared. What is known to be different
//! (`tests/scripts/differences.txt` has as a script what can be shown in one):
//!
//! * There is no persistence (JetStream), cluster, leaf node, gateway, account, permission, monitoring, TLS,
//!   WebSocket, nkey or JWT: those belong to the real server. INFO leaves out the fields that are about them and
//!   `git_commit`, `go`, `xkey`, `api_lvl` and `remote_account`, and nobody answers on `$SYS` subjects.
//! * Messages are not traced: nothing is published to what the header `Nats-Trace-Dest` names. With
//!   `Nats-Trace-Only`, the message is not delivered, as in the real server; with a destination that is no subject, it is
//!   not even acknowledged. Headers that name an account for a trace (`Nats-Trace-Origin-Account`) are passed on as they
//!   are.
//! * Subjects that the real server reserves for its own traffic between servers (`_GR_.`, `$GR.`, `$NRG.`, and replies
//!   in `_GR_.`, `$GR.` or `_R_.`) are ordinary ones, also for traces to go to. There is no such traffic.
//! * INFO, +OK, -ERR and HMSG **from** a client are unknown operations. The real server skips the first two and closes
//!   after the third without an answer, and so does it after an INFO that it cannot read; it looks at HMSG when its line has
//!   ended, and skips it if an empty line follows. What a client sends behind an -ERR of its own is not done here.
//! * A CR inside of a control line other than CONNECT's, and a maximum of UNSUB that is no number, close the connection. The real server
//!   reads over the first in places, and takes the second for an UNSUB without one. Clients send neither, and
//!   strictness is the safer side of a parser.
//! * A line feed always ends a control line. The real server takes one that is the first byte of the arguments, behind
//!   the space, for a part of them.
//! * More than 64 blanks before the arguments of an operation count for the limit of its line, and so does what stands
//!   behind PING and PONG. The real server skips both without end.
//! * An HPUB whose headers have no length counts as a PUB, also if the client did not ask for headers; and sizes
//!   are passed on without leading zeros.
//! * CONNECT: of the fields that the broker does not use, `account` and `new_account` (an "Authorization Violation" in
//!   the real server) are ignored as well, and none has its type checked. Names are compared without regard to case
//!   in ASCII alone. -0.0 counts as a protocol version of 0. In a second CONNECT, flags that are left out have their
//!   defaults again, instead of what the first one said; only credentials are remembered.
//! * A token or a password that is set, but empty, lets nobody in. The real server takes an empty token for none, with
//!   which everybody may come in, and a user with an empty password for one who needs none. Tokens and passwords are
//!   compared as they are: one that looks like a hash of bcrypt is none.
//! * Zero means zero in [`Config`], but where its documentation says otherwise. In the real server's settings, zero
//!   is none or the default for `max_subscriptions`, `max_control_line`, `ping_max` and `auth_timeout`.
//! * INFO has the `connect_urls` of the settings as they are. The real server puts its own addresses in front of those of
//!   others, takes them out when it is a lame duck, and sends no INFO when it is told of the same ones again.
//! * An operation is handled when all of it has come. The real server looks at the control line of a publish before
//!   its payload is there, and so may answer a bad one, or hang up, a little earlier, and, if that comes in pieces or
//!   has a bad end, twice.
//! * Subscriptions of one client and the tokens of their subjects are bounded by default (1,000,000 and 255), since no
//!   bound here is ever infinite.
//! * Matching subscriptions are served in a fixed order: wildcards as the real server does it, then by age. In the
//!   real server, the order among the subscriptions to one subject is random; and to a subject to which there were
//!   messages already, it serves those that came later last, by age, whatever wildcards they have.
//! * A lame duck closes the oldest connections first. The real server has no order.
//! * After the last byte is written, `serve` swallows what still comes in, until nothing did for 20 ms (for a second
//!   at most), before it drops the stream. Closing at once, as the real server does, can destroy an -ERR on its way
//!   if the client was still sending.
//! * Where one client publishes faster than another reads, `serve` pauses for 5 ms before the next operation when half of
//!   [`Config::max_pending`] is used, as long as the reader goes on reading, and otherwise once a read. The real server does so
//!   when three quarters are used, and for at most 10 ms a read, less if the reader catches up. It writes to the reader
//!   meanwhile also between two copies of one message: here, a message whose copies for one client are more than may wait
//!   ends that client. So a reader that is slower than those who publish to it, but takes what was fetched for it within the
//!   write time-out, sets their pace, where the real server would end it at last.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "serve")]
extern crate std;

mod broker;
mod config;
mod delivery;
mod event;
mod input;
mod keepalive;
mod members;
mod operations;
mod routing;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod statistics;
mod subscriptions;
mod trace;

pub use broker::Broker;
pub use config::{Auth, Config};
pub use event::{BrokerEvent, SessionId};
#[cfg(feature = "serve")]
pub use serve::{ServerConfig, ServerHandle, serve};
pub use statistics::Statistics;

/// The release of `nats-server` whose behaviour the broker follows, which INFO gives as its version: clients
/// conclude from it what they can ask for.
pub const NATS_SERVER_VERSION: &str = "2.15.1";
