//! Work without an end, in short.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::StreamExt;
use nats_client::ConnectOptions;
use nats_tests::proxy::{Direction, Fault, Proxy};

use crate::received::Received;
use crate::setting::{Setting, Way};
use crate::support::{PATIENT, Rt, until};
use crate::{count, process};

/// Messages between two flushes.
const BATCH: u64 = 1_000;

/// Looks at the memory, evenly over the messages.
const SAMPLES: u64 = 100;

/// What the memory may grow by in 10 M messages, in KiB.
const SLOPE: f64 = 1024.0;

/// Too few messages say nothing about a slope: then all of the growth of what is allocated is limited, in KiB. A batch that
/// waits, and the buffers that are kept, may come and go.
const GROWTH: u64 = 4 * 1024;

pub(crate) async fn memory_does_not_grow_with_messages_and_reconnects<R: Rt>(setting: Setting) {
    let server = setting.start();
    let options = ConnectOptions::<R>::new()
        .max_reconnects(PATIENT)
        .reconnect_wait(Duration::from_millis(2))
        .reconnect_jitter(Duration::from_millis(1))
        .reconnect_jitter_tls(Duration::from_millis(1));
    for way in setting.ways(std::slice::from_ref(&server), &options) {
        let proxy = Proxy::start(way.transport.addr(&server));
        soak(&setting, way, &proxy).await;
    }
}

/// One client by itself, which sends to itself.
async fn soak<R: Rt>(setting: &Setting, way: Way<R>, proxy: &Proxy) {
    let messages = count("FAULTS_SOAK_MESSAGES", setting.short(100_000, 50_000));
    let reconnects = count("FAULTS_SOAK_RECONNECTS", 20);
    let transport = way.transport;
    let client = way.options.connect(transport.url(proxy.addr())).await.unwrap();
    let mut subscriber = client.subscribe("soak").await.unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    R::spawn(async move {
        // The server may handle the rest of a link that is cut behind what came over the next one.
        let mut books = Received::with_room(messages);
        while let Some(message) = subscriber.next().await {
            let number = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
            books.book_once(number);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });

    let caught_up = || received.load(Ordering::Relaxed) >= client.delivery_statistics().messages_in;
    let mut memory: Vec<(u64, u64)> = Vec::new();
    let mut allocated: Vec<u64> = Vec::new();
    let mut spent: Vec<u64> = Vec::new();
    let mut cuts = 0;
    for number in 0..messages {
        client.publish("soak", number.to_string().into()).await.unwrap();
        if number % BATCH == BATCH - 1 {
            // What a link that is cut leaves in doubt is in the books.
            let _ = client.flush().await;
        }
        if number >= (cuts + 1) * (messages / (reconnects + 1)) && cuts < reconnects {
            let before = client.delivery_statistics().connects;
            match cuts % 4 {
                0 => proxy.cut(Fault::Reset),
                1 => proxy.cut(Fault::End),
                2 => proxy.half_close(Direction::ToClient),
                _ => proxy.half_close(Direction::ToServer),
            }
            cuts += 1;
            until::<R>("the connection", || client.delivery_statistics().connects > before).await;
        }
        if number % (messages / SAMPLES).max(1) == 0 {
            // What waits to be looked at takes memory, too, on a busy machine a lot.
            until::<R>("what has come to be looked at", caught_up).await;
            memory.push((number, process::resident()));
            allocated.push(process::allocated());
            spent.push(process::processor_time());
        }
    }
    while client.flush().await.is_err() {}
    let statistics = client.delivery_statistics();
    until::<R>("what has come to be looked at", caught_up).await;

    // In the beginning, buffers grow to the size that they keep.
    let settled = &memory[memory.len() / 4..];
    let slope = slope(settled) * 10_000_000.0;
    let (first, last) = (settled[0].1, settled[settled.len() - 1].1);
    let each = |from: usize, to: usize| (spent[to] - spent[from]) / (memory[to].0 - memory[from].0);
    let (quarter, end) = (memory.len() / 4, memory.len() - 1);
    println!(
        "{messages} messages, {} connections, nats-server {} over {transport:?}: {statistics:?}; memory from {first} to {last} KiB, \
         {slope:.0} KiB in 10 M messages; allocated {:?} KiB; {} ns a message in the second quarter, {} ns in the last",
        statistics.connects,
        setting.release.version(),
        [allocated[quarter], allocated[end]],
        each(quarter, 2 * quarter),
        each(end - quarter, end)
    );
    let sum = statistics.confirmed + statistics.uncertain + statistics.dropped + statistics.pending;
    assert_eq!((statistics.published, statistics.pending), (sum, 0), "{statistics:?}");
    assert_eq!(statistics.published, messages);
    assert!(statistics.connects > reconnects);
    if messages >= 10_000_000 {
        assert!(slope <= SLOPE, "{slope} KiB in 10 M messages: {memory:?}");
    } else {
        let settled = &allocated[allocated.len() / 4..];
        assert!(settled[settled.len() - 1] <= settled[0] + GROWTH, "{allocated:?}");
    }
}

/// The slope of the straight line with the least squares.
fn slope(points: &[(u64, u64)]) -> f64 {
    let points = points.iter().map(|(x, y)| (*x as f64, *y as f64));
    let count = points.len() as f64;
    let (x, y) = points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let (above, below) = points.fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x) * (point.0 - x))
    });
    above / below
}

#[test]
fn the_slope_is_what_the_memory_grows_by_with_each_message() {
    let near = |points: &[(u64, u64)], expected: f64| {
        let slope = slope(points);
        assert!((slope - expected).abs() < 1e-9, "{slope} instead of {expected}");
    };
    near(&[(0, 500), (10, 500), (20, 500)], 0.0);
    near(&[(1_000, 500), (1_010, 505), (1_020, 510)], 0.5);
    // What comes and goes in the middle is no growth, and what has gone at the end is less than none.
    near(&[(0, 500), (10, 560), (20, 500)], 0.0);
    near(&[(0, 500), (10, 500), (20, 440)], -3.0);
}
