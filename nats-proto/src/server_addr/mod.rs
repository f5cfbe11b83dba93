//! The addresses of servers, as users write them.

mod parse;

use alloc::string::String;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::str::FromStr;

/// How to talk to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Plain TCP, upgraded to TLS if the server asks.
    Nats,
    /// TLS is required, whatever INFO says.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// The scheme as it is written in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The port of addresses that name none: 4222, for WebSocket those of HTTP, 80 and 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Nats | Self::Tls => 4222,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address of a server: `[scheme://][user[:password]@]host[:port]`.
///
/// The scheme is `nats` if there is none. A name or an IPv4 address stands as it is, an IPv6 address in brackets.
/// User and password are percent-decoded; a user without password is a token. WebSocket addresses may have a path, in which
/// an at sign is written as `%40`.
///
/// Two addresses are equal if they mean the same, however they were written. The name for TLS that an address inherits when
/// it is [discovered](Self::discovered), and the demand for TLS that an INFO makes for it, are no part of that: the application
/// can name such a server by its text.
///
/// Neither `Display` nor `Debug` show password, token or query.
///
/// ```
/// use nats_proto::ServerAddr;
///
/// let addr: ServerAddr = "tls://derek:p%40ss@[::1]".parse()?;
/// assert_eq!(addr.host(), "::1");
/// assert_eq!(addr.port(), 4222);
/// assert_eq!(addr.password(), Some("p@ss"));
/// assert_eq!(addr.to_string(), "tls://derek:***@[::1]:4222");
/// # Ok::<(), nats_proto::ServerAddrError>(())
/// ```
#[derive(Clone)]
pub struct ServerAddr {
    scheme: Scheme,
    username: Option<String>,
    password: Option<String>,
    /// Without the brackets of an IPv6 address. ASCII letters are in lower case.
    host: String,
    port: u16,
    /// With the leading slash; empty if there is none, and always for other schemes than those of WebSocket.
    path: String,
    /// The host of the address that it was discovered through, where a certificate must be for that.
    tls_name: Option<String>,
    demand: Demand,
}

/// What there is to be encrypted beyond what the scheme says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Nothing,
    /// TLS, as with the server that told of this one.
    Tls,
}

impl ServerAddr {
    /// The scheme: `nats`, `tls`, `ws` or `wss`.
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// The scheme, to be matched on.
    pub fn scheme_kind(&self) -> Scheme {
        self.scheme
    }

    /// The name in lower case or the IP address, the latter without brackets: where to connect. What a certificate must be
    /// for is [`tls_name`](Self::tls_name).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name or IP address, without brackets, that the server's certificate must be for: the host; for an IP
    /// address that a server with a name told of, and for any address that came before the connection was encrypted, the host
    /// of the address through which that server was reached.
    ///
    /// Servers tell of each other by IP address, and certificates are mostly for names. What is not encrypted may have been
    /// written by anybody, who must not choose the name.
    pub fn tls_name(&self) -> &str {
        self.tls_name.as_deref().unwrap_or(&self.host)
    }

    /// The port; the scheme's default if the address named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user name, decoded. If there is no password, this is the token.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The password, decoded.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The token, decoded: a user name without a password.
    pub fn token(&self) -> Option<&str> {
        match self.password {
            None => self.username(),
            Some(_) => None,
        }
    }

    /// Whether the address has a user name, with or without a password.
    pub fn has_user_pass(&self) -> bool {
        self.username.is_some()
    }

    /// The path and query of a WebSocket address, with the leading slash or question mark; empty if there are
    /// none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the address itself asks for TLS below the NATS protocol: `tls`, or `nats` if a server told a connection of it
    /// that had to be encrypted. The TLS of `wss` belongs to the WebSocket.
    pub fn tls_required(&self) -> bool {
        match self.scheme {
            Scheme::Nats => self.demand == Demand::Tls,
            Scheme::Tls => true,
            Scheme::Ws | Scheme::Wss => false,
        }
    }

    /// Whether the server is reached by WebSocket: `ws` or `wss`.
    pub fn is_websocket(&self) -> bool {
        matches!(self.scheme, Scheme::Ws | Scheme::Wss)
    }

    /// An entry of `connect_urls` (`host:port`, without scheme), which inherits this address's scheme, path and
    /// credentials, and if it is an IP address the name for TLS, unless that is an IP address as well: servers without names
    /// have certificates for their addresses. For entries that come from the server itself: what came before the connection
    /// was encrypted could name anybody.
    ///
    /// # Errors
    /// The entry is not an address, or has a scheme or credentials of its own.
    pub fn discovered(&self, entry: &str) -> Result<Self, ServerAddrError> {
        let (host, port) = parse::endpoint(entry)?;
        let port = port.unwrap_or(self.scheme.default_port());
        let is_ip = |host: &str| host.parse::<IpAddr>().is_ok();
        let inherits = is_ip(&host) && !is_ip(self.tls_name());
        let tls_name = inherits.then(|| self.tls_name().into());
        Ok(Self { host, port, tls_name, ..self.clone() })
    }

    /// Like [`discovered`](Self::discovered), of an entry that anybody may have written: it inherits the name for TLS also
    /// if it is a host name.
    pub(crate) fn discovered_before_tls(&self, entry: &str) -> Result<Self, ServerAddrError> {
        let found = self.discovered(entry)?;
        let tls_name = (found.host != self.tls_name()).then(|| self.tls_name().into());
        Ok(Self { tls_name, ..found })
    }

    /// The same, to be dialled with TLS alone.
    pub(crate) fn with_tls(self) -> Self {
        Self { demand: Demand::Tls, ..self }
    }

    /// Whether both name the same host, without regard to case, and the same port.
    pub fn same_endpoint(&self, other: &Self) -> bool {
        self.port == other.port && self.host == other.host
    }
}

impl ServerAddr {
    /// What the application says of a server.
    fn as_given(&self) -> impl Eq + Hash {
        let Self { scheme, username, password, host, port, path, tls_name: _, demand: _ } = self;
        (scheme, username, password, host, port, path)
    }
}

impl PartialEq for ServerAddr {
    fn eq(&self, other: &Self) -> bool {
        self.as_given() == other.as_given()
    }
}

impl Eq for ServerAddr {}

impl Hash for ServerAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_given().hash(state);
    }
}

impl FromStr for ServerAddr {
    type Err = ServerAddrError;

    fn from_str(text: &str) -> Result<Self, ServerAddrError> {
        parse::address(text)
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        match (&self.username, &self.password) {
            (None, None) => {}
            // A token.
            (Some(_), None) => f.write_str("***@")?,
            (username, Some(_)) => {
                write!(f, "{}:***@", username.as_deref().unwrap_or_default())?;
            }
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        write!(f, ":{}", self.port)?;
        // A query may hold a token.
        match self.path.split_once('?') {
            Some((path, _)) => write!(f, "{path}?***"),
            None => f.write_str(&self.path),
        }
    }
}

impl fmt::Debug for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerAddr({self})")
    }
}

/// Why an address is refused. Never holds a password or token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAddrError {
    /// The scheme is none of `nats`, `tls`, `ws` and `wss`.
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },
    /// A scheme where none may be.
    UnexpectedScheme {
        /// The address.
        address: String,
    },
    /// There is no host.
    EmptyHost,
    /// The host has a character that no name has.
    InvalidHost {
        /// The host. Behind a colon too many, `***` if there are other characters than digits, or more than a port has.
        host: String,
    },
    /// The host has more bytes than a name may have.
    HostTooLong {
        /// Bytes of the host.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
    /// There is a comma: several addresses are given as a list, each of them one text. Behind an at sign, a comma in a
    /// password must be percent-encoded.
    SeveralAddresses {
        /// The text from the first host on; `***` if there are credentials in it, or might be.
        addresses: String,
    },
    /// What stands in brackets is not an IPv6 address, or the closing bracket is missing.
    InvalidIpv6 {
        /// The text from the bracket on.
        host: String,
    },
    /// An IPv6 address must stand in brackets, to be told apart from its port.
    Ipv6WithoutBrackets {
        /// The address.
        host: String,
    },
    /// The port is not a number from 1 to 65,535.
    InvalidPort {
        /// The port; `***` if it has other characters than digits, or more than five, as a password may have.
        port: String,
    },
    /// A path, query or fragment, which only WebSocket addresses may have (and a fragment not even those).
    UnexpectedPath {
        /// The path. Of a query or fragment, its mark and `***`.
        path: String,
    },
    /// User name or password is not well percent-encoded UTF-8.
    InvalidCredentials,
    /// User name or password has a character that must be percent-encoded, or the path has an at sign, which looks like
    /// that.
    UnencodedCredentials,
    /// Credentials where none may be.
    UnexpectedCredentials,
}

impl fmt::Display for ServerAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScheme { scheme } => {
                write!(f, "scheme {scheme:?} is none of nats, tls, ws and wss")
            }
            Self::UnexpectedScheme { address } => {
                write!(f, "server address {address:?} must not have a scheme")
            }
            Self::EmptyHost => f.write_str("server address has no host"),
            Self::InvalidHost { host } => {
                write!(f, "host {host:?} is neither a name nor an IP address")
            }
            Self::HostTooLong { len, limit } => {
                write!(f, "host has {len} bytes, a name has at most {limit}")
            }
            Self::SeveralAddresses { addresses } => {
                write!(f, "{addresses:?} is not one address: several are given as a list of texts")
            }
            Self::InvalidIpv6 { host } => {
                write!(f, "host {host:?} is not an IPv6 address in brackets")
            }
            Self::Ipv6WithoutBrackets { host } => {
                write!(f, "IPv6 address {host:?} must stand in brackets, as in \"[::1]:4222\"")
            }
            Self::InvalidPort { port } => {
                write!(f, "port {port:?} is not a number from 1 to 65535")
            }
            Self::UnexpectedPath { path } => {
                write!(f, "only WebSocket addresses have a path, not {path:?}")
            }
            Self::InvalidCredentials => {
                f.write_str("user name or password is not percent-encoded UTF-8")
            }
            Self::UnencodedCredentials => {
                f.write_str(
                    "'/', '?' and '#' in user name or password, and '@' in a path, must be percent-encoded",
                )
            }
            Self::UnexpectedCredentials => {
                f.write_str("server address must not have credentials of its own")
            }
        }
    }
}

impl core::error::Error for ServerAddrError {}
