//! Reading server addresses.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map, map_opt, map_res, opt, recognize, rest};
use nom::multi::fold_many0;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::{Demand, Scheme, ServerAddr, ServerAddrError};
use crate::text::snippet;

/// Bytes of a name in the domain name system, at most.
const LONGEST_NAME: usize = 253;

/// Digits of a port, at most.
const LONGEST_PORT: usize = 5;

/// The parts of an address, not yet checked.
struct Parts<'a> {
    scheme: Option<&'a str>,
    credentials: Option<&'a str>,
    host_and_port: &'a str,
    path: &'a str,
}

/// A whole address as users write it.
pub(super) fn address(text: &str) -> Result<ServerAddr, ServerAddrError> {
    // What was read from a file or a variable may have a line end.
    let parts = parts(text.trim_ascii());
    let scheme = match parts.scheme {
        None => Scheme::Nats,
        Some(name) => [Scheme::Nats, Scheme::Tls, Scheme::Ws, Scheme::Wss]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| ServerAddrError::UnknownScheme { scheme: snippet(name.as_bytes()) })?,
    };
    let websocket = matches!(scheme, Scheme::Ws | Scheme::Wss);
    if hides_another(&parts) {
        return Err(ServerAddrError::SeveralAddresses { addresses: "***".into() });
    }
    // An at sign behind the host means that what looks like host and path may be parts of a password. They must
    // not be shown then, and the path must not be sent.
    let hide = |error| match error {
        _ if parts.path.contains('@') => ServerAddrError::UnencodedCredentials,
        error => error,
    };
    let (username, password) = match parts.credentials {
        None => (None, None),
        Some(credentials) => credentials_of(credentials)?,
    };
    let (host, port) = host_and_port(parts.host_and_port).map_err(hide)?;
    if websocket && parts.path.contains('@') {
        return Err(ServerAddrError::UnencodedCredentials);
    }
    let path = match parts.path {
        "/" => "",
        path => path,
    };
    if !path.is_empty() && (!websocket || path.contains('#') || !is_printable(path)) {
        return Err(hide(ServerAddrError::UnexpectedPath { path: shown_path(path) }));
    }
    Ok(ServerAddr {
        scheme,
        username,
        password,
        host,
        port: port.unwrap_or(scheme.default_port()),
        path: path.into(),
        tls_name: None,
        demand: Demand::Nothing,
    })
}

/// Whether what looks like one address is several with credentials, which must not be taken for those of the last one,
/// nor be shown.
fn hides_another(parts: &Parts<'_>) -> bool {
    // As in `u:p@a,u:p@b`.
    let in_credentials = parts
        .credentials
        .and_then(|credentials| credentials.split_once('@'))
        .is_some_and(|(_, behind)| behind.contains(','));
    // As in `a,nats://u:p@b`.
    let scheme = parts.host_and_port.strip_suffix(':').and_then(|text| text.rsplit_once(','));
    let in_path = parts.path.starts_with("//") && parts.path.contains('@') && scheme.is_some();
    in_credentials || in_path
}

/// Host and port alone, as servers list them.
pub(super) fn endpoint(text: &str) -> Result<(String, Option<u16>), ServerAddrError> {
    let parts = parts(text);
    if parts.credentials.is_some() || parts.path.contains('@') {
        return Err(ServerAddrError::UnexpectedCredentials);
    }
    if parts.scheme.is_some() {
        return Err(ServerAddrError::UnexpectedScheme { address: snippet(text.as_bytes()) });
    }
    if !parts.path.is_empty() {
        return Err(ServerAddrError::UnexpectedPath { path: shown_path(parts.path) });
    }
    host_and_port(parts.host_and_port)
}

/// Splits without judging, so it cannot fail.
fn parts(text: &str) -> Parts<'_> {
    let scheme = take_while1(|char: char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    let authority = recognize(opt(is_not("/?#")));
    let split: IResult<&str, (Option<&str>, &str, &str)> =
        (opt(terminated(scheme, tag("://"))), authority, rest).parse(text);
    let (scheme, authority, path) = split.map_or((None, text, ""), |(_, parts)| parts);
    // The last at sign, so that one in the password need not be encoded.
    let (credentials, host_and_port) = match authority.rsplit_once('@') {
        Some((credentials, host)) => (Some(credentials), host),
        None => (None, authority),
    };
    Parts { scheme, credentials, host_and_port, path }
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), ServerAddrError> {
    if text.starts_with('[') {
        let bracketed: IResult<&str, Ipv6Addr> =
            map_res((char('['), is_not("]"), char(']')), |(_, host, _): (_, &str, _)| host.parse())
                .parse(text);
        let (port, host) = bracketed
            .map_err(|_| ServerAddrError::InvalidIpv6 { host: snippet(text.as_bytes()) })?;
        // Written anew, so that two spellings of an address are the same endpoint.
        return Ok((host.to_string(), optional_port(port)?));
    }
    if text.contains(',') {
        return Err(ServerAddrError::SeveralAddresses { addresses: shown_addresses(text) });
    }
    if text.bytes().filter(|byte| *byte == b':').count() > 1 {
        return Err(match is_ipv6(text) {
            true => ServerAddrError::Ipv6WithoutBrackets { host: snippet(text.as_bytes()) },
            false => ServerAddrError::InvalidHost { host: shown_host(text) },
        });
    }
    let end = text.find(':').unwrap_or(text.len());
    let (host, port) = text.split_at_checked(end).unwrap_or((text, ""));
    let port = optional_port(port)?;
    if host.is_empty() {
        return Err(ServerAddrError::EmptyHost);
    }
    if host.len() > LONGEST_NAME {
        return Err(ServerAddrError::HostTooLong { len: host.len(), limit: LONGEST_NAME });
    }
    if !is_name(host) {
        return Err(ServerAddrError::InvalidHost { host: snippet(host.as_bytes()) });
    }
    // The same name however it is written.
    Ok((host.to_ascii_lowercase(), port))
}

/// A port with the colon before it, or nothing.
fn optional_port(text: &str) -> Result<Option<u16>, ServerAddrError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = take_while1(|char: char| char.is_ascii_digit());
    let number = map_opt(digits, |digits: &str| digits.parse().ok().filter(|port| *port != 0));
    let port: IResult<&str, u16> = all_consuming(preceded(char(':'), number)).parse(text);
    match port {
        Ok((_, port)) => Ok(Some(port)),
        Err(_) => Err(ServerAddrError::InvalidPort {
            port: shown_port(text.strip_prefix(':').unwrap_or(text)),
        }),
    }
}

/// Without query and fragment, which may hold a token.
fn shown_path(path: &str) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let (path, hidden) = path.split_at_checked(end).unwrap_or((path, ""));
    let mut shown = snippet(path.as_bytes());
    if let Some(mark) = hidden.chars().next() {
        shown.push(mark);
        shown.push_str("***");
    }
    shown
}

/// Whether it is an IPv6 address, perhaps with a port behind it. Other text with colons may have a password.
fn is_ipv6(text: &str) -> bool {
    let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    let with_port = text.rsplit_once(':');
    is_address(text) || with_port.is_some_and(|(host, port)| is_address(host) && may_be_port(port))
}

/// What is no number, or a longer one, may be a password, if what was taken for the host is a user.
fn may_be_port(text: &str) -> bool {
    text.len() <= LONGEST_PORT && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn shown_port(port: &str) -> String {
    match may_be_port(port) {
        true => port.into(),
        false => "***".into(),
    }
}

/// The same of a host with ports behind it, of which there is one too many.
fn shown_host(text: &str) -> String {
    match text.split_once(':') {
        Some((host, ports)) if !ports.split(':').all(may_be_port) => {
            format!("{}:***", snippet(host.as_bytes()))
        }
        _ => snippet(text.as_bytes()),
    }
}

/// The same of several addresses.
fn shown_addresses(text: &str) -> String {
    let has_ports = |one: &str| one.split(':').skip(1).all(may_be_port);
    match text.split(',').all(has_ports) {
        true => snippet(text.as_bytes()),
        false => "***".into(),
    }
}

/// Names are left to the resolver, but for characters that no name has and that show a slip of the pen.
fn is_name(host: &str) -> bool {
    host.chars().all(|char| {
        char.is_ascii_alphanumeric()
            || "-._".contains(char)
            || (!char.is_ascii() && char.is_alphanumeric())
    })
}

/// A path that can stand in the first line of an HTTP request.
fn is_printable(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// User name and password. An empty user name is none.
fn credentials_of(text: &str) -> Result<(Option<String>, Option<String>), ServerAddrError> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (text, None),
    };
    let username = Some(percent_decoded(username)?).filter(|username| !username.is_empty());
    let password = password.map(percent_decoded).transpose()?;
    Ok((username, password))
}

fn percent_decoded(text: &str) -> Result<String, ServerAddrError> {
    let hexadecimal = take_while_m_n(2, 2, |char: char| char.is_ascii_hexdigit());
    let escaped = map_res(preceded(char('%'), hexadecimal), |digits| {
        u8::from_str_radix(digits, 16).map(Piece::Byte)
    });
    let content = fold_many0(
        alt((map(is_not("%"), Piece::Text), escaped)),
        Vec::new,
        |mut bytes: Vec<u8>, piece| {
            match piece {
                Piece::Text(text) => bytes.extend_from_slice(str::as_bytes(text)),
                Piece::Byte(byte) => bytes.push(byte),
            }
            bytes
        },
    );
    let decoded: IResult<&str, Vec<u8>> = all_consuming(content).parse(text);
    decoded
        .ok()
        .and_then(|(_, bytes)| String::from_utf8(bytes).ok())
        .ok_or(ServerAddrError::InvalidCredentials)
}

enum Piece<'a> {
    Text(&'a str),
    Byte(u8),
}
