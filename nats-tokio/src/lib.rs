//! A NATS client for tokio.
//!
//! The names are those of `async-nats`; a program written for its Core NATS part compiles with
//! `async-nats = { package = "nats-tokio", … }`. All of it is [`nats_client`] on the [`Tokio`] runtime.
//!
//! ```no_run
//! # async fn example() -> Result<(), nats_tokio::Error> {
//! let client = nats_tokio::connect("nats://localhost:4222").await?;
//! client.publish("greetings", "hello".into()).await?;
//! client.flush().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] goes on from there. Programs that run as they are, most of them without a server, are in the directory
//! `examples`.
#![forbid(unsafe_code)]

pub mod runtime;

// What is defined below goes before the names of the same kind in there.
#[doc(inline)]
pub use nats_client::*;
pub use runtime::Tokio;

/// The settings of a client: see [`nats_client::ConnectOptions`].
pub type ConnectOptions = nats_client::ConnectOptions<Tokio>;

/// Connects to a server, with the default options. If the future is dropped before its end, the attempt is given up,
/// and a connection that is there already ends.
///
/// # Errors
///
/// See [`connect_with_options`].
pub async fn connect<A: ToServerAddrs>(addrs: A) -> Result<Client, ConnectError> {
    connect_with_options(addrs, ConnectOptions::new()).await
}

/// Connects to one of several servers, or with other options: see [`nats_client::connect_with_options`]. If the
/// future is dropped before its end, the attempt is given up, and a connection that is there already ends.
///
/// Must be called inside a tokio runtime whose I/O and time are enabled.
///
/// # Errors
///
/// No server could be reached, or it refused. The kind and the text say why.
pub async fn connect_with_options<A: ToServerAddrs>(
    addrs: A,
    options: ConnectOptions,
) -> Result<Client, ConnectError> {
    nats_client::connect_with_options(addrs, options).await
}
