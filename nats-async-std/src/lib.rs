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

/// The contexts of the `nats` command.
#[cfg(feature = "context")]
pub use nats_client::context;
#[doc(inline)]
pub use nats_client::guide;
/// The version of rustls that [`ConnectOptions::tls_client_config`] speaks of.
#[cfg(feature = "tls")]
pub use nats_client::rustls;

#[allow(deprecated, reason = "a name that programs may still use")]
pub use nats_client::PublishMessage;
pub use nats_client::client::{DrainError, ReconnectError};
pub use nats_client::{
    AsServerAddr, Auth, AuthError, CallbackError, Client, ClientError, ConfirmError, ConnectError,
    ConnectErrorKind, ConnectInfo, EndReason, Error, Event, Events, FlushError, FlushErrorKind,
    HeaderMap, HeaderName, HeaderValue, Message, NewSubscription, Notice, Notices, PendingPolicy,
    PermissionTarget, Protocol, PublishError, PublishErrorKind, ReconnectToServer, Remainder,
    Request, RequestError, RequestErrorKind, Server, ServerAddr, ServerError, ServerInfo,
    ServerPoolError, ServerPoolErrorKind, SetServerPoolError, SetServerPoolErrorKind, Statistics,
    StatusCode, Subject, SubjectError, SubscribeError, SubscribeErrorKind, Subscriber,
    SubscriberStatistics, ToServerAddrs, ToSubject, TryPublishError, Unfinished, UnsubscribeError,
    WhenFull, client, connection, error, header, message, nats_proto, status, subject,
};
pub use runtime::AsyncStd;

/// The settings of a client: see [`nats_client::ConnectOptions`].
pub type ConnectOptions = nats_client::ConnectOptions<AsyncStd>;

/// Connects to a server, with the default options.
///
/// # Errors
///
/// See [`connect_with_options`].
pub async fn connect<A: ToServerAddrs>(addrs: A) -> Result<Client, ConnectError> {
    connect_with_options(addrs, ConnectOptions::new()).await
}

/// Connects to one of several servers, or with other options: see [`nats_client::connect_with_options`].
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
