//! What a client can do, one trait for each, for code that is generic over it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use nats_proto::{Message, OutboundMessage, ToSubject};

use super::{Client, PublishError, Request, RequestError, SubscribeError};

/// Publishes messages.
pub trait Publisher {
    /// See [`Client::publish_with_reply`]: if the future is dropped before its end, the message is not published.
    fn publish_with_reply<S, R>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>>
    where
        S: ToSubject,
        R: ToSubject;

    /// See [`Client::publish_message`]: if the future is dropped before its end, the message is not published.
    fn publish_message(
        &self,
        message: OutboundMessage,
    ) -> impl Future<Output = Result<(), PublishError>>;
}

/// Subscribes.
pub trait Subscriber {
    /// See [`Client::subscribe`]: if the future is dropped before its end, there is no subscription.
    fn subscribe<S>(
        &self,
        subject: S,
    ) -> impl Future<Output = Result<crate::Subscriber, SubscribeError>>
    where
        S: ToSubject;
}

/// Sends requests.
pub trait Requester {
    /// See [`Client::send_request`]: if the future is dropped, the request is forgotten; the message may have been
    /// published.
    fn send_request<S>(
        &self,
        subject: S,
        request: Request,
    ) -> impl Future<Output = Result<Message, RequestError>>
    where
        S: ToSubject;
}

/// Knows how long requests may take.
pub trait TimeoutProvider {
    /// See [`Client::timeout`].
    fn timeout(&self) -> Option<Duration>;
}

impl Publisher for Client {
    fn publish_with_reply<S, R>(
        &self,
        subject: S,
        reply: R,
        payload: Bytes,
    ) -> impl Future<Output = Result<(), PublishError>>
    where
        S: ToSubject,
        R: ToSubject,
    {
        self.publish_with_reply(subject, reply, payload)
    }

    fn publish_message(
        &self,
        message: OutboundMessage,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.publish_message(message)
    }
}

impl Subscriber for Client {
    fn subscribe<S>(
        &self,
        subject: S,
    ) -> impl Future<Output = Result<crate::Subscriber, SubscribeError>>
    where
        S: ToSubject,
    {
        self.subscribe(subject)
    }
}

impl Requester for Client {
    fn send_request<S>(
        &self,
        subject: S,
        request: Request,
    ) -> impl Future<Output = Result<Message, RequestError>>
    where
        S: ToSubject,
    {
        self.send_request(subject, request)
    }
}

impl TimeoutProvider for Client {
    fn timeout(&self) -> Option<Duration> {
        self.timeout()
    }
}
