//! What clients leave behind: no descriptor, no thread, no task, no memory. A binary of its own with one test, because what
//! the system counts is that of the whole process.

#[path = "scenarios/support.rs"]
#[allow(dead_code, unreachable_pub)]
mod support;

use std::fs;
use std::future::poll_fn;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use nats_async_std::AsyncStd;
use nats_client::{Auth, Client, ConnectOptions, RequestErrorKind, Subscriber};
use nats_tests::certificates::Authority;
use nats_tests::server::{Options, RealServer, Release, ReservedPort, TestServer};
use nats_tokio::Tokio;
use peak_alloc::PeakAlloc;

use support::{Rt, within};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Until what ends in the background must have ended. Not a claim about speed: a leak lasts.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often each thing is done: what is left behind once may be a cache, what is left each time is a leak.
const TIMES: usize = 5;

/// How often a client gets a new link, and another one comes and goes, between two looks at the heap.
const ROUNDS: usize = 200;

/// Bytes by which the heap may grow meanwhile, in all. If each link leaves one more pointer behind, it is more.
const HEAP: usize = 2 * 1024;

/// What the process has open and running.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Census {
    descriptors: usize,
    threads: Vec<String>,
}

impl Census {
    fn take() -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").expect("a system with /proc").count();
        let tasks = fs::read_dir("/proc/self/task").expect("a system with /proc");
        let name = |task: std::io::Result<fs::DirEntry>| {
            // A thread may have ended since.
            let name = fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
            Some(name.trim().to_owned())
        };
        let mut threads: Vec<String> = tasks.filter_map(name).collect();
        threads.sort_unstable();
        Self { descriptors, threads }
    }

    /// Waits until there is no more than this.
    fn is_back(&self, what: &str) {
        let begin = Instant::now();
        loop {
            let now = Self::take();
            if now.descriptors <= self.descriptors && now.threads.len() <= self.threads.len() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{what} leaves behind: {now:?} after {self:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Owned by callbacks and diallers. When nobody else has it, all tasks of the clients have ended.
type Token = Arc<()>;

fn is_alone(token: &Token, what: &str) {
    let begin = Instant::now();
    while Arc::strong_count(token) > 1 {
        assert!(begin.elapsed() < PATIENCE, "{what} leaves a task behind");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Options whose client has a task for callbacks, and all of whose tasks own the token.
fn options<R: Rt>(token: &Token) -> ConnectOptions<R> {
    let (for_events, for_driver) = (Arc::clone(token), Arc::clone(token));
    ConnectOptions::new()
        .max_reconnects(1_000)
        .reconnect_wait(Duration::from_millis(5))
        .connection_timeout(Duration::from_secs(20))
        .event_callback(move |_| {
            let _ = &for_events;
            std::future::ready(())
        })
        .reconnect_to_server_callback(move |_, _| {
            let _ = &for_driver;
            // The pool decides.
            std::future::ready(None)
        })
}

/// The servers there are.
struct Servers {
    plain: RealServer,
    tls: RealServer,
    /// Accepts, and never says a word.
    silent: String,
    /// Answers with garbage.
    garbage: String,
    /// Nobody is there.
    nobody: ReservedPort,
}

impl Servers {
    fn start() -> Self {
        let (silent, silence) = listener();
        thread::spawn(move || {
            for mut stream in silence.incoming().flatten() {
                // Until the client hangs up.
                while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
            }
        });
        let (garbage, nonsense) = listener();
        thread::spawn(move || {
            for mut stream in nonsense.incoming().flatten() {
                // The client may be gone.
                let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n");
            }
        });
        let directory = std::env::temp_dir().join(format!("nats-tests-{}-tls", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for files that do not last");
        let certificate = Authority::new("foreign").issue(&["localhost", "127.0.0.1"]);
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        fs::write(&cert, &certificate.pem).expect("room");
        fs::write(&key, &certificate.key_pem).expect("room");
        let lines = format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}");
        let tls = RealServer::start(Release::V2_15, &Options::new().extra(&lines));
        fs::remove_dir_all(&directory).expect("the directory is there");
        let plain = RealServer::start(Release::V2_15, &Options::new());
        Self { plain, tls, silent, garbage, nobody: ReservedPort::new() }
    }
}

fn listener() -> (String, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    (listener.local_addr().expect("an address").to_string(), listener)
}

/// Polls `future` so many times at most, and drops it.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn connected<R: Rt>(servers: &Servers, token: &Token) -> Client {
    options::<R>(token).connect(servers.plain.url()).await.expect("the server runs")
}

async fn failed_connects<R: Rt>(servers: &Servers, token: &Token) {
    let nobody = format!("127.0.0.1:{}", servers.nobody.port());
    let soon = || options::<R>(token).connection_timeout(Duration::from_millis(30));
    assert!(options::<R>(token).connect(nobody).await.is_err());
    assert!(soon().connect(&*servers.silent).await.is_err());
    assert!(options::<R>(token).connect(&*servers.garbage).await.is_err());
    assert!(options::<R>(token).connect("not-a-host.invalid").await.is_err());
    // A foreign certificate, TLS where there is none, and a handshake that nobody answers.
    let tls = format!("tls://{}", servers.tls.addr());
    assert!(options::<R>(token).connect(tls).await.is_err());
    let plain = options::<R>(token).require_tls(true);
    assert!(plain.connect(servers.plain.url()).await.is_err());
    assert!(soon().tls_first().connect(&*servers.silent).await.is_err());
}

async fn dropped_connects<R: Rt>(servers: &Servers, token: &Token) {
    for url in [servers.plain.url(), format!("tls://{}", servers.tls.addr())] {
        for times in 0..6 {
            drop(polled(times, options::<R>(token).connect(&*url)).await);
        }
        let client = options::<R>(token).retry_on_initial_connect().connect(&*url).await;
        drop(client.expect("it does not wait"));
    }
}

async fn reconnects<R: Rt>(servers: &Servers, token: &Token) {
    let client = connected::<R>(servers, token).await;
    let mut subscriber = client.subscribe("again").await.expect("it is open");
    for number in 0..10_u64 {
        client.force_reconnect().await.expect("it is open");
        support::until::<R>("the connection", || {
            client.delivery_statistics().connects == number + 2
        })
        .await;
        client.publish("again", "x".into()).await.expect("it is open");
        subscriber.next().await.expect("a message");
    }
    client.close().await;
}

async fn ends<R: Rt>(servers: &Servers, token: &Token) {
    let client = connected::<R>(servers, token).await;
    let subscriber = client.subscribe("a").await.expect("it is open");
    client.drain().await.expect("it is open");
    drop(subscriber);
    client.closed().await;
    let client = connected::<R>(servers, token).await;
    client.close().await;
    // Without a word.
    drop(connected::<R>(servers, token).await);
}

/// Whoever is asked or told panics.
async fn panics<R: Rt>(servers: &Servers, token: &Token) {
    let owned = Arc::clone(token);
    let told = options::<R>(token).event_callback(move |event| {
        let _ = &owned;
        if event == nats_client::Event::Connected {
            panic!("a callback that is told");
        }
        std::future::ready(())
    });
    let client = told.connect(servers.plain.url()).await.expect("the server runs");
    client.flush().await.expect("it goes on");
    client.close().await;
    let owned = Arc::clone(token);
    let asked = options::<R>(token).auth_callback(move |_| {
        let owned = Arc::clone(&owned);
        async move {
            let _ = owned;
            match Vec::<Auth>::new().pop() {
                Some(auth) => Ok(auth),
                None => panic!("a callback that is asked"),
            }
        }
    });
    assert!(asked.connect(servers.plain.url()).await.is_err());
}

/// What is dropped after its runtime, on another thread.
fn after_the_runtime<R: Rt>(servers: &Servers, token: &Token) {
    let left = thread::scope(|scope| {
        let inside = scope.spawn(|| {
            R::block_on(async {
                let client = connected::<R>(servers, token).await;
                let mut subscriber = client.subscribe("left").await.expect("it is open");
                client.flush().await.expect("the server runs");
                let asking = client.clone();
                let mut request =
                    async move { drop(asking.request("left", "x".into()).await) }.boxed();
                assert!((&mut request).now_or_never().is_none());
                // It has the request, or begins to wait for it.
                drop(subscriber.next().now_or_never());
                (client, subscriber, request)
            })
        });
        inside.join().expect("no panic")
    });
    thread::spawn(move || drop(left)).join().expect("no panic");
}

/// A new link with messages on it, and a client that comes and goes.
async fn round<R: Rt>(
    servers: &Servers,
    token: &Token,
    client: &Client,
    subscriber: &mut Subscriber,
) {
    let connects = client.delivery_statistics().connects;
    client.force_reconnect().await.expect("it is open");
    support::until::<R>("the connection", || client.delivery_statistics().connects > connects)
        .await;
    let owners = Arc::strong_count(token);
    let other = connected::<R>(servers, token).await;
    drop(other.subscribe("passing").await.expect("it is open"));
    for _ in 0..20 {
        other.publish("again", "x".into()).await.expect("it is open");
        subscriber.next().await.expect("a message");
        let nobody = client.request("nobody", "x".into()).await.expect_err("nobody listens");
        assert_eq!(nobody.kind(), RequestErrorKind::NoResponders);
    }
    other.close().await;
    drop(other);
    let is_gone = || Arc::strong_count(token) == owners;
    support::until::<R>("the end of the client's tasks", is_gone).await;
}

/// Bytes of the heap, when they have not changed for a while.
async fn heap<R: Rt>() -> usize {
    let (mut last, mut same) = (ALLOCATOR.current_usage(), 0);
    while same < 20 {
        R::sleep(Duration::from_millis(5)).await;
        let now = ALLOCATOR.current_usage();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

/// Sees that the heap does not grow with what a client has lived through.
async fn memory<R: Rt>(runtime: &str, servers: &Servers, token: &Token) {
    let client = connected::<R>(servers, token).await;
    let mut subscriber = client.subscribe("again").await.expect("it is open");
    client.flush().await.expect("the server runs");
    // The first time does not count: there is what is kept for later. It may grow once more, when tasks meet otherwise than
    // before; a leak grows each time.
    let mut grown = Vec::new();
    for _ in 0..5 {
        let before = heap::<R>().await;
        for _ in 0..ROUNDS {
            round::<R>(servers, token, &client, &mut subscriber).await;
        }
        grown.push(heap::<R>().await.saturating_sub(before));
        if grown.iter().skip(1).any(|bytes| *bytes < HEAP) {
            println!("{ROUNDS} rounds on {runtime}, and as many again: {grown:?} bytes");
            client.close().await;
            return;
        }
    }
    panic!("{ROUNDS} rounds on {runtime} leave bytes behind each time: {grown:?}");
}

/// Does everything `TIMES` times, and sees that nothing is left of it.
fn check<R: Rt>(runtime: &str, servers: &Servers) {
    let token = Token::default();
    macro_rules! inside {
        ($($case:ident,)*) => {
            [$((stringify!($case), &|| {
                R::block_on(within::<R, _>(stringify!($case), $case::<R>(servers, &token)));
            }),)*]
        };
    }
    let cases: [(&str, &dyn Fn()); 5] =
        inside![failed_connects, dropped_connects, reconnects, ends, panics,];
    let after = || after_the_runtime::<R>(servers, &token);
    let cases = cases.into_iter().chain([("after_the_runtime", &after as &dyn Fn())]);
    for (name, case) in cases {
        let what = format!("{name} on {runtime}");
        // What is made once for all, such as threads of a runtime that never ends.
        case();
        is_alone(&token, &what);
        let before = settled();
        for _ in 0..TIMES {
            case();
        }
        is_alone(&token, &what);
        before.is_back(&what);
        let now = Census::take();
        println!("{what}: {} descriptors, {} threads", now.descriptors, now.threads.len());
    }
    let memory = memory::<R>(runtime, servers, &token);
    R::block_on(within::<R, _>("the rounds", memory));
}

/// The census when nothing changes any more: runtimes keep threads for blocking calls for a while.
fn settled() -> Census {
    let mut last = Census::take();
    let mut same = 0;
    while same < 20 {
        thread::sleep(Duration::from_millis(50));
        let now = Census::take();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

#[test]
fn descriptors_threads_tasks_and_memory_are_back_where_they_were() {
    let servers = Servers::start();
    check::<Tokio>("tokio", &servers);
    check::<AsyncStd>("async-std", &servers);
}
