//! Calling what the program has given to the client, which may panic: that must not take the connection along.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Somebody panicked. The text is a predicate, with the first line of what the panic said.
#[derive(Debug)]
pub(crate) struct Panicked(Box<dyn Any + Send>);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = self.0.downcast_ref().copied();
        let said = literal.or(self.0.downcast_ref().map(String::as_str));
        match said.and_then(|said| said.lines().next()) {
            Some(said) => write!(f, "panicked: {said}"),
            None => f.write_str("panicked"),
        }
    }
}

/// What a function gives, unless it panics. It is called again by whoever keeps it, as after any error.
pub(crate) fn call<T>(function: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(function)).map_err(Panicked)
}

/// What a future gives, unless making it or polling it panics. It is not polled again after that.
pub(crate) async fn caught<F: Future>(make: impl FnOnce() -> F) -> Result<F::Output, Panicked> {
    let mut future = pin!(call(make)?);
    poll_fn(|cx| match call(|| future.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}
