//! What a server reports by -ERR.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, tag_no_case, take_while_m_n};
use nom::character::complete::{anychar, char, digit1};
use nom::combinator::{all_consuming, map, map_opt, opt, value};
use nom::multi::fold_many0;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use crate::wire::Quoted;

/// What a permissions violation was about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermissionTarget {
    /// Publishing to this subject.
    Publish {
        /// The subject.
        subject: String,
    },
    /// Publishing with this reply subject.
    PublishReply {
        /// The reply subject.
        reply: String,
    },
    /// Subscribing to this subject.
    Subscription {
        /// The subject.
        subject: String,
        /// The queue group.
        queue: Option<String>,
        /// The subscription, in the form that a configuration reload gives: the server has ended it.
        sid: Option<u64>,
    },
}

impl fmt::Display for PermissionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { subject } => write!(f, "Publish to {}", Quoted(subject.as_bytes())),
            Self::PublishReply { reply } => {
                write!(f, "Publish with Reply of {}", Quoted(reply.as_bytes()))
            }
            Self::Subscription { subject, queue, sid } => {
                write!(f, "Subscription to {}", Quoted(subject.as_bytes()))?;
                if let Some(queue) = queue {
                    write!(f, " using queue {}", Quoted(queue.as_bytes()))?;
                }
                if let Some(sid) = sid {
                    write!(f, " (sid \"{sid}\")")?;
                }
                Ok(())
            }
        }
    }
}

macro_rules! server_errors {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $(or $other:literal)*, $closes:literal;)+) => {
        /// An error that a server reports by -ERR. Texts are matched without regard to case.
        ///
        /// `Display` gives the text as a `nats-server` writes it, so that it can be searched for in the
        /// documentation and in the logs of the server. Of one that is not known ([`Other`](Self::Other)), control
        /// characters are escaped and 256 characters are shown; [`text`](Self::text) has all of it, as it came.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ServerError {
            $($(#[$doc])* $variant,)+
            /// The user may not do this. The connection stays open.
            PermissionsViolation(PermissionTarget),
            /// The subject of a subscription has more tokens than the server allows. The connection stays open.
            TooManyTokens {
                /// The subject.
                subject: String,
            },
            /// A text that this version does not know.
            Other(String),
        }

        /// Errors that are one fixed text, with the other texts they are known by.
        const FIXED: &[(&str, ServerError)] = &[
            $(($text, ServerError::$variant), $(($other, ServerError::$variant),)*)+
        ];

        impl ServerError {
            /// Whether the server closes the connection after this error.
            ///
            /// False for [`Other`](Self::Other): if the server closes after it, the end of the connection tells.
            pub fn closes_connection(&self) -> bool {
                match self {
                    $(Self::$variant => $closes,)+
                    Self::PermissionsViolation(_) | Self::TooManyTokens { .. } | Self::Other(_) => false,
                }
            }

            /// The text as a `nats-server` sends it, without the quotes around it.
            ///
            /// [`parse`](Self::parse) makes the same error of it, unless it is an [`Other`](Self::Other) with
            /// quotes or spaces around its text, or with the text of a known error.
            pub fn text(&self) -> Cow<'_, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($text),)+
                    Self::PermissionsViolation(target) => {
                        Cow::Owned(format!("Permissions Violation for {target}"))
                    }
                    Self::TooManyTokens { subject } => Cow::Owned(format!(
                        "Permissions Violation for Subscription to {}, too many tokens",
                        Quoted(subject.as_bytes())
                    )),
                    Self::Other(text) => Cow::Borrowed(text),
                }
            }
        }
    };
}

server_errors! {
    /// The credentials were not accepted. Closes the connection.
    AuthorizationViolation = "Authorization Violation", true;
    /// No CONNECT with credentials came in time. Closes the connection.
    AuthenticationTimeout = "Authentication Timeout" or "Authorization Timeout", true;
    /// The user's credentials have expired. Closes the connection.
    UserAuthenticationExpired = "User Authentication Expired", true;
    /// The user's credentials were revoked. Closes the connection.
    UserAuthenticationRevoked = "User Authentication Revoked", true;
    /// The account's credentials have expired. Closes the connection.
    AccountAuthenticationExpired = "Account Authentication Expired", true;
    /// The server has as many connections as it allows. Closes the connection.
    MaximumConnectionsExceeded = "maximum connections exceeded", true;
    /// The account has as many connections as it is allowed. Closes the connection.
    MaximumAccountConnectionsExceeded = "maximum account active connections exceeded", true;
    /// Too many clients are connecting at the same time. Closes the connection.
    ConnectionThrottling = "Connection throttling is active. Please try again later.", true;
    /// Headers and payload of a message were larger than `max_payload`. Closes the connection.
    MaximumPayloadViolation = "Maximum Payload Violation", true;
    /// A line was longer than the server's `max_control_line`: 4,096 bytes by default, also for CONNECT, which a
    /// long JWT can exceed. Closes the connection.
    MaximumControlLineExceeded = "maximum control line exceeded", true;
    /// The protocol version in CONNECT is none that the server knows. Closes the connection.
    InvalidClientProtocol = "invalid client protocol", true;
    /// CONNECT asked for no_responders without headers. Closes the connection.
    NoRespondersRequiresHeaders = "no responders requires headers support", true;
    /// The server accepts no connection without TLS. Closes the connection.
    TlsRequired = "Secure Connection - TLS Required", true;
    /// The client did not answer the server's PINGs. Closes the connection.
    StaleConnection = "Stale Connection", true;
    /// The server could not understand the client. Closes the connection.
    UnknownProtocolOperation = "Unknown Protocol Operation", true;
    /// The port is for the routes between the servers of a cluster. Closes the connection.
    ConnectedToRoutePort = "attempted to connect to route port", true;
    /// The port is for leaf nodes. Closes the connection.
    ConnectedToLeafNodePort = "attempted to connect to leaf node port", true;
    /// The port is for the gateways between clusters. Closes the connection.
    ConnectedToGatewayPort = "attempted to connect to gateway port", true;
    /// The connection has as many subscriptions as it is allowed. The connection stays open.
    MaximumSubscriptionsExceeded = "maximum subscriptions exceeded", false;
    /// The subject of a subscription is not well formed. The connection stays open.
    InvalidSubject = "Invalid Subject", false;
    /// The subject of a message is not well formed, which only pedantic mode tells. The connection stays open.
    InvalidPublishSubject = "Invalid Publish Subject", false;
}

impl ServerError {
    /// Reads the text of an -ERR, with or without the quotes around it. Never fails: what is not known is
    /// [`Other`](Self::Other).
    pub fn parse(text: &str) -> Self {
        let text = text.trim_ascii();
        let text = match text.strip_prefix('\'') {
            Some(text) => text.strip_suffix('\'').unwrap_or(text),
            None => text,
        };
        let fixed = FIXED.iter().find(|(known, _)| known.eq_ignore_ascii_case(text));
        if let Some((_, error)) = fixed {
            return error.clone();
        }
        let parsed: IResult<&str, Self> = alt((permissions_violation, throttling)).parse(text);
        match parsed {
            Ok((_, error)) => error,
            Err(_) => Self::Other(text.into()),
        }
    }

    /// Whether the server did not accept who the client is: trying again with the same credentials is of no use.
    ///
    /// False for [`AuthenticationTimeout`](Self::AuthenticationTimeout), which a slow network can cause.
    pub fn is_authorization(&self) -> bool {
        matches!(
            self,
            Self::AuthorizationViolation
                | Self::UserAuthenticationExpired
                | Self::UserAuthenticationRevoked
                | Self::AccountAuthenticationExpired
        )
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Whoever speaks for the server chooses it, and logs have lines.
            Self::Other(text) => show(text, f),
            known => f.write_str(&known.text()),
        }
    }
}

impl core::error::Error for ServerError {}

/// The start of a text, on one line.
fn show(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SHOWN: usize = 256;
    let mut rest = text.chars();
    for char in rest.by_ref().take(SHOWN) {
        match char.is_control() {
            true => write!(f, "{}", char.escape_default())?,
            false => f.write_char(char)?,
        }
    }
    if rest.next().is_some() {
        f.write_str("...")?;
    }
    Ok(())
}

/// The advice after the first sentence is not part of the error's identity.
fn throttling(input: &str) -> IResult<&str, ServerError> {
    value(ServerError::ConnectionThrottling, tag_no_case("Connection throttling is active"))
        .parse(input)
}

fn permissions_violation(input: &str) -> IResult<&str, ServerError> {
    all_consuming(preceded(
        tag_no_case("Permissions Violation for "),
        alt((publish, publish_reply, subscription)),
    ))
    .parse(input)
}

fn publish(input: &str) -> IResult<&str, ServerError> {
    map(preceded(tag_no_case("Publish to "), quoted), |subject| {
        ServerError::PermissionsViolation(PermissionTarget::Publish { subject })
    })
    .parse(input)
}

fn publish_reply(input: &str) -> IResult<&str, ServerError> {
    map(preceded(tag_no_case("Publish with Reply of "), quoted), |reply| {
        ServerError::PermissionsViolation(PermissionTarget::PublishReply { reply })
    })
    .parse(input)
}

fn subscription(input: &str) -> IResult<&str, ServerError> {
    let (input, subject) = preceded(tag_no_case("Subscription to "), quoted).parse(input)?;
    if let (input, Some(_)) = opt(tag_no_case(", too many tokens")).parse(input)? {
        return Ok((input, ServerError::TooManyTokens { subject }));
    }
    let number = map_opt(digit1, |digits: &str| digits.parse().ok());
    let (input, queue) = opt(preceded(tag_no_case(" using queue "), quoted)).parse(input)?;
    let (input, sid) = opt(delimited(tag_no_case(" (sid \""), number, tag("\")"))).parse(input)?;
    let target = PermissionTarget::Subscription { subject, queue, sid };
    Ok((input, ServerError::PermissionsViolation(target)))
}

/// A part of a quoted string.
enum Piece<'a> {
    Text(&'a str),
    Char(char),
    /// One byte of what need not be UTF-8.
    Byte(u8),
}

/// A string as Go's `%q` writes it. What its `\x` escapes hold together is replaced where it is not UTF-8.
fn quoted(input: &str) -> IResult<&str, String> {
    let piece = alt((map(is_not("\"\\"), Piece::Text), preceded(char('\\'), escape)));
    let content = fold_many0(piece, Vec::new, |mut bytes: Vec<u8>, piece| {
        match piece {
            Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Char(char) => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
        bytes
    });
    map(delimited(char('"'), content, char('"')), |bytes| {
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    })
    .parse(input)
}

/// What follows the backslash.
fn escape(input: &str) -> IResult<&str, Piece<'_>> {
    let hexadecimal = |digits| {
        map_opt(take_while_m_n(digits, digits, |char: char| char.is_ascii_hexdigit()), |digits| {
            u32::from_str_radix(digits, 16).ok()
        })
    };
    let byte = |number| u8::try_from(number).ok().map(Piece::Byte);
    let unicode = |number| char::from_u32(number).map(Piece::Char);
    let letter = |letter| {
        Some(Piece::Char(match letter {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '"' | '\'' => letter,
            _ => return None,
        }))
    };
    alt((
        map_opt(preceded(char('x'), hexadecimal(2)), byte),
        map_opt(preceded(char('u'), hexadecimal(4)), unicode),
        map_opt(preceded(char('U'), hexadecimal(8)), unicode),
        map_opt(anychar, letter),
    ))
    .parse(input)
}
