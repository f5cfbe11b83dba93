//! Through the SOCKS5 proxy that a context names.

use std::io;

use nats_proto::{ServerAddr, ServerAddrError};
use tokio_socks::io::Compat;
use tokio_socks::tcp::Socks5Stream;

use crate::driver::{self, First};
use crate::link::Stream;
use crate::runtime::Runtime;

/// Where SOCKS proxies listen if nothing else is said (RFC 1928).
const DEFAULT_PORT: u16 = 1080;

/// Bytes of a user name or password for a proxy (RFC 1929).
const LONGEST: usize = 255;

/// A proxy, and who one is to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy(ServerAddr);

impl Proxy {
    /// Reads `socks5://[user:password@]host[:port]`, also with the scheme `socks5h`, which means the same here: names
    /// of servers are resolved by the proxy.
    ///
    /// `None` for another scheme.
    pub(super) fn parse(url: &str) -> Option<Result<Self, ServerAddrError>> {
        let (scheme, address) = url.split_once("://")?;
        if !["socks5", "socks5h"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let address = address.strip_suffix('/').unwrap_or(address);
        // The rules are those for servers, but for the port.
        let host = address.rsplit('@').next().unwrap_or(address);
        let has_port = host.rsplit(']').next().unwrap_or(host).contains(':');
        let port = if has_port { String::new() } else { format!(":{DEFAULT_PORT}") };
        Some(format!("nats://{address}{port}").parse().map(Self))
    }

    /// Whether SOCKS5 has a way to say who one is: not without a password (RFC 1929).
    pub(super) fn can_introduce(&self) -> bool {
        let fits = |text: &str| (1..=LONGEST).contains(&text.len());
        match (self.0.username(), self.0.password()) {
            (None, None) => true,
            (Some(user), Some(password)) => fits(user) && fits(password),
            _ => false,
        }
    }

    /// Opens a stream to `server` through the proxy, which resolves its name.
    pub(super) async fn connect<R: Runtime>(
        &self,
        server: crate::ServerAddr,
    ) -> io::Result<Box<dyn Stream>> {
        let Self(proxy) = self;
        let failed = |error: &dyn std::fmt::Display| {
            let (host, port) = (proxy.host(), proxy.port());
            io::Error::other(format!("SOCKS proxy {host}, port {port}: {error}"))
        };
        let stream =
            driver::open::<R>(proxy, None, First::At(0)).await.map_err(|error| failed(&error))?;
        let (stream, target) = (Compat::new(stream), (server.host(), server.port()));
        let through = match (proxy.username(), proxy.password()) {
            (None, None) => Socks5Stream::connect_with_socket(stream, target).await,
            (user, password) => {
                let (user, password) = (user.unwrap_or_default(), password.unwrap_or_default());
                Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
            }
        };
        Ok(through.map_err(|error| failed(&error))?.into_inner().into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_written_as_urls() {
        let proxy = |url| Proxy::parse(url).unwrap().unwrap().0;
        let parts = |url| (proxy(url).host().to_owned(), proxy(url).port());
        assert_eq!(parts("socks5://p"), ("p".into(), 1080));
        assert_eq!(parts("SOCKS5H://p:1/"), ("p".into(), 1));
        assert_eq!(parts("socks5://[::1]"), ("::1".into(), 1080));
        assert_eq!(parts("socks5://u:p@[::1]:2"), ("::1".into(), 2));
        let asked = proxy("socks5://ann:p%40ss@p");
        assert_eq!((asked.username(), asked.password()), (Some("ann"), Some("p@ss")));
        for other in ["p:1080", "http://p", "socks4://p", ""] {
            assert_eq!(Proxy::parse(other), None, "{other}");
        }
        let error = Proxy::parse("socks5://u:canary@p:x").unwrap().unwrap_err().to_string();
        assert!(error.contains("port \"***\"") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_user_has_a_password_and_neither_is_longer_than_socks_allows() {
        let with = |length| format!("socks5://u:{}@p", "x".repeat(length));
        for (url, can) in [
            ("socks5://p".to_owned(), true),
            ("socks5://u:p@p".to_owned(), true),
            (with(255), true),
            (with(256), false),
            (with(0), false),
            ("socks5://u@p".to_owned(), false),
            ("socks5://:p@p".to_owned(), false),
        ] {
            assert_eq!(Proxy::parse(&url).unwrap().unwrap().can_introduce(), can, "{url}");
        }
    }
}
