//! The connection state machine, without a socket and with a clock that is a number.

mod confirming;
mod drain;
mod flushing;
mod forcing;
mod garbage;
mod handshake;
mod keepalive;
mod lame_duck;
mod max_payload;
mod publishing;
mod reconnect;
mod requests;
mod room;
mod secure;
mod servers;
mod splits;
mod stored_replies;
mod subscriptions;
mod support;
