//! One client's task: reads, writes, and closes.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::io::{self, IoSlice};
use std::thread_local;
use std::vec;
use std::vec::Vec;

use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use nats_client::Runtime;
use nats_proto::wire::OutBuf;

use super::shared::{Fate, Link, Task};
use crate::SessionId;
use crate::input::Progress;

/// Bytes asked for in one read.
const READ_SIZE: usize = 64 * 1024;

/// Slices given to one vectored write.
const SLICES: usize = 64;

/// Reads and writes in a row before other tasks get their turn.
const TURNS: usize = 16;

/// The part of what may wait for a client that others may have delivered in a row before other tasks get their turn.
const SHARE: u64 = 4;

/// How long a client that publishes to slow ones waits between two operations or reads, as in the real server.
const STALL: Duration = Duration::from_millis(5);

/// So many steps are taken for one client before others get the lock, some ten milliseconds of work.
const STEPS: u64 = 1 << 18;

/// How long a client waits for whom so many were taken: others who wait for the lock need a moment to wake up.
const BREATH: Duration = Duration::from_millis(1);

/// How long a connection to which everything is written may swallow what comes in. When the broker stops, it is also
/// how long the writing may take.
const LINGER: Duration = Duration::from_secs(1);

/// It is closed for good when nothing came in for so long. Not every runtime can tell the client before that
/// that there will be no more; and closing with bytes unread could destroy an -ERR on its way.
const QUIET: Duration = Duration::from_millis(20);

thread_local! {
    /// Where reads go first. One for each thread: thousands of idle connections need no buffers.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// A timer that may be off.
struct Alarm<R: Runtime>(Option<Pin<Box<R::Sleep>>>);

impl<R: Runtime> Alarm<R> {
    fn set(&mut self, after: Duration) {
        self.0 = Some(Box::pin(R::sleep(after)));
    }

    /// Ready if it was set and has gone off.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// One client's connection.
pub(super) struct Connection<R: Runtime> {
    stream: R::Stream,
    session: SessionId,
    input: BytesMut,
    /// How far the broker is with the input.
    progress: Progress,
    /// Bytes that may still be delivered in these turns: a part of what may wait for one client, whose task has to write it.
    left: u64,
    out: OutBuf,
    /// Set while reading is put off, and, at the end, while nothing comes in.
    stall: Alarm<R>,
    /// Set since the client first did not take all of what is being written.
    write_timeout: Alarm<R>,
    /// The last field: when the task counts as ended, the stream is closed.
    shared: Task,
}

impl<R: Runtime> Connection<R> {
    pub(super) fn new(shared: Task, stream: R::Stream, client_ip: &str) -> Self {
        let session = shared.with_now(|core, now| {
            let session = core.broker.handle_connect(now, client_ip);
            core.links.insert(session, Link::default());
            session
        });
        Self {
            stream,
            session,
            input: BytesMut::new(),
            progress: Progress::Done,
            left: 0,
            out: OutBuf::new(),
            stall: Alarm(None),
            write_timeout: Alarm(None),
            shared,
        }
    }

    /// Serves the client until one side has had enough.
    pub(super) async fn run(mut self) {
        let fate = poll_fn(|cx| self.poll_open(cx)).await;
        self.leave();
        self.stall.0 = None;
        if fate != Fate::Hangup {
            return;
        }
        // As in the real server, all that is left has the time that a single write has otherwise. So nobody stays for
        // ever who is not counted any more.
        let mut alarm = Alarm::<R>(None);
        alarm.set(self.shared.write_timeout);
        let mut is_stopping = false;
        let is_written = poll_fn(|cx| {
            if !is_stopping && self.is_stopping(cx) {
                is_stopping = true;
                alarm.set(LINGER);
            }
            match self.poll_rest(cx) {
                Poll::Ready(written) => Poll::Ready(written.is_ok()),
                Poll::Pending => alarm.poll(cx).map(|()| false),
            }
        })
        .await;
        if !is_stopping {
            alarm.set(LINGER);
        }
        if is_written {
            poll_fn(|cx| match alarm.poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => self.poll_farewell(cx).map(drop),
            })
            .await;
        }
    }

    /// Reads and writes until the connection is to be closed.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Fate> {
        self.left = self.shared.max_pending / SHARE;
        for _ in 0..TURNS {
            let fate = self.collect(cx);
            if fate != Fate::Open {
                return Poll::Ready(fate);
            }
            let written = match self.poll_write(cx) {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(_)) => return Poll::Ready(Fate::Abort),
                Poll::Pending if self.write_timeout.poll(cx).is_ready() => {
                    self.shared.with(|core| core.broker.cut_off(self.session));
                    return Poll::Ready(Fate::Abort);
                }
                Poll::Pending => false,
            };
            let read = match self.poll_read(cx) {
                // A client that only closed its side may still wait for answers.
                Poll::Ready(Ok(false)) => return Poll::Ready(Fate::Hangup),
                Poll::Ready(Ok(true)) => true,
                Poll::Ready(Err(_)) => return Poll::Ready(Fate::Abort),
                Poll::Pending => false,
            };
            if !written && !read {
                return Poll::Pending;
            }
            if self.left == 0 {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Fetches what the broker has for this client, and makes sure that the task is woken when there is more.
    fn collect(&mut self, cx: &mut Context<'_>) -> Fate {
        let mut core = self.shared.lock();
        core.broker.poll_transmit(self.session, &mut self.out);
        let Some(link) = core.links.get_mut(&self.session) else {
            return Fate::Abort;
        };
        if !link.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            link.waker = Some(cx.waker().clone());
        }
        link.fate
    }

    /// Writes something; false if there is nothing to write.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.out.chunks()) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        match Pin::new(&mut self.stream).poll_write_vectored(cx, slices) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                self.out.advance(count);
                // As in the real server, all that was fetched at a time has one deadline: who takes a byte now and then
                // would keep megabytes waiting for ever.
                if self.out.is_empty() {
                    self.write_timeout.0 = None;
                }
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                if self.write_timeout.0.is_none() {
                    self.write_timeout.set(self.shared.write_timeout);
                }
                Poll::Pending
            }
        }
    }

    /// Reads once and lets the broker handle it, or some more of what it has; false if the client has closed its side.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.stall.0.is_some() {
            ready!(self.stall.poll(cx));
            self.stall.0 = None;
        }
        if self.progress == Progress::Done {
            let stream = Pin::new(&mut self.stream);
            let input = &mut self.input;
            let count = ready!(SCRATCH.with_borrow_mut(|scratch| {
                stream.poll_read(cx, scratch).map_ok(|count| {
                    input.extend_from_slice(scratch.get(..count).unwrap_or_default());
                    count
                })
            }))?;
            if count == 0 {
                return Poll::Ready(Ok(false));
            }
        }
        let before = self.input.len();
        let is_stalled = self.shared.with_now(|core, now| {
            // What is for this client itself needs no wake-up: the loop fetches it next.
            if let Some(link) = core.links.get_mut(&self.session) {
                link.waker = None;
            }
            let input = &mut self.input;
            let before = core.broker.statistics().out_bytes;
            self.progress = core.broker.handle_input_within(STEPS, now, self.session, input);
            self.left = self.left.saturating_sub(core.broker.statistics().out_bytes - before);
            core.broker.is_stalled(self.session)
        });
        // What is kept of the operations that were handled must not keep the memory of those that come later as well, and
        // a client that says nothing must keep none at all. The rest is never more than one read.
        if self.input.len() < before {
            self.input = BytesMut::from(&self.input[..]);
        }
        if is_stalled {
            self.stall.set(STALL);
        } else if self.progress == Progress::Unfinished {
            self.stall.set(BREATH);
        }
        Poll::Ready(Ok(true))
    }

    /// Lets the broker forget this client. What it had for the client is still to be written.
    fn leave(&mut self) {
        let session = self.session;
        let mut rest = OutBuf::new();
        self.shared.with(|core| {
            core.broker.poll_transmit(session, &mut rest);
            core.broker.handle_disconnect(session);
        });
        self.out.append(&mut rest);
    }

    /// Whether the broker stops; if it does later, the task is woken.
    fn is_stopping(&self, cx: &Context<'_>) -> bool {
        let mut core = self.shared.lock();
        if let Some(link) = core.links.get_mut(&self.session) {
            link.waker = Some(cx.waker().clone());
        }
        core.stopped
    }

    /// Writes what is left.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the client that no more will come, and reads until it has understood.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_close(cx))?;
        for _ in 0..TURNS {
            let stream = Pin::new(&mut self.stream);
            match SCRATCH.with_borrow_mut(|scratch| stream.poll_read(cx, scratch))? {
                Poll::Ready(0) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => self.stall.0 = None,
                Poll::Pending => {
                    if self.stall.0.is_none() {
                        self.stall.set(QUIET);
                    }
                    return self.stall.poll(cx).map(Ok);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Runtime> Drop for Connection<R> {
    /// The runtime may drop the task before it has ended.
    fn drop(&mut self) {
        self.leave();
        self.shared.lock().links.remove(&self.session);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use std::sync::Arc;

    use nats_tokio::Tokio;

    use super::super::shared::Shared;
    use super::*;
    use crate::{Broker, Config};

    #[test]
    fn a_client_that_says_nothing_keeps_no_memory_of_what_it_has_said() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = Tokio::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
            let mut client = TcpStream::connect(Tokio::local_addr(&listener).unwrap()).unwrap();
            let (stream, _) = Tokio::accept(&listener).await.unwrap();
            let broker = Broker::new(Config::default(), [1; 32]);
            let shared = Arc::new(Shared::new(broker, Tokio::now, Duration::from_secs(10)));
            let mut connection = Connection::<Tokio>::new(Task::new(&shared), stream, "127.0.0.1");
            let saying = std::thread::spawn(move || {
                client.write_all(b"CONNECT {}\r\nPUB a 1000000\r\n").unwrap();
                client.write_all(&[b'x'; 1_000_000]).unwrap();
                client.write_all(b"\r\n").unwrap();
                client
            });
            poll_fn(|cx| {
                assert!(connection.poll_open(cx).is_pending());
                match shared.lock().broker.statistics().in_messages {
                    0 => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
            let client = saying.join().unwrap();
            assert_eq!((connection.input.len(), connection.input.capacity()), (0, 0));
            drop(client);
        });
    }
}
