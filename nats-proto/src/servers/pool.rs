//! The server pool: whose turn it is, when, and who has had enough tries.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::connection::Config;
use crate::{Instant, Rng, ServerAddr, ServerError};

#[derive(Clone, Debug)]
struct Entry {
    addr: ServerAddr,
    /// Given by the application, as opposed to learned from an INFO.
    explicit: bool,
    /// Attempts in a row that did not end in a connection.
    failures: usize,
    /// When it was tried last.
    dialled: Option<Instant>,
    /// When it may be tried again.
    not_before: Option<Instant>,
    /// The last refusal of our credentials, cleared by success.
    refusal: Option<ServerError>,
}

impl Entry {
    fn new(addr: ServerAddr, explicit: bool) -> Self {
        Self { addr, explicit, failures: 0, dialled: None, not_before: None, refusal: None }
    }
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Dial this server at this time (which may be past).
    Dial(ServerAddr, Option<Instant>),
    /// No server is left.
    Exhausted,
}

/// Servers in the order in which they are tried; the front is the current one once a dial has begun.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    entries: VecDeque<Entry>,
    /// Whether the front entry is the one dialled or connected.
    in_use: bool,
}

impl Pool {
    pub(crate) fn new(config: &Config, rng: &mut Rng) -> Self {
        let mut servers = config.servers.clone();
        if !config.retain_servers_order {
            rng.shuffle(&mut servers);
        }
        let mut entries: VecDeque<Entry> = VecDeque::new();
        for addr in servers {
            if !entries.iter().any(|entry| entry.addr == addr) {
                entries.push_back(Entry::new(addr, true));
            }
        }
        Self { entries, in_use: false }
    }

    /// The server in use, or used last.
    pub(crate) fn current(&self) -> Option<&ServerAddr> {
        self.entries.front().filter(|_| self.in_use).map(|entry| &entry.addr)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn addrs(&self) -> Vec<ServerAddr> {
        self.entries.iter().map(|entry| entry.addr.clone()).collect()
    }

    /// Moves on to the next server. One that has failed `max_failures` times in a row is given up.
    pub(crate) fn advance(&mut self, max_failures: Option<usize>) -> Turn {
        if self.in_use
            && let Some(used) = self.entries.pop_front()
            && max_failures.is_none_or(|max| used.failures < max)
        {
            self.entries.push_back(used);
        }
        self.in_use = true;
        match self.entries.front() {
            Some(next) => Turn::Dial(next.addr.clone(), next.not_before),
            None => Turn::Exhausted,
        }
    }

    /// The current server is connected.
    pub(crate) fn succeeded(&mut self) {
        if let Some(entry) = self.entries.front_mut() {
            entry.failures = 0;
            entry.not_before = None;
            entry.refusal = None;
        }
    }

    /// The current server is being tried.
    pub(crate) fn dialled(&mut self, now: Instant) {
        if let Some(entry) = self.entries.front_mut() {
            entry.dialled = Some(now);
        }
    }

    /// An attempt at the current server has failed, or its connection is lost.
    ///
    /// A failed attempt waits as configured. A lost connection is tried again at once (ADR-40), save for the
    /// jitter, which spreads the clients that lost it together; but one that was lost as soon as it was made
    /// waits as well: else a server that accepts and then hangs up would be dialled without pause.
    pub(crate) fn failed(&mut self, now: Instant, lost: bool, config: &Config, rng: &mut Rng) {
        let jitter = u64::try_from(config.reconnect_jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(rng.below(jitter));
        let Some(entry) = self.entries.front_mut() else {
            return;
        };
        let earliest = if lost {
            let next = entry.dialled.map_or(now, |dialled| dialled + config.reconnect_wait);
            next.max(now)
        } else {
            entry.failures = entry.failures.saturating_add(1);
            now + config.reconnect_wait
        };
        entry.not_before = Some(earliest + jitter);
    }

    /// Notes that the current server refuses our credentials. True if it refused them the same way the
    /// last time: asking again is pointless (ADR-40).
    pub(crate) fn refused(&mut self, error: &ServerError) -> bool {
        let Some(entry) = self.entries.front_mut() else {
            return false;
        };
        let again = entry.refusal.as_ref() == Some(error);
        entry.refusal = Some(error.clone());
        again
    }

    /// Lets every server be tried at once.
    pub(crate) fn forget_waits(&mut self) {
        for entry in &mut self.entries {
            entry.not_before = None;
        }
    }

    /// Takes over what an INFO says of the cluster: new servers are added in random order, learned ones
    /// that it no longer lists are dropped (not the one in use). An empty list says nothing.
    pub(crate) fn discover(
        &mut self,
        urls: &[String],
        retain_order: bool,
        rng: &mut Rng,
    ) -> Vec<ServerAddr> {
        let Some(current) = self.current().cloned() else {
            return Vec::new();
        };
        if urls.is_empty() {
            return Vec::new();
        }
        // Entries that are not addresses are passed over: they are the server's, and of no use.
        let listed: Vec<ServerAddr> =
            urls.iter().filter_map(|url| current.discovered(url).ok()).collect();
        let mut index = 0_usize;
        self.entries.retain(|entry| {
            let in_use = index == 0;
            index = index.saturating_add(1);
            in_use || entry.explicit || listed.iter().any(|addr| addr.same_endpoint(&entry.addr))
        });
        let mut added: Vec<ServerAddr> = Vec::new();
        for addr in listed {
            let mut known = self.entries.iter().map(|entry| &entry.addr).chain(&added);
            if !known.any(|known| known.same_endpoint(&addr)) {
                added.push(addr);
            }
        }
        if !retain_order {
            rng.shuffle(&mut added);
        }
        self.entries.extend(added.iter().map(|addr| Entry::new(addr.clone(), false)));
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> ServerAddr {
        text.parse().expect("a valid address")
    }

    fn config(servers: &[&str]) -> Config {
        let mut config = Config::new(servers.iter().map(|text| addr(text)).collect());
        config.retain_servers_order = true;
        config.reconnect_jitter = Duration::ZERO;
        config
    }

    fn dialled(turn: Turn) -> ServerAddr {
        match turn {
            Turn::Dial(addr, _) => addr,
            Turn::Exhausted => panic!("no server is left"),
        }
    }

    fn urls(list: &[&str]) -> Vec<String> {
        list.iter().map(|url| String::from(*url)).collect()
    }

    #[test]
    fn servers_take_turns_in_the_order_given() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut pool = Pool::new(&config(&["a", "b", "a"]), &mut rng);
        let order: Vec<ServerAddr> = (0..4).map(|_| dialled(pool.advance(None))).collect();
        assert_eq!(order, [addr("a"), addr("b"), addr("a"), addr("b")]);
    }

    #[test]
    fn a_failed_server_waits_and_a_lost_one_does_not() {
        let mut rng = Rng::from_seed([1; 32]);
        let config = config(&["a"]);
        let mut pool = Pool::new(&config, &mut rng);
        let now = Instant::from_millis(1_000);
        assert_eq!(pool.advance(None), Turn::Dial(addr("a"), None));
        pool.failed(now, false, &config, &mut rng);
        assert_eq!(pool.advance(None), Turn::Dial(addr("a"), Some(now + config.reconnect_wait)));
        pool.failed(now, true, &config, &mut rng);
        assert_eq!(pool.advance(None), Turn::Dial(addr("a"), Some(now)));
    }

    #[test]
    fn a_server_that_hangs_up_at_once_is_not_dialled_without_pause() {
        let mut rng = Rng::from_seed([1; 32]);
        let config = config(&["a"]);
        let mut pool = Pool::new(&config, &mut rng);
        let now = Instant::from_millis(1_000);
        dialled(pool.advance(None));
        pool.dialled(now);
        pool.succeeded();
        let soon = now + Duration::from_millis(500);
        pool.failed(soon, true, &config, &mut rng);
        let Turn::Dial(_, Some(next)) = pool.advance(None) else { panic!("no wait") };
        assert_eq!(next, now + config.reconnect_wait);
        pool.dialled(next);
        let late = next + Duration::from_secs(60);
        pool.failed(late, true, &config, &mut rng);
        assert_eq!(pool.advance(None), Turn::Dial(addr("a"), Some(late)));
    }

    #[test]
    fn a_server_is_given_up_after_the_maximum_and_success_resets_the_count() {
        let mut rng = Rng::from_seed([1; 32]);
        let config = config(&["a"]);
        let mut pool = Pool::new(&config, &mut rng);
        dialled(pool.advance(Some(2)));
        pool.failed(Instant::ZERO, false, &config, &mut rng);
        dialled(pool.advance(Some(2)));
        pool.succeeded();
        pool.failed(Instant::ZERO, true, &config, &mut rng);
        for _ in 0..2 {
            dialled(pool.advance(Some(2)));
            pool.failed(Instant::ZERO, false, &config, &mut rng);
        }
        assert_eq!(pool.advance(Some(2)), Turn::Exhausted);
    }

    #[test]
    fn discovery_adds_drops_and_keeps() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut pool = Pool::new(&config(&["a", "b"]), &mut rng);
        dialled(pool.advance(None));
        assert_eq!(
            pool.discover(&urls(&["c:1", "d:1", "a:4222", "nonsense:x"]), true, &mut rng),
            [addr("c:1"), addr("d:1")]
        );
        // The explicit ones stay though they are not listed; c goes.
        assert_eq!(pool.discover(&urls(&["d:1", "e:1"]), true, &mut rng), [addr("e:1")]);
        assert_eq!(pool.addrs(), [addr("a"), addr("b"), addr("d:1"), addr("e:1")]);
        // An empty list purges nothing.
        assert_eq!(pool.discover(&[], true, &mut rng), []);
        assert_eq!(pool.addrs().len(), 4);
    }

    #[test]
    fn a_learned_server_in_use_is_not_dropped() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut pool = Pool::new(&config(&["a"]), &mut rng);
        dialled(pool.advance(None));
        pool.discover(&urls(&["b:1"]), true, &mut rng);
        assert_eq!(dialled(pool.advance(None)), addr("b:1"));
        pool.discover(&urls(&["c:1"]), true, &mut rng);
        assert_eq!(pool.current(), Some(&addr("b:1")));
        assert_eq!(pool.addrs().len(), 3);
    }

    #[test]
    fn the_same_refusal_twice_in_a_row_is_noticed() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut pool = Pool::new(&config(&["a"]), &mut rng);
        dialled(pool.advance(None));
        let error = ServerError::Other(String::from("no"));
        assert!(!pool.refused(&error));
        assert!(!pool.refused(&ServerError::Other(String::from("never"))));
        assert!(!pool.refused(&error));
        assert!(pool.refused(&error));
        pool.succeeded();
        assert!(!pool.refused(&error));
    }
}
