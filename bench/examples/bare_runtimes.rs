//! What a runtime costs by itself, without a client: `cargo run --release -p nats-bench --example bare_runtimes`.
//!
//! A *lone round trip* is one task that writes to a socket and reads from it, as a request does at least. A *shared
//! buffer* is what is left of a publish if nothing is checked or counted: one task appends the frame to a buffer under
//! a lock, another takes the buffer and writes it. Each is done by a process of its own, in turns.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{env, future, mem, thread};

use futures_util::task::AtomicWaker;

const FRAME: &[u8] = b"PUB bench.subject 16\r\n0123456789abcdef\r\n";
const ROUND_TRIPS: u32 = 30_000;
const PUBLISHES: u32 = 10_000_000;
/// Bytes that may wait to be written.
const ROOM: usize = 128 * 1024;
const RUNS: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Sends back what it reads, or throws it away; prints where it listens, and ends with its parent.
fn peer(echoes: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, echoes));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn serve(mut stream: TcpStream, echoes: bool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count if echoes => stream.write_all(buffer.get(..count).unwrap_or_default())?,
            _ => {}
        }
    }
}

/// What two tasks share.
#[derive(Default)]
struct Shared {
    buffer: Mutex<Vec<u8>>,
    filled: AtomicWaker,
    emptied: AtomicWaker,
}

impl Shared {
    async fn append(&self) {
        future::poll_fn(|cx| {
            self.emptied.register(cx.waker());
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.len() >= ROOM {
                return Poll::Pending;
            }
            let was_empty = buffer.is_empty();
            buffer.extend_from_slice(FRAME);
            drop(buffer);
            if was_empty {
                self.filled.wake();
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn take(&self, taken: &mut Vec<u8>) {
        future::poll_fn(|cx| {
            self.filled.register(cx.waker());
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.is_empty() {
                return Poll::Pending;
            }
            mem::swap(&mut *buffer, taken);
            drop(buffer);
            self.emptied.wake();
            Poll::Ready(())
        })
        .await;
    }
}

fn cpu() -> Duration {
    nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

fn per(count: u32, cpu_before: Duration, start: Instant) -> String {
    let (cpu, time) = ((cpu() - cpu_before) / count, start.elapsed() / count);
    format!("{} ns of processor time, {} ns in all", cpu.as_nanos(), time.as_nanos())
}

macro_rules! runtime {
    ($name:ident, $runtime:path, $tcp:ty, $read:path, $write:path) => {
        mod $name {
            use std::sync::Arc;

            use $read as _;
            use $runtime::{block_on, spawn};
            use $write as _;

            use super::*;

            pub(super) fn run(work: &str, addr: &str) -> Result<String> {
                let stream = async {
                    let stream = <$tcp>::connect(addr).await?;
                    stream.set_nodelay(true)?;
                    Ok::<_, Box<dyn Error + Send + Sync>>(stream)
                };
                block_on(async {
                    let stream = stream.await?;
                    match work {
                        "round-trip" => spawn(round_trips(stream)).await,
                        _ => spawn(publishes(stream)).await,
                    }
                })
            }

            async fn round_trips(mut stream: $tcp) -> Result<String> {
                let mut reply = [0; FRAME.len()];
                let (before, start) = (cpu(), Instant::now());
                for _ in 0..ROUND_TRIPS {
                    stream.write_all(FRAME).await?;
                    stream.read_exact(&mut reply).await?;
                }
                Ok(per(ROUND_TRIPS, before, start))
            }

            async fn publishes(mut stream: $tcp) -> Result<String> {
                let shared = Arc::new(Shared::default());
                let (before, start) = (cpu(), Instant::now());
                let publisher = spawn({
                    let shared = Arc::clone(&shared);
                    async move {
                        for _ in 0..PUBLISHES {
                            shared.append().await;
                        }
                        Ok(())
                    }
                });
                let mut taken = Vec::new();
                let mut left = PUBLISHES as usize * FRAME.len();
                while left > 0 {
                    shared.take(&mut taken).await;
                    stream.write_all(&taken).await?;
                    left = left.saturating_sub(taken.len());
                    taken.clear();
                }
                publisher.await.map(|()| per(PUBLISHES, before, start))
            }
        }
    };
}

runtime!(
    on_tokio,
    super::tokio_runtime,
    tokio::net::TcpStream,
    tokio::io::AsyncReadExt,
    tokio::io::AsyncWriteExt
);
runtime!(
    on_async_std,
    async_std::task,
    async_std::net::TcpStream,
    async_std::io::ReadExt,
    async_std::io::WriteExt
);

/// tokio under the names of async-std.
mod tokio_runtime {
    use std::future::Future;

    use super::Result;

    pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
    }

    pub(super) fn spawn<T: Send + 'static>(
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        let task = tokio::spawn(future);
        async { task.await? }
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["peer", kind] => return peer(kind == "round-trip"),
        ["tokio", work, addr] => println!("{}", on_tokio::run(work, addr)?),
        ["async-std", work, addr] => println!("{}", on_async_std::run(work, addr)?),
        _ => {
            for work in ["round-trip", "shared-buffer"] {
                compare(work)?;
            }
        }
    }
    Ok(())
}

fn compare(work: &str) -> Result<()> {
    let program = env::current_exe()?;
    let mut peer = Command::new(&program);
    let mut peer =
        peer.args(["peer", work]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut addr = String::new();
    BufReader::new(peer.stdout.take().ok_or("no output")?).read_line(&mut addr)?;
    for _ in 0..RUNS {
        for runtime in ["tokio", "async-std"] {
            let run = Command::new(&program).args([runtime, work, addr.trim()]).output()?;
            print!("{work:<14} {runtime:<10} {}", String::from_utf8(run.stdout)?);
        }
    }
    drop(peer.stdin.take());
    peer.wait()?;
    Ok(())
}
