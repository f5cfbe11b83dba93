//! Payloads that nobody needs any more, for callers who must not drop them at once.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Connection;
use crate::wire::OutBuf;

/// What is to be dropped by the caller, if it has asked for that.
#[derive(Debug, Default)]
pub(super) struct Garbage(Option<Vec<Bytes>>);

impl Garbage {
    /// What of a buffer is dropped now is not the last of its payloads. Those that are kept are none the worse.
    pub(super) fn outlive(&mut self, buf: &OutBuf) {
        if let Some(payloads) = &mut self.0 {
            payloads.extend(buf.payloads().cloned());
        }
    }

    /// A payload is given up.
    pub(super) fn add(&mut self, payload: Bytes) {
        if let Some(payloads) = &mut self.0 {
            payloads.push(payload);
        }
    }
}

impl Connection {
    /// From now on, payloads that are given up, or were written to a link that ends, are kept for
    /// [`take_garbage`](Self::take_garbage). Otherwise the method that has no use for them any more drops them.
    ///
    /// For callers that hold a lock around the connection: a payload of
    /// [`OutBuf::SEGMENT_THRESHOLD`] bytes or more is not copied, and may be memory of the application's own
    /// ([`Bytes::from_owner`]), which does as it likes when it is dropped: publish, for one.
    pub fn keep_garbage(&mut self) {
        self.garbage.0.get_or_insert_default();
    }

    /// Takes out the payloads that nobody needs any more, to be dropped where no lock is held. Who has asked to
    /// [keep](Self::keep_garbage) them takes them before each release of the lock, for they pile up; others get none.
    ///
    /// It allocates nothing if there are none. [`publish_again`](Self::publish_again) and
    /// [`publish_full_again`](Self::publish_full_again) leave none.
    #[inline]
    pub fn take_garbage(&mut self) -> Vec<Bytes> {
        self.garbage.0.as_mut().map(core::mem::take).unwrap_or_default()
    }
}
