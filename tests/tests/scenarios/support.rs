//! What scenarios are made of: a runtime to run on, a server to talk to, and ways to wait.

use std::fmt::Debug;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::StreamExt;
use nats_async_std::AsyncStd;
use nats_client::{Client, ConnectOptions, Event, Message, Notice, Runtime, Subscriber};
use nats_tests::server::{Options, ServerKind, TestServer};
use nats_tokio::Tokio;

/// Attempts in a row of a client that hardly waits between them: a busy machine may take a while to start a server again.
/// But a client that a test leaves behind is not to go on for ever: another server may get the port.
pub(crate) const PATIENT: usize = 250;

/// How long anything may take before the test is given up. Not a claim about speed: it only turns a test that
/// would hang into one that fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time between two looks at something of which no event tells.
const POLL: Duration = Duration::from_millis(2);

/// A runtime that scenarios run on.
pub(crate) trait Rt: Runtime {
    /// The other one.
    type Other: Rt;

    /// Runs a future to its end, on this thread. A runtime that can end has ended when this returns.
    fn block_on<F: Future>(future: F) -> F::Output;
}

impl Rt for Tokio {
    type Other = AsyncStd;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the process may have more threads");
        runtime.block_on(future)
    }
}

impl Rt for AsyncStd {
    type Other = Tokio;

    fn block_on<F: Future>(future: F) -> F::Output {
        // By reference: without optimization, it has a copy on the stack for each of the many calls that it is handed through.
        async_std::task::block_on(pin!(future))
    }
}

/// Where a scenario runs: on the runtime `R`, with servers of kind `S`.
#[derive(Clone, Copy)]
pub(crate) struct Env<R, S = ServerKind> {
    pub(crate) kind: S,
    runtime: PhantomData<fn() -> R>,
}

/// Runs a scenario.
pub(crate) fn run<R: Rt, S, F: Future<Output = ()>>(kind: S, scenario: fn(Env<R, S>) -> F) {
    let scenario = scenario(Env { kind, runtime: PhantomData });
    R::block_on(within::<R, _>("the scenario", scenario));
}

/// The outcome of `future`, which must come.
pub(crate) async fn within<R: Rt, F: Future>(what: &str, future: F) -> F::Output {
    match select(pin!(future), pin!(R::sleep(PATIENCE))).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("waited in vain for {what}"),
    }
}

/// Waits until something is so of which no event tells.
pub(crate) async fn until<R: Rt>(what: &str, condition: impl Fn() -> bool) {
    within::<R, _>(what, async {
        while !condition() {
            R::sleep(POLL).await;
        }
    })
    .await;
}

impl<R: Rt, S> Env<R, S> {
    /// Options that differ from the defaults only in that reconnects are fast.
    pub(crate) fn options(&self) -> ConnectOptions<R> {
        ConnectOptions::new()
            .max_reconnects(PATIENT)
            .reconnect_wait(Duration::from_millis(20))
            .reconnect_jitter(Duration::from_millis(5))
            .reconnect_jitter_tls(Duration::from_millis(5))
    }

    /// Waits for a number of connections of this client in all.
    pub(crate) async fn connected(&self, client: &Client, times: u64) {
        until::<R>("the connection", || client.delivery_statistics().connects >= times).await;
    }
}

impl<R: Rt> Env<R> {
    /// A server with the default options.
    pub(crate) fn start(&self) -> Box<dyn TestServer> {
        self.kind.start(&Options::new())
    }

    /// A client of this server.
    pub(crate) async fn connect(&self, server: &dyn TestServer) -> Client {
        self.connect_with(server, self.options()).await
    }

    /// A client of this server, with options.
    pub(crate) async fn connect_with(
        &self,
        server: &dyn TestServer,
        options: ConnectOptions<R>,
    ) -> Client {
        options.connect(server.url()).await.expect("the server runs")
    }
}

/// The events of a client, or its notices, in order.
pub(crate) struct Events<E = Event>(UnboundedReceiver<E>);

impl Events {
    /// Makes `options` tell of events here.
    pub(crate) fn of<R: Rt>(options: ConnectOptions<R>) -> (ConnectOptions<R>, Self) {
        let (sender, receiver) = unbounded();
        let options = options.event_callback(move |event| {
            // A test that has seen enough does not listen any more.
            let _ = sender.unbounded_send(event);
            std::future::ready(())
        });
        (options, Self(receiver))
    }
}

impl Events<Notice> {
    /// Makes `options` tell of notices here.
    pub(crate) fn in_detail<R: Rt>(options: ConnectOptions<R>) -> (ConnectOptions<R>, Self) {
        let (sender, receiver) = unbounded();
        let options = options.notice_callback(move |notice| {
            // A test that has seen enough does not listen any more.
            let _ = sender.unbounded_send(notice);
            std::future::ready(())
        });
        (options, Self(receiver))
    }
}

impl<E: Debug> Events<E> {
    /// The next event.
    pub(crate) async fn next(&mut self) -> E {
        self.0.next().await.expect("an event")
    }

    /// The events up to and with the first that is `wanted`.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&E) -> bool) -> Vec<E> {
        let mut seen = Vec::new();
        while !seen.last().is_some_and(&wanted) {
            match self.0.next().await {
                Some(event) => seen.push(event),
                None => panic!("the client has ended: {seen:?}"),
            }
        }
        seen
    }

    /// All events to the end of the client.
    pub(crate) async fn rest(self) -> Vec<E> {
        self.0.collect().await
    }
}

/// The next message of a subscription that has not ended.
pub(crate) async fn next(subscriber: &mut Subscriber) -> Message {
    subscriber.next().await.expect("the subscription has not ended")
}

/// The payloads of the next messages, as text.
pub(crate) async fn take(subscriber: &mut Subscriber, count: usize) -> Vec<String> {
    subscriber.by_ref().take(count).map(|message| text(&message)).collect().await
}

/// The payloads of all messages to the end of the subscription, as text.
pub(crate) async fn rest(subscriber: Subscriber) -> Vec<String> {
    subscriber.map(|message| text(&message)).collect().await
}

/// Whether nothing is there to be received. Says something if the server has passed on all there is: after a
/// flush, or after a later message has come.
pub(crate) fn is_silent(subscriber: &mut Subscriber) -> bool {
    subscriber.next().now_or_never().is_none()
}

/// The payload as text.
pub(crate) fn text(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).expect("a payload of text")
}

/// The texts of the numbers from 0 on.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Publishes the numbers of a range, as text.
pub(crate) async fn publish_numbers(
    client: &Client,
    subject: &'static str,
    range: std::ops::Range<usize>,
) {
    for number in range {
        let payload = number.to_string().into();
        client.publish(subject, payload).await.expect("the client is open");
    }
}
