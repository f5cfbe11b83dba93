//! What `tracing` subscribers are told: the life of a connection, never its messages.
//!
//! Without the feature `tracing` all of this is empty. Addresses are shown without credentials.

#[cfg(feature = "tracing")]
pub(crate) use enabled::*;

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::*;

#[cfg(feature = "tracing")]
mod enabled {
    use nats_proto::{ServerAddr, ServerInfo};
    use tracing::{Instrument, Span, debug, debug_span, info, info_span, warn};

    use crate::notice::Notice;
    use crate::options::display_addr;

    /// The span of everything that happens in the background for one client.
    pub(crate) fn client_span(name: Option<&str>) -> Span {
        info_span!("nats", client = name.unwrap_or_default())
    }

    /// The span of one request.
    pub(crate) fn request_span(subject: &str) -> Span {
        debug_span!("nats.request", subject)
    }

    pub(crate) fn within<F: Future>(span: Span, future: F) -> impl Future<Output = F::Output> {
        future.instrument(span)
    }

    pub(crate) fn dialling(server: &ServerAddr) {
        debug!(server = display_addr(server), "connecting");
    }

    pub(crate) fn connected(server: Option<&ServerAddr>, info: &ServerInfo) {
        let server = server.map(display_addr).unwrap_or_default();
        let (name, version) = (&info.server_name, &info.version);
        info!(server, server_name = name, version, client_id = info.client_id, "connected");
    }

    pub(crate) fn notice(notice: &Notice) {
        match notice {
            // It has been told with more of it.
            Notice::Connected => {}
            Notice::Disconnected { reason } => info!(%reason, "disconnected"),
            Notice::Draining | Notice::Closed | Notice::SlowConsumerRecovered { .. } => {
                info!("{notice}");
            }
            Notice::ServersDiscovered(_) => debug!("{notice}"),
            Notice::ConnectFailed { server, error } => {
                warn!(server = display_addr(server.as_ref()), %error, "could not connect");
            }
            _ => warn!("{notice}"),
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod disabled {
    use nats_proto::{ServerAddr, ServerInfo};

    use crate::notice::Notice;

    pub(crate) struct NoSpan;

    pub(crate) const fn client_span(_: Option<&str>) -> NoSpan {
        NoSpan
    }

    pub(crate) const fn request_span(_: &str) -> NoSpan {
        NoSpan
    }

    pub(crate) const fn within<F: Future>(_: NoSpan, future: F) -> F {
        future
    }

    pub(crate) const fn dialling(_: &ServerAddr) {}

    pub(crate) const fn connected(_: Option<&ServerAddr>, _: &ServerInfo) {}

    pub(crate) const fn notice(_: &Notice) {}
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;
    use crate::notice::Notice;

    /// Keeps the text of all events and spans.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut line = Line(format!("span {}", span.metadata().name()));
            span.record(&mut line);
            self.0.lock().unwrap().push(line.0);
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn the_life_of_a_connection_is_told_and_no_secret() {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let server: nats_proto::ServerAddr = "nats://derek:canary-4711@a:1".parse().unwrap();
            client_span(Some("orders"));
            dialling(&server);
            connected(Some(&server), &nats_proto::ServerInfo::default());
            notice(&Notice::Connected);
            let error = nats_proto::connection::ConnectError::TimedOut;
            notice(&Notice::ConnectFailed { server: server.into(), error });
            notice(&Notice::Closed);
        });
        let lines = log.0.lock().unwrap().join("\n");
        assert!(lines.starts_with("span nats client=\"orders\"\nDEBUG"), "{lines}");
        assert!(lines.contains("INFO message=connected server=\"nats://a:1\""), "{lines}");
        assert!(lines.contains("WARN message=could not connect"), "{lines}");
        assert_eq!(lines.lines().count(), 5, "{lines}");
        assert!(!lines.contains("canary"), "{lines}");
    }
}
