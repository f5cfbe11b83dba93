//! One server that is killed, or paused, under load.

use std::time::Duration;

use nats_client::ConnectOptions;
use nats_tests::server::TestServer;

use crate::count;
use crate::ledger::{Ledger, Party, Sums};
use crate::setting::Setting;
use crate::support::{PATIENT, Rt, until};

pub(crate) fn options<R: Rt>() -> ConnectOptions<R> {
    ConnectOptions::new()
        .max_reconnects(PATIENT)
        .reconnect_wait(Duration::from_millis(20))
        .reconnect_jitter(Duration::from_millis(5))
        .reconnect_jitter_tls(Duration::from_millis(5))
        .connection_timeout(Duration::from_secs(2))
}

pub(crate) fn print(what: &str, cycles: u64, setting: &Setting, sums: &Sums) {
    println!("{what} {cycles} times, {setting}: {sums:?}");
}

/// SIGKILL: everything that a link had is gone with it. Then what comes over the next link comes later.
pub(crate) async fn a_server_killed_under_load_leaves_nothing_unaccounted<R: Rt>(setting: Setting) {
    let cycles = count("FAULTS_CYCLES", setting.short(20, 8));
    let messages = count("FAULTS_MESSAGES", setting.short(40_000, 16_000));
    let mut server = setting.start();
    let ways = setting.ways::<R>(std::slice::from_ref(&server), &options());
    let ledger = Ledger::open(&ways, true).await;
    for _ in 0..cycles {
        ledger.more::<R>(messages / cycles).await;
        let connects: Vec<u64> = ledger.parties().map(Party::connects).collect();
        server.kill();
        // Some is kept, and some has no room.
        R::sleep(Duration::from_millis(80)).await;
        server.restart();
        ledger.reconnected::<R>(&connects).await;
    }
    let sums = ledger.settle::<R>().await;
    print("killed", cycles, &setting, &sums);
    assert_eq!((sums.unaccounted, sums.late), (0, 0), "{sums:?}");
    assert!(sums.published >= messages && sums.checked > 0 && sums.kept > 0, "{sums:?}");
}

/// SIGSTOP: links stay open, nobody answers, and what the server had read and not handled it handles when it wakes up,
/// perhaps behind what came over the next link.
pub(crate) async fn a_server_paused_under_load_leaves_nothing_unaccounted<R: Rt>(setting: Setting) {
    let cycles = count("FAULTS_PAUSES", 4);
    let messages = count("FAULTS_MESSAGES", 10_000);
    let mut server = setting.start();
    let options = options().ping_interval(Duration::from_millis(100));
    let ways = setting.ways::<R>(std::slice::from_ref(&server), &options);
    let ledger = Ledger::open(&ways, true).await;
    for _ in 0..cycles {
        ledger.more::<R>(messages / cycles).await;
        let stale: Vec<u64> = ledger.parties().map(Party::stale).collect();
        let connects: Vec<u64> = ledger.parties().map(Party::connects).collect();
        server.pause();
        until::<R>("every link to be stale", || {
            ledger.parties().zip(&stale).all(|(party, before)| party.stale() > *before)
        })
        .await;
        server.resume();
        ledger.reconnected::<R>(&connects).await;
    }
    let sums = ledger.settle::<R>().await;
    print("paused", cycles, &setting, &sums);
    assert_eq!(sums.unaccounted, 0, "{sums:?}");
    assert!(sums.published >= messages && sums.checked > 0, "{sums:?}");
}
