//! What the driver does with its socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_io::AsyncWrite;
use nats_proto::connection::{DisconnectReason, State};

use super::Driver;
use super::ask::Question;
use super::dial::Dial;
use super::secure::Handshake;
use crate::faults::fault;
use crate::link::{Link, Stream};
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::tls;

/// Whether somebody holds up reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody.
    #[default]
    Nothing,
    /// A subscriber that falls behind, for no longer than [`Pace`](super::pace::Pace) allows.
    Moment,
    /// A subscriber that has asked for it, for as long as it takes.
    Pause,
}

/// What is over, to be dropped where nothing is locked.
#[derive(Default)]
pub(super) struct Garbage {
    pub(super) stream: Option<Box<dyn Stream>>,
    pub(super) dial: Option<Dial>,
    pub(super) handshake: Option<Handshake>,
    pub(super) question: Option<Question>,
    pub(super) payloads: Vec<Bytes>,
}

/// Lets go of what is given up. A stream ends in good order, if it takes that at once: TLS and WebSockets have a last word,
/// by which the peer knows that nothing is missing. A peer that does not read is not waited for.
pub(super) fn take_leave(mut garbage: Garbage) {
    if let Some(stream) = &mut garbage.stream {
        // There is nobody to tell of an error, and nothing that depends on it.
        let _ = Pin::new(stream).poll_close(&mut Context::from_waker(Waker::noop()));
    }
}

impl<R: Runtime> Driver<R> {
    /// Sees how the attempt to connect is doing. True if it has ended. A dialler is the program's own: not to be called
    /// under a lock.
    pub(super) fn poll_dial(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let Some(dial) = &mut self.dial else {
            return false;
        };
        let Poll::Ready(result) = dial.attempt.as_mut().poll(cx) else {
            return false;
        };
        let id = dial.id;
        self.dial = None;
        let result = result.map(|stream| {
            if !fault!(OldInputIsKept) {
                self.reader.reset();
            }
            shared.link().open(stream);
        });
        self.news.dialled = Some((id, result));
        true
    }

    /// Whether nothing is to be read, because a subscriber must catch up first.
    pub(super) fn hold(&mut self) -> Hold {
        if self.up && !self.router.is_blocking() {
            return match self.router.is_waiting(|| self.shared.now()) {
                true => Hold::Moment,
                false => Hold::Nothing,
            };
        }
        // A deadline for which nobody looks would leave this task no rest.
        self.router.pace.stop();
        match self.up {
            true => Hold::Pause,
            false => Hold::Nothing,
        }
    }

    /// Reads and decodes once, unless a subscriber holds that up. True if something came.
    pub(super) fn read_unless_blocked(&mut self, link: &mut Link, cx: &mut Context<'_>) -> bool {
        self.held = self.hold();
        match self.held {
            Hold::Nothing => return self.poll_read(link, cx),
            Hold::Moment => return false,
            Hold::Pause => {}
        }
        // What a broken stream still has is given up: publishers that wait for the next one may be what the
        // subscriber waits for.
        let Some(broken) = link.broken.take() else {
            return false;
        };
        self.news.lost = Some(broken);
        self.closed = link.close();
        true
    }

    /// Reads and decodes once. True if something came.
    fn poll_read(&mut self, link: &mut Link, cx: &mut Context<'_>) -> bool {
        let Some(stream) = &mut link.stream else {
            return false;
        };
        let read = self.reader.poll_fill(stream, cx);
        // TLS and WebSockets know more of the end than that a write failed.
        let is_told = matches!(&read, Poll::Ready(Err(error)) if error.get_ref().is_some());
        let lost = match read {
            Poll::Ready(Ok(0)) => DisconnectReason::Eof,
            Poll::Ready(Ok(count)) => {
                self.news.inbound = count;
                self.news.decode_error = self.reader.decode(&mut self.batch.ops).err();
                match link.hear(count) {
                    Some(broken) => broken,
                    None => return true,
                }
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return true,
            Poll::Ready(Err(error)) => tls::lost(&error),
            Poll::Pending => match link.find_silent() {
                Some(broken) => broken,
                None => {
                    // It may have more to say when others have run.
                    self.rests |= link.broken.is_some();
                    return false;
                }
            },
        };
        self.news.lost = Some(match link.broken.take() {
            // Why a write failed is mostly said by what can still be read.
            Some(broken) if !is_told => broken,
            _ => lost,
        });
        self.closed = link.close();
        true
    }

    /// Gives up the stream and the attempt there are, and leaves them in `garbage`, to be dropped after the lock.
    pub(super) fn give_up(&mut self, link: &mut Link, garbage: &mut Garbage) {
        garbage.stream = link.close().or(garbage.stream.take());
        garbage.dial = self.dial.take().or(garbage.dial.take());
        garbage.handshake = self.handshake.take().or(garbage.handshake.take());
        garbage.question = self.question.take().or(garbage.question.take());
    }

    /// Leaves a question in `garbage` for whose answer nobody waits any more: neither the callback nor what it holds lives on
    /// until the next attempt, and a late answer is not taken for that to the next question.
    pub(super) fn withdraw_question(&mut self, state: State, garbage: &mut Garbage) {
        if !matches!(state, State::Choosing | State::AwaitAuth) {
            garbage.question = self.question.take().or(garbage.question.take());
        }
    }
}
