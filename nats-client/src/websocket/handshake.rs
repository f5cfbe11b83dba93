//! From HTTP to WebSocket.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use nats_proto::{Scheme, ServerAddr};
use tungstenite::handshake::client::generate_key;
use tungstenite::http::{HeaderName, HeaderValue};

use super::Settings;
use super::answer::{Answer, EXTENSION, PARAMETERS};
use super::error::WebSocketError;
use super::stream::WebSocket;
use crate::faults::fault;
use crate::transport::Inflates;

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
    inflates: Inflates,
) -> io::Result<WebSocket<S>> {
    let key = generate_key();
    write_all(&mut stream, request(server, settings, &key).as_bytes()).await?;
    let (compression, rest) = read_answer(&mut stream, server, &key, settings.compression).await?;
    let rest = if fault!(BeginningOfFramesIsLost) { Vec::new() } else { rest };
    Ok(WebSocket::new(stream, &rest, compression.then_some(inflates)))
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

/// Reads the server's answer. Says whether messages may be compressed, and what came behind it.
async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    server: &ServerAddr,
    key: &str,
    offered: bool,
) -> io::Result<(bool, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut chunk)).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let answer = Answer::read(&bytes, key, offered).map_err(|error| advised(error, server))?;
        if let Some(answer) = answer {
            return Ok((answer.compression, bytes.split_off(answer.size.min(bytes.len()))));
        }
    }
}

/// What looks like a bad request may be that it was not encrypted.
fn advised(error: WebSocketError, server: &ServerAddr) -> WebSocketError {
    match error {
        WebSocketError::Refused(400) if server.scheme_kind() == Scheme::Ws => {
            WebSocketError::BadRequest
        }
        error => error,
    }
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
