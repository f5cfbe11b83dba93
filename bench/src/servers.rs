//! Toy servers that cost next to nothing, so that the client is what is measured.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::Result;
use crate::tls::{self, Stream};
use crate::worker::IDLE;

fn info() -> String {
    let tls = tls::root().is_some();
    format!(
        "INFO {{\"server_id\":\"bench\",\"server_name\":\"bench\",\"version\":\"2.15.1\",\"proto\":1,\
         \"headers\":true,\"max_payload\":8388608,\"tls_required\":{tls}}}\r\n"
    )
}

/// The one header of every message that has any.
pub(crate) const HEADER: &str = "NATS/1.0\r\nTrace-Id: 0123456789abcdef\r\n\r\n";

/// Listens, says where on standard output, and serves each client on a thread until killed.
fn serve(client: fn(Stream) -> Result<()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        stream.write_all(info().as_bytes())?;
        // A client that goes away is no failure.
        thread::spawn(move || client(Stream::accept(stream)?));
    }
    Ok(())
}

/// Answers a PING at the end of what it has read, and throws the rest away.
pub(crate) fn sink() -> Result<()> {
    serve(|mut stream| {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            // Clients send PING and wait, so it is the last they have written. The payloads are all `x`.
            if buffer[..count].ends_with(b"PING\r\n") {
                stream.write_all(b"PONG\r\n")?;
            }
        }
    })
}

/// Sends messages as fast as it can once the subscriptions are there, to each in turn: one to the last of them, to
/// say that it has begun, and as many as are to be measured. Subscriptions that are called idle get nothing. The
/// arguments of the process are the bytes of a payload, how many messages, whether with `headers`, and how many
/// subscriptions, idle ones among them.
pub(crate) fn flood() -> Result<()> {
    serve(|mut stream| {
        let args: Vec<String> = std::env::args().collect();
        let number = |index: usize| args.get(index).and_then(|arg| arg.parse::<usize>().ok());
        let payload = number(2).unwrap_or(16);
        let count = number(3).unwrap_or(usize::MAX);
        let headers = args.get(4).is_some_and(|arg| arg == "headers");
        let Some(subscriptions) = subscriptions(&mut stream, number(5).unwrap_or(1))? else {
            return Ok(());
        };
        let busy = subscriptions.iter().filter(|(subject, _)| !subject.starts_with(IDLE));
        let frames: Vec<Vec<u8>> =
            busy.map(|(subject, sid)| frame(subject, sid, payload, headers)).collect();
        if let Some(first) = frames.last() {
            stream.write_all(first)?;
        }
        let round = frames.concat();
        let rounds = (256 * 1024 / round.len()).max(1);
        let batch = round.repeat(rounds);
        let per_batch = rounds * frames.len();
        let mut left = count;
        while left >= per_batch {
            stream.write_all(&batch)?;
            left -= per_batch;
        }
        let rest: Vec<&[u8]> = (0..left).map(|n| &*frames[n % frames.len()]).collect();
        stream.write_all(&rest.concat())?;
        // Until the client leaves.
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer)? > 0 {}
        Ok(())
    })
}

/// Reads until there are so many subscriptions; gives their subjects and ids. None if the client has left before.
fn subscriptions(
    stream: &mut Stream,
    wanted: usize,
) -> std::io::Result<Option<Vec<(String, String)>>> {
    let mut found = Vec::new();
    let mut text = Vec::new();
    let mut buffer = [0; 64 * 1024];
    while found.len() < wanted {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        text.extend_from_slice(&buffer[..count]);
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&text[..end]).lines() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["SUB", subject, sid] => found.push((subject.to_owned(), sid.to_owned())),
                ["PING"] => stream.write_all(b"PONG\r\n")?,
                _ => {}
            }
        }
        text.drain(..end);
    }
    Ok(Some(found))
}

/// One MSG or HMSG.
fn frame(subject: &str, sid: &str, payload: usize, headers: bool) -> Vec<u8> {
    let block = if headers { HEADER } else { "" };
    let mut frame = if headers {
        format!("HMSG {subject} {sid} {} {}\r\n", block.len(), block.len() + payload).into_bytes()
    } else {
        format!("MSG {subject} {sid} {payload}\r\n").into_bytes()
    };
    frame.extend_from_slice(block.as_bytes());
    frame.resize(frame.len() + payload, b'x');
    frame.extend_from_slice(b"\r\n");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is() {
        assert_eq!(frame("a.b", "7", 3, false), b"MSG a.b 7 3\r\nxxx\r\n");
        let with_header = frame("a.b", "7", 3, true);
        assert!(with_header.starts_with(b"HMSG a.b 7 40 43\r\nNATS/1.0\r\n"), "{with_header:?}");
        assert!(with_header.ends_with(b"\r\n\r\nxxx\r\n"));
    }
}
