//! Random settings of brokers, clients and the network.

use std::time::Duration;

use nats_proto::connection::{AuthSource, PendingPolicy, TlsMode};
use nats_proto::{Config, Rng, ServerAddr};

use nats_sim::Weather;

/// Bytes that the line of an operation may have, but for INFO.
pub(super) const CONTROL_LINE: usize = 1024;

pub(super) fn millis(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + rng.below(most - least + 1))
}

pub(super) fn broker_config(rng: &mut Rng, index: u64, brokers: u64) -> nats_broker::Config {
    let mut config = nats_broker::Config::default();
    config.max_payload = [2048, 8192, 16_384][rng.below(3) as usize];
    config.ping_interval = millis(rng, 500, 2000);
    config.first_ping = millis(rng, 50, 500);
    config.lame_duck_grace = millis(rng, 10, 200);
    config.lame_duck_duration = millis(rng, 200, 600);
    let others = (0..brokers).filter(|other| *other != index);
    config.connect_urls = others.map(|other| format!("broker-{other}:4222")).collect();
    config
}

/// How a client knows the brokers: with TLS or without.
pub(super) fn addresses(rng: &mut Rng, servers: &[ServerAddr]) -> Vec<ServerAddr> {
    if rng.below(4) > 0 {
        return servers.to_vec();
    }
    let tls = |server: &ServerAddr| format!("tls://{}:{}", server.host(), server.port()).parse();
    servers.iter().map(|server| tls(server).expect("a valid address")).collect()
}

pub(super) fn client_config(rng: &mut Rng, servers: &[ServerAddr]) -> Config {
    let known = 1 + rng.below(servers.len() as u64) as usize;
    let mut config = Config::new(servers[..known].to_vec());
    config.retry_on_initial_connect = true;
    // Those that are made up may be repeated.
    config.ignore_repeated_auth_errors = true;
    config.max_reconnects = None;
    config.connect_timeout = millis(rng, 100, 800);
    config.ping_interval = millis(rng, 100, 800);
    config.max_pings_outstanding = 1 + rng.below(2) as u32;
    config.reconnect_wait = millis(rng, 0, 200);
    config.reconnect_jitter = millis(rng, 1, 50);
    config.drain_timeout = millis(rng, 50, 2000);
    config.tls = TlsMode::Available;
    if rng.below(3) == 0 {
        config.auth = AuthSource::Ask;
    }
    config.choose_server = rng.below(4) == 0;
    config.leave_lame_duck = rng.below(2) == 0;
    config.verbose = rng.below(8) == 0;
    config.no_echo = rng.below(8) == 0;
    config.ignore_discovered_servers = rng.below(4) == 0;
    config.send_limit = [2048, 16_384, 1 << 20][rng.below(3) as usize];
    config.pending_limit = [0, 3000, 32_768, 1 << 20][rng.below(4) as usize];
    let policies = [PendingPolicy::Wait, PendingPolicy::Error, PendingPolicy::DropOldest];
    config.pending_policy = policies[rng.below(3) as usize];
    // As little as brokers need that are set as above.
    config.limits.control_line = CONTROL_LINE;
    config.limits.info = 4096;
    config.limits.header_block = 1024;
    config.limits.payload = 16_384;
    config
}

pub(super) fn weather(rng: &mut Rng) -> Weather {
    let least = Duration::from_micros(1 + rng.below(1000));
    let tiny = rng.below(3) == 0;
    Weather {
        delay: (least, least + millis(rng, 0, 60)),
        write: if tiny { 1 + rng.below(64) as usize } else { 1 << 16 },
        read: if rng.below(3) == 0 { 1 + rng.below(64) as usize } else { 1 << 16 },
        pause: Duration::from_micros(1 + rng.below(2) * rng.below(3000)),
        window: [256, 1024, 65_536][rng.below(3) as usize],
    }
}

/// Whether bytes come a few at a time, with pauses.
pub(super) fn is_drip(weather: &Weather) -> bool {
    weather.read <= 64 && weather.pause > Duration::from_micros(1)
}
