//! The tasks that are there once: the listener's and the timer's.

use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::boxed::Box;
use std::string::ToString;

use nats_client::Runtime;

use super::connection::Connection;
use super::shared::{Shared, Task};

/// How long the listener pauses after an error, which mostly is that there are no file descriptors left.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// Accepts clients until it is told to stop; then the listener is closed.
///
/// `shared` comes first so that it is dropped last: when the task counts as ended, the port is free.
pub(super) async fn accept<R: Runtime>(shared: Task, listener: R::Listener) {
    loop {
        let mut accepting = pin!(R::accept(&listener));
        let accepted = poll_fn(|cx| {
            if !is_listening(&shared, cx) {
                return Poll::Ready(None);
            }
            accepting.as_mut().poll(cx).map(Some)
        })
        .await;
        match accepted {
            Some(Ok((stream, peer))) => {
                // A listener for both kinds of addresses shows those of one kind as some of the other.
                let client_ip = peer.ip().to_canonical().to_string();
                R::spawn(Connection::<R>::new(shared.clone(), stream, &client_ip).run());
            }
            Some(Err(_)) => R::sleep(PAUSE_AFTER_ERROR).await,
            None => break,
        }
    }
}

fn is_listening(shared: &Shared, cx: &mut Context<'_>) -> bool {
    let mut core = shared.lock();
    core.accept_waker = Some(cx.waker().clone());
    core.listening
}

/// Tells the broker when a deadline has come.
pub(super) async fn timer<R: Runtime>(shared: Task) {
    let mut sleep = None;
    poll_fn(|cx| {
        loop {
            let wait = shared.with_now(|core, now| {
                core.broker.handle_timeout(now);
                // The events of this call can only bring deadlines that lie behind the one that is armed here.
                core.armed = core.broker.poll_timeout();
                core.timer_waker = Some(cx.waker().clone());
                (core.stopped, core.armed.map(|deadline| deadline - now))
            });
            match wait {
                (true, _) => return Poll::Ready(()),
                (false, None) => return Poll::Pending,
                (false, Some(wait)) => {
                    let sleep = sleep.insert(Box::pin(R::sleep(wait)));
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await;
}
