//! A program written for `async-nats`.
