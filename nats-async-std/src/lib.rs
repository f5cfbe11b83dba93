//! A NATS client for async-std.
//!
//! The names are those of `async-nats`, which needs tokio. All of it is [`nats_client`] on the [`AsyncStd`]
//! runtime.
//!
//! ```no_run
//! # async fn example() -> Result<(), nats_async_std::Error> {
//! let client = nats_async_std::connect("nats://localhost:4222").await?;
//! client.publish("greetings", "hello".into()).await?;
//! client.flush().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] goes on from there; where it says `nats_tokio`, say `nats_async_std`.
#![forbid(unsafe_code)]

pub mod runtime;

// What is defined below goes before the names of the same kind in there.
#[doc(inline)]
pub use nats_client::*;
pub use runtime::AsyncStd;

/// The settings of a client: see [`nats_client::ConnectOptions`].
pub type ConnectOptions = nats_client::ConnectOptions<AsyncStd>;

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
/// # Errors
///
/// No server could be reached, or it refused. The kind and the text say why.
pub async fn connect_with_options<A: ToServerAddrs>(
    addrs: A,
    options: ConnectOptions,
) -> Result<Client, ConnectError> {
    nats_client::connect_with_options(addrs, options).await
}
