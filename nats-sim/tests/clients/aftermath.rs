//! When the faults are over: everything comes to its end, works, and leaves nothing behind.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use nats_client::connection::State;
use nats_client::{Client, FlushError, Request, RequestErrorKind};
use nats_sim::{Dials, Weather};

use super::application::Worker;
use super::books::{Known, Phase, payload_of};
use super::chaos::{Held, MOST_CLIENTS, check_publishers};
use super::flood::flood;
use super::runtime::sleep;
use super::settings::{self, Limits};
use super::strict::{Patience, strictly};
use super::watching::{Waiting, end};
use super::world::{below, fork, lose_background, millis, run_for, spawn, with};

/// The time within which everything is up again once the faults have ended.
const RECOVERY: Duration = Duration::from_secs(6);

/// How long programs use their clients once more.
const ERRANDS: Duration = Duration::from_millis(1_500);

/// The time within which all of that is over.
const SETTLING: Duration = Duration::from_secs(3);

/// The time that a lone request takes at most.
const AT_ONCE: Duration = Duration::from_millis(80);

/// The time within which everybody has left; the last publishes of a client may take five seconds.
const LEAVING: Duration = Duration::from_secs(7);

/// The time within which a PING has come and its answer as well, where nothing else happens.
const ON_THE_WAY: Duration = Duration::from_millis(10);

/// Polls of a client's own tasks in a second in which nothing happens.
const IDLE_POLLS: u64 = 300;

/// The clients that are held and do not end.
fn running(held: &Held) -> Vec<(usize, Client, Limits)> {
    let held = held.lock().expect("nobody panics with it");
    let ending = with(|world| world.books.ending.clone());
    let running = held.iter().filter(|(me, _)| !ending.contains(me));
    running.map(|(me, (client, limits))| (*me, client.clone(), *limits)).collect()
}

/// The faults end: what has begun comes to its end, and everybody is connected.
pub(super) fn recover(held: &Held) {
    with(|world| {
        for broker in std::mem::take(&mut world.books.lame) {
            world.sim.crash_broker(broker, false);
        }
        world.sim.heal();
        world.books.phase = Phase::Calm;
    });
    run_for(RECOVERY);
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "something waits for ever: {waiting:?}");
    for (me, client, _) in running(held) {
        assert_eq!(client.connection_state(), State::Connected, "client {me}");
        let told = with(|world| world.books.told_connected.get(&me).copied());
        assert_ne!(told, Some(false), "client {me} is connected, and has not told of it");
        must_flush(me, client);
    }
    run_for(Duration::from_secs(1));
    for (me, client, _) in running(held) {
        let s = client.delivery_statistics();
        assert_eq!(s.pending, 0, "client {me}: {s:?}");
        with(|world| {
            let known = world.books.subscriptions.values();
            let here = known.filter(|known| known.client == me && !known.ended).count();
            let there = world.subscriptions_at_brokers(me);
            // There may be one more, for the replies to requests.
            assert!((here..=here + 1).contains(&there), "client {me}: {there} of {here}");
        });
    }
    let (clients, before) = with(|world| (world.books.clients(), world.background_polls));
    run_for(Duration::from_secs(1));
    let polls = with(|world| world.background_polls) - before;
    assert!(polls <= clients * IDLE_POLLS, "{polls} polls of {clients} idle clients in a second");
    let said = with(|world| world.pings());
    run_for(ON_THE_WAY);
    for (stream, pings) in with(|world| world.pings()) {
        let said = said.get(&stream).map_or(0, |pings| pings.said);
        assert!(
            pings.answered >= said,
            "{pings:?} of the WebSocket {stream:?}, {said} of them old"
        );
    }
}

/// What was accepted of a client and what it has lost until then.
fn books_of(me: usize, client: &Client) -> (usize, u64) {
    let s = client.delivery_statistics();
    (with(|world| world.books.accepted_by(me)), s.uncertain + s.dropped)
}

/// Programs use their clients once more, on a network that works. So nothing is lost, no link ends, and whatever is begun
/// comes to its end by itself: nobody flushes afterwards, and a client may have nothing else to wake for.
pub(super) fn errands(held: &Held) {
    let streams = with(|world| {
        let weather = settings::fair_weather(&mut world.rng);
        world.sim.set_weather(weather);
        world.books.phase = Phase::Errands;
        world.books.streams()
    });
    let mut before = BTreeMap::new();
    for (me, client, limits) in running(held) {
        before.insert(me, books_of(me, &client));
        for _ in 0..1 + below(3) {
            let (client, rng) = (client.clone(), with(|world| fork(&mut world.rng)));
            Worker::new(client, me, rng, limits, Phase::Errands).start();
        }
    }
    run_for(ERRANDS);
    with(|world| {
        world.books.phase = Phase::Calm;
        world.sim.set_weather(Weather::default());
    });
    run_for(SETTLING);
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "something waits though the network works: {waiting:?}");
    for (me, client, _) in running(held) {
        let ((first, lost_before), (end, lost)) = (before[&me], books_of(me, &client));
        let unhandled = with(|world| world.books.unhandled(me, first..end)) as u64;
        assert!(unhandled <= lost - lost_before, "{unhandled} of client {me} have not arrived");
    }
    inquire(held);
    with(|world| {
        let new = world.books.streams() - streams;
        assert!(new == 0 || !world.books.quiet.brokers, "{new} links were given up without need");
    });
    flood(running(held));
    crowd(held);
}

/// Every client asks where nobody listens, or nobody answers, or its stream takes nothing. It tells of that in time, though
/// it may have nothing else to wake for.
fn inquire(held: &Held) {
    // A keepalive would take that for the end of the link.
    let clogs = with(|world| world.books.quiet.clients) && below(2) == 0;
    let write = 1 + below(64) as usize;
    with(|world| world.sim.set_weather(Weather { write, ..Weather::default() }));
    let running = running(held);
    for (me, client, _) in running.iter().filter(|_| clogs) {
        with(|world| world.clog_all(2 * AT_ONCE));
        let id = with(|world| world.books.next_id(*me));
        let _ = client.try_publish("nobody", Bytes::from(payload_of(id, 30)));
    }
    run_for(Duration::from_millis(1));
    for (me, client, _) in running {
        let id = with(|world| world.books.next_id(me));
        let payload = payload_of(id, below(1_000) as usize).into();
        let answered = !clogs && below(2) == 0;
        let (subject, timeout) = if answered { ("nobody", LEAVING) } else { ("t.0", AT_ONCE) };
        let request = Request::new().payload(payload).timeout(Some(timeout));
        let waiting = Waiting::new("lone request");
        let inquiry = async move {
            let result = strictly(Patience::Endless, client.send_request(subject, request)).await;
            let error = result.expect("it is not given up").expect_err("nobody answers");
            let late = !answered && error.kind() == RequestErrorKind::TimedOut;
            assert!(late || error.kind() == RequestErrorKind::NoResponders, "client {me}: {error}");
            waiting.within(AT_ONCE);
        };
        spawn(Box::pin(inquiry), false);
    }
    run_for(Duration::from_secs(1));
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "a lone request waits: {waiting:?}");
}

/// More is published than there is room for, over a network that may be slow, and may end the links. Nearly nothing comes in
/// meanwhile, so that those who wait have nobody but each other.
fn crowd(held: &Held) {
    let delay = (Duration::from_micros(500), Duration::from_millis(2));
    let window = if below(2) == 0 { 1_024 } else { 64 * 1_024 };
    with(|world| world.sim.set_weather(Weather { delay, window, ..Weather::default() }));
    for (me, client, limits) in running(held) {
        let rng = with(|world| fork(&mut world.rng));
        Worker::new(client, me, rng, limits, Phase::Calm).start_crowd();
    }
    let breaks = below(4) == 0;
    with(|world| {
        for stream in world.streams.keys().filter(|_| breaks) {
            let bytes = world.rng.below(5_000) as usize;
            world.sim.cut_after(*stream, bytes, false);
            world.sim.set_dials(Dials::AreRefused);
        }
    });
    for _ in 0..10 {
        run_for(Duration::from_millis(10));
        check_publishers(held);
    }
    with(|world| {
        // Those that are not at their ends yet.
        world.streams.keys().filter(|_| breaks).for_each(|stream| world.sim.cut(*stream));
        world.sim.set_weather(Weather::default());
        world.sim.set_dials(Dials::Work);
    });
    run_for(Duration::from_secs(2));
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "some of many wait for ever: {waiting:?}");
}

fn is_uncertain(error: &FlushError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    matches!(source, Some(nats_proto::connection::FlushError::Uncertain { .. }))
}

/// Flushes, which must succeed in time.
fn must_flush(me: usize, client: Client) {
    let waiting = Waiting::new("flush in the end");
    let flush = async move {
        let mut result = strictly(Patience::Endless, client.flush()).await;
        if matches!(&result, Some(Err(error)) if is_uncertain(error)) {
            // It tells of what was lost while nobody asked, once.
            result = strictly(Patience::Endless, client.flush()).await;
        }
        assert!(matches!(result, Some(Ok(()))), "client {me} is not flushed: {result:?}");
        drop(waiting);
    };
    spawn(Box::pin(flush), false);
}

/// Sends a few messages, which must come to every subscription or be counted there.
pub(super) fn probe(held: &Held) -> u64 {
    let (before, first) = with(|world| (world.books.subscriptions.clone(), world.books.handled()));
    with(|world| world.books.phase = Phase::Probe);
    let mut probes = BTreeMap::new();
    for (me, client, _) in running(held) {
        for subject in ["t.0", "t.1", "t.2", "t.topic.of.some.length", "r.0", "r.1"] {
            let id = with(|world| world.books.next_id(me));
            let payload = Bytes::from(payload_of(id, 30));
            client.try_publish(subject, payload).expect("room in a client that is connected");
            probes.insert(me, id);
        }
        must_flush(me, client);
    }
    run_for(Duration::from_secs(2));
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "a flush does not end: {waiting:?}");
    with(|world| {
        let books = &world.books;
        let end = books.handled();
        let mut count = 0;
        for (key, known) in &books.subscriptions {
            assert!(known.ended || known.pending == 0, "nobody takes what has come: {known:?}");
            let Some(probe) = probes.get(&known.client).filter(|_| known.gets_all && !known.ended)
            else {
                continue;
            };
            let (_, broker) = books.place(*probe).expect("it is flushed");
            let expected = books.matching(first, end, broker, &known.subject);
            let came = known.total - before.get(key).map_or(0, |known: &Known| known.total);
            assert_eq!(came, expected, "messages for {known:?}");
            count += 1;
        }
        count
    })
}

/// The runtime is gone, and with it all that clients do in the background. Nobody waits for them any more.
fn lose_runtime(held: &Held) {
    for (me, client, _) in running(held) {
        for _ in 0..1 + below(4) {
            let (client, waiting) = (client.clone(), Waiting::new("a client without a runtime"));
            let kind = below(4);
            let payload = move || {
                let id = with(|world| world.books.next_id(me));
                Bytes::from(payload_of(id, 5_000))
            };
            let operation = async move {
                let all = async {
                    match kind {
                        0 => drop(client.closed().await),
                        1 => drop(client.flush().await),
                        2 => drop(client.request("t.0", payload()).await),
                        _ => while client.publish("t.0", payload()).await.is_ok() {},
                    }
                };
                strictly(Patience::Endless, all).await;
                drop(waiting);
            };
            spawn(Box::pin(operation), false);
        }
    }
    run_for(Duration::from_micros(below(2_000)));
    with(|world| world.books.ending.extend(0..MOST_CLIENTS));
    lose_background();
    run_for(Duration::from_millis(1));
    let waiting = with(|world| world.books.waiting());
    assert!(waiting.is_empty(), "something waits for a runtime that is gone: {waiting:?}");
}

/// Takes its time for what comes, until nothing does: a drain waits for that.
async fn linger(client: Client, me: usize) {
    let Ok(mut subscriber) = client.subscribe("t.0").await else {
        return;
    };
    drop(client);
    let patience = Patience::Time(Duration::from_millis(30));
    while let Some(Some(_)) = strictly(patience, subscriber.next()).await {
        let drained = with(|world| world.books.drained.contains(&me));
        assert!(!drained, "a message after the end of the drain");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Everybody leaves, in one way or another, and nothing is left.
pub(super) fn leave(held: &Held) {
    if below(4) == 0 {
        lose_runtime(held);
    }
    let clients = std::mem::take(&mut *held.lock().expect("nobody panics with it"));
    with(|world| world.books.phase = Phase::End);
    // Some subscribers still have something to do when their clients end.
    for (me, (client, _)) in &clients {
        if below(2) == 0 {
            spawn(Box::pin(linger(client.clone(), *me)), false);
        }
    }
    run_for(Duration::from_millis(2));
    for (me, (client, _)) in &clients {
        for _ in 0..below(20) {
            let id = with(|world| world.books.next_id(*me));
            let _ = client.try_publish("t.0", Bytes::from(payload_of(id, 30)));
        }
    }
    run_for(millis(0, 10));
    for (me, (client, limits)) in clients {
        // Otherwise its last handle is dropped.
        if below(2) == 0 {
            with(|world| world.books.ending.insert(me));
            let mut rng = with(|world| fork(&mut world.rng));
            spawn(Box::pin(async move { end(&client, me, &mut rng, limits).await }), false);
        }
    }
    run_for(LEAVING);
    with(|world| {
        let waiting = world.books.waiting();
        assert_eq!(world.tasks(), (0, 0), "tasks, and those of clients, are left: {waiting:?}");
        assert!(world.streams.is_empty(), "streams are left");
        assert!(world.timers.is_empty(), "timers are left");
        world.books.check_told();
        world.books.check_ended();
    });
}
