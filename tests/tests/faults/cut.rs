//! Links that are reset under load, while their server goes on.

use std::time::Duration;

use nats_tests::proxy::{Fault, Proxy};

use crate::count;
use crate::killed::{options, print};
use crate::ledger::{Bursts, Ledger, Party};
use crate::setting::Setting;
use crate::support::{Rt, until};

/// More at once than goes into a record of TLS or into a frame, so that links may end in the middle of a write of which a
/// part has gone out; and room for all of it, or else what is sent again by mistake might be dropped.
const FLOOD: Bursts =
    Bursts { messages: 2_000, pause: Duration::from_millis(20), room: 8 * 1024 * 1024 };

/// The server handles all that has reached it before a link breaks, and passes it on to witnesses whose links do not: what
/// a publisher sends again of that comes twice.
pub(crate) async fn links_reset_under_load_leave_nothing_unaccounted<R: Rt>(setting: Setting) {
    let cycles = count("FAULTS_CUTS", 4);
    let messages = count("FAULTS_MESSAGES", 8_000);
    let server = setting.start();
    let direct = setting.ways::<R>(std::slice::from_ref(&server), &options());
    let mut ways = setting.ways::<R>(std::slice::from_ref(&server), &options());
    let mut proxies = Vec::new();
    for way in &mut ways {
        let proxy = Proxy::start(way.transport.addr(&server));
        way.urls = vec![way.transport.url(proxy.addr())];
        proxies.push(proxy);
    }
    let ledger = Ledger::open_apart(&ways, &direct, FLOOD, true).await;
    for _ in 0..cycles {
        ledger.more::<R>(messages / cycles).await;
        let connects: Vec<u64> = ledger.publishers().map(Party::connects).collect();
        proxies.iter().for_each(|proxy| proxy.cut(Fault::Reset));
        until::<R>("the connections", || {
            ledger.publishers().zip(&connects).all(|(party, before)| party.is_back(*before))
        })
        .await;
    }
    let sums = ledger.settle::<R>().await;
    print("reset", cycles, &setting, &sums);
    assert_eq!(sums.unaccounted, 0, "{sums:?}");
    assert!(sums.published >= messages && sums.checked > 0, "{sums:?}");
}
