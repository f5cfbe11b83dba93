//! What the server answers to the request for a WebSocket.

use tungstenite::Error;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::client::Response;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;

use super::error::WebSocketError;

/// Bytes that the head of the server's answer may have.
const ANSWER_LIMIT: usize = 16 * 1024;

/// What is offered, and what must come back: no message refers to an earlier one, in either direction.
pub(super) const EXTENSION: &str = "permessage-deflate";
pub(super) const PARAMETERS: [&str; 2] =
    ["server_no_context_takeover", "client_no_context_takeover"];

/// What a server may add without being asked (RFC 7692, 7.1.2.1): what it compresses refers back less far than it might, which
/// costs the inflater nothing. The same of the client must have been offered.
const WINDOW: &str = "server_max_window_bits";

/// An answer that makes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Bytes of its head; what comes behind them are frames.
    pub(super) size: usize,
    /// Whether messages may be compressed.
    pub(super) compression: bool,
}

impl Answer {
    /// Reads an answer of which at least `bytes` have come, to the request that had `key` and, perhaps, offered to
    /// compress. `None` if more must come.
    ///
    /// # Errors
    /// It is not an answer, is too long, or refuses, or does not answer this request.
    pub(super) fn read(
        bytes: &[u8],
        key: &str,
        offered: bool,
    ) -> Result<Option<Self>, WebSocketError> {
        // However much comes at a time, what is behind the limit is not looked at.
        let head = bytes.get(..ANSWER_LIMIT).unwrap_or(bytes);
        match Response::try_parse(head) {
            Ok(Some((size, response))) => {
                Ok(Some(Self { size, compression: accept(&response, key, offered)? }))
            }
            Ok(None) if bytes.len() >= ANSWER_LIMIT => {
                Err(WebSocketError::AnswerTooLong(ANSWER_LIMIT))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(match old_refusal(&error, head) {
                Some(status) => WebSocketError::Refused(status),
                None => WebSocketError::Handshake(error.to_string()),
            }),
        }
    }
}

/// The status of an answer that is well-formed but for its version, HTTP/1.0, by which no WebSocket begins: with it, servers
/// refuse what they cannot make sense of, as a server with TLS does with what is not encrypted.
fn old_refusal(error: &Error, head: &[u8]) -> Option<u16> {
    if !matches!(error, Error::Protocol(ProtocolError::WrongHttpVersion)) {
        return None;
    }
    let (status, _) = head.strip_prefix(b"HTTP/1.0 ")?.split_first_chunk::<3>()?;
    str::from_utf8(status).ok()?.parse().ok().filter(|status| *status != 101)
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
    if ours && !seen.iter().any(|name| name == server) {
        return Err(WebSocketError::Takeover(shown(extension)));
    }
    Ok(ours)
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
