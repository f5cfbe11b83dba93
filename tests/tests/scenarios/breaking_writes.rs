//! Streams of every kind that break in the middle of what is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::{AsyncRead, AsyncWrite};

use crate::delivery::{received_once, settled};
use crate::reach::{Over, Reach};
use crate::support::{Env, Rt, publish_numbers};

/// A stream that takes so many bytes more, and breaks then; it does not break before it is told how many.
struct Breaking<S> {
    stream: S,
    left: Arc<AtomicUsize>,
    broken: bool,
}

const MANY: usize = usize::MAX;

impl<S: AsyncRead + Unpin> AsyncRead for Breaking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Breaking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let left = self.left.load(Ordering::SeqCst);
        let part = &buf[..buf.len().min(left)];
        let result = Pin::new(&mut self.stream).poll_write(cx, part);
        if let (Poll::Ready(Ok(count)), true) = (&result, left != MANY) {
            self.broken = *count == left;
            self.left.store(if self.broken { MANY } else { left - count }, Ordering::SeqCst);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// Breaks one link after so many bytes of a burst. Nothing of it may come twice, and nothing be missing that the books do
/// not call uncertain.
async fn break_after<R: Rt>(env: &Env<R, Over>, bytes: usize) {
    const COUNT: u64 = 5_000;
    let reach = Reach::new(env.kind);
    let left = Arc::new(AtomicUsize::new(MANY));
    let (addr, of_stream) = (reach.addr(), Arc::clone(&left));
    let options = reach.of_client(env.options());
    let witness = options.clone().connect(reach.url()).await.unwrap();
    let options = options.dialer(move |_| {
        let left = Arc::clone(&of_stream);
        let stream = R::connect(addr, None);
        async move { Ok(Breaking { stream: stream.await?, left, broken: false }) }
    });
    let client = options.connect(reach.url()).await.unwrap();
    let mut subscriber = witness.subscribe("load").await.unwrap();
    witness.flush().await.unwrap();
    client.flush().await.unwrap();
    left.store(bytes, Ordering::SeqCst);
    publish_numbers(&client, "load", 0..COUNT as usize).await;
    env.connected(&client, 2).await;
    // The first may tell of what is uncertain.
    let _ = client.flush().await;
    client.flush().await.unwrap();
    let statistics = settled::<R>(&client, &witness, COUNT).await;
    subscriber.drain().await.unwrap();
    let messages = received_once(subscriber).await;
    assert!(COUNT - messages <= statistics.uncertain, "{messages} came, {statistics:?}");
}

/// In the middle of the first records and frames, and of later ones.
const LENGTHS: [usize; 3] = [1_000, 20_000, 50_000];

pub(crate) async fn what_went_out_before_an_error_does_not_come_twice<R: Rt>(env: Env<R, Over>) {
    // What is compressed is a fifth as long, or less.
    let times = if env.kind.transport.compresses() { 10 } else { 1 };
    for bytes in LENGTHS {
        break_after(&env, bytes / times).await;
    }
}
