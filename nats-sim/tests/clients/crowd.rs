//! Many that want the same at the same time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use nats_client::Request;

use super::application::Worker;
use super::books::payload_of;
use super::strict::{Patience, strictly};
use super::watching::Waiting;
use super::world::{spawn, with};

impl Worker {
    /// Does nothing but publish what nobody listens to, in a task of its own.
    pub(crate) fn start_crowd(mut self) {
        spawn(Box::pin(async move { self.crowd(&["nobody"]).await }), false);
    }

    /// Many messages at the same time, of which some are given up, or all but the last.
    pub(super) async fn crowd(&mut self, subjects: &[&'static str]) {
        let mut crowd = Vec::new();
        let (fickle, requests) = (self.rng.below(3) == 0, self.rng.below(4) == 0);
        for left in (0..2 + self.rng.below(20)).rev() {
            let id = with(|world| world.books.next_id(self.me));
            let payload = Bytes::from(payload_of(id, self.rng.below(2_000) as usize));
            let patience = match left {
                0 => Patience::Endless,
                _ if fickle => Patience::Polls(1),
                _ => Patience::of_many(&mut self.rng),
            };
            let asks = requests && self.rng.below(2) == 0;
            let subject = subjects[self.rng.below(subjects.len() as u64) as usize];
            crowd.push((id, subject, patience, payload, asks));
        }
        let this = &*self;
        let publish = async |(id, subject, patience, payload, asks): (_, _, Patience, _, _)| {
            if asks {
                return this.ask(patience, payload).await;
            }
            let what = "publish in a crowd";
            let _waiting = patience.is_there().then(|| Waiting::to_publish(this.me, what));
            let result = strictly(patience, this.client.publish(subject, payload)).await;
            this.published(id, result);
        };
        join_all(crowd.into_iter().map(publish)).await;
    }

    /// A request whose reply is of no interest.
    async fn ask(&self, patience: Patience, payload: Bytes) {
        let timeout = Duration::from_secs(1);
        let request = Request::new().payload(payload).timeout(Some(timeout));
        let waiting = patience.is_there().then(|| Waiting::new("request in a crowd"));
        let _ = strictly(patience, self.client.send_request("r.0", request)).await;
        waiting.inspect(|waiting| waiting.within(timeout));
    }
}
