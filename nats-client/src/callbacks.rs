//! The callbacks that are told what happens.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::event::Event;
use crate::hub::NoticeQueue;
use crate::notice::Notice;
use crate::panics::caught;

/// A callback without its types.
pub(crate) type Callback<T> =
    Arc<dyn Fn(T) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Whom to tell what happens.
#[derive(Clone, Default)]
pub(crate) struct Callbacks {
    pub(crate) notice: Option<Callback<Notice>>,
    pub(crate) event: Option<Callback<Event>>,
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks")
            .field("notice", &self.notice.is_some())
            .field("event", &self.event.is_some())
            .finish()
    }
}

impl Callbacks {
    /// Whether there is nobody to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.notice.is_none() && self.event.is_none()
    }

    /// Tells of one notice after the other, until the client is closed. A callback that panics has been told: the
    /// panic is the program's to report, which its hook has done.
    pub(crate) async fn run(self, queue: Arc<NoticeQueue>) {
        while let Some(notice) = queue.next().await {
            let event = self.event.as_ref().zip(Event::of(&notice));
            if let Some(callback) = &self.notice {
                let _ = caught(|| callback(notice)).await;
            }
            if let Some((callback, event)) = event {
                let _ = caught(|| callback(event)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::hub::NoticeHub;
    use crate::testing::block_on;

    #[test]
    fn a_happening_is_a_notice_first_and_then_an_event() {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let (notices, events) = (Arc::clone(&told), Arc::clone(&told));
        let notice: Callback<Notice> = Arc::new(move |notice| {
            notices.lock().expect("no panic").push(format!("notice {notice:?}"));
            Box::pin(std::future::ready(()))
        });
        let event: Callback<Event> = Arc::new(move |event| {
            events.lock().expect("no panic").push(format!("event {event:?}"));
            Box::pin(std::future::ready(()))
        });
        let hub = NoticeHub::default();
        let queue = hub.listen();
        hub.emit(Notice::Connected);
        // No event tells of this.
        hub.emit(Notice::ServersDiscovered(Vec::new()));
        hub.emit(Notice::Closed);
        block_on(Callbacks { notice: Some(notice), event: Some(event) }.run(queue));
        let told = told.lock().expect("no panic");
        assert_eq!(
            *told,
            [
                "notice Connected",
                "event Connected",
                "notice ServersDiscovered([])",
                "notice Closed",
                "event Closed",
            ]
        );
    }
}
