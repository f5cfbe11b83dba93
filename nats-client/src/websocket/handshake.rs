//! From HTTP to WebSocket.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use nats_proto::ServerAddr;
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::{HeaderName, HeaderValue};

use super::Settings;
use super::error::WebSocketError;
use super::stream::WebSocket;

/// Bytes that the head of the server's answer may have.
const ANSWER_LIMIT: usize = 16 * 1024;

/// What is offered, and what must come back: no message refers to an earlier one, in either direction.
const EXTENSION: &str = "permessage-deflate";
const PARAMETERS: [&str; 2] = ["server_no_context_takeover", "client_no_context_takeover"];

/// What a server may add without being asked (RFC 7692, 7.1.2.1): what it compresses refers back less far than it might, which
/// costs the inflater nothing. The same of the client must have been offered.
const WINDOW: &str = "server_max_window_bits";

/// Headers that the handshake sets by itself.
const OWN: [&str; 4] = ["host", "connection", "upgrade", "content-length"];

/// Makes a WebSocket of a stream on which nothing has been said yet.
///
/// # Errors
/// The stream broke, or the server refuses or answers nonsense (a [`WebSocketError`] inside).
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    server: &ServerAddr,
    settings: &Settings,
) -> io::Result<WebSocket<S>> {
    let key = generate_key();
    write_all(&mut stream, request(server, settings, &key).as_bytes()).await?;
    let (response, rest) = read_answer(&mut stream).await?;
    let compression = accept(&response, &key, settings.compression)?;
    Ok(WebSocket::new(stream, &rest, compression))
}

/// Checks a header that a program wants to send along.
///
/// # Errors
/// It is not one, or one of the handshake's own. The text names it, and not its value, which may be secret.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("{name:?} is not the name of an HTTP header"));
    }
    if OWN.contains(&&*lower) || lower.starts_with("sec-websocket-") {
        return Err(format!("the HTTP header {name:?} is set by the WebSocket handshake"));
    }
    match HeaderValue::from_str(value) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "the value of the HTTP header {name:?} has characters that cannot be in one"
        )),
    }
}

fn request(server: &ServerAddr, settings: &Settings, key: &str) -> String {
    let slash = if server.path().starts_with('/') { "" } else { "/" };
    let host = match server.host() {
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let port = match server.port() {
        port if port == server.scheme_kind().default_port() => String::new(),
        port => format!(":{port}"),
    };
    let mut request = format!(
        "GET {slash}{} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
        server.path()
    );
    if settings.compression {
        let [server, client] = PARAMETERS;
        request.push_str(&format!("Sec-WebSocket-Extensions: {EXTENSION}; {server}; {client}\r\n"));
    }
    for (name, value) in &settings.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}

/// The server's answer, and what came behind it.
async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(Response, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut chunk)).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let parsed = Response::try_parse(&bytes)
            .map_err(|error| WebSocketError::Handshake(error.to_string()))?;
        if let Some((size, response)) = parsed {
            return Ok((response, bytes.split_off(size.min(bytes.len()))));
        }
        if bytes.len() >= ANSWER_LIMIT {
            return Err(WebSocketError::AnswerTooLong(ANSWER_LIMIT).into());
        }
    }
}

/// Checks the server's answer (RFC 6455, 4.1), and says whether messages may be compressed.
fn accept(response: &Response, key: &str, offered: bool) -> Result<bool, WebSocketError> {
    if response.status().as_u16() != 101 {
        return Err(WebSocketError::Refused(response.status().as_u16()));
    }
    let has = |name: &str, wanted: &str| {
        let mut values =
            response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted)))
    };
    let wrong = |what: &str| Err(WebSocketError::Handshake(format!("the answer {what}")));
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return wrong("does not upgrade the connection");
    }
    let proof = response.headers().get("sec-websocket-accept");
    if proof.is_none_or(|proof| proof.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return wrong("is not one to this request");
    }
    if response.headers().contains_key("sec-websocket-protocol") {
        return wrong("chooses a subprotocol, and none was offered");
    }
    let mut compression = false;
    for value in response.headers().get_all("sec-websocket-extensions") {
        let value = String::from_utf8_lossy(value.as_bytes());
        for extension in value.split(',') {
            if !offered || compression || !is_ours(extension)? {
                return Err(WebSocketError::Extension(shown(extension)));
            }
            compression = true;
        }
    }
    Ok(compression)
}

/// Whether an extension is the one that was offered, with all it takes and nothing that may not be there.
fn is_ours(extension: &str) -> Result<bool, WebSocketError> {
    let mut parts = extension.split(';').map(str::trim);
    let ours = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(EXTENSION));
    let mut seen: Vec<String> = Vec::new();
    for parameter in parts {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (parameter, None),
        };
        let name = name.to_ascii_lowercase();
        let known = match value {
            _ if name == WINDOW => window_exists(value.unwrap_or_default())?,
            Some(_) => false,
            None => PARAMETERS.contains(&&*name),
        };
        if !known || seen.contains(&name) {
            return Ok(false);
        }
        seen.push(name);
    }
    let [server, _] = PARAMETERS;
    Ok(ours && seen.iter().any(|name| name == server))
}

/// Checks the size of a window: a decimal number without zeros in front, perhaps in quotes (RFC 6455, 9.1).
fn window_exists(value: &str) -> Result<bool, WebSocketError> {
    let bits = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    match bits {
        "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15" => Ok(true),
        _ => Err(WebSocketError::Window(shown(bits))),
    }
}

/// As much of a server's words as an error repeats.
fn shown(text: &str) -> String {
    text.trim().chars().take(100).collect()
}

async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(count..).unwrap_or_default();
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}
