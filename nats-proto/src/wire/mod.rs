//! The wire format, in both directions and for both sides.
//!
//! | | decode | encode |
//! |---|---|---|
//! | server operations (INFO, MSG, HMSG, PING, PONG, +OK, -ERR) | [`ServerDecoder`] | [`encoder`] |
//! | client operations (CONNECT, PUB, HPUB, SUB, UNSUB, PING, PONG) | [`ClientDecoder`] | [`encoder`] |

mod args;
mod canonical;
mod chunk;
mod client_decoder;
pub mod encoder;
mod flat;
mod frames;
mod json;
mod limits;
mod machine;
mod op;
mod out_buf;
mod quoted;
mod server_decoder;

pub use chunk::Chunk;
pub(crate) use chunk::{Sharer, Slice};
pub use client_decoder::ClientDecoder;
pub use limits::Limits;
pub use op::{ClientOp, ClientOps, MessageFrame, PublishFrame, ServerOp, ServerOps, Span};
pub use out_buf::OutBuf;
pub use quoted::Quoted;
pub use server_decoder::ServerDecoder;
