//! What comes in, and whom it is for.

use nats_proto::connection::{Delivery, Route};
use nats_proto::wire::{Chunk, Limits};
use nats_proto::{Instant, Message};

use super::Client;
use crate::application::Application;

impl<A: Application> Client<A> {
    pub(super) fn receive(&mut self, now: Instant, old: usize) {
        if self.decodes {
            self.decode(now, old);
        } else {
            self.connection.receive(now, &mut self.input);
        }
        if !self.is_leaving() {
            self.check_input();
        }
    }

    /// What is left of the input is one operation that is not whole, and so within the limits.
    fn check_input(&self) {
        let Limits { control_line, info, payload, .. } = self.connection.config().limits;
        let line = if self.input.starts_with(b"INFO") { info } else { control_line };
        let has_line = self.input.contains(&b'\n');
        let limit = if has_line { line + payload + "\r\n\r\n".len() } else { line + "\r".len() };
        assert!(self.input.len() <= limit, "{} bytes are not decoded", self.input.len());
    }

    fn decode(&mut self, now: Instant, old: usize) {
        self.connection.handle_inbound(self.input.len() - old);
        let result = self.decoder.decode(&mut self.input, &mut self.ops);
        let mut deliveries = std::mem::take(&mut self.deliveries);
        self.connection.handle_ops(now, &mut self.ops, &mut deliveries);
        let mut chunk = Chunk::from(self.ops.chunk.clone());
        for Delivery { route, messages } in deliveries.drain(..) {
            let messages: Vec<_> = self.ops.messages(messages).copied().collect();
            for frame in messages {
                self.deliver(now, route, Message::from_frame(&mut chunk, &frame));
            }
        }
        self.deliveries = deliveries;
        self.ops.clear();
        if let Err(error) = result {
            self.connection.handle_decode_error(error);
        }
    }

    pub(super) fn deliver(&mut self, now: Instant, route: Route, message: Message) {
        let (application, connection) = (&mut self.application, &mut self.connection);
        match route {
            Route::Subscription(id) => application.handle_message(now, connection, id, message),
            Route::Request(id) => application.handle_reply(now, connection, id, message),
        }
    }
}
