//! The server pool: whose turn it is, when, and who has had enough tries.

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{Server, SetServerPoolError};
use crate::connection::{Config, ConnectError};
use crate::faults::fault;
use crate::{Instant, Rng, ServerAddr, ServerError};

/// Characters that are kept of why an attempt failed.
const SHOWN: usize = 256;

/// Who may have written what is said of other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The server, as far as anybody can know on a connection that is not encrypted and need not be.
    Plain,
    /// Whoever is on the way to it: the connection will be encrypted, and is not yet.
    Anybody,
    /// The server: the connection is encrypted.
    Encrypted,
}

#[derive(Clone, Debug)]
struct Entry {
    addr: ServerAddr,
    /// Given by the application, as opposed to learned from an INFO.
    explicit: bool,
    /// The application has taken it out of the pool while it was in use: it is not tried again.
    removed: bool,
    /// Attempts in a row that did not end in a connection.
    failures: usize,
    /// Whether an attempt at it has ever ended in a connection.
    did_connect: bool,
    /// Why the last attempt failed.
    error: Option<String>,
    /// When it was tried last.
    dialled: Option<Instant>,
    /// When it may be tried again.
    not_before: Option<Instant>,
    /// The last refusal of our credentials, cleared by success.
    refusal: Option<ServerError>,
}

impl Entry {
    fn new(addr: ServerAddr, explicit: bool) -> Self {
        Self {
            addr,
            explicit,
            removed: false,
            failures: 0,
            did_connect: false,
            error: None,
            dialled: None,
            not_before: None,
            refusal: None,
        }
    }

    /// The application gives it, with all that this says of it but for a demand for TLS that it was learned with: no text of
    /// an address has that.
    fn give(&mut self, addr: ServerAddr) {
        self.addr = if self.addr.tls_required() { addr.with_tls() } else { addr };
        (self.explicit, self.removed) = (true, false);
    }

    /// What the application may know of it.
    fn server(&self) -> Server {
        Server {
            addr: self.addr.clone(),
            failed_attempts: self.failures,
            did_connect: self.did_connect,
            is_discovered: !self.explicit,
            last_error: self.error.clone(),
        }
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
    /// The latest time at which one that was given up might have been tried again.
    given_up: Option<Instant>,
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
        Self { entries, in_use: false, given_up: None }
    }

    /// The server in use, or used last.
    pub(crate) fn current(&self) -> Option<&ServerAddr> {
        self.entries.front().filter(|_| self.in_use).map(|entry| &entry.addr)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those that are tried, without one that is only still in use.
    fn members(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.removed)
    }

    pub(crate) fn addrs(&self) -> Vec<ServerAddr> {
        self.members().map(|entry| entry.addr.clone()).collect()
    }

    pub(crate) fn servers(&self) -> Vec<Server> {
        self.members().map(Entry::server).collect()
    }

    /// Whether there is another server than the one in use.
    pub(crate) fn has_other(&self) -> bool {
        self.entries.len() > usize::from(self.in_use)
    }

    /// Whether the application has given another server than the one in use. Where that was learned, one of those given may
    /// be the same, by another address.
    pub(crate) fn has_other_given(&self) -> bool {
        let is_learned = self.in_use && self.entries.front().is_some_and(|entry| !entry.explicit);
        let others = self.entries.iter().skip(usize::from(self.in_use));
        others.filter(|entry| entry.explicit).count() > usize::from(is_learned)
    }

    /// When the server whose turn is next, after the one in use, may be tried.
    pub(crate) fn other_not_before(&self) -> Option<Instant> {
        self.entries.get(usize::from(self.in_use)).and_then(|entry| entry.not_before)
    }

    /// Whether the server in use is not to be tried again.
    pub(crate) fn is_leaving(&self) -> bool {
        self.in_use && self.entries.front().is_some_and(|entry| entry.removed)
    }

    /// Puts the server in use behind the others. One that has failed `max_failures` times in a row is given up.
    pub(crate) fn rotate(&mut self, max_failures: Option<usize>) {
        if self.in_use
            && let Some(used) = self.entries.pop_front()
            && !used.removed
        {
            match max_failures.is_none_or(|max| used.failures < max) {
                true => self.entries.push_back(used),
                false => self.given_up = self.given_up.max(used.not_before),
            }
        }
        self.in_use = false;
    }

    /// Puts a server before all others, after [`rotate`](Self::rotate). False if it is not in the pool.
    pub(crate) fn choose(&mut self, addr: &ServerAddr) -> bool {
        let index = self.entries.iter().position(|entry| entry.addr == *addr);
        match index.and_then(|index| self.entries.remove(index)) {
            Some(chosen) => {
                self.entries.push_front(chosen);
                true
            }
            None => false,
        }
    }

    /// The server whose turn it is, after [`rotate`](Self::rotate); it is in use from now on.
    pub(crate) fn next(&mut self) -> Turn {
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
            entry.did_connect = true;
            entry.error = None;
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

    /// An attempt at the current server has failed, or (without a `failure`) its connection is lost.
    ///
    /// A failed attempt waits as configured. A lost connection is tried again at once (ADR-40), save for the
    /// jitter, which spreads the clients that lost it together; but one that was lost as soon as it was made
    /// waits as well: else a server that accepts and then hangs up would be dialled without pause.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        failure: Option<&ConnectError>,
        config: &Config,
        rng: &mut Rng,
    ) {
        let Some(entry) = self.entries.front_mut() else {
            return;
        };
        let most = config.jitter(&entry.addr);
        let jitter = rng.below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX));
        let jitter = Duration::from_nanos(jitter);
        let earliest = if let Some(error) = failure {
            entry.failures = entry.failures.saturating_add(1);
            // There may be a thousand servers, and each may say as much as a line holds.
            entry.error = Some(error.to_string().chars().take(SHOWN).collect());
            now + config.reconnect_wait
        } else {
            let next = entry.dialled.map_or(now, |dialled| dialled + config.reconnect_wait);
            next.max(now)
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

    /// How a server has refused our credentials, and was not connected to since: the current one, if it did.
    pub(crate) fn refusal(&self) -> Option<&ServerError> {
        self.entries.iter().find_map(|entry| entry.refusal.as_ref())
    }

    /// Lets every server be tried at once.
    pub(crate) fn forget_waits(&mut self) {
        for entry in &mut self.entries {
            entry.not_before = None;
        }
        self.given_up = None;
    }

    /// Replaces the servers: what is known of those that stay is kept. The one in use stays in use.
    pub(crate) fn replace(
        &mut self,
        addrs: Vec<ServerAddr>,
        retain_order: bool,
        rng: &mut Rng,
    ) -> Result<(), SetServerPoolError> {
        check(&addrs)?;
        let in_use = self.in_use.then(|| self.entries.pop_front()).flatten();
        let mut old: Vec<Entry> = self.entries.drain(..).collect();
        let current = in_use.as_ref().map(|entry| entry.addr.clone());
        if let Some(mut entry) = in_use {
            match addrs.iter().find(|addr| **addr == entry.addr) {
                Some(addr) => entry.give(addr.clone()),
                None => entry.removed = true,
            }
            self.entries.push_back(entry);
        }
        let mut new: Vec<Entry> = Vec::new();
        for addr in addrs {
            let is_given = |entry: &Entry| entry.addr == addr;
            if current.as_ref() == Some(&addr) || new.iter().any(is_given) {
                continue;
            }
            let known = old.iter().position(is_given);
            let mut entry = match known {
                Some(index) => old.swap_remove(index),
                None => Entry::new(addr.clone(), true),
            };
            entry.give(addr);
            new.push(entry);
        }
        if !retain_order {
            rng.shuffle(&mut new);
        }
        self.entries.extend(new);
        if fault!(OldServersAreKept) {
            self.entries.extend(old);
        }
        Ok(())
    }

    /// Takes over what an INFO says of the cluster: new servers are added in random order, learned ones
    /// that it no longer lists are dropped (not the one in use). An empty list says nothing.
    ///
    /// New ones wait as those that are dropped, or were given up, would have: servers that each tell of the next one alone
    /// would otherwise be new each time, and be dialled without pause. How often others have failed is not held against them.
    ///
    /// What anybody may have written chooses no name that a certificate is checked for: else it could name a server
    /// whose certificate is in order, and which gets our credentials. Where a server was not asked for them without TLS, those
    /// that it tells of are not either, whether its address demands that or INFO did.
    pub(crate) fn discover(
        &mut self,
        urls: &[String],
        source: Source,
        retain_order: bool,
        rng: &mut Rng,
    ) -> Vec<ServerAddr> {
        let Some(current) = self.current().cloned() else {
            return Vec::new();
        };
        // What a server tells is for the transport that it is asked over. The one in use may have been taken out of a
        // pool that has another one now.
        let fits = |entry: &Entry| entry.addr.is_websocket() == current.is_websocket();
        if urls.is_empty() || !self.members().next().is_none_or(fits) {
            return Vec::new();
        }
        // Entries that are not addresses are passed over: they are the server's, and of no use.
        let parsed = urls.iter().filter_map(|url| match source {
            Source::Plain => current.discovered(url).ok(),
            Source::Anybody => current.discovered_before_tls(url).map(ServerAddr::with_tls).ok(),
            Source::Encrypted => current.discovered(url).map(ServerAddr::with_tls).ok(),
        });
        let listed: Vec<ServerAddr> = parsed.collect();
        // There may be a thousand on either side, as often as a server likes: no entry is compared with all others.
        let endpoints: BTreeMap<Endpoint, &ServerAddr> =
            listed.iter().map(|addr| (endpoint(addr), addr)).collect();
        let mut index = 0_usize;
        let mut not_before = self.given_up;
        self.entries.retain_mut(|entry| {
            let in_use = index == 0;
            index = index.saturating_add(1);
            if in_use || entry.explicit && !fault!(GivenServersAreForgotten) {
                return true;
            }
            match endpoints.get(&endpoint(&entry.addr)) {
                Some(told) if is_better(told, &entry.addr, source) => entry.addr = (*told).clone(),
                Some(_) => {}
                None => {
                    not_before = not_before.max(entry.not_before);
                    return false;
                }
            }
            true
        });
        let mut known: BTreeSet<Endpoint> =
            self.entries.iter().map(|entry| endpoint(&entry.addr)).collect();
        let mut added: Vec<ServerAddr> = Vec::new();
        for addr in listed {
            if known.insert(endpoint(&addr)) {
                added.push(addr);
            }
        }
        if !retain_order {
            rng.shuffle(&mut added);
        }
        let new = |addr: &ServerAddr| {
            let entry = Entry::new(addr.clone(), false);
            Entry { not_before, ..entry }
        };
        self.entries.extend(added.iter().map(new));
        added
    }
}

/// Whether what is told now of a server that is known takes the place of what was told of it before.
fn is_better(told: &ServerAddr, known: &ServerAddr, source: Source) -> bool {
    // A name that was told too early to be trusted stands for itself from now on.
    let is_named = source == Source::Encrypted && told.tls_name() == told.host();
    let demands_tls = told.tls_required() && !known.tls_required();
    is_named && known.tls_name() != told.host() || demands_tls
}

/// What [`ServerAddr::same_endpoint`] compares, in a form that can be looked up.
type Endpoint = (String, u16);

fn endpoint(addr: &ServerAddr) -> Endpoint {
    (addr.host().into(), addr.port())
}

/// Whether servers can be in one pool.
pub(crate) fn check(addrs: &[ServerAddr]) -> Result<(), SetServerPoolError> {
    let first = addrs.first().ok_or(SetServerPoolError::Empty)?;
    // What a server tells of the others is for the transport that it is asked over.
    match addrs.iter().find(|addr| addr.is_websocket() != first.is_websocket()) {
        Some(other) => Err(SetServerPoolError::MixedSchemes {
            first: first.to_string(),
            other: other.to_string(),
        }),
        None => Ok(()),
    }
}
