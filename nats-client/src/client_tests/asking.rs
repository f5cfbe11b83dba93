//! Questions to the application: credentials, and which server comes next.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::rig::{Rig, pass, virtual_now};
use crate::connect::started;
use crate::connection::State;
use crate::shared::Shared;
use crate::testing::{Fake, FakeServer, block_on};
use crate::{ConnectErrorKind, ConnectOptions};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);

/// Tells when it is dropped.
struct Guard(Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Takes the locks of a client when it is dropped, as what is the application's own may.
#[derive(Clone, Default)]
struct Nosy(Arc<Mutex<Option<Arc<Shared>>>>);

impl Drop for Nosy {
    fn drop(&mut self) {
        if let Some(shared) = &*self.0.lock().expect("no panic") {
            drop(shared.link());
            drop(shared.lock());
        }
    }
}

fn options() -> ConnectOptions<Fake> {
    let options = ConnectOptions::new().retry_on_initial_connect();
    options.reconnect_wait(LONG).reconnect_jitter(Duration::ZERO)
}

#[test]
fn nobody_is_asked_any_longer_for_the_credentials_of_a_link_that_is_lost() {
    let (sender, dropped) = channel();
    let nosy = Nosy::default();
    let its = Arc::clone(&nosy.0);
    let rig = Rig::new(options().auth_callback(move |_| {
        let guard = (Guard(sender.clone()), nosy.clone());
        async move {
            let _guard = guard;
            pending().await
        }
    }));
    *its.lock().expect("no panic") = Some(Arc::clone(&rig.shared));
    rig.drive();
    let peer = rig.server.accept();
    peer.send("INFO {\"server_id\":\"x\",\"auth_required\":true}\r\n");
    rig.drive();
    assert!(dropped.try_recv().is_err(), "the server waits for an answer");
    drop(peer);
    rig.drive();
    assert_eq!(rig.client.connection_state(), State::Pending);
    assert!(rig.server.is_left_alone(), "the next attempt is an hour away");
    assert_eq!(dropped.try_recv(), Ok(()));
}

#[test]
fn a_callback_that_takes_too_long_is_told_from_a_server_that_does() {
    let options = ConnectOptions::new().auth_callback(|_| pending());
    let rig = Rig::with_clock(options, virtual_now);
    rig.drive();
    let peer = rig.server.accept();
    peer.send("INFO {\"server_id\":\"x\",\"auth_required\":true}\r\n");
    rig.drive();
    pass(Duration::from_secs(5));
    rig.drive();
    let error = block_on(started(&rig.shared)).expect_err("too late");
    assert_eq!(error.kind(), ConnectErrorKind::TimedOut);
    let text = error.to_string();
    assert!(text.contains("the callback has not given the credentials within 5s"), "{text}");
}

#[test]
fn nobody_is_asked_any_longer_for_a_server_when_the_time_for_it_is_over() {
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let (sender, dropped) = channel();
    let asked = Arc::new(AtomicBool::new(false));
    let again = Arc::clone(&asked);
    let options = options().reconnect_to_server_callback(move |_, _| {
        let guard = again.swap(true, Ordering::SeqCst).then(|| Guard(sender.clone()));
        async move {
            match guard {
                Some(_guard) => pending().await,
                None => None,
            }
        }
    });
    let rig =
        Rig::with_clock(options, || *START + Duration::from_secs(SECONDS.load(Ordering::SeqCst)));
    rig.drive();
    drop(rig.server.accept());
    rig.drive();
    assert!(dropped.try_recv().is_err(), "there are five seconds for an answer");
    SECONDS.store(5, Ordering::SeqCst);
    rig.drive();
    assert!(rig.server.is_left_alone(), "the next attempt is an hour away");
    assert_eq!(dropped.try_recv(), Ok(()));
}

#[test]
fn an_old_answer_is_not_taken_for_the_choice_from_a_new_pool() {
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let late = Arc::new(AtomicBool::new(false));
    let (answer, pools) = (Arc::clone(&late), Arc::new(Mutex::new(Vec::new())));
    let shown = Arc::clone(&pools);
    let options = options().reconnect_to_server_callback(move |servers, _| {
        let mut shown = shown.lock().expect("no panic");
        shown.push(servers.len());
        let (count, answer) = (shown.len(), Arc::clone(&answer));
        poll_fn(move |_| match count {
            1 => Poll::Ready(None),
            2 if answer.load(Ordering::SeqCst) => Poll::Ready(None),
            _ => Poll::Pending,
        })
    });
    let now = || *START + Duration::from_secs(SECONDS.load(Ordering::SeqCst));
    let rig = Rig::with_clock(options, now);
    rig.drive();
    drop(rig.server.accept());
    rig.drive();
    SECONDS.store(5, Ordering::SeqCst);
    rig.drive();
    let others = [FakeServer::new(), FakeServer::new()];
    let urls = others.each_ref().map(FakeServer::url);
    block_on(rig.client.set_server_pool(&urls[..])).expect("a pool");
    late.store(true, Ordering::SeqCst);
    rig.drive();
    assert_eq!(*pools.lock().expect("no panic"), [1, 1, 2]);
    assert!(others.iter().all(FakeServer::is_left_alone), "nobody has chosen");
}
