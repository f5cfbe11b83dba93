//! What the core tells the application.

use nats_proto::connection::{ConnectError, DisconnectReason, Event as CoreEvent};

use super::Driver;
use crate::event::{ClientError, Event};
use crate::runtime::Runtime;
use crate::trace;

impl<R: Runtime> Driver<R> {
    /// Tells the callback and the subscribers. Not to be called under the lock.
    pub(super) fn react(&mut self, event: CoreEvent) {
        let lost = |error| Event::ClientError(error);
        let shared = &self.shared;
        match event {
            CoreEvent::Connected { info, .. } => {
                if cfg!(feature = "tracing") {
                    let server = shared.lock().conn.current_server().cloned();
                    trace::connected(server.as_ref(), &info);
                }
                shared.emit(Event::Connected);
            }
            CoreEvent::Disconnected { reason } => {
                if reason != DisconnectReason::Requested {
                    shared.emit(lost(ClientError::ConnectionLost(reason)));
                }
                shared.emit(Event::Disconnected);
            }
            CoreEvent::Authenticate { id, nonce, .. } => {
                self.question = Some(self.hooks.ask_auth(id, nonce));
                self.begun = true;
            }
            CoreEvent::ChooseServer { servers, info } => {
                let info = info.map(|info| *info).unwrap_or_default();
                self.question = Some(self.hooks.ask_server(servers, info));
                self.begun = true;
            }
            CoreEvent::ConnectFailed { server, error } => {
                shared.emit(lost(ClientError::ConnectFailed { server, error }));
            }
            CoreEvent::ServersDiscovered(servers) => {
                shared.emit(Event::ServersDiscovered(servers));
            }
            CoreEvent::SubscriptionEnded { subscription, reason } => {
                self.router.finish(subscription, reason, &mut self.batch.wakers)
            }
            CoreEvent::LameDuck => shared.emit(Event::LameDuckMode),
            CoreEvent::ServerError(error) => shared.emit(Event::ServerError(error)),
            CoreEvent::Dropped { count } => shared.emit(Event::Dropped(count)),
            CoreEvent::Draining => shared.emit(Event::Draining),
            CoreEvent::SubscriptionsDrained => (self.draining, self.begun) = (true, true),
            CoreEvent::Closed { error, .. } => match error {
                None => {}
                Some(ConnectError::MaxReconnects) => {
                    shared.emit(lost(ClientError::MaxReconnects));
                }
                Some(error) => shared.emit(lost(ClientError::Other(error.to_string()))),
            },
            _ => {}
        }
    }
}
