//! Settings of clients, brokers and the network.

use std::time::Duration;

use nats_client::{ConnectOptions, PendingPolicy, WhenFull};
use nats_proto::Rng;
use nats_sim::Weather;

use super::runtime::{Virtual, local};
use super::transport::Transport;
use super::world::{below, millis, with};

/// What a program knows of its client's settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) flush: Duration,
    pub(crate) drain: Duration,
    /// Whether publishers wait wherever there is no room.
    pub(crate) waits: bool,
    /// Whether the client may end before the others.
    pub(crate) may_end: bool,
}

/// Longer than a seed takes.
const NEVER: Duration = Duration::from_secs(120);

/// Nothing in here is random but by the seed of the world: servers are tried in order, and the client's own jitter, which
/// comes from the operating system, is none, also where the callback is not asked: when each server is tried for the first time.
pub(crate) fn client(me: usize) -> (ConnectOptions<Virtual>, Limits) {
    let policies = [PendingPolicy::Wait, PendingPolicy::Error, PendingPolicy::DropOldest];
    let policy = policies[below(3) as usize];
    let pending = [0, 3_000, 32_768, 1 << 20][below(4) as usize];
    let limits = Limits {
        flush: millis(300, 1_500),
        drain: millis(100, 1_500),
        waits: policy == PendingPolicy::Wait && pending > 0,
        may_end: below(4) == 0,
    };
    let quiet = with(|world| world.books.quiet.clients);
    let full = [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Block][below(3) as usize];
    let longest = below(200);
    let mut options = ConnectOptions::<Virtual>::new()
        .local_address(local(me))
        .retain_servers_order()
        .reconnect_delay_callback(move |_| Duration::from_millis(below(longest + 1)))
        .reconnect_jitter(Duration::ZERO)
        .reconnect_jitter_tls(Duration::ZERO)
        .max_reconnects(None)
        .connection_timeout(millis(100, 800))
        .ping_interval(if quiet { NEVER } else { millis(100, 800) })
        .max_pings_outstanding(1 + below(2) as u32)
        .request_timeout(Some(millis(10, 1_000)))
        .flush_timeout(limits.flush)
        .drain_timeout(limits.drain)
        .send_buffer_limit([2_048, 16_384, 128 * 1024][below(3) as usize])
        .pending_limit(pending)
        .pending_policy(policy)
        .subscription_capacity([4, 64, 65_536][below(3) as usize])
        .subscription_policy(full)
        .read_buffer_capacity([1_024, 4_096, 65_535][below(3) as usize]);
    if below(4) == 0 {
        options = options.leave_lame_duck_servers();
    }
    if below(4) == 0 {
        options = options.event_callback(|_| super::runtime::rest());
    }
    let transport = with(|world| {
        let transport = Transport::any(&mut world.rng);
        *world.transports.of.entry(me).or_insert(transport)
    });
    (transport.set(options), limits)
}

pub(crate) fn broker(index: u64, brokers: u64) -> nats_broker::Config {
    let mut config = nats_broker::Config::default();
    config.max_payload = [8_192, 65_536][below(2) as usize];
    if with(|world| world.books.quiet.brokers) {
        (config.ping_interval, config.first_ping) = (NEVER, NEVER);
    } else {
        (config.ping_interval, config.first_ping) = (millis(500, 2_000), millis(50, 500));
    }
    config.lame_duck_grace = millis(10, 200);
    config.lame_duck_duration = millis(200, 600);
    let others = (0..brokers).filter(|other| *other != index);
    config.connect_urls = others.map(|other| format!("broker-{other}:4222")).collect();
    config
}

/// A network that may be slow, but not so slow that a PING behind all that is queued takes as long as a keepalive of 100 ms
/// waits for it.
pub(crate) fn fair_weather(rng: &mut Rng) -> Weather {
    let least = Duration::from_micros(1 + rng.below(500));
    let tiny = |rng: &mut Rng| rng.below(3) == 0;
    Weather {
        delay: (least, least + Duration::from_micros(rng.below(500))),
        write: if tiny(rng) { 1 + rng.below(64) as usize } else { 1 << 16 },
        read: if tiny(rng) { 64 + rng.below(200) as usize } else { 1 << 16 },
        pause: Duration::ZERO,
        window: [4_096, 16_384, 65_536][rng.below(3) as usize],
    }
}

pub(crate) fn weather(rng: &mut Rng) -> Weather {
    let least = Duration::from_micros(1 + rng.below(1_000));
    let tiny = |rng: &mut Rng| rng.below(3) == 0;
    Weather {
        delay: (least, least + Duration::from_micros(rng.below(60_000))),
        write: if tiny(rng) { 1 + rng.below(64) as usize } else { 1 << 16 },
        read: if tiny(rng) { 1 + rng.below(64) as usize } else { 1 << 16 },
        pause: Duration::from_micros(rng.below(2) * rng.below(500)),
        window: [256, 4_096, 65_536][rng.below(3) as usize],
    }
}
