//! What a server is told when it starts, in terms that any kind of server understands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::jwt::{Account, Operator};

/// Who may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Anybody.
    #[default]
    Open,
    /// Whoever knows this user name and password.
    UserPassword {
        /// The user name.
        user: String,
        /// The password.
        password: String,
    },
    /// Whoever knows this token.
    Token(String),
}

/// Where a real server listens for WebSocket clients: on a port of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketListener {
    /// Whether it compresses for clients that ask for it.
    pub compression: bool,
    /// The files of a certificate and its key, if it speaks TLS, which is with all clients then.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// The settings of a server. The default is what the server does when it is told nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Who may connect.
    pub auth: Auth,
    /// Largest sum of headers and payload of a message, in bytes.
    pub max_payload: Option<usize>,
    /// Longest control line, in bytes.
    pub max_control_line: Option<usize>,
    /// Time between the server's probes of its clients.
    pub ping_interval: Option<Duration>,
    /// Unanswered probes after which the server ends a connection.
    pub ping_max: Option<u32>,
    /// Whether a real server listens for WebSocket clients, and how.
    pub websocket: Option<WebSocketListener>,
    /// Lines for the configuration file of a real server, for what only a real server can do.
    pub extra: String,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this user may connect.
    #[must_use]
    pub fn user_password(mut self, user: &str, password: &str) -> Self {
        self.auth = Auth::UserPassword { user: user.to_owned(), password: password.to_owned() };
        self
    }

    /// Only those with this token may connect.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.auth = Auth::Token(token.to_owned());
        self
    }

    /// Sets [`max_payload`](Self::max_payload).
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// Sets [`max_control_line`](Self::max_control_line).
    #[must_use]
    pub fn max_control_line(mut self, bytes: usize) -> Self {
        self.max_control_line = Some(bytes);
        self
    }

    /// Sets [`ping_interval`](Self::ping_interval) and [`ping_max`](Self::ping_max).
    #[must_use]
    pub fn pings(mut self, interval: Duration, max: u32) -> Self {
        self.ping_interval = Some(interval);
        self.ping_max = Some(max);
        self
    }

    /// Sets [`websocket`](Self::websocket): without TLS.
    #[must_use]
    pub fn websocket(mut self, compression: bool) -> Self {
        self.websocket = Some(WebSocketListener { compression, tls: None });
        self
    }

    /// Sets [`websocket`](Self::websocket): compressing, with TLS.
    #[must_use]
    pub fn secure_websocket(mut self, certificate: &Path, key: &Path) -> Self {
        let tls = Some((certificate.to_owned(), key.to_owned()));
        self.websocket = Some(WebSocketListener { compression: true, tls });
        self
    }

    /// The clients' port speaks TLS with this certificate; `lines` say what else is to be so. Real servers only.
    #[must_use]
    pub fn tls(self, certificate: &Path, key: &Path, lines: &str) -> Self {
        self.extra(&format!(
            "tls {{\n  cert_file: {certificate:?}\n  key_file: {key:?}\n  timeout: 30\n  {lines}\n}}"
        ))
    }

    /// Adds to [`extra`](Self::extra).
    #[must_use]
    pub fn extra(mut self, lines: &str) -> Self {
        self.extra.push_str(lines);
        self.extra.push('\n');
        self
    }

    /// Only users with one of these public nkeys may connect. Real servers only.
    #[must_use]
    pub fn nkey_users(self, keys: &[&str]) -> Self {
        let users: Vec<String> = keys.iter().map(|key| nkey_user(key)).collect();
        self.extra(&format!("authorization {{ users: [ {} ] }}", users.join(", ")))
    }

    /// Accounts with a name and their users, each as the configuration has it: see [`nkey_user`] and [`user`].
    /// Real servers only.
    #[must_use]
    pub fn accounts(self, accounts: &[(&str, &[String])]) -> Self {
        let accounts: Vec<String> = accounts
            .iter()
            .map(|(name, users)| format!("{name}: {{ users: [ {} ] }}", users.join(", ")))
            .collect();
        self.extra(&format!("accounts {{ {} }}", accounts.join(", ")))
    }

    /// Operator mode: only users with a JWT of one of these accounts may connect. Real servers only.
    #[must_use]
    pub fn operator(self, operator: &Operator, accounts: &[&Account]) -> Self {
        self.extra(&operator.config_lines(accounts))
    }

    /// The options in the configuration language of `nats-server`.
    pub(super) fn config_lines(&self) -> String {
        let mut lines = String::new();
        match &self.auth {
            Auth::Open => {}
            Auth::UserPassword { user, password } => {
                let (user, password) = (quoted(user), quoted(password));
                line(
                    &mut lines,
                    "authorization",
                    format_args!("{{ user: {user}, password: {password} }}"),
                );
            }
            Auth::Token(token) => {
                line(&mut lines, "authorization", format_args!("{{ token: {} }}", quoted(token)));
            }
        }
        if let Some(bytes) = self.max_payload {
            line(&mut lines, "max_payload", bytes);
        }
        if let Some(bytes) = self.max_control_line {
            line(&mut lines, "max_control_line", bytes);
        }
        if let Some(interval) = self.ping_interval {
            line(&mut lines, "ping_interval", format_args!("\"{}ms\"", interval.as_millis()));
        }
        if let Some(max) = self.ping_max {
            line(&mut lines, "ping_max", max);
        }
        lines.push_str(&self.extra);
        lines
    }
}

/// A user with a public nkey, as the configuration has it.
pub fn nkey_user(key: &str) -> String {
    format!("{{ nkey: {} }}", quoted(key))
}

/// A user with a password, as the configuration has it.
pub fn user(name: &str, password: &str) -> String {
    format!("{{ user: {}, password: {} }}", quoted(name), quoted(password))
}

fn line(lines: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(lines, "{key}: {value}").expect("writing to a String cannot fail");
}

/// A string that the server does not take for a number, a variable or a comment.
fn quoted(text: &str) -> String {
    assert!(
        !text.contains(['"', '\\', '\n']),
        "{text:?} would need escapes, which these tests have no use for"
    );
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_say_nothing() {
        assert_eq!(Options::new().config_lines(), "");
    }

    #[test]
    fn every_option_has_its_line() {
        let options = Options::new()
            .user_password("joe", "7")
            .max_payload(2048)
            .max_control_line(512)
            .pings(Duration::from_millis(50), 3)
            .extra("debug: true");
        assert_eq!(
            options.config_lines(),
            "authorization: { user: \"joe\", password: \"7\" }\nmax_payload: 2048\n\
             max_control_line: 512\nping_interval: \"50ms\"\nping_max: 3\ndebug: true\n"
        );
    }
}
