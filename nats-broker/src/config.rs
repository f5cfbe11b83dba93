//! The settings of a broker.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use nats_proto::ConnectInfo;

/// Who may connect. Never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Everybody; credentials that a client sends are ignored.
    #[default]
    None,
    /// Whoever knows the token. Nobody, if it is empty, as a variable that is not set may make it.
    Token(String),
    /// The users of this table, by name, with their passwords. Whoever has an empty one is not let in.
    Users(BTreeMap<String, String>),
}

impl Auth {
    /// One user with a password.
    pub fn user(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Users(BTreeMap::from([(name.into(), password.into())]))
    }

    /// Whether a client must introduce itself before anything else.
    pub(crate) const fn is_required(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether the client that sent `connect` may come in.
    ///
    /// `before` is the name by which it was let in already, if it was: the real server remembers what a CONNECT said
    /// for those that follow, and these were the right credentials.
    pub(crate) fn admits(&self, connect: &ConnectInfo, before: Option<&str>) -> bool {
        match self {
            Self::None => true,
            Self::Token(token) => {
                let remembered = before.map(|_| &**token);
                same(connect.auth_token.as_deref().or(remembered), token)
            }
            Self::Users(users) => {
                let remembered =
                    before.and_then(|user| users.get(user)).map(|password| &**password);
                let given = connect.pass.as_deref().or(remembered);
                let user = connect.user.as_deref().or(before);
                user.and_then(|user| users.get(user)).is_some_and(|password| same(given, password))
            }
        }
    }
}

/// Compares without stopping at the first difference, so that the time taken does not tell where it is.
///
/// Nothing is not the same as nothing: where credentials are asked for, who gives none must not be let in.
fn same(given: Option<&str>, expected: &str) -> bool {
    let (given, expected) = (given.unwrap_or_default().as_bytes(), expected.as_bytes());
    let difference = given.iter().zip(expected).fold(0_u8, |bits, (a, b)| bits | (a ^ b));
    given.len() == expected.len() && difference == 0 && !expected.is_empty()
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(..)",
            Self::Users(_) => "Users(..)",
        })
    }
}

/// The settings of a [`Broker`](crate::Broker). The defaults are those of `nats-server`, except where noted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The name in INFO. Default: the generated server id.
    pub server_name: Option<String>,
    /// The address in INFO. Default: `127.0.0.1`. The server loop replaces it by the one it is bound to.
    pub host: String,
    /// The port in INFO. Default: 4222. The server loop replaces it by the one it is bound to.
    pub port: u16,
    /// Addresses (`host:port`) of other servers that INFO tells clients of. Default: none.
    pub connect_urls: Vec<String>,
    /// Who may connect. Default: everybody.
    pub auth: Auth,
    /// How long a client that must introduce itself may take to do so. Default: 2 s.
    pub auth_timeout: Duration,
    /// The most bytes that headers and payload of one message may have together. Default: 1 MiB.
    ///
    /// INFO tells it, and it is heeded, as the smallest of this, [`max_pending`](Self::max_pending) and 999,999,999: no
    /// larger message could be delivered, and no larger size be written in the nine digits that one may have.
    pub max_payload: usize,
    /// The most bytes that the arguments of one operation may have; CONNECT counts as well. Default: 4,096.
    pub max_control_line: usize,
    /// The most bytes that may wait to be written to one client, before it is cut off as a slow consumer.
    /// Default: 64 MiB.
    ///
    /// No message may be larger, whatever [`max_payload`](Self::max_payload) says.
    ///
    /// Up to twice as much may be in memory: what [`poll_transmit`](crate::Broker::poll_transmit) gave at a time is let
    /// go of when the last of it is written.
    pub max_pending: usize,
    /// The most clients at a time. Default: 65,536.
    pub max_connections: usize,
    /// The most subscriptions of one client. Default: 1,000,000 (`nats-server` has no bound by default).
    pub max_subscriptions: usize,
    /// The most tokens that the subject of a subscription may have; with zero, as many as a control line has room for.
    /// Default: 255, the most that `nats-server` can be told (it has no bound by default).
    ///
    /// A token in which a subject differs from all others that are subscribed to takes some 500 bytes of memory.
    pub max_subscription_tokens: usize,
    /// The time between keepalive probes; with zero there are none, and no client is ever stale. Default: 2 min.
    pub ping_interval: Duration,
    /// How long after CONNECT the first probe is sent; up to a fifth is added at random. Default: 2 s.
    ///
    /// The real server probes this early to measure the round trip. Never later than `ping_interval`.
    pub first_ping: Duration,
    /// How many probes may be unanswered before a client is stale. Default: 2.
    pub max_pings_out: usize,
    /// How long a lame duck waits before it begins to close connections. Default: 10 s.
    pub lame_duck_grace: Duration,
    /// The time from the beginning of lame duck mode within which all connections are closed; never more
    /// than a second passes between two of them. Default: 2 min.
    pub lame_duck_duration: Duration,
}

/// The largest size that a client can announce.
const LARGEST_SIZE: usize = 999_999_999;

impl Config {
    /// The most bytes that headers and payload of one message may really have together.
    pub(crate) fn largest_payload(&self) -> usize {
        self.max_payload.min(self.max_pending).min(LARGEST_SIZE)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: None,
            host: String::from("127.0.0.1"),
            port: 4222,
            connect_urls: Vec::new(),
            auth: Auth::None,
            auth_timeout: Duration::from_secs(2),
            max_payload: 1024 * 1024,
            max_control_line: 4096,
            max_pending: 64 * 1024 * 1024,
            max_connections: 65_536,
            max_subscriptions: 1_000_000,
            max_subscription_tokens: 255,
            ping_interval: Duration::from_secs(120),
            first_ping: Duration::from_secs(2),
            max_pings_out: 2,
            lame_duck_grace: Duration::from_secs(10),
            lame_duck_duration: Duration::from_secs(120),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut config = Config { auth: Auth::user("ann", "canary"), ..Config::default() };
        assert!(!format!("{config:?}").contains("canary"));
        config.auth = Auth::Token("canary".to_string());
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn credentials_must_be_equal_in_full() {
        assert!(same(Some("secret"), "secret"));
        assert!(!same(Some("secre"), "secret"));
        assert!(!same(Some("secret2"), "secret"));
        assert!(!same(Some("Secret"), "secret"));
        assert!(!same(None, "secret"));
        assert!(!same(None, "") && !same(Some(""), ""));
    }
}
