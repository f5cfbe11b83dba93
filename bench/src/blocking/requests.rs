//! Requests on blocking sockets, and the one who answers them, which is the same for every client.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::time::{Duration, Instant};

use super::{Connection, connect, fence, frame};
use crate::Result;
use crate::job::{Job, Sample};
use crate::meter::Meter;
use crate::worker::{ECHO, WARM_UP};

/// Keeps `tasks` requests in flight: for each reply that has come, the next request goes out, all of them in one
/// write. The replies come in the order of the requests.
pub(super) fn run(url: &str, job: &Job) -> Result<Sample> {
    let mut connection = connect(url)?;
    connection.get_mut().write_all(b"SUB bench.inbox 1\r\n")?;
    fence(&mut connection)?;
    let frame = frame(&format!("{ECHO} bench.inbox"), job);
    for _ in 0..WARM_UP {
        connection.get_mut().write_all(frame.as_bytes())?;
        read_message(&mut connection)?;
    }
    let mut out = Vec::new();
    let mut latencies: Vec<Duration> = Vec::with_capacity(job.messages as usize);
    let mut starts = VecDeque::with_capacity(job.tasks);
    let mut left = job.messages;
    let meter = Meter::start();
    let mut free = job.tasks as u64;
    while left > 0 || !starts.is_empty() {
        let now = free.min(left);
        free -= now;
        left -= now;
        if now > 0 {
            out.clear();
            (0..now).for_each(|_| out.extend_from_slice(frame.as_bytes()));
            let start = Instant::now();
            starts.extend((0..now).map(|_| start));
            connection.get_mut().write_all(&out)?;
        }
        // At least one, and then what has been read along with it.
        loop {
            read_message(&mut connection)?;
            free += 1;
            let start: Instant = starts.pop_front().ok_or("a reply without a request")?;
            latencies.push(start.elapsed());
            if starts.is_empty() || connection.buffer().len() < frame.len() {
                break;
            }
        }
    }
    Ok(meter.stop(job.messages, latencies))
}

/// A message, as far as it is of interest for answering it.
struct Request {
    reply: String,
    /// How long the headers are.
    headers: usize,
    /// Headers, if any, and payload.
    body: Vec<u8>,
}

/// Reads up to the next message; answers PINGs on the way.
fn read_message(connection: &mut Connection) -> Result<Request> {
    loop {
        if let Some(request) = read_operation(connection)? {
            return Ok(request);
        }
    }
}

/// Reads a message, or something else, which gives None; answers a PING.
fn read_operation(connection: &mut Connection) -> Result<Option<Request>> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err("the server closed the connection".into());
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let (reply, headers, len) = match words[..] {
        ["MSG", _, _, len] => ("", "0", len),
        ["MSG", _, _, reply, len] => (reply, "0", len),
        ["HMSG", _, _, headers, len] => ("", headers, len),
        ["HMSG", _, _, reply, headers, len] => (reply, headers, len),
        ["PING"] => {
            connection.get_mut().write_all(b"PONG\r\n")?;
            return Ok(None);
        }
        ["-ERR", ..] => return Err(line.trim().into()),
        _ => return Ok(None),
    };
    let (headers, len) = (headers.parse()?, len.parse::<usize>()?);
    let mut body = vec![0; len + 2];
    connection.read_exact(&mut body)?;
    body.truncate(len);
    Ok(Some(Request { reply: reply.to_owned(), headers, body }))
}

/// Answers every request with its own headers and payload, until killed.
pub(crate) fn responder(mut args: impl Iterator<Item = String>) -> Result<()> {
    let mut connection = connect(&args.next().ok_or("no url")?)?;
    connection.get_mut().write_all(format!("SUB {ECHO} 1\r\n").as_bytes())?;
    fence(&mut connection)?;
    println!("ready");
    let mut out = Vec::new();
    loop {
        if let Some(Request { reply, headers, body }) = read_operation(&mut connection)? {
            let control = match headers {
                0 => format!("PUB {reply} {}\r\n", body.len()),
                _ => format!("HPUB {reply} {headers} {}\r\n", body.len()),
            };
            out.extend_from_slice(control.as_bytes());
            out.extend_from_slice(&body);
            out.extend_from_slice(b"\r\n");
        }
        // Everything that has come is answered in one write, also when a PING has come last.
        if connection.buffer().is_empty() {
            connection.get_mut().write_all(&out)?;
            out.clear();
        }
    }
}
