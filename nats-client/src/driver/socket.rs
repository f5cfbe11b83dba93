//! What the driver does with its socket.

use std::io;
use std::task::{Context, Poll};

use nats_proto::connection::DisconnectReason;

use super::dial::Dial;
use super::{Driver, write};
use crate::runtime::Runtime;

/// A stream and an attempt that are over.
pub(super) type Garbage<R> = (Option<<R as Runtime>::Stream>, Option<Dial<R>>);

impl<R: Runtime> Driver<R> {
    /// Sees how the attempt to connect is doing. True if it has ended.
    pub(super) fn poll_dial(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(dial) = &mut self.dial else {
            return false;
        };
        let Poll::Ready(result) = dial.attempt.as_mut().poll(cx) else {
            return false;
        };
        let id = dial.id;
        self.dial = None;
        let result = result.map(|stream| {
            self.reader.reset();
            self.stream = Some(stream);
        });
        self.news.dialled = Some((id, result));
        true
    }

    /// Reads and decodes once. True if something came.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let lost = match self.reader.poll_fill(stream, cx) {
            Poll::Ready(Ok(0)) => DisconnectReason::Eof,
            Poll::Ready(Ok(count)) => {
                self.news.inbound = count;
                self.news.decode_error = self.reader.decode(&mut self.batch.ops).err();
                return true;
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return true,
            Poll::Ready(Err(error)) => DisconnectReason::Io(error.to_string()),
            Poll::Pending => match self.news.broken.take() {
                Some(broken) => broken,
                None => return false,
            },
        };
        self.news.lost = Some(self.news.broken.take().unwrap_or(lost));
        self.stream = None;
        self.unflushed = false;
        true
    }

    /// Writes once. True if there may be more to do.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        if self.news.broken.is_some() {
            return false;
        }
        match write::write(stream, &mut self.out, &mut self.unflushed, cx) {
            Ok(wrote) => wrote,
            Err(error) => {
                self.news.broken = Some(DisconnectReason::Io(error.to_string()));
                true
            }
        }
    }

    /// Gives up the stream and the attempt there are, and leaves them in `garbage`, to be dropped after the lock.
    pub(super) fn give_up(&mut self, garbage: &mut Garbage<R>) {
        garbage.0 = self.stream.take().or(garbage.0.take());
        garbage.1 = self.dial.take().or(garbage.1.take());
        self.news.broken = None;
        self.unflushed = false;
    }
}
