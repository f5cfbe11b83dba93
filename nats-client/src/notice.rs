//! What happens to a client without being asked for, in detail.

use std::fmt::{self, Write as _};
use std::slice;

use nats_proto::ServerError;
use nats_proto::connection::{ConnectError, DisconnectReason};

use crate::options::display_addr;
use crate::server_addr::ServerAddr;

/// What happens to a client without being asked for, with its details: see
/// [`ConnectOptions::notice_callback`](crate::ConnectOptions::notice_callback).
///
/// [`Event`](crate::Event) is the same in the words of `async-nats`, which has fewer of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A connection is up, the first one or a later one.
    Connected,
    /// A connection is lost, or given up because this side wished it.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
    /// An attempt to connect has failed; the next one follows if the settings allow it.
    ConnectFailed {
        /// The server.
        server: ServerAddr,
        /// Why.
        error: ConnectError,
    },
    /// The server told of servers that were not known.
    ServersDiscovered(Vec<ServerAddr>),
    /// The server is about to shut down and asks its clients to leave.
    LameDuckMode,
    /// The server reported an error.
    ServerError(ServerError),
    /// A subscription has more messages waiting than it may, or gets one that is too large for that: some are dropped until
    /// [`SlowConsumerRecovered`](Self::SlowConsumerRecovered). Once an episode.
    SlowConsumer {
        /// The subscription's number.
        sid: u64,
    },
    /// The subscriber has caught up (at most half of what may wait is waiting), or the subscription has ended. If it had not
    /// lagged behind, because the messages were larger than all that may wait, it has got another message.
    SlowConsumerRecovered {
        /// The subscription's number.
        sid: u64,
        /// Messages dropped in this episode.
        dropped: u64,
    },
    /// Buffered publishes were given up: too large for the server that is connected now, or pushed out by newer ones.
    Dropped {
        /// How many.
        messages: u64,
    },
    /// The server that
    /// [`reconnect_to_server_callback`](crate::ConnectOptions::reconnect_to_server_callback) chose is not in the pool:
    /// the pool has decided.
    ServerNotInPool,
    /// Draining has begun.
    Draining,
    /// No further attempt to connect is made, and the client closes.
    GivenUp {
        /// Why: [`MaxReconnects`](ConnectError::MaxReconnects) if no server is left,
        /// [`Authorization`](ConnectError::Authorization) if one has refused the credentials twice in a row with the
        /// same words (see
        /// [`ignore_repeated_auth_errors`](crate::ConnectOptions::ignore_repeated_auth_errors)), or once if the first connect
        /// fails, and otherwise, if that fails, whatever its last attempt ended with.
        error: ConnectError,
    },
    /// The client is at its end. Nothing follows.
    Closed,
}

impl Notice {
    /// About how many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        // What is displayed of an address leaves out the credentials, of which each has a copy.
        let addresses: &[ServerAddr] = match self {
            Self::ServersDiscovered(servers) => servers,
            Self::ConnectFailed { server, .. } => slice::from_ref(server),
            _ => &[],
        };
        let addresses = addresses
            .iter()
            .fold(size_of_val(addresses), |sum, server| sum.saturating_add(server.text_size()));
        let mut text = Length(0);
        if !matches!(self, Self::ServersDiscovered(_)) {
            // Counting cannot fail.
            let _ = write!(text, "{self}");
        }
        let unknown = self.unknown_error().map_or(0, str::len);
        [addresses, text.0, unknown].into_iter().fold(size_of::<Self>(), usize::saturating_add)
    }

    /// The text of a server's error of which a part alone is displayed.
    fn unknown_error(&self) -> Option<&str> {
        let error = match self {
            Self::ServerError(error)
            | Self::Disconnected { reason: DisconnectReason::Server(error) } => error,
            Self::ConnectFailed { error, .. } | Self::GivenUp { error } => match error {
                ConnectError::Authorization(error)
                | ConnectError::Lost(DisconnectReason::Server(error)) => error,
                _ => return None,
            },
            _ => return None,
        };
        match error {
            ServerError::Other(text) => Some(text),
            _ => None,
        }
    }
}

/// Counts the bytes of a text.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected { reason } => write!(f, "disconnected: {reason}"),
            Self::ConnectFailed { server, error } => {
                write!(f, "could not connect to {}: {error}", display_addr(server.as_ref()))
            }
            Self::ServersDiscovered(servers) => {
                f.write_str("servers discovered:")?;
                servers
                    .iter()
                    .try_for_each(|server| write!(f, " {}", display_addr(server.as_ref())))
            }
            Self::LameDuckMode => f.write_str("the server is going to shut down (lame duck mode)"),
            Self::ServerError(error) => write!(f, "server error: {error}"),
            Self::SlowConsumer { sid } => {
                write!(f, "subscription {sid} is too slow and loses messages")
            }
            Self::SlowConsumerRecovered { sid, dropped } => {
                write!(f, "subscription {sid} has caught up after losing {dropped} messages")
            }
            Self::Dropped { messages } => write!(f, "{messages} buffered messages dropped"),
            Self::ServerNotInPool => f.write_str("the server chosen is not in the pool"),
            Self::Draining => f.write_str("draining"),
            Self::GivenUp { error } => write!(f, "no further attempt to connect: {error}"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_which_a_part_is_displayed_takes_all_of_its_memory() {
        let error = ServerError::Other("e".repeat(100_000));
        let reason = DisconnectReason::Server(error.clone());
        let server = "a".parse().expect("an address");
        for notice in [
            Notice::ServerError(error.clone()),
            Notice::Disconnected { reason: reason.clone() },
            Notice::ConnectFailed { server, error: ConnectError::Lost(reason) },
            Notice::GivenUp { error: ConnectError::Authorization(error) },
        ] {
            assert!((100_000..101_000).contains(&notice.size()), "{notice:?}: {}", notice.size());
            assert!(notice.to_string().len() < 1_000);
        }
    }
    #[test]
    fn the_size_counts_the_credentials_that_are_not_displayed() {
        let addr: ServerAddr =
            format!("nats://{}@h", "t".repeat(1_000)).parse().expect("an address");
        let told = nats_proto::ServerAddr::from(addr.clone()).discovered("10.0.0.1:4222");
        let told = ServerAddr::from(told.expect("an address"));
        let failed = Notice::ConnectFailed { server: addr, error: ConnectError::TimedOut };
        // In the URL, and by themselves.
        assert!((2_000..3_000).contains(&failed.size()), "{}", failed.size());
        let discovered = Notice::ServersDiscovered(vec![told; 100]);
        assert!((200_000..250_000).contains(&discovered.size()), "{}", discovered.size());
    }
}
