//! What one simulated client is asked for on its way to a server, and what it may see of the way.

use std::collections::BTreeMap;
use std::time::Duration;

use nats_proto::auth::Auth;
use nats_proto::connection::{AuthError, ConnectError, ReconnectToServer, SetServerPoolError};
use nats_proto::{Connection, DialId, Event, Instant, Rng, ServerAddr, State};

use nats_sim::between;

#[derive(Debug)]
enum Answer {
    /// Credentials, or none.
    Auth(DialId, bool),
    Choice(Option<ReconnectToServer>),
}

/// The servers of a client, and its answers to what it is asked: at once, late, wrong, or never.
#[derive(Debug)]
pub(super) struct Servers {
    /// Those that there are.
    all: Vec<ServerAddr>,
    /// Those that it has given to the connection.
    given: Vec<ServerAddr>,
    answers: Vec<(Instant, Answer)>,
    /// The latest attempt for which credentials were asked, and whether they were refused.
    asked: Option<(DialId, bool)>,
    /// When an attempt at a server failed.
    failed: BTreeMap<String, Instant>,
    /// How many attempts need not wait: one, and one before it that may not have been told of yet.
    hurried: u8,
}

impl Servers {
    pub(super) fn new(all: Vec<ServerAddr>, given: Vec<ServerAddr>) -> Self {
        Self { all, given, answers: Vec::new(), asked: None, failed: BTreeMap::new(), hurried: 0 }
    }

    /// Waits do not hold for the next attempt.
    pub(super) fn hurry(&mut self) {
        self.hurried = 2;
    }

    /// Gives the connection other servers.
    pub(super) fn replace(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        connection: &mut Connection,
        ending: bool,
    ) {
        let first = rng.below(self.all.len() as u64) as usize;
        let count = 1 + rng.below((self.all.len() - first) as u64) as usize;
        let given = self.all[first..first + count].to_vec();
        match connection.set_server_pool(now, given.clone()) {
            Ok(()) => {
                let mut known = connection.servers();
                known.retain(|server| !given.contains(server));
                assert!(known.is_empty(), "{known:?} are left of the old servers");
                self.given = given;
                self.failed.clear();
            }
            Err(SetServerPoolError::Closed) if ending => {}
            Err(error) => panic!("servers are refused: {error}"),
        }
    }

    pub(super) fn handle_event(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        connection: &Connection,
        event: &Event,
        active: bool,
    ) {
        let soon = (Duration::ZERO, Duration::from_millis(1));
        let late = (Duration::ZERO, Duration::from_millis(900));
        let delay = if active && rng.below(2) == 0 { late } else { soon };
        let at = now + between(rng, delay);
        match event {
            Event::Authenticate { id, .. } => {
                self.asked = Some((*id, false));
                let works = !active || rng.below(3) > 0;
                if !active || rng.below(6) > 0 {
                    self.answers.push((at, Answer::Auth(*id, works)));
                }
            }
            Event::ChooseServer { servers, .. } => {
                let index = rng.below(self.all.len() as u64) as usize;
                let addr = match rng.below(4) {
                    0 => Some("nats://unknown:1".parse().expect("a valid address")),
                    1 => None,
                    // One of the pool, most of the time.
                    _ => servers.get(index).map(|server| server.addr.clone()),
                };
                let hurry = rng.below(4) == 0;
                let delay = hurry.then(|| between(rng, late));
                let choice = addr.map(|addr| ReconnectToServer { addr, delay });
                if !active || rng.below(6) > 0 {
                    self.answers.push((at, Answer::Choice(choice)));
                }
            }
            Event::Dial { server, .. } => self.dialled(now, connection, server),
            Event::ConnectFailed { server, error } => {
                self.failed.insert(server.to_string(), now);
                let refused = self.asked.take().is_some_and(|(_, refused)| refused);
                let is_refusal = matches!(error, ConnectError::Auth(_));
                assert!(refused || !is_refusal, "credentials that nobody refused: {error}");
            }
            // One that was forgotten and is told of again is a new one.
            Event::ServersDiscovered(_) => self.failed.clear(),
            _ => {}
        }
    }

    fn dialled(&mut self, now: Instant, connection: &Connection, server: &ServerAddr) {
        if self.hurried > 0 {
            self.hurried -= 1;
            self.failed.clear();
        }
        if let Some(failed) = self.failed.remove(&server.to_string()) {
            let wait = connection.config().reconnect_wait;
            assert!(
                failed + wait <= now,
                "{server} failed at {failed:?} and is dialled at {now:?}"
            );
        }
    }

    /// When an answer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.answers.iter().map(|(at, _)| *at).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, connection: &mut Connection) {
        let (due, left) = self.answers.drain(..).partition(|(at, _)| *at <= now);
        self.answers = left;
        for (_, answer) in due {
            match answer {
                Answer::Auth(id, works) => {
                    let result = works.then(Auth::new).ok_or_else(|| AuthError::new("no key"));
                    if let Some((asked, refused)) = &mut self.asked {
                        *refused |= !works && *asked == id;
                    }
                    connection.handle_auth(id, result);
                }
                Answer::Choice(choice) => {
                    // It may be late, and then answers a later question.
                    let hurries = choice.as_ref().is_some_and(|choice| choice.delay.is_some());
                    if hurries && connection.state() == State::Choosing {
                        self.hurry();
                    }
                    connection.handle_choice(now, choice);
                }
            }
        }
    }

    /// Checks that what was given is there.
    pub(super) fn check(&self, connection: &Connection) {
        let known = connection.servers();
        for server in &self.given {
            assert!(known.contains(server), "{server} is forgotten: {known:?}");
        }
    }
}
