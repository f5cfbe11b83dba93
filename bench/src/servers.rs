//! Toy servers that cost next to nothing, so that the client is what is measured.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::Result;
use crate::worker::SUBJECT;

const INFO: &[u8] =
    b"INFO {\"server_id\":\"bench\",\"server_name\":\"bench\",\"version\":\"2.15.1\",\
    \"proto\":1,\"headers\":true,\"max_payload\":8388608}\r\n";

/// Listens, says where on standard output, and serves each client on a thread until killed.
fn serve(client: fn(TcpStream) -> std::io::Result<()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        stream.write_all(INFO)?;
        // A client that goes away is no failure.
        thread::spawn(move || client(stream));
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

/// Sends messages as fast as it can once there is a subscription: one to say that it has begun, and as many as
/// are to be measured. How many, and of how many bytes, are arguments of the process.
pub(crate) fn flood() -> Result<()> {
    serve(|mut stream| {
        let args: Vec<String> = std::env::args().collect();
        let payload = args.get(2).and_then(|arg| arg.parse().ok()).unwrap_or(16);
        let count: usize = args.get(3).and_then(|arg| arg.parse().ok()).unwrap_or(usize::MAX);
        let headers = args.get(4).is_some_and(|arg| arg == "headers");
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        while !received.windows(4).any(|window| window == b"SUB ") {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            received.extend_from_slice(&buffer[..count]);
            if buffer[..count].windows(6).any(|window| window == b"PING\r\n") {
                stream.write_all(b"PONG\r\n")?;
            }
        }
        let frame = frame(payload, headers);
        let per_batch = (256 * 1024 / frame.len()).max(1);
        let batch = frame.repeat(per_batch);
        let mut left = count.saturating_add(1);
        while left > 0 {
            let now = left.min(per_batch);
            stream.write_all(&batch[..now * frame.len()])?;
            left -= now;
        }
        // Until the client leaves.
        while stream.read(&mut buffer)? > 0 {}
        Ok(())
    })
}

/// One MSG or HMSG for the subscription `1`, which is what every client calls its first.
fn frame(payload: usize, headers: bool) -> Vec<u8> {
    let block: &[u8] =
        if headers { b"NATS/1.0\r\nTrace-Id: 0123456789abcdef\r\n\r\n" } else { b"" };
    let mut frame = if headers {
        format!("HMSG {SUBJECT} 1 {} {}\r\n", block.len(), block.len() + payload).into_bytes()
    } else {
        format!("MSG {SUBJECT} 1 {payload}\r\n").into_bytes()
    };
    frame.extend_from_slice(block);
    frame.resize(frame.len() + payload, b'x');
    frame.extend_from_slice(b"\r\n");
    frame
}
