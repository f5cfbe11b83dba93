// Every name that `async-nats` has at its root, apart from JetStream, the stores and services: used, so that a missing
// one, or one of another shape, is an error of the compiler. `nats` is the crate under test.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use nats::client::traits::{Publisher, Requester, TimeoutProvider};
use nats::connection::{ShouldFlush, State};
use nats::header::{GetAll, IntoHeaderName, IntoHeaderValue, ParseHeaderNameError};
use nats::message::OutboundMessage;
use nats::status::InvalidStatusCode;
use nats::subject::{SubjectError, ToSubject};
use nats::{
    Auth, AuthError, CallbackError, Client, ClientError, ConnectError, ConnectErrorKind,
    ConnectInfo, ConnectOptions, Event, HeaderMap, HeaderName, HeaderValue, Message, Protocol,
    ReconnectToServer, Request, Server, ServerAddr, ServerError, ServerInfo, StatusCode, Subject,
    Subscriber, ToServerAddrs, UnsubscribeError,
};

/// What types can do, whichever values they have.
pub fn types() {
    fn shared<T: Send + Sync + 'static>() {}
    fn value<T: Clone + Debug + PartialEq + Send + Sync>() {}
    fn kind<K: Copy + Debug + Display + PartialEq + Send + Sync + 'static>() {
        fn error<E: std::error::Error + Send + Sync>() {}
        error::<nats::error::Error<K>>();
        let _ =
            |kind: K| nats::error::Error::new(kind).kind() == nats::error::Error::from(kind).kind();
        let _ = |kind: K| nats::error::Error::with_source(kind, "why").to_string();
    }
    fn error<E: std::error::Error + Send + Sync + 'static>() {}
    fn written<T: Serialize + DeserializeOwned>() {}
    fn hashed<T: Eq + Hash>() {}
    fn client<C: Clone + Debug + Sink<OutboundMessage, Error = nats::PublishError> + Unpin>() {}
    fn subscriber<S: Debug + Stream<Item = Message> + Unpin>() {}

    client::<Client>();
    subscriber::<Subscriber>();
    shared::<(Client, Subscriber, ConnectOptions, Message, Request, nats::Statistics)>();
    value::<(Event, ClientError, ServerError, CallbackError, State, ShouldFlush, ServerInfo)>();
    value::<(ServerAddr, HeaderMap, HeaderName, HeaderValue, StatusCode, Subject, AuthError)>();
    hashed::<(ServerAddr, HeaderName, StatusCode)>();
    written::<(Message, HeaderMap, HeaderName, HeaderValue, StatusCode, Subject)>();
    error::<AuthError>();
    error::<UnsubscribeError>();
    error::<SubjectError>();
    error::<InvalidStatusCode>();
    error::<ParseHeaderNameError>();
    error::<nats::header::ParseHeaderValueError>();
    error::<nats::client::DrainError>();
    error::<nats::client::ReconnectError>();
    let _ = [
        kind::<ConnectErrorKind>,
        kind::<nats::PublishErrorKind>,
        kind::<nats::RequestErrorKind>,
        kind::<nats::SubscribeErrorKind>,
        kind::<nats::ServerPoolErrorKind>,
        kind::<nats::SetServerPoolErrorKind>,
        kind::<nats::client::FlushErrorKind>,
    ];
    let _: fn(io::Error) -> ConnectError = ConnectError::from;
    let _: fn(nats::PublishError) -> nats::RequestError = nats::RequestError::from;
    let _: fn(nats::SubscribeError) -> nats::RequestError = nats::RequestError::from;
    let _: Option<nats::Error> = None;
    #[allow(deprecated)]
    let _: Option<nats::PublishMessage> = None::<OutboundMessage>;
}

/// A `match` over all variants, with none beyond.
pub fn words(event: Event) -> &'static str {
    let client = |error: &ClientError| match error {
        ClientError::Other(_) => "client: other",
        ClientError::MaxReconnects => "client: attempts are over",
        ClientError::ServerNotInPool => "client: unknown server",
    };
    let server = |error: &ServerError| match error {
        ServerError::AuthorizationViolation => "server: who are you",
        ServerError::SlowConsumer(_) => "server: too slow",
        ServerError::Other(_) => "server: other",
    };
    let either = |error: &CallbackError| match error {
        CallbackError::Client(error) => client(error),
        CallbackError::Server(error) => server(error),
    };
    match event {
        Event::Connected => "connected",
        Event::Disconnected => "disconnected",
        Event::LameDuckMode => "lame duck",
        Event::Draining => "draining",
        Event::Closed => "closed",
        Event::SlowConsumer(_) => "slow",
        Event::ServerError(error) => either(&CallbackError::from(error)),
        Event::ClientError(error) => either(&CallbackError::from(error)),
    }
}

/// All kinds of errors, with none beyond.
pub fn kinds(
    error: ConnectErrorKind,
    other: nats::client::FlushErrorKind,
    publish: nats::PublishErrorKind,
    subscribe: nats::SubscribeErrorKind,
    pool: (nats::ServerPoolErrorKind, nats::SetServerPoolErrorKind),
) -> [u8; 6] {
    let connect = match error {
        ConnectErrorKind::ServerParse => 0,
        ConnectErrorKind::Dns => 1,
        ConnectErrorKind::Authentication => 2,
        ConnectErrorKind::AuthorizationViolation => 3,
        ConnectErrorKind::TimedOut => 4,
        ConnectErrorKind::Tls => 5,
        ConnectErrorKind::Io => 6,
        ConnectErrorKind::MaxReconnects => 7,
    };
    let flush = match other {
        nats::client::FlushErrorKind::SendError => 0,
        nats::client::FlushErrorKind::FlushError => 1,
    };
    let publish = match publish {
        nats::PublishErrorKind::MaxPayloadExceeded => 0,
        nats::PublishErrorKind::InvalidSubject => 1,
        nats::PublishErrorKind::Send => 2,
    };
    let subscribe = match subscribe {
        nats::SubscribeErrorKind::InvalidSubject => 0,
        nats::SubscribeErrorKind::InvalidQueueName => 1,
        nats::SubscribeErrorKind::Other => 2,
    };
    let get = match pool.0 {
        nats::ServerPoolErrorKind::Send => 0,
    };
    let set = match pool.1 {
        nats::SetServerPoolErrorKind::Send => 0,
        nats::SetServerPoolErrorKind::InvalidAddress => 1,
        nats::SetServerPoolErrorKind::MixedSchemes => 2,
        nats::SetServerPoolErrorKind::EmptyPool => 3,
    };
    [connect, flush, publish, subscribe, get, set]
}

/// The way in with options of one's own.
///
/// # Errors
///
/// No server is at `url`.
pub async fn way_in(url: &str) -> Result<Client, ConnectError> {
    nats::connect_with_options(url, ConnectOptions::new().name("drop-in")).await
}

/// Addresses of servers.
///
/// # Errors
///
/// None, but for what a resolver says.
pub async fn addresses() -> io::Result<()> {
    fn count(addrs: impl ToServerAddrs) -> usize {
        addrs.to_server_addrs().map_or(0, Iterator::count)
    }
    struct Named(&'static str);
    impl AsRef<str> for Named {
        fn as_ref(&self) -> &str {
            self.0
        }
    }
    let addr = ServerAddr::from_str("nats://derek:secret@127.0.0.1:4222")?;
    let from_url =
        ServerAddr::from_url(url::Url::parse(addr.as_url_str()).map_err(io::Error::other)?)?;
    assert_eq!(addr, from_url);
    assert_eq!(addr.as_url_str(), "nats://derek:secret@127.0.0.1:4222");
    assert_eq!((addr.scheme(), addr.host(), addr.port()), ("nats", "127.0.0.1", 4222));
    assert_eq!((addr.username(), addr.password()), (Some("derek"), Some("secret")));
    assert!(addr.has_user_pass() && !addr.tls_required() && !addr.is_websocket());
    let socket: SocketAddr = ([127, 0, 0, 1], 4222).into();
    assert_eq!(addr.socket_addrs().await?.collect::<Vec<_>>(), [socket]);
    assert_eq!(count(&addr) + count("a") + count(String::from("a")), 3);
    assert_eq!(count(["a", "b"]) + count(vec![Named("a"), Named("b")]), 4);
    assert_eq!(count(&[addr.clone()][..]) + count(vec![addr.clone()]), 2);
    assert_eq!(addr.into_inner().scheme(), "nats");
    let server = Server {
        addr: from_url.clone(),
        failed_attempts: 0,
        did_connect: true,
        is_discovered: false,
        last_error: None,
    };
    assert!(server.to_string().contains("127.0.0.1"));
    let _ = ReconnectToServer { addr: from_url, delay: Some(Duration::ZERO) };
    Ok(())
}

/// Every option.
///
/// # Errors
///
/// There is no such credentials file.
pub async fn options() -> io::Result<ConnectOptions> {
    let sign = |_nonce: Vec<u8>| async { Err::<Vec<u8>, _>(AuthError::new("no key")) };
    let answer = |_nonce: Vec<u8>| async {
        let mut auth = Auth::new();
        (auth.username, auth.password) = (Some("u".into()), Some("p".into()));
        (auth.token, auth.jwt, auth.nkey, auth.signature) = (None, None, None, None);
        Ok(auth)
    };
    let _ = ConnectOptions::with_auth_callback(answer);
    let _ = ConnectOptions::with_token("t".into()).token("t".into());
    let _ = ConnectOptions::with_user_and_password("u".into(), "p".into());
    let _ = ConnectOptions::with_nkey("s".into()).nkey("s".into());
    let _ = ConnectOptions::with_jwt("j".into(), sign).jwt("j".into(), sign);
    let _ = ConnectOptions::with_credentials("none").is_err();
    let _ = ConnectOptions::new().credentials("none").is_err();
    let _ = ConnectOptions::with_credentials_file("none").await.is_err();
    let _ = ConnectOptions::new().credentials_file("none").await.is_err();
    Ok(ConnectOptions::default()
        .user_and_password("u".into(), "p".into())
        .ping_interval(Duration::from_secs(10))
        .no_echo()
        .subscription_capacity(1_024)
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(None)
        .event_callback(|event| async move { assert!(!words(event).is_empty()) })
        .reconnect_delay_callback(|attempts| Duration::from_millis(attempts as u64))
        .reconnect_to_server_callback(|servers: Vec<Server>, _info: ServerInfo| async move {
            servers.first().map(|first| ReconnectToServer { addr: first.addr.clone(), delay: None })
        })
        .client_capacity(128)
        .custom_inbox_prefix("INBOX")
        .name("names")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .max_reconnects(7)
        .skip_subject_validation(true)
        .ignore_discovered_servers()
        .retain_servers_order()
        .read_buffer_capacity(4_096)
        .local_address(([127, 0, 0, 1], 0).into())
        .add_root_certificates("ca.pem".into())
        .add_client_certificate("client.pem".into(), "client.key".into())
        .require_tls(true)
        .tls_first())
}

/// An option that takes a type of rustls, in the version that is exported.
pub fn encryption(config: nats::rustls::ClientConfig) -> ConnectOptions {
    ConnectOptions::new().tls_client_config(config)
}

/// Subjects, statuses and headers, without a connection.
///
/// # Errors
///
/// None.
pub fn values() -> Result<(), nats::Error> {
    const SUBJECT: Subject = Subject::from_static("a.b");
    assert_eq!(SUBJECT, Subject::from_static_validated("a.b"));
    assert_eq!(Subject::validated("a b"), Err(SubjectError::InvalidFormat));
    assert_eq!(
        Subject::from_utf8(Bytes::from_static(b"a.b"))?,
        Subject::try_from(Bytes::from("a.b"))?
    );
    assert_eq!(Subject::from_bytes_unchecked(Bytes::from_static(b"a.b")).into_string(), "a.b");
    assert!(SUBJECT.is_valid() && SUBJECT.starts_with("a.") && SUBJECT < Subject::from("a.c"));
    assert_eq!(
        (SUBJECT.as_str(), SUBJECT.as_ref()),
        ("a.b", String::from("a.b").to_subject().as_str())
    );

    assert_eq!(StatusCode::from_u16(404)?, StatusCode::NOT_FOUND);
    assert_eq!(
        (StatusCode::from_bytes(b"503")?, "408".parse()?),
        (StatusCode::NO_RESPONDERS, StatusCode::TIMEOUT)
    );
    assert_eq!(StatusCode::try_from("100")?, StatusCode::IDLE_HEARTBEAT);
    assert_eq!(
        (StatusCode::REQUEST_TERMINATED.as_u16(), u16::from(StatusCode::PIN_ID_MISMATCH)),
        (409, 423)
    );
    assert!(StatusCode::default().is_success());
    assert!(200 == StatusCode::OK);
    assert!(StatusCode::OK == 200);
    assert!(StatusCode::IDLE_HEARTBEAT.is_informational() && !StatusCode::OK.is_redirection());
    assert!(StatusCode::TIMEOUT.is_client_error() && StatusCode::NO_RESPONDERS.is_server_error());

    fn add(headers: &mut HeaderMap, name: impl IntoHeaderName, value: impl IntoHeaderValue) {
        headers.append(name, value);
    }
    let mut headers = HeaderMap::new();
    headers.insert(nats::header::NATS_SUBJECT, "a");
    add(&mut headers, String::from("Name"), String::from("1"));
    add(&mut headers, HeaderName::from_static("Name"), HeaderValue::from(2_i32));
    assert_eq!((headers.len(), headers.is_empty()), (2, false));
    let all: GetAll<'_, HeaderValue> = headers.get_all("Name");
    assert_eq!(all.map(HeaderValue::as_str).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(headers.get("Name").zip(headers.get_last("Name")).map(|(a, b)| a == b), Some(false));
    let lines: HashMap<String, usize> =
        headers.iter().map(|(name, values)| (name.to_string(), values.len())).collect();
    assert_eq!(lines["Name"], 2);
    let collected: HeaderMap =
        [(HeaderName::try_from("a")?, HeaderValue::from_str("b")?)].into_iter().collect();
    assert_eq!(collected.get(HeaderName::from_str("a")?), Some(&HeaderValue::from("b")));
    let (name, bytes) = (nats::header::NATS_PIN_ID, "Nats-Pin-Id".as_bytes());
    assert_eq!(AsRef::<[u8]>::as_ref(&name), bytes);
    Ok(())
}

/// Constants of headers, each with its text.
pub fn header_constants() -> Vec<(HeaderName, &'static str)> {
    use nats::header as h;
    let values = [
        h::NATS_BATCH_COMMIT_FINAL,
        h::NATS_BATCH_COMMIT_EOB,
        h::NATS_SCHEDULE_ROLLUP_SUB,
        h::NATS_SCHEDULE_YEARLY,
        h::NATS_SCHEDULE_MONTHLY,
        h::NATS_SCHEDULE_WEEKLY,
        h::NATS_SCHEDULE_DAILY,
        h::NATS_SCHEDULE_HOURLY,
    ];
    assert!(values.iter().all(|value| !value.is_empty()));
    vec![
        (h::NATS_STREAM, "Nats-Stream"),
        (h::NATS_SEQUENCE, "Nats-Sequence"),
        (h::NATS_TIME_STAMP, "Nats-Time-Stamp"),
        (h::NATS_SUBJECT, "Nats-Subject"),
        (h::NATS_MESSAGE_ID, "Nats-Msg-Id"),
        (h::NATS_LAST_STREAM, "Nats-Last-Stream"),
        (h::NATS_LAST_CONSUMER, "Nats-Last-Consumer"),
        (h::NATS_LAST_SEQUENCE, "Nats-Last-Sequence"),
        (h::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "Nats-Expected-Last-Subject-Sequence"),
        (h::NATS_EXPECTED_LAST_MESSAGE_ID, "Nats-Expected-Last-Msg-Id"),
        (h::NATS_EXPECTED_LAST_SEQUENCE, "Nats-Expected-Last-Sequence"),
        (h::NATS_EXPECTED_STREAM, "Nats-Expected-Stream"),
        (h::NATS_MESSAGE_TTL, "Nats-TTL"),
        (h::NATS_MARKER_REASON, "Nats-Marker-Reason"),
        (h::NATS_ROLLUP, "Nats-Rollup"),
        (h::NATS_SCHEDULE, "Nats-Schedule"),
        (h::NATS_SCHEDULE_TARGET, "Nats-Schedule-Target"),
        (h::NATS_SCHEDULE_TTL, "Nats-Schedule-TTL"),
        (h::NATS_SCHEDULE_SOURCE, "Nats-Schedule-Source"),
        (h::NATS_SCHEDULE_TIME_ZONE, "Nats-Schedule-Time-Zone"),
        (h::NATS_SCHEDULE_ROLLUP, "Nats-Schedule-Rollup"),
        (h::NATS_SCHEDULER, "Nats-Scheduler"),
        (h::NATS_SCHEDULE_NEXT, "Nats-Schedule-Next"),
        (h::NATS_BATCH_ID, "Nats-Batch-Id"),
        (h::NATS_BATCH_SEQUENCE, "Nats-Batch-Sequence"),
        (h::NATS_BATCH_COMMIT, "Nats-Batch-Commit"),
        (h::NATS_REQUIRED_API_LEVEL, "Nats-Required-Api-Level"),
        (h::NATS_PIN_ID, "Nats-Pin-Id"),
    ]
}

/// What a client says of itself.
pub fn introduction() -> ConnectInfo {
    ConnectInfo {
        verbose: false,
        pedantic: false,
        user_jwt: None,
        nkey: None,
        signature: Some("canary".into()),
        name: Some("names".into()),
        echo: true,
        lang: "rust".into(),
        version: "0".into(),
        protocol: Protocol::Dynamic,
        tls_required: false,
        user: None,
        pass: None,
        auth_token: None,
        headers: true,
        no_responders: true,
    }
}

/// Every method of a client, in futures that any thread may run.
///
/// # Errors
///
/// The first that a method gives.
pub async fn methods(client: Client) -> Result<(), nats::Error> {
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    async fn generic<C>(client: &C) -> Result<(), nats::Error>
    where
        C: Publisher + Requester + TimeoutProvider + nats::client::traits::Subscriber,
    {
        assert!(client.timeout().is_some());
        let _: Subscriber = client.subscribe("generic").await?;
        client.publish_with_reply("names.r", "names", Bytes::new()).await?;
        let message = OutboundMessage {
            subject: "names.m".into(),
            reply: None,
            payload: Bytes::new(),
            headers: None,
        };
        client.publish_message(message).await?;
        client.send_request("nobody.home", Request::new()).await.map(drop).or(Ok(()))
    }
    let headers = HeaderMap::new;
    let mut subscriber = sent(client.subscribe("names.>")).await?;
    let mut other = sent(client.queue_subscribe("names.>", "group".into())).await?;
    sent(client.publish("names", Bytes::new())).await?;
    sent(client.publish_with_headers("names.h", headers(), Bytes::new())).await?;
    sent(client.publish_with_reply("names.r", "names", Bytes::new())).await?;
    sent(client.publish_with_reply_and_headers("names.x", "names", headers(), Bytes::new()))
        .await?;
    generic(&client).await?;
    let _ = sent(client.request("nobody.home", Bytes::new())).await;
    let _ = sent(client.request_with_headers("nobody.home", headers(), Bytes::new())).await;
    let request = Request::new()
        .payload(Bytes::new())
        .headers(headers())
        .timeout(Some(Duration::from_millis(10)))
        .inbox(client.new_inbox());
    assert!(request.payload.is_some() && request.headers.is_some() && request.inbox.is_some());
    assert_eq!(request.timeout, Some(Some(Duration::from_millis(10))));
    let _ = sent(client.send_request("nobody.home", request)).await;
    sent(client.flush()).await?;
    sent(subscriber.unsubscribe_after(100)).await?;
    sent(subscriber.unsubscribe()).await?;
    sent(other.drain()).await?;
    let info: ServerInfo = client.server_info();
    assert_eq!(client.try_server_info(), Some(info));
    assert!(client.max_payload() > 0 && client.is_server_compatible(1, 0, 0));
    assert_eq!(
        (client.connection_state(), State::Pending.to_string()),
        (State::Connected, "pending".into())
    );
    let pool: Vec<Server> = sent(client.server_pool()).await?;
    let addrs: Vec<ServerAddr> = pool.into_iter().map(|server| server.addr).collect();
    sent(client.set_server_pool(addrs)).await?;
    sent(client.force_reconnect()).await?;
    let statistics: Arc<nats::client::Statistics> = client.statistics();
    let counters = [&statistics.in_bytes, &statistics.out_bytes, &statistics.in_messages];
    assert!(counters.iter().all(|counter| counter.load(Ordering::Relaxed) < 1_000_000));
    assert!(statistics.out_messages.load(Ordering::Relaxed) > 0);
    assert!(statistics.connects.load(Ordering::Relaxed) > 0);
    Ok(sent(client.drain()).await?)
}
