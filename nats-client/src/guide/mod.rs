//! How to use the client, from the first connection to the last message.
//!
//! | chapter | answers | programs |
//! |---|---|---|
//! | [`connect`] | how to reach a server, one of several, or one that is not there yet | `connect`, `http_proxy` |
//! | [`secure`] | TLS, client certificates, passwords, tokens, keys, credentials files, contexts | `secure` |
//! | [`publish`] | how messages are sent, and what happens when they are too many or too large | `publish`, `pub_sub` |
//! | [`subscribe`] | how messages are received, and what happens when they are too many | `subscribe` |
//! | [`request`] | how to ask one service, or many at a time | `request_reply`, `scatter_gather` |
//! | [`survive`] | what happens when the server or the network fails, and what can be chosen | `survive` |
//! | [`delivery`] | for every call: what its result says about the message | |
//! | [`observe`] | events, notices, counters, round trips, `tracing`, messages on their way | `observe`, `trace_context`, `message_trace` |
//! | [`tune`] | every option with its default, limits, buffers, features | `tune` |
//!
//! Each chapter takes a few minutes, and every example in it is compiled. They are written for `nats_tokio`; with
//! `nats_async_std` in its place they are the same. The programs are in the directory `nats-tokio/examples`, and run
//! without a server: `cargo run -p nats-tokio --example survive`.

#[doc = include_str!("connect.md")]
pub mod connect {}
#[doc = include_str!("secure.md")]
pub mod secure {}
#[doc = include_str!("publish.md")]
pub mod publish {}
#[doc = include_str!("subscribe.md")]
pub mod subscribe {}
#[doc = include_str!("request.md")]
pub mod request {}
#[doc = include_str!("survive.md")]
pub mod survive {}
#[doc = include_str!("delivery.md")]
pub mod delivery {}
#[doc = include_str!("observe.md")]
pub mod observe {}
#[doc = include_str!("tune.md")]
pub mod tune {}

#[cfg(test)]
mod tests {
    const TUNE: &str = include_str!("tune.md");

    const OPTIONS: [&str; 6] = [
        include_str!("../options/auth.rs"),
        include_str!("../options/bounds.rs"),
        include_str!("../options/life.rs"),
        include_str!("../options/nkeys.rs"),
        include_str!("../options/tls.rs"),
        include_str!("../options/transport.rs"),
    ];

    #[test]
    fn every_option_is_in_the_table() {
        let wire = include_str!("../options/wire.rs");
        let lines = OPTIONS.into_iter().chain([wire]).flat_map(str::lines);
        let names = lines.filter_map(|line| {
            let line = line.trim_start().strip_prefix("pub ")?;
            let line = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
            line.split(['(', '<']).next()
        });
        // `with_token` is `token` on top of the defaults.
        let missing: Vec<&str> = names
            .map(|name| name.strip_prefix("with_").unwrap_or(name))
            .filter(|name| !TUNE.contains(&format!("ConnectOptions::{name})")))
            .collect();
        assert!(missing.is_empty(), "not in tune.md: {missing:?}");
    }
}
