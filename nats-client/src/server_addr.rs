//! The addresses of servers, and what is known of servers.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use nats_proto::connection;

/// The address of a server: `[scheme://][user[:password]@]host[:port]`, with one of the schemes `nats`, `tls`, `ws`
/// and `wss`.
///
/// It is a [`nats_proto::ServerAddr`], which has the rules, with what takes a URL, an I/O error or a resolver. Two
/// addresses are equal if they mean the same, however they were written. Neither `Display` nor `Debug` show a password or
/// token; [`as_url_str`](Self::as_url_str) does.
#[derive(Clone)]
pub struct ServerAddr {
    core: nats_proto::ServerAddr,
    url: Arc<str>,
}

impl ServerAddr {
    /// The address that a URL says.
    ///
    /// # Errors
    ///
    /// It is none of a NATS server; the text says why.
    #[cfg(feature = "url")]
    pub fn from_url(url: url::Url) -> io::Result<Self> {
        url.as_str().parse()
    }

    /// The address as a URL, with its credentials.
    ///
    /// The rules for hosts in URLs are stricter for WebSocket addresses than the rules here. What is no host by them
    /// becomes `invalid`, a name that never exists.
    #[cfg(feature = "url")]
    pub fn into_inner(self) -> url::Url {
        let scheme = self.scheme();
        url::Url::parse(&self.url)
            .or_else(|_| url::Url::parse(&format!("{scheme}://invalid")))
            .expect("a known scheme and this host are a URL")
    }

    /// The address as a URL, with its credentials and always with a port: `nats://user:password@host:4222`.
    pub fn as_url_str(&self) -> &str {
        &self.url
    }

    /// The scheme: `nats`, `tls`, `ws` or `wss`.
    pub fn scheme(&self) -> &str {
        self.core.scheme()
    }

    /// The name in lower case or the IP address, the latter without brackets.
    pub fn host(&self) -> &str {
        self.core.host()
    }

    /// The port; the scheme's default if the address named none.
    pub fn port(&self) -> u16 {
        self.core.port()
    }

    /// The user name, decoded. If there is no password, this is the token.
    pub fn username(&self) -> Option<&str> {
        self.core.username()
    }

    /// The password, decoded.
    pub fn password(&self) -> Option<&str> {
        self.core.password()
    }

    /// Whether the address has a user name, with or without a password.
    pub fn has_user_pass(&self) -> bool {
        self.core.has_user_pass()
    }

    /// Whether the address itself asks for TLS below the NATS protocol: `tls`, or `nats` if a server told a connection of it
    /// that had to be encrypted.
    pub fn tls_required(&self) -> bool {
        self.core.tls_required()
    }

    /// Whether the server is reached by WebSocket: `ws` or `wss`.
    pub fn is_websocket(&self) -> bool {
        self.core.is_websocket()
    }

    /// Bytes of its texts: each of them is in the URL, and once more by itself.
    pub(crate) fn text_size(&self) -> usize {
        let name = Some(self.core.tls_name()).filter(|name| *name != self.host());
        self.url.len().saturating_mul(2).saturating_add(name.map_or(0, str::len))
    }

    /// Asks the operating system for the socket addresses of the host, on a thread of its own, so that it works on any
    /// runtime. The client resolves names by itself, with the means of its runtime.
    ///
    /// If the future is dropped, the thread goes on to its end, and what it finds is ignored.
    ///
    /// # Errors
    ///
    /// The host is not known, or there is no thread for it.
    pub async fn socket_addrs(&self) -> io::Result<impl Iterator<Item = SocketAddr> + '_> {
        if let Ok(ip) = self.host().parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port())].into_iter());
        }
        let (sender, receiver) = oneshot::channel();
        let (host, port) = (self.host().to_owned(), self.port());
        std::thread::Builder::new().name("nats-resolve".into()).spawn(move || {
            let addrs = (host, port).to_socket_addrs();
            // Who asked may not wait any more.
            let _ = sender.send(addrs.map(|addrs| addrs.collect::<Vec<_>>()));
        })?;
        let addrs = receiver.await.map_err(io::Error::other)??;
        Ok(addrs.into_iter())
    }
}

impl From<nats_proto::ServerAddr> for ServerAddr {
    fn from(core: nats_proto::ServerAddr) -> Self {
        let url = url_of(&core).into();
        Self { core, url }
    }
}

impl From<ServerAddr> for nats_proto::ServerAddr {
    fn from(addr: ServerAddr) -> Self {
        addr.core
    }
}

impl AsRef<nats_proto::ServerAddr> for ServerAddr {
    fn as_ref(&self) -> &nats_proto::ServerAddr {
        &self.core
    }
}

impl FromStr for ServerAddr {
    type Err = io::Error;

    /// # Errors
    ///
    /// The text is not an address. The source is a [`nats_proto::ServerAddrError`].
    fn from_str(text: &str) -> io::Result<Self> {
        let core: nats_proto::ServerAddr =
            text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(core.into())
    }
}

impl PartialEq for ServerAddr {
    fn eq(&self, other: &Self) -> bool {
        self.core == other.core
    }
}

impl Eq for ServerAddr {}

impl Hash for ServerAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.core.hash(state);
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl fmt::Debug for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

/// The URL of an address, with everything that it has.
fn url_of(addr: &nats_proto::ServerAddr) -> String {
    let mut url = format!("{}://", addr.scheme());
    if let Some(username) = addr.username() {
        encode(username, &mut url);
    }
    if let Some(password) = addr.password() {
        url.push(':');
        encode(password, &mut url);
    }
    if addr.username().is_some() || addr.password().is_some() {
        url.push('@');
    }
    let host = addr.host();
    let (before, behind) = if host.contains(':') { ("[", "]") } else { ("", "") };
    // Writing to a string does not fail.
    let _ = write!(url, "{before}{host}{behind}:{}{}", addr.port(), addr.path());
    url
}

/// Appends what means `text` in the credentials of a URL.
fn encode(text: &str, url: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

/// A server of the pool, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub addr: ServerAddr,
    /// Attempts in a row that have failed; a connection sets it to zero.
    pub failed_attempts: usize,
    /// Whether an attempt at it has ever ended in a connection.
    pub did_connect: bool,
    /// Whether another server told of it, as opposed to the application.
    pub is_discovered: bool,
    /// Why the last attempt failed; `None` after a connection.
    pub last_error: Option<String>,
}

/// Without password and token.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
    }
}

impl From<connection::Server> for Server {
    fn from(server: connection::Server) -> Self {
        let connection::Server { addr, failed_attempts, did_connect, is_discovered, last_error } =
            server;
        Self { addr: addr.into(), failed_attempts, did_connect, is_discovered, last_error }
    }
}

/// Where to connect next: the answer of the
/// [`reconnect_to_server_callback`](crate::ConnectOptions::reconnect_to_server_callback).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconnectToServer {
    /// A server of the pool. For one that is not in it, the pool decides.
    pub addr: ServerAddr,
    /// The time to wait before dialling; `None` for what the settings say.
    pub delay: Option<Duration>,
}

impl From<ReconnectToServer> for connection::ReconnectToServer {
    fn from(choice: ReconnectToServer) -> Self {
        Self { addr: choice.addr.into(), delay: choice.delay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> ServerAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_url_means_the_address_again() {
        for text in ["a", "tls://b:1", "nats://u@c", "ws://u:p%40s%20@[::1]/x?y=z", "nats://:p@d"] {
            let first = addr(text);
            assert_eq!(addr(first.as_url_str()), first, "{text}");
        }
        assert_eq!(addr("nats://u:p%40s@h").as_url_str(), "nats://u:p%40s@h:4222");
        assert_eq!(addr("nats://u:p%40s@h").password(), Some("p@s"));
    }

    #[test]
    fn only_the_url_shows_secrets() {
        let addr = addr("nats://user:canary@h");
        assert!(!format!("{addr} {addr:?}").contains("canary"));
        assert!(addr.as_url_str().contains("canary"));
    }

    #[test]
    fn what_is_no_address_is_invalid_input() {
        let error = ServerAddr::from_str("http://h").expect_err("no address");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[cfg(feature = "url")]
    #[test]
    fn urls_are_addresses_and_addresses_urls() {
        let url = |text| url::Url::parse(text).expect("a URL");
        let addr = ServerAddr::from_url(url("nats://u:p%40s@h:1")).expect("an address");
        assert_eq!((addr.port(), addr.password()), (1, Some("p@s")));
        assert_eq!(addr.into_inner(), url("nats://u:p%40s@h:1"));
        assert!(ServerAddr::from_url(url("http://h")).is_err());
        let odd = ServerAddr::from_str("ws://1.2.3.999").expect("an address by the rules here");
        assert_eq!(odd.into_inner(), url("ws://invalid"));
    }
}
