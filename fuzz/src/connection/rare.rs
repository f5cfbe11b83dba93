//! What most connections never meet: questions of the core, other pools, settings for few.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nats_proto::connection::{AuthError, AuthSource, ReconnectToServer, TlsError, TlsMode};
use nats_proto::{Auth, Config};

use super::{Run, server};
use crate::Choices;

/// Pools to be set: good ones, an empty one, and one whose servers do not go together.
const POOLS: [&[&str]; 6] = [
    &["a:4222"],
    &["nats://c:1", "tls://d:2", "user:password@e:3"],
    &[],
    &["nats://a:4222", "ws://b:80"],
    &["b:1", "c:2", "[::1]:3", "b:1"],
    &["wss://w/path"],
];

/// What stands for the rarest operations.
const SUBSCRIBE: u8 = 0xef;
const PAUSE: u8 = 0xf7;
const DRAIN: u8 = 0xff;

/// Settings from two bytes.
pub(super) fn settings(config: &mut Config, choices: &mut Choices<'_>) {
    let (flags, modes) = (choices.byte(), choices.byte());
    config.choose_server = flags & 1 != 0;
    config.leave_lame_duck = flags & 2 != 0;
    config.ignore_discovered_servers = flags & 4 != 0;
    config.ignore_repeated_auth_errors = flags & 8 != 0;
    config.retain_servers_order = flags & 16 != 0;
    config.no_echo = flags & 32 != 0;
    config.pedantic = flags & 64 != 0;
    if flags & 128 != 0 {
        config.reconnect_delay = Some(Arc::new(|attempt| Duration::from_millis(attempt as u64)));
    }
    config.tls = match modes & 3 {
        0 => TlsMode::Unavailable,
        1 => TlsMode::Available,
        2 => TlsMode::Required,
        _ => TlsMode::First,
    };
    config.auth = match modes >> 2 & 3 {
        0 => AuthSource::None,
        1 => AuthSource::token("token"),
        _ => AuthSource::Ask,
    };
    config.max_control_line = if modes & 16 == 0 { 4096 } else { 64 };
}

impl Run {
    /// One of the operations that stand behind those settings.
    pub(super) fn rare_step(&mut self, what: u8, choices: &mut Choices<'_>) {
        match what % 8 {
            0 => self.answer_tls(choices.byte()),
            1 => self.answer_auth(choices.byte()),
            2 => self.choose(choices.byte()),
            3 => {
                let pool = POOLS[usize::from(choices.byte()) % POOLS.len()];
                let servers = pool.iter().map(|text| server(text)).collect();
                // Refused if there is nothing in it, or not all of one kind, or the connection is at its end.
                let _ = self.connection.set_server_pool(self.now, servers);
            }
            4 => self.publish_again(choices.byte()),
            5 => self.receive(choices.bytes(1)),
            6 => {
                // What a driver says that is late.
                let id = self.dial.or(self.tls).or(self.auth);
                if let Some(id) = id {
                    self.connection.handle_tls(id, Ok(()));
                    self.connection.handle_auth(id, Ok(Auth::new()));
                }
            }
            // The others do nothing but to handle a timeout too early.
            _ => match what {
                SUBSCRIBE => self.subscribe_confirmed(choices),
                PAUSE => self.pause(),
                DRAIN => self.drain_within(choices),
                _ => self.connection.handle_timeout(self.now),
            },
        }
    }

    pub(super) fn answer_tls(&mut self, how: u8) {
        let Some(id) = self.tls.take() else {
            return;
        };
        let result = match how % 4 {
            0 => Err(TlsError::Handshake("bad certificate".into())),
            1 => Err(TlsError::EarlyData),
            _ => Ok(()),
        };
        self.connection.handle_tls(id, result);
    }

    pub(super) fn answer_auth(&mut self, how: u8) {
        let Some(id) = self.auth.take() else {
            return;
        };
        let auth = match how % 4 {
            0 => return self.connection.handle_auth(id, Err(AuthError::new("no key"))),
            1 => Auth::new(),
            2 => Auth { token: Some("t".repeat(5000)), ..Auth::new() },
            _ => Auth {
                nkey: Some("U\r\n\"".into()),
                signature: Some(vec![how; 64]),
                jwt: Some("j".into()),
                ..Auth::new()
            },
        };
        self.connection.handle_auth(id, Ok(auth));
    }

    fn choose(&mut self, how: u8) {
        let Some(servers) = self.choice.take() else {
            return;
        };
        let delay = [None, Some(Duration::ZERO), Some(Duration::from_secs(3)), Some(Duration::MAX)];
        let delay = delay[usize::from(how >> 6)];
        let choice = match how % 4 {
            0 => None,
            1 => Some(ReconnectToServer { addr: server("stranger:1"), delay }),
            _ => {
                let addr = servers[usize::from(how >> 2) % servers.len()].clone();
                Some(ReconnectToServer { addr, delay })
            }
        };
        self.connection.handle_choice(self.now, choice);
    }

    fn subscribe_confirmed(&mut self, choices: &mut Choices<'_>) {
        let (flags, wait) = (choices.byte(), u64::from(choices.byte()));
        let subject = ["s.*", "s.>", "s.1", "s..1"][usize::from(flags & 3)];
        let queue = (flags & 4 != 0).then_some("q");
        let deadline = (wait > 0).then(|| self.now + Duration::from_millis(wait));
        if let Ok(id) = self.connection.subscribe_confirmed(subject, queue, deadline) {
            self.subscriptions.push(id);
            self.confirming.push(id);
        }
    }

    /// Nothing is read any more, or all is again.
    fn pause(&mut self) {
        self.paused = !self.paused;
        if self.paused {
            self.connection.handle_pause();
        } else {
            self.connection.handle_resume(self.now);
        }
    }

    fn drain_within(&mut self, choices: &mut Choices<'_>) {
        let timeout = Duration::from_millis(u64::from(choices.word()));
        let deadline = self.now + timeout;
        self.connection.drain_within(self.now, timeout);
        self.ends_by = Some(self.ends_by.map_or(deadline, |before| before.min(deadline)));
    }

    fn publish_again(&mut self, len: u8) {
        let payload = Bytes::from(vec![b'y'; usize::from(len)]);
        let subject = ["subject.one", "s.1", "bad subject"][usize::from(len) % 3];
        if self.connection.publish_again(subject, &payload) {
            assert_ne!(subject, "bad subject");
            self.accepted += 1;
        }
    }
}
