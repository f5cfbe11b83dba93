//! The same bytes on blocking sockets: what is left of a measurement when there is no client.

mod requests;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::Result;
use crate::job::{Job, Kind, Sample};
use crate::meter::Meter;
use crate::servers::HEADER;
use crate::tls::Stream;
use crate::worker::SUBJECT;

pub(crate) use requests::responder;

/// Bytes that a client would collect before it writes.
const BATCH: usize = 64 * 1024;

/// Reads by way of the buffer; writes by way of [`BufReader::get_mut`].
type Connection = BufReader<Stream>;

/// Connects and shakes hands.
fn connect(url: &str) -> Result<Connection> {
    let addr = url.strip_prefix("nats://").ok_or("not a nats:// url")?;
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    // INFO, and not a byte of what may come after it.
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte)?;
    }
    let mut connection = BufReader::with_capacity(BATCH, Stream::connect(stream)?);
    let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    connection.get_mut().write_all(connect.as_bytes())?;
    fence(&mut connection)?;
    Ok(connection)
}

fn fence(connection: &mut Connection) -> Result<()> {
    connection.get_mut().write_all(b"PING\r\n")?;
    let mut line = String::new();
    while line != "PONG\r\n" {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err("the server closed the connection".into());
        }
        match line.as_str() {
            "PING\r\n" => connection.get_mut().write_all(b"PONG\r\n")?,
            error if error.starts_with("-ERR") => return Err(error.trim().into()),
            _ => {}
        }
    }
    Ok(())
}

/// One PUB or HPUB; `to` is a subject, or two: that, and where the reply goes.
fn frame(to: &str, job: &Job) -> String {
    let payload = "x".repeat(job.payload);
    if job.headers {
        let total = HEADER.len() + job.payload;
        format!("HPUB {to} {} {total}\r\n{HEADER}{payload}\r\n", HEADER.len())
    } else {
        format!("PUB {to} {}\r\n{payload}\r\n", job.payload)
    }
}

pub(crate) fn run(url: &str, job: &Job) -> Result<Sample> {
    match job.kind {
        Kind::Publish => publish(url, job),
        Kind::Receive => receive(url, job),
        Kind::Request => requests::run(url, job),
        Kind::PubSub => pub_sub(url, job),
        Kind::Idle | Kind::Subscriptions | Kind::Kept => {
            Err(format!("there is no floor of {:?}", job.kind).into())
        }
    }
}

fn publish(url: &str, job: &Job) -> Result<Sample> {
    let mut connection = connect(url)?;
    let meter = Meter::start();
    write(connection.get_mut(), job)?;
    fence(&mut connection)?;
    Ok(meter.stop(job.messages, Vec::new()))
}

/// Writes all messages, as many at a time as a client would.
fn write(stream: &mut impl Write, job: &Job) -> std::io::Result<()> {
    let frame = frame(SUBJECT, job);
    let per_batch = (BATCH / frame.len()).max(1);
    let batch = frame.repeat(per_batch);
    let mut left = job.messages as usize;
    while left > 0 {
        let count = left.min(per_batch);
        stream.write_all(&batch.as_bytes()[..count * frame.len()])?;
        left -= count;
    }
    Ok(())
}

/// Writes on one thread and reads on another.
fn pub_sub(url: &str, job: &Job) -> Result<Sample> {
    let mut connection = connect(url)?;
    connection.get_mut().write_all(format!("SUB {SUBJECT} 1\r\n").as_bytes())?;
    fence(&mut connection)?;
    let Stream::Plain(stream) = connection.get_mut() else {
        return Err("an encrypted stream has no two halves".into());
    };
    // What comes back has another operation and the number of the subscription.
    let frame = frame(SUBJECT, job).len() + " 1".len();
    let mut input = stream.try_clone()?;
    let meter = Meter::start();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(stream, job));
        read(&mut input, frame as u64 * job.messages)?;
        writer.join().map_err(|_| "the writer panicked")??;
        Ok(meter.stop(job.messages, Vec::new()))
    })
}

/// Reads so many bytes, and looks at none.
fn read(stream: &mut impl Read, mut left: u64) -> Result<()> {
    let mut buffer = vec![0; BATCH];
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err("the server closed the connection".into()),
            count => left = left.saturating_sub(count as u64),
        }
    }
    Ok(())
}

fn receive(url: &str, job: &Job) -> Result<Sample> {
    let mut connection = connect(url)?;
    connection.get_mut().write_all(format!("SUB {SUBJECT} 1\r\n").as_bytes())?;
    let mut line = Vec::new();
    connection.read_until(b'\n', &mut line)?;
    // The rest of the message that starts the clock, and those that count.
    let block = if job.headers { HEADER.len() } else { 0 };
    let body = block + job.payload + 2;
    let left = body as u64 + (line.len() + body) as u64 * job.messages;
    // What is in the buffer already is not to come again.
    let left = left.saturating_sub(connection.buffer().len() as u64);
    let meter = Meter::start();
    read(connection.get_mut(), left)?;
    Ok(meter.stop(job.messages, Vec::new()))
}
