//! What the core tells the application.

use nats_proto::connection::{EndReason, Event as CoreEvent};

use super::Driver;
use crate::notice::Notice;
use crate::runtime::Runtime;
use crate::trace;

impl<R: Runtime> Driver<R> {
    /// Tells the callback and the subscribers. Not to be called under the lock.
    pub(super) fn react(&mut self, event: CoreEvent) {
        let shared = &self.shared;
        match event {
            CoreEvent::Connected { info, .. } => {
                if cfg!(feature = "tracing") {
                    let server = shared.lock().conn.current_server().cloned();
                    trace::connected(server.as_ref(), &info);
                }
                shared.emit(Notice::Connected);
            }
            CoreEvent::Disconnected { reason } => shared.emit(Notice::Disconnected { reason }),
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
                shared.emit(Notice::ConnectFailed { server: server.into(), error });
            }
            CoreEvent::ServersDiscovered(servers) => {
                let servers = servers.into_iter().map(Into::into).collect();
                shared.emit(Notice::ServersDiscovered(servers));
            }
            CoreEvent::SubscriptionEnded { subscription, reason } => {
                self.undrained += usize::from(reason == EndReason::Closed);
                let missed = self.router.finish(subscription, reason, &mut self.batch.wakers);
                if let Some(dropped) = missed {
                    let sid = subscription.sid();
                    shared.emit(Notice::SlowConsumerRecovered { sid, dropped });
                }
            }
            CoreEvent::LameDuck => shared.emit(Notice::LameDuckMode),
            CoreEvent::ServerError(error) => shared.emit(Notice::ServerError(error)),
            CoreEvent::Dropped { count } => shared.emit(Notice::Dropped { messages: count }),
            CoreEvent::Draining => shared.emit(Notice::Draining),
            CoreEvent::SubscriptionsDrained => (self.draining, self.begun) = (true, true),
            CoreEvent::Closed { error: Some(error), .. } => shared.emit(Notice::GivenUp { error }),
            _ => {}
        }
    }
}
