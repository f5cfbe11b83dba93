//! A subscriber that never reads, in a process of its own whose memory the system counts.
//!
//! The test runs itself again as that process. `SLOW_CONSUMER_MIB` says how much is sent, 96 MiB if it does not; 1,024 are
//! the figure of RELIABILITY.md.

#[path = "scenarios/support.rs"]
#[allow(dead_code, unreachable_pub)]
mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nats_async_std::AsyncStd;
use nats_client::{Client, ConnectOptions, Notice};
use nats_tests::server::{Options, RealServer, Release, TestServer};
use nats_tokio::Tokio;

use support::{Rt, within};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What a client may take beside what waits for the subscriber. With the code of the program, that is less than 16 MiB.
const ALLOWANCE: usize = 10 * MIB;

const SUBJECT: &str = "flood";

/// Subject and payload of one message.
const SIZES: [usize; 3] = [128, KIB, 64 * KIB];

/// By default 65,536 messages may wait, of 64 MiB in all.
fn waiting(size: usize) -> usize {
    (64 * KIB).min(64 * MIB / size)
}

/// What the process is told.
struct Told {
    url: String,
    size: usize,
    count: usize,
    /// Whether the subscriber reads, to compare with.
    reads: bool,
}

impl Told {
    const VARIABLE: &str = "SLOW_CONSUMER_TOLD";

    fn by_parent() -> Option<Self> {
        let told = std::env::var(Self::VARIABLE).ok()?;
        let mut fields = told.split(' ');
        let url = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        Some(Self { url, size: number()?, count: number()?, reads: number()? == 1 })
    }

    fn text(&self) -> String {
        format!("{} {} {} {}", self.url, self.size, self.count, usize::from(self.reads))
    }
}

/// The most memory that this process has had, in bytes, without code and data that are mapped from its file: more of that comes
/// with whatever else the program does, and most in one that is not optimized.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a system with /proc");
    let field = |name: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its field");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (field("VmHWM:") - field("RssFile:")) * KIB
}

/// The time that one in a hundred exceeds.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// Measures how long messages to another subscription of this client take, until `over`.
async fn round_trips(client: Client, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut mine = client.subscribe("mine").await.expect("it is open");
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        client.publish("mine", "x".into()).await.expect("it is open");
        mine.next().await.expect("it comes back");
        times.push(begin.elapsed());
    }
    times
}

/// The process that has the subscriber.
async fn child<R: Rt>(told: Told) {
    let client = ConnectOptions::<R>::new().connect(&told.url).await.expect("the server runs");
    let notices = client.notices();
    let mut slow = client.subscription(SUBJECT).confirmed().await.expect("it is open");
    let mut checkpoints = client.subscription("checkpoint").confirmed().await.expect("it is open");
    let before = most_memory();
    let over = Arc::new(AtomicBool::new(false));
    let (sender, times) = futures_channel::oneshot::channel();
    let measuring = round_trips(client.clone(), Arc::clone(&over));
    R::spawn(async move {
        // Who waits for it has gone only if the test fails.
        let _ = sender.send(measuring.await);
    });
    let sid = slow.sid();
    let statistics = if told.reads {
        let reading = async { (&mut slow).take(told.count).count().await };
        let checking = pass_checkpoints(&client, &mut checkpoints);
        let (read, ()) = futures_util::future::join(reading, checking).await;
        assert_eq!(read, told.count);
        slow.statistics()
    } else {
        pass_checkpoints(&client, &mut checkpoints).await;
        slow.statistics()
    };
    over.store(true, Ordering::Relaxed);
    let mut times = times.await.expect("it measures to the end");
    let memory = most_memory();
    drop(slow);
    client.close().await;
    let events: Vec<Notice> = notices
        .filter(|notice| {
            let slow = matches!(
                notice,
                Notice::SlowConsumer { .. } | Notice::SlowConsumerRecovered { .. }
            );
            std::future::ready(slow)
        })
        .collect()
        .await;
    println!(
        "{} messages of {} bytes, reads: {}: {:.1} MiB at most, {:.1} before; p99 of {} others {:?}",
        told.count,
        told.size,
        told.reads,
        memory as f64 / MIB as f64,
        before as f64 / MIB as f64,
        times.len(),
        p99(&mut times),
    );
    assert_eq!(client.delivery_statistics().connects, 1);
    if told.reads {
        assert_eq!((statistics.dropped, events), (0, vec![]));
        return;
    }
    let kept = waiting(told.size);
    let dropped = (told.count - kept) as u64;
    assert_eq!((statistics.pending_messages, statistics.dropped), (kept as u64, dropped));
    let expected = [Notice::SlowConsumer { sid }, Notice::SlowConsumerRecovered { sid, dropped }];
    assert_eq!(events, expected);
    let limit = kept * told.size;
    assert!(memory <= limit + ALLOWANCE, "{memory} bytes for {limit} that may wait");
}

/// Answers whoever waits for what came before, until the last one.
async fn pass_checkpoints(client: &Client, checkpoints: &mut nats_client::Subscriber) {
    loop {
        let message = checkpoints.next().await.expect("another checkpoint");
        client.publish(message.reply.expect("a request"), "".into()).await.expect("it is open");
        if &*message.payload == b"last" {
            return;
        }
    }
}

/// Sends so much to the process that there is never more under way than a server keeps for a client.
async fn flood<R: Rt>(told: &Told) {
    let options = ConnectOptions::<R>::new().request_timeout(None);
    let client = options.connect(&told.url).await.expect("the server runs");
    within::<R, _>("the subscriber", async {
        while client.request("checkpoint", "".into()).await.is_err() {
            R::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let payload = bytes::Bytes::from(vec![b'x'; told.size - SUBJECT.len()]);
    let batch = (4 * MIB / told.size).max(1);
    for number in 1..=told.count {
        client.publish(SUBJECT, payload.clone()).await.expect("it is open");
        let word = match number {
            _ if number == told.count => "last",
            _ if number % batch == 0 => "",
            _ => continue,
        };
        let passed = client.request("checkpoint", word.into());
        within::<R, _>("the checkpoint", passed).await.expect("the process reads");
    }
    client.close().await;
}

fn parent<R: Rt>(test: &str) {
    let mib: usize = std::env::var("SLOW_CONSUMER_MIB")
        .map_or(96, |text| text.parse().expect("SLOW_CONSUMER_MIB is a number"));
    let server = RealServer::start(Release::V2_15, &Options::new());
    for size in SIZES {
        for reads in [true, false] {
            let count = (mib * MIB / size).max(waiting(size) + 1);
            let told = Told { url: server.url(), size, count, reads };
            let mut process = Command::new(std::env::current_exe().expect("this is a process"))
                .args(["--exact", test, "--nocapture"])
                .env(Told::VARIABLE, told.text())
                .stdin(Stdio::null())
                .spawn()
                .expect("the process may have another");
            R::block_on(flood::<R>(&told));
            assert!(process.wait().expect("a child").success(), "{size} bytes, reads: {reads}");
        }
    }
}

fn run<R: Rt>(test: &str) {
    match Told::by_parent() {
        Some(told) => R::block_on(child::<R>(told)),
        None => parent::<R>(test),
    }
}

#[test]
fn who_never_reads_takes_what_may_wait_and_no_more_on_tokio() {
    run::<Tokio>("who_never_reads_takes_what_may_wait_and_no_more_on_tokio");
}

#[test]
fn who_never_reads_takes_what_may_wait_and_no_more_on_async_std() {
    run::<AsyncStd>("who_never_reads_takes_what_may_wait_and_no_more_on_async_std");
}
