//! Encrypting the stream there is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nats_proto::connection::TlsError;
use nats_proto::{DialId, ServerAddr};

use super::Driver;
use crate::link::{Link, Stream};
use crate::runtime::Runtime;
use crate::shared::Shared;

/// A TLS handshake under way. It has the stream; the core limits its time, and dropping it gives up.
pub(super) struct Handshake {
    id: DialId,
    attempt: Attempt,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Box<dyn Stream>, TlsError>> + Send>>;

impl<R: Runtime> Driver<R> {
    /// Begins to encrypt the stream.
    ///
    /// What was read and is not decoded came before the handshake: anybody on the way may have put it there.
    pub(super) fn start_tls(
        &mut self,
        id: DialId,
        server: ServerAddr,
        link: &mut Link,
    ) -> Result<(), TlsError> {
        if !self.reader.is_empty() {
            return Err(TlsError::EarlyData);
        }
        // Without one the core is about to learn that the connection is lost.
        if let Some(stream) = link.stream.take() {
            let attempt = Box::pin(Arc::clone(&self.transport.tls).encrypt(stream, server));
            self.handshake = Some(Handshake { id, attempt });
            self.begun = true;
        }
        Ok(())
    }

    /// Sees how the handshake is doing. True if it has ended. Who checks certificates may be of the program's own: not to
    /// be called under a lock.
    pub(super) fn poll_handshake(&mut self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let Some(handshake) = &mut self.handshake else {
            return false;
        };
        let Poll::Ready(result) = handshake.attempt.as_mut().poll(cx) else {
            return false;
        };
        let id = handshake.id;
        self.handshake = None;
        let result = result.map(|stream| shared.link().resume(stream));
        self.news.encrypted = Some((id, result));
        true
    }
}
