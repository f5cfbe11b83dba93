//! Every public future, dropped after each of its polls: a table, which has an entry for each or the test fails.

use std::fs;
use std::future::IntoFuture;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::sink::SinkExt;
use futures_util::stream::StreamExt;
use nats_broker::{ServerConfig, ServerHandle};
use nats_client::client::traits::{Publisher, Requester, Subscriber as Subscribes};
use nats_client::context::Context;
use nats_client::message::OutboundMessage;
use nats_client::{Client, ConnectOptions, HeaderMap, Notice, ServerAddr};
use nats_tests::server::ReservedPort;

use crate::cutting::{ASK, ASK_MANY, Company, SUBSCRIBED, Stage, at_every_moment};
use crate::support::{Env, PATIENT, Rt, numbers, publish_numbers, take, text, until, within};

/// What makes and drops a future.
struct Entry<R> {
    /// The functions that give it and the types that are it.
    names: &'static [&'static str],
    act: for<'a> fn(&'a Stage<R>) -> LocalBoxFuture<'a, ()>,
}

macro_rules! table {
    ($stage:ident; $($($name:literal)|+ => $act:expr,)*) => {
        vec![$(Entry {
            names: &[$($name),+],
            act: |$stage| Box::pin(async move { let _ = $act.await; }),
        }),*]
    };
}

const TO: &str = "table.publish";
const REPLY: &str = "table.reply";

fn table<R: Rt>() -> Vec<Entry<R>> {
    table! { s;
        "connect" => s.ok(nats_client::connect::<R>(&*s.url)),
        "connect_with_options" =>
            s.ok(nats_client::connect_with_options(&*s.url, ConnectOptions::<R>::new())),
        "ConnectOptions::connect" => s.ok(ConnectOptions::<R>::new().connect(&*s.url)),
        "ConnectOptions::with_credentials_file" => with_credentials_file(s),
        "ConnectOptions::credentials_file" => credentials_file(s),
        "Context::connect" => context(s),
        "ServerAddr::socket_addrs" => socket_addrs(s),

        "Client::publish" | "Publish" => s.ok(s.client.publish(TO, s.payload())),
        "Client::publish_with_headers" =>
            s.ok(s.client.publish_with_headers(TO, HeaderMap::new(), s.payload())),
        "Client::publish_with_reply" => s.ok(s.client.publish_with_reply(TO, REPLY, s.payload())),
        "Client::publish_with_reply_and_headers" =>
            s.ok(s.client.publish_with_reply_and_headers(TO, REPLY, HeaderMap::new(), s.payload())),
        "Client::publish_message" => s.ok(s.client.publish_message(message(s))),
        "Publisher::publish_with_reply" =>
            s.ok(Publisher::publish_with_reply(&s.client, TO, REPLY, s.payload())),
        "Publisher::publish_message" => s.ok(Publisher::publish_message(&s.client, message(s))),
        "Client" => s.ok(s.client.clone().send(message(s))),

        "Client::request" => s.ok(s.client.request(ASK, s.payload())),
        "Client::request_with_headers" =>
            s.ok(s.client.request_with_headers(ASK, HeaderMap::new(), s.payload())),
        "Client::send_request" => s.ok(s.client.send_request(ASK, s.request(false))),
        "Requester::send_request" => s.ok(Requester::send_request(&s.client, ASK, s.request(true))),
        "RequestMany::send" => request_many(s),
        "Responses" => responses(s),

        "Client::subscribe" => s.ok(s.client.subscribe(SUBSCRIBED)),
        "Client::queue_subscribe" => s.ok(s.client.queue_subscribe(SUBSCRIBED, "crew".into())),
        "Subscriber::subscribe" => s.ok(Subscribes::subscribe(&s.client, SUBSCRIBED)),
        "Client::subscription" | "NewSubscription" =>
            s.ok(s.client.subscription(SUBSCRIBED).into_future()),
        "NewSubscription::confirmed" => s.ok(s.client.subscription(SUBSCRIBED).confirmed()),
        "Subscriber" => messages(s),
        "Subscriber::unsubscribe" => unsubscribe(s),
        "Subscriber::unsubscribe_after" => unsubscribe_after(s),
        "Subscriber::drain" => drain_subscriber(s),

        "Client::flush" => flush(s),
        "Client::rtt" => rtt(s),
        "Client::force_reconnect" => s.ok(s.client.force_reconnect()),
        "Client::server_pool" => s.ok(s.client.server_pool()),
        "Client::set_server_pool" => s.ok(s.client.set_server_pool(&*s.url)),
        "Client::notices" | "Notices" => notices(s),
        "Client::events" | "Events" => events(s),
        "Client::drain" => s.ending(s.client.drain()),
        "Client::drain_within" => s.ending(s.client.drain_within(Duration::from_secs(600))),
        "Client::close" => s.ending(s.client.close()),
        "Client::closed" => closed(s),

        "Runtime::resolve" => s.ok(R::resolve("localhost", 4222)),
        "Runtime::connect" => s.ok(R::connect(addr(s), None)),
        "Runtime::bind" => s.ok(R::bind((Ipv4Addr::LOCALHOST, 0).into())),
        "Runtime::accept" => accept(s),

        "serve" => serve(s),
        "ServerHandle::shutdown" => shutdown(s),
    }
}

fn message<R>(stage: &Stage<R>) -> OutboundMessage
where
    R: Rt,
{
    OutboundMessage { subject: TO.into(), reply: None, payload: stage.payload(), headers: None }
}

fn addr<R: Rt>(stage: &Stage<R>) -> SocketAddr {
    let addr = stage.url.strip_prefix("nats://").expect("the URL of a server");
    addr.parse().expect("with an address of digits")
}

/// A file that lasts as long as this.
struct File(PathBuf);

impl File {
    fn new(content: &str) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("nats-tests-{}-file-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).expect("a directory for files that do not last");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = fs::remove_file(&self.0);
    }
}

const CREDENTIALS: &str = include_str!("../../fixtures/user.creds");

async fn with_credentials_file<R: Rt>(s: &Stage<R>) {
    let file = File::new(CREDENTIALS);
    s.ok(ConnectOptions::<R>::with_credentials_file(&file.0)).await;
}

async fn credentials_file<R: Rt>(s: &Stage<R>) {
    let file = File::new(CREDENTIALS);
    s.ok(ConnectOptions::<R>::new().credentials_file(&file.0)).await;
}

async fn context<R: Rt>(s: &Stage<R>) {
    let file = File::new(&format!("{{\"url\": \"{}\"}}", s.url));
    let context = Context::from_file(&file.0).unwrap();
    s.ok(context.connect::<R>()).await;
}

async fn socket_addrs<R: Rt>(s: &Stage<R>) {
    let addr: ServerAddr = "nats://localhost:4222".parse().unwrap();
    s.ok(addr.socket_addrs()).await;
}

async fn request_many<R: Rt>(s: &Stage<R>) {
    s.has_own_inbox();
    let request = s.client.request_many().max_wait(None);
    s.ok(request.send(ASK_MANY, s.payload())).await;
}

async fn responses<R: Rt>(s: &Stage<R>) {
    s.has_own_inbox();
    let request = s.client.request_many().max_wait(None).max_messages(10);
    let mut responses = request.send(ASK_MANY, s.payload()).await.unwrap();
    let texts = s.items(&mut responses, 10).await;
    assert_eq!(texts.iter().map(text).collect::<Vec<_>>(), numbers(10));
    assert!(responses.next().await.is_none());
}

async fn messages<R: Rt>(s: &Stage<R>) {
    let mut subscriber = s.client.subscription(SUBSCRIBED).confirmed().await.unwrap();
    let company = s.company.clone();
    R::spawn(async move { publish_numbers(&company, SUBSCRIBED, 0..10).await });
    let texts = s.items(&mut subscriber, 10).await;
    assert_eq!(texts.iter().map(text).collect::<Vec<_>>(), numbers(10));
}

async fn unsubscribe<R: Rt>(s: &Stage<R>) {
    let mut subscriber = s.client.subscribe(SUBSCRIBED).await.unwrap();
    s.ok(subscriber.unsubscribe()).await;
}

async fn unsubscribe_after<R: Rt>(s: &Stage<R>) {
    let mut subscriber = s.client.subscription(SUBSCRIBED).confirmed().await.unwrap();
    let limited = s.ok(subscriber.unsubscribe_after(3)).await.is_some();
    s.client.flush().await.unwrap();
    publish_numbers(&s.company, SUBSCRIBED, 0..10).await;
    let got: Vec<_> = subscriber.by_ref().take(10).map(|message| text(&message)).collect().await;
    assert_eq!(got, numbers(if limited { 3 } else { 10 }));
}

async fn drain_subscriber<R: Rt>(s: &Stage<R>) {
    let mut subscriber = s.client.subscription(SUBSCRIBED).confirmed().await.unwrap();
    publish_numbers(&s.company, SUBSCRIBED, 0..10).await;
    s.company.flush().await.unwrap();
    s.ok(subscriber.drain()).await;
    let got: Vec<_> = subscriber.take(10).map(|message| text(&message)).collect().await;
    assert_eq!(got, numbers(10));
}

async fn flush<R: Rt>(s: &Stage<R>) {
    if s.client.delivery_statistics().connects > 0 {
        s.client.publish(TO, s.payload()).await.unwrap();
    }
    s.ok(s.client.flush()).await;
}

/// Who is away is told so at once, and others need not be.
async fn rtt<R: Rt>(s: &Stage<R>) {
    let away = s.client.delivery_statistics().connects == 0;
    let result = s.cut(s.client.rtt()).await;
    assert!(result.is_none_or(|result| result.is_ok() || away));
}

/// Waits until the client is connected and says so, and has it reconnect after a while.
async fn reconnect<R: Rt>(s: &Stage<R>) {
    s.client.flush().await.unwrap();
    let client = s.client.clone();
    R::spawn(async move {
        R::sleep(Duration::from_millis(5)).await;
        client.force_reconnect().await.expect("the client is open");
    });
}

async fn notices<R: Rt>(s: &Stage<R>) {
    s.client.flush().await.unwrap();
    let mut notices = s.client.notices();
    reconnect(s).await;
    let mut seen = s.items(&mut notices, 2).await;
    // The flush may have ended before this was told of the connection on which it went.
    if seen.first() == Some(&Notice::Connected) {
        seen.remove(0);
        seen.extend(notices.next().await);
    }
    assert!(matches!(*seen, [Notice::Disconnected { .. }, Notice::Connected]), "{seen:?}");
}

async fn events<R: Rt>(s: &Stage<R>) {
    use nats_client::Event;
    s.client.flush().await.unwrap();
    let mut events = s.client.events();
    reconnect(s).await;
    let mut seen = s.items(&mut events, 2).await;
    if seen.first() == Some(&Event::Connected) {
        seen.remove(0);
        seen.extend(events.next().await);
    }
    assert_eq!(seen, [Event::Disconnected, Event::Connected]);
}

async fn closed<R: Rt>(s: &Stage<R>) {
    s.client.drain().await.unwrap();
    s.ends();
    s.cut(s.client.closed()).await;
}

async fn accept<R: Rt>(s: &Stage<R>) {
    let listener = R::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let addr = R::local_addr(&listener).unwrap();
    R::spawn(async move {
        R::sleep(Duration::from_millis(2)).await;
        // Nobody may listen any more.
        drop(R::connect(addr, None).await);
    });
    s.ok(R::accept(&listener)).await;
}

/// A broker's settings, with an address that is the same whenever it starts.
fn broker(port: &ReservedPort) -> ServerConfig {
    let mut config = ServerConfig::default();
    config.addr = (Ipv4Addr::LOCALHOST, port.port()).into();
    config
}

/// A client of a broker that may be gone for a while.
async fn client_of<R: Rt>(server: &ServerHandle) -> Client {
    let options = ConnectOptions::<R>::new().max_reconnects(PATIENT);
    let options = options.reconnect_wait(Duration::from_millis(5));
    options.connect(server.url()).await.expect("the broker serves")
}

async fn serve<R: Rt>(s: &Stage<R>) {
    let port = ReservedPort::new();
    let config = broker(&port);
    let server = match s.ok(nats_broker::serve::<R>(config.clone())).await {
        Some(server) => server,
        None => {
            // Nobody listens, and nothing keeps the address.
            R::connect(config.addr, None).await.map(drop).unwrap_err();
            nats_broker::serve::<R>(config).await.unwrap()
        }
    };
    client_of::<R>(&server).await.flush().await.unwrap();
    server.shutdown().await;
}

async fn shutdown<R: Rt>(s: &Stage<R>) {
    let port = ReservedPort::new();
    let server = nats_broker::serve::<R>(broker(&port)).await.unwrap();
    let (client, publisher) = (client_of::<R>(&server).await, client_of::<R>(&server).await);
    let mut subscriber = client.subscription("broker").confirmed().await.unwrap();
    publish_numbers(&publisher, "broker", 0..10).await;
    publisher.flush().await.unwrap();
    s.cut(server.shutdown()).await;
    // Everything was in the broker, and reaches the other client.
    assert_eq!(take(&mut subscriber, 10).await, numbers(10));
    // It stops, in whatever moment the future was dropped: the address is free again, unless a process that another test
    // has just started keeps it for a moment, until it is another program.
    let again = within::<R, _>("the address", async {
        loop {
            if let Ok(again) = nats_broker::serve::<R>(broker(&port)).await {
                return again;
            }
            R::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // The clients were told of the end, and find the new one.
    for client in [&client, &publisher] {
        until::<R>("the next connection", || client.delivery_statistics().connects == 2).await;
    }
    client.flush().await.unwrap();
    publisher.publish("broker", "again".into()).await.unwrap();
    assert_eq!(take(&mut subscriber, 1).await, ["again"]);
    assert_eq!(again.statistics().connections, 2);
    again.shutdown().await;
}

pub(crate) async fn a_future_may_be_dropped_after_any_poll<R: Rt>(env: Env<R>) {
    let server = env.start();
    let mut company = Company::new(env.options(), &server.url()).await;
    for entry in table::<R>() {
        at_every_moment(&env, &mut company, &server.url(), entry.names[0], entry.act).await;
    }
    company.client.close().await;
}

#[test]
fn every_public_future_has_an_entry() {
    let known = crate::public_futures::all();
    let table = table::<nats_tokio::Tokio>();
    let listed: std::collections::BTreeSet<String> =
        table.iter().flat_map(|entry| entry.names).map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = known.difference(&listed).collect();
    assert!(missing.is_empty(), "no entry in the table for {missing:?}");
    let stale: Vec<_> = listed.difference(&known).collect();
    assert!(stale.is_empty(), "in the table, and not to be found in the sources: {stale:?}");
}

#[test]
fn every_public_future_says_what_happens_when_it_is_dropped() {
    let silent = crate::public_futures::silent();
    assert!(
        silent.is_empty(),
        "no \"if the future is dropped\" (or \"stream\") in the documentation of {silent:?}"
    );
}
