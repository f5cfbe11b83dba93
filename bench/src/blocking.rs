//! The same bytes on blocking sockets: what is left of a measurement when there is no client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Result;
use crate::job::{Job, Kind, Sample};
use crate::meter::Meter;
use crate::worker::{ECHO, SUBJECT};

/// Bytes that a client would collect before it writes.
const BATCH: usize = 64 * 1024;

/// Connects and shakes hands.
fn connect(url: &str) -> Result<(TcpStream, BufReader<TcpStream>)> {
    let addr = url.strip_prefix("nats://").ok_or("not a nats:// url")?;
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BATCH, stream.try_clone()?);
    let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    stream.write_all(connect.as_bytes())?;
    fence(&mut stream, &mut reader)?;
    Ok((stream, reader))
}

fn fence(stream: &mut TcpStream, reader: &mut BufReader<TcpStream>) -> Result<()> {
    stream.write_all(b"PING\r\n")?;
    let mut line = String::new();
    while line != "PONG\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
    }
    Ok(())
}

pub(crate) fn run(url: &str, job: &Job) -> Result<Sample> {
    match job.kind {
        Kind::Publish => publish(url, job),
        Kind::Receive => receive(url, job),
        Kind::Request => request(url, job),
        Kind::PubSub => Err("there is no floor of publish and subscribe".into()),
    }
}

fn publish(url: &str, job: &Job) -> Result<Sample> {
    let (mut stream, mut reader) = connect(url)?;
    let frame = if job.headers {
        let block = "NATS/1.0\r\nTrace-Id: 0123456789abcdef\r\n\r\n";
        let total = block.len() + job.payload;
        format!("HPUB {SUBJECT} {} {total}\r\n{block}{}\r\n", block.len(), "x".repeat(job.payload))
    } else {
        format!("PUB {SUBJECT} {}\r\n{}\r\n", job.payload, "x".repeat(job.payload))
    };
    let per_batch = (BATCH / frame.len()).max(1);
    let batch = frame.repeat(per_batch);
    let meter = Meter::start();
    let mut left = job.messages as usize;
    while left > 0 {
        let count = left.min(per_batch);
        stream.write_all(&batch.as_bytes()[..count * frame.len()])?;
        left -= count;
    }
    fence(&mut stream, &mut reader)?;
    Ok(meter.stop(job.messages, Vec::new()))
}

/// Reads as many bytes as the messages have, and looks at none.
fn receive(url: &str, job: &Job) -> Result<Sample> {
    let (mut stream, mut reader) = connect(url)?;
    stream.write_all(format!("SUB {SUBJECT} 1\r\n").as_bytes())?;
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let block =
        if job.headers { "NATS/1.0\r\nTrace-Id: 0123456789abcdef\r\n\r\n".len() } else { 0 };
    let frame = line.len() + block + job.payload + 2;
    let mut left = frame as u64 * job.messages;
    let mut buffer = vec![0; BATCH];
    let meter = Meter::start();
    // What the handshake's reader has got already is not to come again.
    left = left.saturating_sub(reader.buffer().len() as u64);
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err("the server closed the connection".into()),
            count => left = left.saturating_sub(count as u64),
        }
    }
    Ok(meter.stop(job.messages, Vec::new()))
}

/// One request at a time, whatever the job says: more than one needs a client.
fn request(url: &str, job: &Job) -> Result<Sample> {
    let (mut stream, mut reader) = connect(url)?;
    stream.write_all(b"SUB bench.inbox 1\r\n")?;
    fence(&mut stream, &mut reader)?;
    let frame =
        format!("PUB {ECHO} bench.inbox {}\r\n{}\r\n", job.payload, "x".repeat(job.payload));
    let mut latencies: Vec<Duration> = Vec::with_capacity(job.messages as usize);
    let mut meter = Meter::start();
    for n in 0..job.messages + 100 {
        if n == 100 {
            meter = Meter::start();
        }
        let start = Instant::now();
        stream.write_all(frame.as_bytes())?;
        read_message(&mut reader, &mut stream)?;
        if n >= 100 {
            latencies.push(start.elapsed());
        }
    }
    Ok(meter.stop(job.messages, latencies))
}

/// Reads up to the next message; answers PINGs on the way. Gives its reply subject and payload.
fn read_message(
    reader: &mut BufReader<TcpStream>,
    stream: &mut TcpStream,
) -> Result<(String, Vec<u8>)> {
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["MSG", .., len] => {
                let mut payload = vec![0; len.parse::<usize>()? + 2];
                reader.read_exact(&mut payload)?;
                payload.truncate(payload.len() - 2);
                let reply = if words.len() == 5 { words[3] } else { "" };
                return Ok((reply.to_owned(), payload));
            }
            ["PING"] => stream.write_all(b"PONG\r\n")?,
            _ => {}
        }
    }
}

/// Answers every request with its own payload, until killed.
pub(crate) fn responder(mut args: impl Iterator<Item = String>) -> Result<()> {
    let (mut stream, mut reader) = connect(&args.next().ok_or("no url")?)?;
    stream.write_all(format!("SUB {ECHO} 1\r\n").as_bytes())?;
    fence(&mut stream, &mut reader)?;
    println!("ready");
    let mut out = Vec::new();
    loop {
        let (reply, payload) = read_message(&mut reader, &mut stream)?;
        out.extend_from_slice(format!("PUB {reply} {}\r\n", payload.len()).as_bytes());
        out.extend_from_slice(&payload);
        out.extend_from_slice(b"\r\n");
        // Everything that has come is answered in one write.
        if reader.buffer().is_empty() {
            stream.write_all(&out)?;
            out.clear();
        }
    }
}
